# SPDX-License-Identifier: MIT
"""waitress: one Python thread in select() or poll() over all connections, woken through a pipe, and a pool of 50 that answer.
The Python is Debian's, not the runner's.
"""

import shutil

from web import WebServer


class Program(WebServer):
    model = "event loop, pool of 50, in Python"
    binary = "/usr/bin/python3"
    expected = (r"Task queue depth is",)

    def version(self):
        return self.output("/usr/bin/python3", "-c", "import importlib.metadata as m; print(m.version('waitress'))").strip()

    async def configure(self):
        await super().configure()
        shutil.copy(self.here.parent / "gunicorn/app.py", self.dir)

    def command(self):
        return "/usr/bin/python3", self.here / "server.py", self.port, self.dir
