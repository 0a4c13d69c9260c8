# SPDX-License-Identifier: MIT
"""What an HTTP server that keeps connections is asked, whichever it is: FILES in self.dir/www, every byte compared, over
connections that are held and over some that come and go; one file that is not there; the load that rates are of.
"""

from clients import FILES, answer, ask, end, get, side_by_side, write_files, wrk
from daemon import Daemon, check


class WebServer(Daemon):
    connections, width = 150, 50    # of work(): so many, so many at a time
    load, page = 32, "/f1000"       # of rate(): connections, what they get

    async def configure(self):
        write_files(self.dir / "www")

    async def hold(self):
        """With keep-alive, each used before and after all are open."""
        names = list(FILES)
        held = [await self.connect() for _ in range(self.held)]
        await side_by_side([get(*c, names[i % 5]) for i, c in enumerate(held)], 50)
        self.holding()
        for _ in range(2):
            await side_by_side([get(*c, names[(i + 1) % 5]) for i, c in enumerate(held)], self.held)
        for c in held:
            await end(c[1])

    async def churn(self, i, requests=3):
        names = list(FILES)
        c = await self.connect()
        for j in range(requests):
            await get(*c, names[(i + j) % 5], close=j == requests - 1)
        await end(c[1])

    async def work(self):
        await side_by_side([self.churn(i) for i in range(self.connections)], self.width)
        reader, writer = await self.connect()
        await ask(writer, "/nothing", close=True)
        status, _, _ = await answer(reader)
        await end(writer)
        check(status == 404, f"a missing file: answered {status}, not 404")
        return {"connections": self.connections, "missing": status}

    async def rate(self):
        return await wrk(self, self.page, connections=self.load)
