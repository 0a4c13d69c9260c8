# SPDX-License-Identifier: MIT
"""rrdcached: a thread per connection puts values into a tree under one lock, four threads write files when a condition
says so, another one flushes; a journal is written meanwhile and read back after a restart. SIGTERM flushes.
"""

import asyncio

from clients import end, side_by_side
from daemon import Daemon, check

FILES, FIRST, STEP, SLOTS = 50, 1_700_000_000, 10, 600


class Program(Daemon):
    model = "one per connection, 4 that write"
    binary = "rrdcached"

    def version(self):
        return self.output("rrdtool", "--version").split()[1]

    async def configure(self):
        (self.dir / "rrd").mkdir()
        (self.dir / "journal").mkdir()
        self.next = [0] * (FILES + 1)
        for i in range(FILES):
            self.output("rrdtool", "create", f"rrd/{i}.rrd", "--start", str(FIRST), "--step", str(STEP), "DS:v:GAUGE:100000:U:U",
                        f"RRA:LAST:0.5:1:{SLOTS}")

    def command(self):
        return ("rrdcached", "-g", "-l", f"127.0.0.1:{self.port}", "-b", self.dir / "rrd", "-j", self.dir / "journal",
                "-p", self.dir / "pid", "-w", "2", "-f", "10", "-t", "4", "-F")

    async def ask(self, reader, writer, line):
        """The answer's first line, and the lines that it announces."""
        writer.write(line.encode() + b"\n")
        head = (await asyncio.wait_for(reader.readline(), 60)).decode().rstrip()
        check(head and int(head.split()[0]) >= 0, f"{line[:80]}: {head!r}")
        return head, [(await asyncio.wait_for(reader.readline(), 60)).decode().rstrip() for _ in range(int(head.split()[0]))]

    async def update(self, c, i, n=1):
        """n more values, each with its own time; the value tells file and slot."""
        values = [f"{FIRST + STEP * (k + 1)}:{i * 1000 + k}" for k in range(self.next[i], self.next[i] + n)]
        self.next[i] += n
        head, _ = await self.ask(*c, f"UPDATE {i}.rrd " + " ".join(values))
        check(f"{n} value(s)" in head, f"answered {head!r}")

    async def compare(self, c, i):
        """All that was ever put in is in the file."""
        await self.ask(*c, f"FLUSH {i}.rrd")
        last = FIRST + STEP * self.next[i]
        rows = self.output("rrdtool", "fetch", f"rrd/{i}.rrd", "LAST", "-s", str(FIRST), "-e", str(last - STEP)).splitlines()[2:]
        found = {int(t): float(v) for t, v in (row.split(": ") for row in rows)}
        wrong = [k for k in range(self.next[i]) if found.get(FIRST + STEP * (k + 1)) != i * 1000 + k]
        check(not wrong, f"{i}.rrd: values {wrong} of {self.next[i]} are not there: {found}")

    async def hold(self):
        held = await side_by_side([self.connect() for _ in range(self.held)], 20)
        await side_by_side([self.update(c, i) for i, c in enumerate(held[:FILES])], 20)
        await side_by_side([self.ask(*c, "PENDING 1.rrd") for c in held], 50)
        self.holding()
        heads = await side_by_side([self.ask(*c, f"LAST {i % FILES}.rrd") for i, c in enumerate(held)], self.held)
        for head, _ in heads:
            check(head.split()[1] == str(FIRST + STEP), f"answered {head!r}")
        await side_by_side([self.compare(c, i) for i, c in enumerate(held[:FILES])], 2)
        for c in held:
            await end(c[1])

    async def client_of(self, i):
        c = await self.connect()
        for n in (1, 2, 3, 1, 5):
            await self.update(c, i, n)
        writer = c[1]
        writer.write(f"BATCH\nFLUSH {i}.rrd\nFLUSH nothing.rrd\n.\n".encode())
        check((await c[0].readline()).startswith(b"0 "), "BATCH")
        errors, lines = await self.ask(*c, "")
        check(errors.startswith("1 ") and lines[0].startswith("2 "), f"BATCH: {errors} {lines}")
        await end(writer)

    async def work(self):
        await side_by_side([self.client_of(i) for i in range(FILES)], FILES)
        return await self.again()

    async def again(self):
        """What the journal or the files kept."""
        c = await self.connect()
        for i in range(FILES):
            await self.compare(c, i)
        _, lines = await self.ask(*c, "STATS")
        await end(c[1])
        return sorted(line.split(":")[0] for line in lines)

    async def leave_open(self):
        held = [await self.connect() for _ in range(50)]
        for i, c in enumerate(held):
            await self.update(c, i)
        return held
