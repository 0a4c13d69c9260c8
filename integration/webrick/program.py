# SPDX-License-Identifier: MIT
"""Ruby's WEBrick: a thread per connection, interpreter lock and timer thread of Ruby's own, sigaltstack per thread."""

from clients import ab, http_hold, http_work, write_files
from daemon import Daemon


class Program(Daemon):
    model = "one per connection, in Ruby"
    binary = "/usr/bin/ruby"
    expected = (r"ERROR .*/nothing' not found",)

    def version(self):
        return self.output("/usr/bin/ruby", "-rwebrick", "-e", "puts RUBY_VERSION + ' / ' + WEBrick::VERSION").strip()

    async def configure(self):
        write_files(self.dir / "www")

    def command(self):
        return "/usr/bin/ruby", self.here / "server.rb", self.port, self.dir / "www"

    async def hold(self):
        await http_hold(self)

    async def work(self):
        return await http_work(self, connections=150, width=8)

    async def rate(self):
        return await ab(self, "-k", f"http://127.0.0.1:{self.port}/f1000", requests=2000, width=32)
