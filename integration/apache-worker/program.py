# SPDX-License-Identifier: MIT
"""Apache httpd with mpm_worker: a listener and 600 workers in one child, all made before the first connection. Reloaded
by SIGHUP: the child is stopped (pthread_kill to every worker) and another one started. The parent has no threads.
"""

import signal

from web import WebServer


class Program(WebServer):
    model = "pool of 600, one holds a connection"
    binary = "apache2"
    connections = 200
    load = 64
    mpm = "worker"
    more = "ServerLimit 4\nThreadLimit 600\nThreadsPerChild 600\nMaxRequestWorkers 2400\nStartServers 1\n" \
        "MinSpareThreads 25\nMaxSpareThreads 2400"
    spare = 5                       # the parent is a kernel thread, too
    reload_signal = signal.SIGHUP

    def version(self):
        return self.output("/usr/sbin/apache2", "-v").split("Apache/")[1].split()[0]

    async def configure(self):
        self.template("../apache-worker/apache.conf", "apache.conf")
        await super().configure()

    def command(self):
        return "/usr/sbin/apache2", "-DFOREGROUND", "-f", self.dir / "apache.conf"
