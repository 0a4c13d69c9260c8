# SPDX-License-Identifier: MIT
"""rsyslogd: threads that wait in epoll for syslog over TCP (imptcp, imtcp), queues with workers that come and go by
condition variables, a thread that writes the file. Every message must be in the file, once. SIGHUP: files opened anew.
"""

import asyncio
import signal
import time

from clients import end, side_by_side
from daemon import Daemon, check, free_port, read


class Program(Daemon):
    model = "event loops, queues with workers"
    binary = "rsyslogd"
    busy = 14
    peak = 40                       # twice as many as threads; Ms that slept in the netpoller side by side were 70 and more
    reload_signal = signal.SIGHUP
    expected = (r"warning: ~ action",)

    def version(self):
        return self.output("/usr/sbin/rsyslogd", "-v").split()[1]

    async def configure(self):
        self.second = free_port()
        self.sent, self.number = set(), 0
        self.template("rsyslog.conf")

    def command(self):
        return "/usr/sbin/rsyslogd", "-n", "-f", self.dir / "rsyslog.conf", "-i", self.dir / "pid"

    async def send(self, c, key, count=1):
        for i in range(count):
            self.number += 1
            text = f"{key}-{self.number}-{'x' * (i % 300)}"
            self.sent.add(text)
            c[1].write(f"<13>Nov 22 00:00:00 host tag: {text}\n".encode())
        await asyncio.wait_for(c[1].drain(), 60)

    def lines(self, name):
        return [line.strip() for line in read(self.dir / name).splitlines()]

    async def arrived(self):
        """Wait until all are in the file."""
        deadline = time.monotonic() + 60
        while True:
            lines = self.lines("messages")
            if len(lines) >= len(self.sent):
                break
            check(time.monotonic() < deadline, f"{len(self.sent)} sent, {len(lines)} are in the file")
            await asyncio.sleep(0.05)
        check(set(lines) == self.sent and len(lines) == len(self.sent),
              f"{len(lines)} lines, {len(set(lines))} of them different, of {len(self.sent)} messages")

    async def reload(self):
        """Moved away and opened anew, as logrotate does; the lines stay one file for arrived()."""
        (self.dir / "messages").rename(self.dir / "rotated")
        self.signal(self.reload_signal)
        c = await self.connect()
        deadline = time.monotonic() + 30
        while not read(self.dir / "messages"):
            check(time.monotonic() < deadline, "no file was opened anew")
            await self.send(c, "after")     # those that overtake the signal are in the old one
            await asyncio.sleep(0.05)
        await end(c[1])
        self.sent -= set(self.lines("rotated"))

    async def hold(self):
        held = await side_by_side([self.connect((self.port, self.second)[i % 2]) for i in range(self.held)], 20)
        await side_by_side([self.send(c, f"a{i}") for i, c in enumerate(held)], 50)
        await self.arrived()
        self.holding()
        await side_by_side([self.send(c, f"b{i}", 50) for i, c in enumerate(held)], self.held)
        await self.arrived()
        for c in held:
            await end(c[1])

    async def one(self, i):
        c = await self.connect(self.second)     # imptcp resets some of those that come and go, bare too
        await self.send(c, f"c{i}", 100)
        await end(c[1])

    async def work(self):
        await side_by_side([self.one(i) for i in range(100)], 50)
        await self.arrived()
        return "all there"
