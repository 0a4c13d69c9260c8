# SPDX-License-Identifier: MIT
"""Subversion's server with threads: a pool that grows. 200 clients at the prompt held by as many threads as it allows;
checkouts and commits side by side; what the repository then holds is compared and verified. Its files are on disk.
"""

import asyncio
import shutil

from clients import body, end, side_by_side
from daemon import Daemon, check

FILES, ROUNDS = 8, 3


class Program(Daemon):
    model = "pool, one per connection"
    binary = "svnserve"
    busy = 40                       # files, and locks on files

    def version(self):
        return self.output("svnserve", "--version", "--quiet").strip()

    async def configure(self):
        self.output("svnadmin", "create", "repo")
        shutil.copy(self.here / "svnserve.conf", self.dir / "repo/conf/svnserve.conf")
        self.url = f"svn://127.0.0.1:{self.port}/repo"
        self.round = 0

    def command(self):
        return ("svnserve", "-d", "-T", "--foreground", "--listen-host", "127.0.0.1", "--listen-port", self.port,
                "-r", self.dir, "--max-threads", "300", "--min-threads", "1")

    async def greet(self):
        reader, writer = await self.connect()
        greeting = await asyncio.wait_for(reader.readuntil(b") ) "), 60)
        check(greeting.startswith(b"( success ( 2 2 "), f"greeted by {greeting!r}")
        return reader, writer

    async def hold(self):
        held = [await self.greet() for _ in range(self.held)]    # apr's pool: at once some might wait for others' ends
        self.holding()
        for reader, writer in held:
            url = self.url.encode()
            writer.write(b"( 2 ( edit-pipeline svndiff1 depth ) %d:%s ) " % (len(url), url))
        for reader, writer in held:
            mechanisms = await asyncio.wait_for(reader.readuntil(b") ) "), 60)
            check(b"ANONYMOUS" in mechanisms, f"offered {mechanisms!r}")
            await end(writer)

    async def svn(self, *args):
        return await self.client("svn", "--non-interactive", "--config-dir", self.dir / "config", *args)

    async def commits(self, i):
        """One client: a file of its own, changed in each round. A commit needs the root to be at its newest."""
        copy = self.dir / f"copy{self.round}.{i}"
        await self.svn("checkout", "-q", self.url, copy)
        for j in range(ROUNDS):
            name = copy / f"file{i}"
            new = not name.exists()
            name.write_bytes(body((self.round, i, j), 20000 + 1000 * i))
            if new:
                await self.svn("add", "-q", name)
            await self.svn("commit", "-q", "-m", f"{i} {j}", name)
            await self.svn("update", "-q", copy)

    async def work(self):
        self.round += 1
        await side_by_side([self.commits(i) for i in range(FILES)], FILES)
        await self.svn("checkout", "-q", self.url, self.dir / f"all{self.round}")
        for i in range(FILES):
            content = (self.dir / f"all{self.round}" / f"file{i}").read_bytes()
            check(content == body((self.round, i, ROUNDS - 1), 20000 + 1000 * i), f"file{i}: not what was committed last")
        self.output("svnadmin", "verify", "-q", "repo")
        return {"revision": (await self.svn("info", "--show-item", "revision", self.url)).strip()}

    async def leave_open(self):
        return [await self.greet() for _ in range(50)]
