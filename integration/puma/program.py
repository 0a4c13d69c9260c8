# SPDX-License-Identifier: MIT
"""puma: a Ruby thread that waits for connections, a reactor for idle ones, and a pool of 16 to 64 that answer."""

import shutil

from web import WebServer


class Program(WebServer):
    model = "reactor, pool of 64, in Ruby"
    binary = "puma"

    def version(self):
        return self.output("puma", "--version").split()[-1]

    async def configure(self):
        await super().configure()
        shutil.copy(self.here / "config.ru", self.dir)

    def command(self):
        return "puma", "-t", "16:64", "-b", f"tcp://127.0.0.1:{self.port}", "-e", "production", "config.ru"
