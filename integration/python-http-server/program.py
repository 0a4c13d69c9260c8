# SPDX-License-Identifier: MIT
"""Debian's python3 -m http.server, a thread per request: 200 requests held half-sent, then finished. Its backlog is 5:
connections are opened one at a time. Stopped by SIGINT, which python turns into an orderly end with threads still there.
"""

import signal

from clients import FILES, ab, end, everything, side_by_side, write_files
from daemon import Daemon, check


class Program(Daemon):
    model = "one per request"
    binary = "/usr/bin/python3"
    stop_signal = signal.SIGINT
    expected = (r"code 404, message File not found",)

    def version(self):
        return self.output("/usr/bin/python3", "-V").split()[1]

    async def configure(self):
        write_files(self.dir / "www")

    def command(self):
        return "/usr/bin/python3", "-m", "http.server", self.port, "--bind", "127.0.0.1", "-d", self.dir / "www"

    async def begin(self, name):
        reader, writer = await self.connect()
        writer.write(f"GET /{name} HTTP/1.0\r\n".encode())  # the empty line is still to come
        return reader, writer, name

    async def finish(self, reader, writer, name):
        writer.write(b"\r\n")
        head, _, content = (await everything(reader)).partition(b"\r\n\r\n")
        check(head.startswith(b"HTTP/1.0 200 OK\r\n"), f"answered {head[:80]!r}")
        check(f"Content-Length: {len(FILES[name])}".encode() in head, f"wrong length for {name}")
        check(content == FILES[name], f"{name}: {len(content)} bytes, not those of the file")
        await end(writer)

    async def one(self, name):
        await self.finish(*await self.begin(name))

    async def open_all(self, n):
        names, held = list(FILES), []
        for i in range(n):
            held.append(await self.begin(names[i % len(names)]))
            await self.accepted()
        return held

    async def hold(self):
        held = await self.open_all(self.held)
        self.holding()
        for h in reversed(held):
            await self.finish(*h)

    async def work(self):
        names = list(FILES)
        await side_by_side([self.one(names[i % len(names)]) for i in range(300)], 4)
        reader, writer = await self.connect()
        writer.write(b"GET /nothing HTTP/1.0\r\n\r\n")
        missing = (await everything(reader)).split(b"\r\n")[0]
        await end(writer)
        return {"missing": missing}

    async def leave_open(self):
        return await self.open_all(50)

    async def rate(self):
        return await ab(self, f"http://127.0.0.1:{self.port}/f1000", requests=2000, width=4)
