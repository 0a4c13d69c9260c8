# SPDX-License-Identifier: MIT
"""memcached, four event loops and helpers on condition variables: every value is read back, counters are incremented from
50 connections at once, a cas decides races. It keeps nothing over a restart.
"""

import asyncio

from clients import body, end, exactly, side_by_side
from daemon import Daemon, check

KEYS = 1000


class Program(Daemon):
    model = "4 event loops, helpers"
    binary = "memcached"
    spare = 6                       # each event loop waits in epoll of its own

    def version(self):
        return self.output("memcached", "-V").split()[-1]

    async def configure(self):
        pass

    def command(self):
        return "memcached", "-t", "4", "-c", "2000", "-U", "0", "-l", "127.0.0.1", "-p", self.port, "-u", "root", "-m", "64"

    async def line(self, c, text):
        c[1].write(text.encode() + b"\r\n")
        return (await asyncio.wait_for(c[0].readline(), 60)).rstrip().decode()

    async def set(self, c, key, value):
        c[1].write(b"set %s 0 0 %d\r\n%s\r\n" % (key.encode(), len(value), value))
        answer = await asyncio.wait_for(c[0].readline(), 60)
        check(answer == b"STORED\r\n", f"set {key}: {answer!r}")

    async def get(self, c, key):
        head = await self.line(c, f"get {key}")
        if head == "END":
            return None
        value = await exactly(c[0], int(head.split()[3]))
        check(await exactly(c[0], 7) == b"\r\nEND\r\n", f"get {key}: no END")
        return value

    async def hold(self):
        held = await side_by_side([self.connect() for _ in range(self.held)], 50)
        await side_by_side([self.set(c, f"held{i}", body(i, 5000)) for i, c in enumerate(held)], 50)
        self.holding()
        values = await side_by_side([self.get(c, f"held{i}") for i, c in enumerate(reversed(held))], self.held)
        for i, value in enumerate(values):
            check(value == body(i, 5000), f"held{i}: another value")
        for c in held:
            await end(c[1])

    async def client_of(self, i):
        c = await self.connect()
        for k in range(i, KEYS, 50):
            await self.set(c, f"key{k}", body(k, 1 + 11 * k))
            check(await self.get(c, f"key{k}") == body(k, 1 + 11 * k), f"key{k}: another value")
        for _ in range(40):
            check((await self.line(c, "incr count 1")).isdigit(), "incr did not answer a number")
        await end(c[1])

    async def work(self):
        c = await self.connect()
        check(await self.line(c, "flush_all") == "OK", "flush_all was not OK")
        await self.set(c, "count", b"0")
        await side_by_side([self.client_of(i) for i in range(50)], 50)
        for k in range(KEYS):
            check(await self.get(c, f"key{k}") == body(k, 1 + 11 * k), f"key{k}: another value")
        count = await self.get(c, "count")
        check(await self.line(c, "delete key0") == "DELETED", "delete did not")
        missing = await self.get(c, "key0")
        await end(c[1])
        return {"count": count.decode().strip(), "missing": missing}

    async def rate(self):
        """Gets by 32 connections of this process: the client is the limit."""
        loop, total = asyncio.get_running_loop(), 0
        until = loop.time() + 3

        async def one(i):
            nonlocal total
            c = await self.connect()
            await self.set(c, f"rate{i}", body(i, 100))
            while loop.time() < until:
                check(await self.get(c, f"rate{i}") == body(i, 100), f"rate{i}: another value")
                total += 1
            await end(c[1])
        await asyncio.gather(*(one(i) for i in range(32)))
        return total / 3
