# SPDX-License-Identifier: MIT
"""microsocks, a SOCKS5 proxy with a thread of 32 KB per connection, in front of an echo backend: 200 tunnels held and
used, tunnels in churn, a refused target. RFC 1928.
"""

import struct

from clients import Echo, echo, end, everything, exactly, side_by_side
from daemon import Daemon, check, free_port


class Program(Daemon):
    model = "one per connection, 32 KB of stack"
    binary = "microsocks"

    def version(self):
        return self.output("dpkg-query", "-W", "-f", "${Version}", "microsocks").split("-")[0]

    async def configure(self):
        self.echo = await Echo().start()

    def command(self):
        return "microsocks", "-i", "127.0.0.1", "-p", self.port

    async def tunnel(self, port=None, want=0):
        reader, writer = await self.connect()
        writer.write(b"\x05\x01\x00")
        check(await exactly(reader, 2) == b"\x05\x00", "wrong greeting")
        writer.write(b"\x05\x01\x00\x01\x7f\x00\x00\x01" + struct.pack(">H", port or self.echo.port))
        answer = await exactly(reader, 10)
        check(answer[:2] == bytes([5, want]), f"wanted reply {want}: {answer!r}")
        return reader, writer

    async def churn(self, key):
        reader, writer = await self.tunnel()
        await echo(reader, writer, key, 2000)
        writer.write_eof()
        check(await everything(reader) == b"", "bytes after the end")
        await end(writer)

    async def hold(self):
        tunnels = await side_by_side([self.tunnel() for _ in range(self.held)], 50)
        await side_by_side([echo(*t, i, 100 + i) for i, t in enumerate(tunnels)], 50)
        self.holding()
        await side_by_side([echo(*t, -i, 100000) for i, t in enumerate(tunnels)], self.held)  # all at once, and large
        for t in tunnels:
            await end(t[1])

    async def work(self):
        await side_by_side([self.churn(i) for i in range(300)], 8)
        _, writer = await self.tunnel(free_port(), want=5)  # connection refused
        await end(writer)
        return {"tunnels": 300}

    async def leave_open(self):
        return [await self.tunnel() for _ in range(50)]
