# SPDX-License-Identifier: MIT
"""What an HTTP proxy with a thread per connection is asked, whichever it is: 200 requests held by a backend that answers
when it is told to, then answered; requests and CONNECT tunnels side by side; a backend that is not there.
"""

import asyncio

from clients import Backend, Echo, ab, body, echo, end, everything, side_by_side
from daemon import Daemon, check


class HttpProxy(Daemon):
    model = "one per connection"

    async def backends(self):
        self.http, self.echo = await Backend().start(), await Echo().start()

    async def ask(self, key, n):
        reader, writer = await self.connect()
        writer.write(f"GET http://127.0.0.1:{self.http.port}/{key}-{n} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        return reader, writer, key, n

    async def answer(self, reader, writer, key, n):
        head, _, content = (await everything(reader)).partition(b"\r\n\r\n")
        check(head.split()[1:2] == [b"200"], f"answered {head[:80]!r}")
        check(content == body(key, n), f"request {key}: {len(content)} bytes, not the backend's")
        await end(writer)

    async def one(self, key, n):
        await self.answer(*await self.ask(key, n))

    async def tunnel(self, key):
        reader, writer = await self.connect()
        writer.write(f"CONNECT 127.0.0.1:{self.echo.port} HTTP/1.0\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        check(head.split()[1:2] == [b"200"], f"answered {head[:80]!r}")
        for i in range(5):
            await echo(reader, writer, (key, i), 10000)
        await end(writer)

    async def hold(self):
        self.http.go.clear()
        held = [await self.ask(f"wait{i}", 1 + i * 401) for i in range(self.held)]
        await self.http.all_waiting(self.held)
        self.holding()
        self.http.go.set()
        for h in held:
            await self.answer(*h)

    async def work(self):
        await side_by_side([self.one(f"x{i}", i * 97) for i in range(300)], 8)
        await side_by_side([self.tunnel(i) for i in range(100)], 50)
        reader, writer = await self.connect()
        writer.write(b"GET http://127.0.0.1:1/ HTTP/1.0\r\n\r\n")  # nobody listens there
        refused = (await everything(reader)).split(b"\r\n")[0]
        await end(writer)
        return {"refused": refused}

    async def rate(self):
        if not self.helpers:
            self.quick = await self.quick_backend()
        return await ab(self, "-X", f"127.0.0.1:{self.port}", f"http://127.0.0.1:{self.quick}/", width=64)
