# SPDX-License-Identifier: MIT
"""OpenJDK's HTTP server with a cached pool of threads. The JVM makes all of its threads with pthread_create; it finds null
pointers and safepoints by SIGSEGV, looks for its stacks' limits, guards them itself, and waits in condition variables.
"""

from clients import http_hold, http_work, write_files, wrk
from daemon import Daemon


class Program(Daemon):
    model = "selector, a thread per request, JVM"
    binary = "java"
    mode = "pool"

    def version(self):
        return self.output("java", "--version").split()[1]

    async def configure(self):
        write_files(self.dir / "www")
        self.output("javac", "-d", ".", str(self.here.parent / "java-pool/Server.java"))

    def command(self):
        return "java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", ".", "Server", self.mode, self.port

    async def hold(self):
        await http_hold(self)

    async def work(self):
        return await http_work(self, connections=200, width=50)

    async def rate(self):
        return await wrk(self, "/f1000", connections=64)
