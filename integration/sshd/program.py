# SPDX-License-Identifier: MIT
"""sshd: a process per connection which execs itself, drops its privileges and goes into a sandbox. No thread is made; the
library is in each of them all the same. SIGHUP makes it exec itself.
"""

import getpass
import os
import pathlib
import signal
import time

from clients import body, end, side_by_side
from daemon import Daemon, check


class Program(Daemon):
    model = "no threads: processes, exec"
    binary = "sshd"
    reload_signal = signal.SIGHUP
    spare = 600                     # two processes for a connection
    leaves = True
    login = getpass.getuser()
    greeting = b"SSH-2.0-OpenSSH"

    def version(self):
        return self.output("ssh", "-V").split()[0].split("_")[1].rstrip(",")

    def missing(self):
        return "root" if os.geteuid() != 0 else super().missing()

    async def configure(self):
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        self.output("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "host_key")
        self.output("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key")
        (self.dir / "authorized_keys").write_bytes((self.dir / "key.pub").read_bytes())
        self.template("sshd.conf")

    def command(self):
        return "/usr/sbin/sshd", "-D", "-e", "-f", self.dir / "sshd.conf"

    async def reload(self):
        self.signal(self.reload_signal)
        await self.until_listening()

    async def banner(self):
        reader, writer = await self.connect()
        line = await reader.readline()
        check(line.startswith(self.greeting), f"greeted by {line!r}")
        return reader, writer

    async def hold(self):
        held = await side_by_side([self.banner() for _ in range(self.held)], 8)
        self.holding()
        for _, writer in held:
            await end(writer)

    async def ssh(self, i, command="cat", status=0):
        data = body(i, 3000 * i).hex()
        out = await self.client("ssh", "-F", "none", "-i", self.dir / "key", "-p", self.port, "-o", "BatchMode=yes",
                                "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={self.dir}/known",
                                "-o", "LogLevel=ERROR", f"{self.login}@127.0.0.1", command,
                                stdin=data.encode(), status=status)
        check(command != "cat" or out == data, f"client {i}: other bytes came back")

    async def work(self):
        await self.ssh(0)
        await side_by_side([self.ssh(i) for i in range(6)], 3)
        await self.ssh(1, "cat >/dev/null; exit 7", status=7)
        return {"clients": 8}

    async def rate(self):
        """Logins by key that run one command; each is two processes of the server, and the library starts in both."""
        total, until = 0, time.monotonic() + 4

        async def one():
            nonlocal total
            while time.monotonic() < until:
                await self.ssh(0, "true")
                total += 1
        before = time.monotonic()
        await side_by_side([one() for _ in range(2)], 2)
        return total / (time.monotonic() - before)
