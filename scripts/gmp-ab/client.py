# SPDX-License-Identifier: MIT
"""Figures from what a client prints: load-client, wrk, ab."""

import re


def seconds_to_us(match):
    return float(match.group(1)) * {"us": 1, "ms": 1e3, "s": 1e6}[match.group(2)]


# figure -> patterns; all that match are summed up for errors, the first one counts for the others.
PATTERNS = {
    "rate": [r"^Requests/sec:\s*([\d.]+)",                                      # wrk
             r"^Requests per second:\s*([\d.]+)",                               # ab
             r"^requests/sec:\s*([\d.]+)"],                                     # load-client
    "requests": [r"^\s*(\d+) requests in ", r"^Complete requests:\s*(\d+)", r"^requests:\s*(\d+)"],
    "errors": [r"^\s*Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)",
               r"^\s*Non-2xx or 3xx responses:\s*(\d+)",
               r"^Failed requests:\s*(\d+)", r"^Write errors:\s*(\d+)", r"^Non-2xx responses:\s*(\d+)",
               r"^errors:\s*(\d+)"],
    "p50": [r"^latency us:.* p50 ([\d.]+)", (r"^\s*50%\s+([\d.]+)(us|ms|s)$", seconds_to_us),
            (r"^\s*50%\s+(\d+)$", lambda m: float(m.group(1)) * 1e3)],
    "p99": [r"^latency us:.* p99 ([\d.]+)", (r"^\s*99%\s+([\d.]+)(us|ms|s)$", seconds_to_us),
            (r"^\s*99%\s+(\d+)$", lambda m: float(m.group(1)) * 1e3)],
}


def parse_client(text):
    figures = {}
    for figure, patterns in PATTERNS.items():
        for pattern in patterns:
            pattern, convert = pattern if isinstance(pattern, tuple) else (pattern, None)
            match = re.search(pattern, text, re.M)
            if match:
                value = convert(match) if convert else sum(map(float, match.groups()))
                if figure == "errors":
                    figures[figure] = figures.get(figure, 0) + value
                else:
                    figures.setdefault(figure, value)
    for figure in ("p50", "p99"):
        if figures.get(figure) == 0:            # ab counts in whole milliseconds
            del figures[figure]
    if "rate" in figures:
        figures.setdefault("errors", 0.0)       # wrk speaks of errors only if there are any
    return figures
