# SPDX-License-Identifier: MIT
"""Apache httpd with mpm_worker: a listener and 600 workers in one child, all made before the first connection. Reloaded
by SIGHUP: the child is stopped (pthread_kill to every worker) and another one started. The parent has no threads.
"""

import signal

from clients import http_hold, http_work, write_files, wrk
from daemon import Daemon


class Program(Daemon):
    model = "pool of 600, one holds a connection"
    binary = "apache2"
    mpm = "worker"
    more = "ServerLimit 4\nThreadLimit 600\nThreadsPerChild 600\nMaxRequestWorkers 2400\nStartServers 1\n" \
        "MinSpareThreads 25\nMaxSpareThreads 2400"
    spare = 5                       # the parent is a kernel thread, too
    reload_signal = signal.SIGHUP

    def version(self):
        return self.output("/usr/sbin/apache2", "-v").split("Apache/")[1].split()[0]

    async def configure(self):
        self.template("../apache-worker/apache.conf", "apache.conf")
        write_files(self.dir / "www")

    def command(self):
        return "/usr/sbin/apache2", "-DFOREGROUND", "-f", self.dir / "apache.conf"

    async def hold(self):
        await http_hold(self)

    async def work(self):
        return await http_work(self, connections=200, width=50)

    async def rate(self):
        return await wrk(self, "/f1000", connections=64)
