# SPDX-License-Identifier: MIT
"""The table of stock programs, from what the last run of each left in the build folder."""

import json

BEGIN, END = "<!-- stock -->", "<!-- /stock -->"


def cell(value):
    return f"{value:,.0f}" if isinstance(value, (int, float)) else "-" if value is None else str(value)


def markdown(results, order):
    lines = ["| program | version | its threads | connections | kernel threads bare | preloaded (P) | requests/s | per CPU second | verdict |",
             "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"]
    for name in order:
        path = results / f"{name}.json"
        if not path.is_file():
            continue
        f = json.loads(path.read_text())
        ratio, cpu_ratio = (f"{f[key]:.2f}x" if key in f else "-" for key in ("ratio", "cpu_ratio"))
        lines.append(f"| {name} | {f['version']} | {f['model']} | {cell(f['held'])} | {cell(f['threads'])} | "
                     f"{cell(f.get('preloaded_threads'))} ({cell(f.get('procs'))}) | "
                     f"{ratio} | {cpu_ratio} | {f['verdict']} |")
    return "\n".join(lines)


def readme(path, table):
    """Replace what stands between the two marks."""
    text = path.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"{path} must have one line {BEGIN} and one {END}")
    head, rest = text.split(BEGIN)
    path.write_text(f"{head}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}")
