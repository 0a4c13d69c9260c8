# SPDX-License-Identifier: MIT
"""Apache httpd with mpm_prefork: a process per connection, no threads; accept is serialised by a semaphore that the
processes share.
"""

from programs import program


class Program(program("apache-worker")):
    model = "no threads: a process per connection"
    mpm = "prefork"
    more = "ServerLimit 300\nMaxRequestWorkers 300\nStartServers 50\nMinSpareServers 50\nMaxSpareServers 300"
    spare = 300
