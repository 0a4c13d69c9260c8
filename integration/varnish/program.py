# SPDX-License-Identifier: MIT
"""varnishd, a cache: two pools of 250 threads, that wait on condition variables for work, one to a request and one
more to each fetch from the backend, and one that polls the connections at rest. The manager forks the child that has them,
and a compiler for each configuration, which the child loads with dlopen() while it serves.
"""

from clients import Backend, answer, ask, body, end, side_by_side, wrk
from daemon import Daemon, check


class Program(Daemon):
    model = "2 pools of 250, two threads per request"
    binary = "varnishd"
    spare = 5                       # two processes, the manager has one
    loaded, rated = 0, False

    def version(self):
        return self.output("varnishd", "-V").split("varnish-")[1].split()[0]

    async def configure(self):
        self.http, self.quick = await Backend().start(), await self.quick_backend()
        self.template("varnish.vcl", backend=self.http.port)
        self.template("varnish.vcl", "quick.vcl", backend=self.quick)

    def command(self):
        return ("varnishd", "-F", "-j", "none", "-a", f"127.0.0.1:{self.port}", "-n", self.dir / "work", "-s", "malloc,64m",
                "-f", self.dir / "varnish.vcl", "-p", "thread_pools=2", "-p", "thread_pool_min=250",
                "-p", "timeout_idle=60")

    async def one(self, c, path, key, n, **options):
        await ask(c[1], path, **options)
        await self.answered(c, key, n)

    async def answered(self, c, key, n):
        status, _, content = await answer(c[0])
        check(status == 200 and content == body(key, n), f"{key}: status {status}, {len(content)} bytes, not the backend's")

    async def hold(self):
        """Each has a thread that waits for its fetch, and one that waits for the backend; then they wait to be asked again."""
        self.http.go.clear()
        held = await side_by_side([self.connect() for _ in range(self.held)], 50)
        for i, c in enumerate(held):
            await ask(c[1], f"/pass/wait{i}-{1 + i * 401}")
        await self.http.all_waiting(self.held)
        self.holding()
        self.http.go.set()
        for i, c in enumerate(held):
            await self.answered(c, f"wait{i}", 1 + i * 401)
        await side_by_side([self.one(c, f"/b{i}-{i * 13}", f"b{i}", i * 13) for i, c in enumerate(held)], self.held)
        for c in held:
            await end(c[1])

    async def churn(self, i):
        """Two ask for each object, which comes from the cache or from the backend; the third is not to be kept."""
        c = await self.connect()
        await self.one(c, f"/c{i // 2}-{i // 2 * 1000}", f"c{i // 2}", i // 2 * 1000)
        await self.one(c, f"/c{i // 3}-{i // 3 * 1000}", f"c{i // 3}", i // 3 * 1000)
        await self.one(c, f"/pass/c{i}-{i * 10}", f"c{i}", i * 10, close=True)
        await end(c[1])

    async def adm(self, *argv):
        return await self.client("varnishadm", "-n", self.dir / "work", *argv)

    async def configuration(self):
        """Another one while it serves, then back to the first."""
        self.loaded += 1
        name = f"v{self.loaded}"
        await self.adm("vcl.load", name, self.dir / "varnish.vcl")
        await self.adm("vcl.use", name)
        await self.adm("vcl.use", "boot")

    async def work(self):
        await side_by_side([self.configuration()] + [self.churn(i) for i in range(200)], 33)
        return {"requests": 600, "configurations": (await self.adm("vcl.list")).count("auto")}

    async def rate(self):
        if not self.rated:
            await self.adm("vcl.load", "quick", self.dir / "quick.vcl")
            await self.adm("vcl.use", "quick")
            self.rated = True
        return await wrk(self, "/pass", connections=64)
