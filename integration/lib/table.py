# SPDX-License-Identifier: MIT
"""The table of stock programs, from what the last run of each left in the build folder."""

import json

BEGIN, END = "<!-- stock -->", "<!-- /stock -->"


def cell(value):
    return f"{value:,.0f}" if isinstance(value, (int, float)) else "-" if value is None else str(value)


def markdown(results, order):
    """Columns for rates only if they were measured."""
    found = [json.loads(path.read_text()) for name in order if (path := results / f"{name}.json").is_file()]
    rated = [("requests/s", "ratio"), ("per CPU second", "cpu_ratio")] if any("ratio" in f for f in found) else []
    heads = ["program", "version", "its threads", "connections", "kernel threads bare", "preloaded (P)",
             *(head for head, _ in rated), "verdict"]
    rows = [heads, ["---"] * 3 + ["---:"] * (3 + len(rated)) + ["---"]]
    for f in found:
        rows.append([f["program"], f["version"], f["model"], cell(f["held"]), cell(f["threads"]),
                     f"{cell(f.get('preloaded_threads'))} ({cell(f.get('procs'))})",
                     *(f"{f[key]:.2f}x" if key in f else "-" for _, key in rated), f["verdict"]])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def readme(path, table):
    """Replace what stands between the two marks."""
    text = path.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"{path} must have one line {BEGIN} and one {END}")
    head, rest = text.split(BEGIN)
    path.write_text(f"{head}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}")
