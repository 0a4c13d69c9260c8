# SPDX-License-Identifier: MIT
"""stunnel in front of nginx, which runs bare: HTTPS over connections that are kept and over many that come and go."""

import subprocess

from clients import end, get, side_by_side, write_files, wrk
from daemon import bare_env, free_port
from programs import program


class Program(program("stunnel")):
    async def configure(self):
        write_files(self.dir / "www")
        self.backend = free_port()
        await super().configure(self.backend)
        conf = self.template("../nginx-aio/nginx.conf", "nginx.conf", port=self.backend, workers=1, main="", http="sendfile on;")
        self.helpers.append(subprocess.Popen(
            ["/usr/sbin/nginx", "-p", self.dir, "-c", conf, "-e", self.dir / "nginx-error"], env=bare_env(), cwd=self.dir,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True))

    async def ask(self, connection, i):
        await get(*connection, ("f0", "f1", "f1000", "f65536", "f300001")[i % 5])

    async def hold(self):
        held = await side_by_side([self.tunnel() for _ in range(self.held)], 8)
        await side_by_side([self.ask(c, i) for i, c in enumerate(held)], 50)
        self.holding()
        await side_by_side([self.ask(c, i + 1) for i, c in enumerate(held)], self.held)
        for c in held:
            await end(c[1])

    async def churn(self, i):
        c = await self.tunnel()
        for j in range(3):
            await self.ask(c, i + j)
        await end(c[1])

    async def work(self):
        await side_by_side([self.churn(i) for i in range(150)], 16)
        return {"connections": 150}

    async def leave_open(self):
        held = await side_by_side([self.tunnel() for _ in range(50)], 8)
        await side_by_side([self.ask(c, i) for i, c in enumerate(held)], 50)
        return held

    async def rate(self):
        return await wrk(self, f"https://127.0.0.1:{self.port}/f1000", connections=64)
