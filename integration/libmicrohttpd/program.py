# SPDX-License-Identifier: MIT
"""GNU libmicrohttpd with a thread per connection, in a small server that is compiled here. main sits in sigwait."""

from clients import http_hold, http_work, write_files, wrk
from daemon import Daemon


class Program(Daemon):
    model = "one per connection"
    binary = "gcc"

    def version(self):
        return self.output("pkg-config", "--modversion", "libmicrohttpd").strip()

    async def configure(self):
        write_files(self.dir / "www")
        self.output("gcc", "-O2", "-o", "server", str(self.here / "server.c"), "-lmicrohttpd")

    def command(self):
        return self.dir / "server", self.port, self.dir / "www"

    async def hold(self):
        await http_hold(self)

    async def work(self):
        return await http_work(self, connections=300, width=50)

    async def rate(self):
        return await wrk(self, "/f1000", connections=64)
