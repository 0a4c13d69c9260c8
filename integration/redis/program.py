# SPDX-License-Identifier: MIT
"""redis-server, event loop: every value read back, a transaction per counter from 50 connections at once, snapshot and
log rewrite in forked children; after a restart everything is still there. Every write is synced before it is answered.
"""

import asyncio

from clients import body, end, figure, side_by_side
from daemon import Daemon, check

KEYS, COUNTERS = 500, 10


class Program(Daemon):
    model = "event loop, 3 for files"
    binary = "redis-server"
    spare = 5                       # two are jemalloc's, which takes libc's pthread_create by dlsym
    busy = 8                        # a child that saves
    threads_option = ()
    expected = (r"WARNING.*overcommit", r"Warning: no config file|Warning: .*config", r"WARNING: The TCP backlog",
                r"crashes with EXC_BAD", r"Failed .*latency|error loading")

    def version(self):
        return self.output("redis-server", "--version").split("v=")[1].split()[0]

    async def configure(self):
        pass

    def command(self):
        return ("redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", self.dir, "--appendonly", "yes",
                "--appendfsync", "always", "--save", "", "--maxclients", "4000", "--tcp-backlog", "128", *self.threads_option)

    async def ask(self, reader, writer, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        writer.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return await asyncio.wait_for(self.answer(reader), 60)

    async def answer(self, reader):
        line = (await reader.readline()).rstrip()
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            if rest == b"-1":
                return None
            return (await reader.readexactly(int(rest) + 2))[:-2]
        if kind == b"*":
            return [await self.answer(reader) for _ in range(int(rest))]
        check(kind != b"-", f"answered {line!r}")
        return int(rest) if kind == b":" else rest

    async def hold(self):
        held = await side_by_side([self.connect() for _ in range(self.held)], 50)
        for i, c in enumerate(held):
            check(await self.ask(*c, "PING") == b"PONG", f"connection {i}: no PONG")
        self.holding()
        answers = await side_by_side([self.ask(*c, "ECHO", body(i, 50000)) for i, c in enumerate(held)], self.held)
        for i, a in enumerate(answers):
            check(a == body(i, 50000), f"connection {i}: another echo")
        for c in held:
            await end(c[1])

    async def client_of(self, i):
        c = await self.connect()
        for k in range(i, KEYS, 50):
            value = body(k, 1 + 37 * k)
            check(await self.ask(*c, "SET", f"key{k}", value) == b"OK", "SET was not OK")
            check(await self.ask(*c, "GET", f"key{k}") == value, f"key{k}: another value")
        for k in range(COUNTERS):
            check(await self.ask(*c, "MULTI") == b"OK", "MULTI was not OK")
            await self.ask(*c, "INCR", f"count{k}")
            await self.ask(*c, "RPUSH", f"list{k}", i)
            n, length = await self.ask(*c, "EXEC")
            check(n == length, f"count{k} is {n}, its list has {length}")
        await end(c[1])

    async def contents(self):
        c = await self.connect()
        for k in range(KEYS):
            check(await self.ask(*c, "GET", f"key{k}") == body(k, 1 + 37 * k), f"key{k}: another value")
        counts = [int(await self.ask(*c, "GET", f"count{k}")) for k in range(COUNTERS)]
        await end(c[1])
        return {"counts": counts}

    async def info(self, c, section, name):
        for line in (await self.ask(*c, "INFO", section)).decode().splitlines():
            if line.startswith(name + ":"):
                return line.split(":")[1]
        return None

    async def work(self):
        await side_by_side([self.client_of(i) for i in range(50)], 50)
        c = await self.connect()
        for command, busy, status in (("BGSAVE", "rdb_bgsave_in_progress", "rdb_last_bgsave_status"),
                                      ("BGREWRITEAOF", "aof_rewrite_in_progress", "aof_last_bgrewrite_status")):
            await self.ask(*c, command)
            while await self.info(c, "persistence", busy) != "0":
                await asyncio.sleep(0.02)
            check(await self.info(c, "persistence", status) == "ok", f"{command} was not ok")
        await end(c[1])
        return await self.contents()

    async def again(self):
        return await self.contents()

    async def rate(self):
        text = await self.client("redis-benchmark", "-p", self.port, "-c", "64", "-n", "100000", "-t", "get", "-q", "--csv")
        return figure(r'^"GET","([\d.]+)"', text)
