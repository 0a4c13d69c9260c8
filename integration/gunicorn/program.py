# SPDX-License-Identifier: MIT
"""gunicorn with gthread workers: an arbiter that forks one worker, a pool of 50 Python threads in that. Keep-alive
connections are kept by a selector. SIGHUP: a new worker, the old one ends in good order.
"""

import shutil
import signal

from clients import get
from web import WebServer


class Program(WebServer):
    model = "pool of 50 in Python"
    binary = "/usr/bin/gunicorn"
    reload_signal = signal.SIGHUP
    spare = 5                       # the arbiter
    # The arbiter asks again each second; a worker that is about to end has Python's handlers no more.
    expected = (r"Worker \(pid:\d+\) was sent SIG", r"Worker with pid \d+ was terminated due to signal 15")

    def version(self):
        return self.output("/usr/bin/gunicorn", "--version").split()[-1].rstrip(")")

    async def configure(self):
        await super().configure()
        shutil.copy(self.here / "app.py", self.dir)

    def command(self):
        return ("/usr/bin/gunicorn", "-k", "gthread", "--threads", "50", "--keep-alive", "60", "--graceful-timeout", "5",
                "--worker-connections", "1000", "--bind", f"127.0.0.1:{self.port}", "app:application")

    async def leave_open(self):
        """Each has had an answer: a worker cannot end in good order while one of its threads waits for a first request."""
        held = [await self.connect() for _ in range(50)]
        for c in held:
            await get(*c, "f1000")
        return held
