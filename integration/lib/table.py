# SPDX-License-Identifier: MIT
"""The table of stock programs, from what the last run of each left in the build folder."""

import json

BEGIN, END = "<!-- stock -->", "<!-- /stock -->"


def cell(value):
    return f"{value:,.0f}" if isinstance(value, (int, float)) else "-" if value is None else str(value)


def kept(text):
    """{program: cells} of the table that stands there."""
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: dict(zip(rows[0], row)) for row in rows[2:]}


def markdown(results, order, old=""):
    """A row for each program; what its last run did not find out stays as it is in the old table."""
    heads = ["program", "version", "its threads", "connections", "kernel threads bare", "preloaded (P)", "requests/s",
             "per CPU second", "verdict"]
    rows = [heads, ["---"] * 3 + ["---:"] * 5 + ["---"]]
    before = kept(old)
    for name in order:
        path = results / f"{name}.json"
        f = json.loads(path.read_text()) if path.is_file() else {}
        row = before.get(name, {})
        for head, key in (("version", "version"), ("its threads", "model"), ("connections", "held"),
                          ("kernel threads bare", "threads"), ("verdict", "verdict")):
            if key in f:
                row[head] = cell(f[key])
        if "preloaded_threads" in f:
            row["preloaded (P)"] = f"{cell(f['preloaded_threads'])} ({cell(f['procs'])})"
        for head, key in (("requests/s", "ratio"), ("per CPU second", "cpu_ratio")):
            if key in f:
                row[head] = f"{f[key]:.2f}x"
        if row:
            rows.append([name] + [row.get(head, "-") for head in heads[1:]])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def readme(path, results, order):
    """Replace what stands between the two marks."""
    text = path.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"{path} must have one line {BEGIN} and one {END}")
    head, rest = text.split(BEGIN)
    old, tail = rest.split(END)
    path.write_text(f"{head}{BEGIN}\n{markdown(results, order, old)}\n{END}{tail}")
