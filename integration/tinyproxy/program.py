# SPDX-License-Identifier: MIT
"""tinyproxy, an HTTP proxy with a thread per connection. Reloaded by SIGUSR1."""

import signal

from proxy import HttpProxy


class Program(HttpProxy):
    binary = "tinyproxy"
    expected = (r"child_kill_children",)    # it gives its threads eight naps of 16 us to end; that may not be enough
    reload_signal = signal.SIGUSR1          # with -d SIGHUP is not caught

    def version(self):
        return self.output("tinyproxy", "-v").split()[1]

    async def configure(self):
        self.template("tinyproxy.conf")
        await self.backends()

    def command(self):
        return "tinyproxy", "-d", "-c", self.dir / "tinyproxy.conf"
