# SPDX-License-Identifier: MIT
"""GNU libmicrohttpd with a thread per connection, in a small server that is compiled here. main sits in sigwait."""

from web import WebServer


class Program(WebServer):
    model = "one per connection"
    binary = "gcc"
    connections = 300
    load = 64

    def version(self):
        return self.output("pkg-config", "--modversion", "libmicrohttpd").strip()

    async def configure(self):
        await super().configure()
        self.output("gcc", "-O2", "-o", "server", str(self.here / "server.c"), "-lmicrohttpd")

    def command(self):
        return self.dir / "server", self.port, self.dir / "www"
