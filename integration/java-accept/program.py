# SPDX-License-Identifier: MIT
"""A JVM with a new thread for each connection that is accepted, collecting garbage with two threads."""

from programs import program


class Program(program("java-pool")):
    model = "one per connection, JVM"
    mode = "accept"

    def command(self):
        return "java", "-Xmx64m", "-XX:+UseParallelGC", "-XX:ParallelGCThreads=2", "-cp", ".", "Server", self.mode, self.port
