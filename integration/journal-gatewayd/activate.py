# SPDX-License-Identifier: MIT
"""activate.py PORT PROGRAM ARG...: the program, with a socket that listens there as its descriptor 3, as systemd gives it."""

import os
import socket
import sys

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
