# SPDX-License-Identifier: MIT
"""haproxy: two event loops that spin on each other's locks and exchange signals, master and worker. SIGUSR2 makes the
master start a new worker, SIGUSR1 stops in good order, SIGTERM at once.
"""

import signal

from clients import Backend, answer, ask, body, end, side_by_side, wrk
from daemon import Daemon, check, free_port


class Program(Daemon):
    model = "2 event loops"
    binary = "haproxy"
    reload_signal = signal.SIGUSR2
    spare = 10                      # two processes, whose threads have timers on their CPU clocks: bound
    expected = (r"Server (http|quick)/a is UP", r"Reloading HAProxy", r"Loading success", r"exited with code 143", r"All workers exited",
                r"haproxy version is", r"path to executable is", r"Former worker|Current worker")

    def version(self):
        return self.output("haproxy", "-v").split("version ")[1].split()[0]

    async def configure(self):
        self.http = await Backend().start()
        self.http.go.set()
        self.second, self.quick = free_port(), await self.quick_backend()
        self.template("haproxy.conf", backend=self.http.port)

    def command(self):
        return "/usr/sbin/haproxy", "-W", "-f", self.dir / "haproxy.conf"

    async def one(self, c, key, n, **options):
        await ask(c[1], f"/{key}-{n}", **options)
        status, _, content = await answer(c[0])
        check(status == 200 and content == body(key, n), f"{key}: status {status}, {len(content)} bytes, not the backend's")

    async def hold(self):
        held = await side_by_side([self.connect() for _ in range(self.held)], 50)
        await side_by_side([self.one(c, f"a{i}", 100 + i) for i, c in enumerate(held)], 50)
        self.holding()
        await side_by_side([self.one(c, f"b{i}", 50000 + i) for i, c in enumerate(held)], self.held)
        for c in held:
            await end(c[1])

    async def churn(self, i):
        c = await self.connect()
        for j in range(3):
            await self.one(c, f"c{i}", j * 1000 + i, close=j == 2)
        await end(c[1])

    async def work(self):
        await side_by_side([self.churn(i) for i in range(200)], 32)
        return {"requests": 600}

    async def rate(self):
        return await wrk(self, "/", connections=64, port=self.second)
