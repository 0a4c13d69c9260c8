# SPDX-License-Identifier: MIT
"""Serves the gunicorn folder's application: server.py PORT FOLDER-OF-APP"""

import sys

import waitress

sys.path.insert(0, sys.argv[2])
from app import application  # noqa: E402

waitress.serve(application, host="127.0.0.1", port=int(sys.argv[1]), threads=50, connection_limit=1000, backlog=1024)
