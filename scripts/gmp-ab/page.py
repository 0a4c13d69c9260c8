# SPDX-License-Identifier: MIT
"""The page: the table, and the threads of every run over time as SVG. Nothing in it is fetched from elsewhere."""

import html
import math
import os
import platform
import shlex
import time

from table import SIDES

STYLE = """
:root { --back: #fff; --text: #1b1b1b; --faint: #8a8a8a; --line: #dcdcdc; --a: #c2410c; --b: #1d4ed8; }
@media (prefers-color-scheme: dark) {
  :root { --back: #17181a; --text: #e8e8e8; --faint: #8d8d8d; --line: #37393d; --a: #fb923c; --b: #7aa7ff; } }
body { background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
code { font-size: .9em; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; white-space: pre; }
.a { color: var(--a); } .b { color: var(--b); }
.bad { border-left: 4px solid var(--a); padding-left: .8rem; }
svg { width: 100%; height: auto; } svg text { fill: var(--text); font: 12px system-ui, sans-serif; }
svg .grid { stroke: var(--line); } svg .load { fill: var(--line); opacity: .45; }
svg polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
svg polyline.a { stroke: var(--a); } svg polyline.b { stroke: var(--b); }
svg text.a { fill: var(--a); } svg text.b { fill: var(--b); }
"""


def plot(runs):
    """The threads of every run over time, as SVG; the count's axis is logarithmic."""
    width, height, left, right, top, bottom = 860, 340, 60, 20, 24, 40
    times = [t for r in runs for t, _ in r.samples]
    if not times:
        return "<p>No samples.</p>"
    end = max(max(times), 0.1)
    most = max(n for r in runs for _, n in r.samples)
    decades = max(1, math.ceil(math.log10(most * 1.05)))

    def x(t):
        return left + t / end * (width - left - right)

    def y(n):
        return height - bottom - math.log10(max(n, 1)) / decades * (height - top - bottom)

    out = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="kernel threads over time">']
    load = next((r.load for r in runs if r.load), None)
    if load:
        begin, stop = x(load[0]), x(min(load[1], end))
        out.append(f'<rect class="load" x="{begin:.1f}" y="{top}" width="{max(0.0, stop - begin):.1f}" '
                   f'height="{height - top - bottom}"/><text x="{begin + 4:.1f}" y="{top + 12}">client</text>')
    for decade in range(decades + 1):
        at = y(10 ** decade)
        out.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{at:.1f}" y2="{at:.1f}"/>'
                   f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{10 ** decade:,}</text>')
    step = next((s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800) if end / s <= 10), 3600)
    for i in range(int(end / step) + 1):
        out.append(f'<text x="{x(i * step):.1f}" y="{height - bottom + 18}" text-anchor="middle">{i * step:g}</text>')
    out.append(f'<text x="{width - right}" y="{height - 6}" text-anchor="end">seconds since the start</text>'
               f'<text x="4" y="14">kernel threads (logarithmic)</text>')
    for r in runs:
        kept = [s for i, s in enumerate(r.samples)      # the corners are enough
                if i in (0, len(r.samples) - 1) or s[1] != r.samples[i - 1][1] or s[1] != r.samples[i + 1][1]]
        points = " ".join(f"{x(t):.1f},{y(n):.1f}" for t, n in kept)
        out.append(f'<polyline class="{r.side.lower()}" points="{points}"/>')
    for side in SIDES:
        samples = [s for r in runs if r.side == side for s in r.samples]
        if samples:
            t, n = max(samples, key=lambda s: s[1])
            anchor = "end" if x(t) > width * 0.7 else "start"
            at = y(n) - 6 if side == "A" else min(y(n) + 16, height - bottom - 4)       # equal peaks stay readable
            out.append(f'<text class="{side.lower()}" x="{x(t):.1f}" y="{at:.1f}" text-anchor="{anchor}">'
                       f'{side} {SIDES[side]}, peak {n:,}</text>')
    return "".join(out) + "</svg>"


def write_page(path, opts, runs, rows, remarks):
    title = f"bare and preloaded: {os.path.basename(opts.program[0])}"
    cells = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    facts = [("Program", shlex.join(opts.program)), ("Client", opts.client or "none"),
             ("Runs", f"{opts.runs} of each, taking turns; a figure is the median (min..max)"),
             ("Machine", f"{len(os.sched_getaffinity(0))} CPUs, Linux {platform.release()}, {platform.machine()}"),
             ("Date", time.strftime("%Y-%m-%d %H:%M %Z"))]
    listed = "<br/>\n".join(f"{name}: <code>{html.escape(value)}</code>" for name, value in facts)
    warned = "".join(f'<p class="bad">{html.escape(r)}</p>\n' for r in remarks)
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"/><meta name="viewport" content="width=device-width"/>
<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{html.escape(title)}</h1>
<p>{listed}</p>
{warned}<table><thead><tr><th></th><th class="a">A bare</th><th class="b">B preloaded</th><th>B/A</th></tr></thead>
<tbody>
{cells}</tbody></table>
<h2>Kernel threads over time</h2>
{plot(runs)}
</body></html>
""")
