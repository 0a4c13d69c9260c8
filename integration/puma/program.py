# SPDX-License-Identifier: MIT
"""puma: a Ruby thread that waits for connections, a reactor for idle ones, and a pool of 16 to 64 that answer."""

import shutil

from clients import http_hold, http_work, write_files, wrk
from daemon import Daemon


class Program(Daemon):
    model = "reactor, pool of 64, in Ruby"
    binary = "puma"

    def version(self):
        return self.output("puma", "--version").split()[-1]

    async def configure(self):
        write_files(self.dir / "www")
        shutil.copy(self.here / "config.ru", self.dir)

    def command(self):
        return "puma", "-t", "16:64", "-b", f"tcp://127.0.0.1:{self.port}", "-e", "production", "config.ru"

    async def hold(self):
        await http_hold(self)

    async def work(self):
        return await http_work(self, connections=150, width=50)

    async def rate(self):
        return await wrk(self, "/f1000", connections=32)
