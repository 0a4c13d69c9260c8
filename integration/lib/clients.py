# SPDX-License-Identifier: MIT
"""Clients that several programs share: HTTP with every byte compared, load generators with their errors counted."""

import asyncio
import random
import re

from daemon import Failed, check


def body(key, n):
    """n bytes that belong to this key."""
    return random.Random(str(key)).randbytes(n)


FILES = {f"f{n}": body(n, n) for n in (0, 1, 1000, 65536, 300001)}


def write_files(folder):
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    folder.chmod(0o755)


async def exactly(reader, n, seconds=60):
    return await asyncio.wait_for(reader.readexactly(n), seconds)


async def everything(reader, seconds=60):
    return await asyncio.wait_for(reader.read(-1), seconds)


async def end(writer):
    writer.close()
    try:
        await asyncio.wait_for(writer.wait_closed(), 10)
    except (OSError, asyncio.TimeoutError):
        pass


async def side_by_side(jobs, width):
    """Run the coroutines, `width` at a time; their results."""
    gate = asyncio.Semaphore(width)

    async def one(job):
        async with gate:
            return await job
    return await asyncio.gather(*(one(job) for job in jobs))


# -- HTTP ----------------------------------------------------------------------------------------------------------------

async def ask(writer, target, *headers, method="GET", content=b"", close=False):
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if content:
        lines.append(f"Content-Length: {len(content)}")
    if close:
        lines.append("Connection: close")
    writer.write("\r\n".join(lines + ["", ""]).encode() + content)
    await asyncio.wait_for(writer.drain(), 60)


async def answer(reader):
    """(status, headers, content) of the next answer on the connection."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).decode("latin-1").split("\r\n")
    headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
    status = int(head[0].split()[1])
    if headers.get("transfer-encoding") == "chunked":
        content = b""
        while n := int((await asyncio.wait_for(reader.readline(), 60)).split(b";")[0], 16):
            content += await exactly(reader, n)
            await exactly(reader, 2)
        await exactly(reader, 2)
    elif "content-length" in headers:
        content = await exactly(reader, int(headers["content-length"]))
    elif status in (204, 304):
        content = b""
    else:
        content = await everything(reader)
    return status, headers, content


async def get(reader, writer, name, prefix="/", **options):
    """One of FILES, compared."""
    await ask(writer, prefix + name, **options)
    status, _, content = await answer(reader)
    check(status == 200, f"{name}: answered {status}")
    check(content == FILES[name], f"{name}: {len(content)} bytes, not those of the file")


# -- load generators -------------------------------------------------------------------------------------------------------

def figure(pattern, text):
    found = re.search(pattern, text, re.M)
    if not found:
        raise Failed(f"no {pattern!r} in: {text[-1500:]}")
    return float(found.group(1))


async def wrk(daemon, url, connections=64, seconds=3, port=None):
    """Requests per second; no error is allowed."""
    text = await daemon.client("wrk", "-t", "1", "-c", connections, "-d", seconds, "--timeout", "30s",
                               url if "://" in url else f"http://127.0.0.1:{port or daemon.port}{url}")
    check("Socket errors" not in text and "Non-2xx" not in text, f"wrk has errors: {text}")
    return figure(r"^Requests/sec:\s*([\d.]+)", text)


async def ab(daemon, *args, requests=4000, width=8):
    """Likewise with ab; args end with the URL."""
    text = await daemon.client("ab", "-q", "-n", requests, "-c", width, *args)
    check(figure(r"^Complete requests:\s*(\d+)", text) == requests and figure(r"^Failed requests:\s*(\d+)", text) == 0
          and "Non-2xx" not in text, f"ab has errors: {text}")
    return figure(r"^Requests per second:\s*([\d.]+)", text)


# -- backends --------------------------------------------------------------------------------------------------------------

class Backend:
    """An HTTP server in this process for proxies: GET /KEY-N answers N bytes of KEY; /wait-... only once told to go."""

    async def start(self):
        self.go = asyncio.Event()
        self.waiting = 0
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def serve(self, reader, writer):
        try:
            while True:
                request = (await reader.readuntil(b"\r\n\r\n")).decode()
                name = request.split()[1].rpartition("/")[2]
                key, _, n = name.rpartition("-")
                if key.startswith("wait"):
                    self.waiting += 1
                    await self.go.wait()
                    self.waiting -= 1
                close = "HTTP/1.0" in request or "connection: close" in request.lower()
                writer.write(f"HTTP/1.{0 if close else 1} 200 OK\r\nContent-Length: {n}\r\n"
                             f"{'Connection: close' if close else 'X-Key: ' + key}\r\n\r\n".encode() + body(key, int(n)))
                await writer.drain()
                if close:
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        await end(writer)

    async def all_waiting(self, n):
        for _ in range(3000):
            if self.waiting == n:
                return
            await asyncio.sleep(0.01)
        raise Failed(f"{self.waiting} of {n} requests reached the backend")


class Echo:
    """Sends back what comes."""

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def serve(self, reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        await end(writer)


async def echo(reader, writer, key, n):
    data = body(key, n)
    writer.write(data)
    check(await exactly(reader, n) == data, f"{key}: other bytes came back")
