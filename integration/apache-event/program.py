# SPDX-License-Identifier: MIT
"""Apache httpd with mpm_event: a listener that keeps idle connections in epoll, pools of workers for the busy ones."""

from programs import program


class Program(program("apache-worker")):
    model = "event loop, pool of 300"
    mpm = "event"
    more = "ServerLimit 2\nThreadLimit 300\nThreadsPerChild 300\nMaxRequestWorkers 600\nStartServers 1\n" \
        "MinSpareThreads 10\nMaxSpareThreads 600"
    spare = 9                       # two children while one ends
