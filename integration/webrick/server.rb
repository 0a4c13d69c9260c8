# SPDX-License-Identifier: MIT
# server.rb PORT FOLDER: WEBrick with a thread per connection.
require "webrick"

server = WEBrick::HTTPServer.new(Port: ARGV[0].to_i, BindAddress: "127.0.0.1", DocumentRoot: ARGV[1],
                                 MaxClients: 1000, AccessLog: [])
%w[TERM INT].each { |name| trap(name) { server.shutdown } }
server.start
