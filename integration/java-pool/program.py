# SPDX-License-Identifier: MIT
"""OpenJDK's HTTP server with a cached pool of threads. The JVM makes all of its threads with pthread_create; it finds null
pointers and safepoints by SIGSEGV, looks for its stacks' limits, guards them itself, and waits in condition variables.
"""

from web import WebServer


class Program(WebServer):
    model = "selector, a thread per request, JVM"
    binary = "java"
    connections = 200
    load = 64
    mode = "pool"

    def version(self):
        return self.output("java", "--version").split()[1]

    async def configure(self):
        await super().configure()
        self.output("javac", "-d", ".", str(self.here.parent / "java-pool/Server.java"))

    def command(self):
        return "java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", ".", "Server", self.mode, self.port
