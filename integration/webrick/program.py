# SPDX-License-Identifier: MIT
"""Ruby's WEBrick: a thread per connection, interpreter lock and timer thread of Ruby's own, sigaltstack per thread."""

from clients import ab
from web import WebServer


class Program(WebServer):
    model = "one per connection, in Ruby"
    binary = "/usr/bin/ruby"
    width = 8
    expected = (r"ERROR .*/nothing' not found",)

    def version(self):
        return self.output("/usr/bin/ruby", "-rwebrick", "-e", "puts RUBY_VERSION + ' / ' + WEBrick::VERSION").strip()

    def command(self):
        return "/usr/bin/ruby", self.here / "server.rb", self.port, self.dir / "www"

    async def rate(self):
        return await ab(self, "-k", f"http://127.0.0.1:{self.port}/f1000", requests=2000, width=32)
