# SPDX-License-Identifier: MIT
"""systemd-journal-gatewayd: libmicrohttpd, a thread per connection that maps journal files and reads them; who follows the
journal waits in poll for inotify. The socket comes from outside.
"""

import asyncio
import json

from clients import answer, ask, end, exactly, side_by_side
from daemon import Daemon, check, read

ENTRIES, FIRST = 1000, 1_700_000_000_000_000
BIN = "/lib/systemd/"


class Program(Daemon):
    model = "one per connection"
    binary = BIN + "systemd-journal-gatewayd"

    def version(self):
        return self.output(self.binary, "--version").split()[1]

    async def configure(self):
        """A journal: an entry a second."""
        text = ""
        for i in range(ENTRIES):
            text += (f"__REALTIME_TIMESTAMP={FIRST + i * 1000000}\n__MONOTONIC_TIMESTAMP={1000000 + i}\n"
                     f"_BOOT_ID=0123456789abcdef0123456789abcdef\n_MACHINE_ID=fedcba9876543210fedcba9876543210\n"
                     f"MESSAGE=this is entry {i} {'x' * (i % 50)}\nPRIORITY={i % 8}\nNUMBER={i}\n\n")
        (self.dir / "export").write_text(text)
        (self.dir / "journal").mkdir()
        self.output(BIN + "systemd-journal-remote", "--output", str(self.dir / "journal/a.journal"), str(self.dir / "export"))

    def command(self):
        return "/usr/bin/python3", self.here / "activate.py", self.port, self.binary, "-D", self.dir / "journal"

    def listening(self):
        """The socket is there before it is."""
        return super().listening() and read(f"/proc/{self.pid}/comm").startswith("systemd-journal")

    async def entries(self, c, match, numbers):
        await ask(c[1], f"/entries?{match}", "Accept: application/json")
        status, _, content = await answer(c[0])
        check(status == 200, f"answered {status}")
        got = [json.loads(line) for line in content.decode().splitlines()]
        check([int(e["NUMBER"]) for e in got] == list(numbers), f"{match}: entries {[e['NUMBER'] for e in got]}")
        for e in got:
            n = int(e["NUMBER"])
            check(e["MESSAGE"] == f"this is entry {n} {'x' * (n % 50)}", f"entry {n} is {e}")

    async def follow(self, c, n):
        """All entries from that on, and then it waits for more."""
        await ask(c[1], f"/entries?follow&NUMBER={n}", "Accept: application/json")
        head = await asyncio.wait_for(c[0].readuntil(b"\r\n\r\n"), 60)
        check(b" 200 " in head.split(b"\r\n")[0], f"answered {head[:80]!r}")
        size = int((await asyncio.wait_for(c[0].readline(), 60)).split(b";")[0], 16)
        check(int(json.loads(await exactly(c[0], size))["NUMBER"]) == n, f"entry {n} is another one")

    async def hold(self):
        held = await side_by_side([self.connect() for _ in range(self.held)], 20)
        await side_by_side([self.entries(c, f"NUMBER={i}", [i]) for i, c in enumerate(held)], 50)
        self.holding()
        await side_by_side([self.entries(c, f"PRIORITY={i % 8}", range(i % 8, ENTRIES, 8)) for i, c in enumerate(held[:16])], 16)
        await side_by_side([self.entries(c, f"NUMBER={i + 1}", [i + 1]) for i, c in enumerate(held)], self.held)
        for c in held:
            await end(c[1])

    async def one(self, i):
        c = await self.connect()
        await self.entries(c, f"NUMBER={i}&PRIORITY={i % 8}", [i])
        await self.entries(c, f"NUMBER={i}&NUMBER={i + 1}", [i, i + 1])
        await ask(c[1], "/fields/NUMBER", close=True)
        status, _, content = await answer(c[0])
        check(status == 200 and sorted(map(int, content.split())) == list(range(ENTRIES)), f"/fields/NUMBER: {status}")
        await end(c[1])

    async def work(self):
        await side_by_side([self.one(i) for i in range(40)], 20)
        followers = await side_by_side([self.connect() for _ in range(20)], 20)
        await side_by_side([self.follow(c, i) for i, c in enumerate(followers)], 20)
        facts = []
        for target in ("/nothing", "/entries?NUMBER", "/machine", "/browse"):
            c = await self.connect()
            await ask(c[1], target, close=True)
            status, _, _ = await answer(c[0])
            facts.append((target, status))
            await end(c[1])
        for c in followers:
            await end(c[1])
        return facts
