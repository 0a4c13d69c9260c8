# SPDX-License-Identifier: MIT
# Files of ./www, read anew for each request.
run(lambda do |env|
  path = File.join('www', File.basename(env['PATH_INFO']))
  File.file?(path) ? [200, {}, [File.binread(path)]] : [404, {}, ['no such file']]
end)
