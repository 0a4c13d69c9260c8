# SPDX-License-Identifier: MIT
"""redis-server with 4 threads for reading and writing sockets: they spin on each other's words, and sleep on a mutex that
the main thread holds.
"""

from programs import program


class Program(program("redis")):
    model = "event loop, 4 for sockets, 3 for files"
    spare = 5                       # those that spin meet those that wait in epoll
    threads_option = ("--io-threads", "4", "--io-threads-do-reads", "yes")
