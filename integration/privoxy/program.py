# SPDX-License-Identifier: MIT
"""privoxy, an HTTP proxy with a thread per connection, which toggles O_NONBLOCK around connect and waits in poll. SIGHUP
makes it open its log again.
"""

import signal

from proxy import HttpProxy


class Program(HttpProxy):
    binary = "privoxy"
    reload_signal = signal.SIGHUP

    def version(self):
        return self.output("/usr/sbin/privoxy", "--version").split()[2]

    async def configure(self):
        self.template("privoxy.conf")
        await self.backends()

    def command(self):
        return "/usr/sbin/privoxy", "--no-daemon", self.dir / "privoxy.conf"
