# SPDX-License-Identifier: MIT
"""A file for each name of the folder www."""

import os


def application(environ, start_response):
    path = os.path.join("www", os.path.basename(environ["PATH_INFO"]))
    if not os.path.isfile(path):
        start_response("404 Not Found", [("Content-Length", "0")])
        return [b""]
    with open(path, "rb") as f:
        content = f.read()
    start_response("200 OK", [("Content-Length", str(len(content)))])
    return [content]
