# SPDX-License-Identifier: MIT
"""stunnel, TLS in front of a plain server: a thread with a stack of 64 KB for each connection, which waits in poll for
either side. The backend is an echo in this process. Reloaded by SIGHUP. Bare it sometimes dies at a SIGTERM that comes
right after load, hence the wait.
"""

import asyncio
import signal
import ssl

from clients import Echo, echo, end, everything, side_by_side, wrk
from daemon import Daemon, free_port


class Program(Daemon):
    model = "one per connection"
    binary = "stunnel4"
    reload_signal = signal.SIGHUP
    settle = 0.5
    spare = 6                       # main sets its priority, and is bound: a kernel thread of its own, an idle one more
    expected = (r"reset by peer", r"transfer\(\) failed", r"SSL_accept: Peer suddenly disconnected")

    def version(self):
        return self.output("stunnel4", "-version").split("stunnel ")[1].split()[0]

    async def configure(self, backend=None):
        """backend: a port instead of the echo's."""
        self.output("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-keyout", "key.pem", "-out", "cert.pem")
        self.tls = ssl.create_default_context(cafile=self.dir / "cert.pem")
        self.tls.check_hostname = False
        self.echo, self.quick = await Echo().start(), await self.quick_backend()
        self.second = free_port()
        self.template("../stunnel/stunnel.conf", "stunnel.conf", to_echo=backend or self.echo.port)

    def command(self):
        return "stunnel4", self.dir / "stunnel.conf"

    async def tunnel(self):
        return await self.connect(ssl=self.tls)

    async def hold(self):
        held = await side_by_side([self.tunnel() for _ in range(self.held)], 8)
        await side_by_side([echo(*c, i, 100 + i) for i, c in enumerate(held)], 50)
        self.holding()
        await side_by_side([echo(*c, -i, 100000) for i, c in enumerate(held)], self.held)  # all at once, and large
        for c in held:
            await end(c[1])

    async def churn(self, i):
        c = await self.tunnel()
        for j in range(3):
            await echo(*c, (i, j), 1000 * j + abs(i))
        await end(c[1])

    async def work(self):
        await side_by_side([self.churn(i) for i in range(150)], 8)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)  # no TLS: refused, the others go on
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        try:
            content = await everything(reader)
        except ConnectionResetError:
            content = b""
        await end(writer)
        await self.churn(-1)
        return {"HTTP in plain text": b"HTTP" in content}

    async def leave_open(self):
        held = await side_by_side([self.tunnel() for _ in range(50)], 8)
        await side_by_side([echo(*c, i, 100) for i, c in enumerate(held)], 50)
        return held

    async def rate(self):
        return await wrk(self, f"https://127.0.0.1:{self.second}/", connections=64)
