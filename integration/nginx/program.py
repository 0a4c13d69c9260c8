# SPDX-License-Identifier: MIT
"""nginx without threads: two forked event loops. Nothing must be lost, no thread must be made."""

from programs import program


class Program(program("nginx-aio")):
    model = "no threads: event loops, forked"
    workers = 2
    main = ""
    http = "sendfile on;"
    spare = 2                       # three processes
    busy = None
    page = "/f1000"
