# SPDX-License-Identifier: MIT
"""nginx that reads files in a pool of 16 threads, past the page cache. The master and the event loop have no part in it:
the pool answers through an eventfd. SIGHUP: a new worker, the old one ends; SIGQUIT: ends in good order.
"""

import signal

from web import WebServer


class Program(WebServer):
    model = "event loop, pool of 16 for files"
    binary = "nginx"
    connections = 300
    load = 64
    page = "/f65536"
    workers = 1
    main = "thread_pool default threads=16;"
    http = "aio threads; directio 512; output_buffers 2 128k;"
    reload_signal = signal.SIGHUP
    stop_signal = signal.SIGTERM
    spare = 5                       # the master
    busy = 21                       # and those that wait for the disk

    def version(self):
        return self.output("/usr/sbin/nginx", "-v").split("nginx/")[1].split()[0]

    async def configure(self):
        await super().configure()
        self.template("../nginx-aio/nginx.conf", "nginx.conf")

    def command(self):
        return "/usr/sbin/nginx", "-p", self.dir, "-c", self.dir / "nginx.conf", "-e", self.dir / "error.log"
