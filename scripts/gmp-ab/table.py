# SPDX-License-Identifier: MIT
"""Both sides' figures in one table, and what differs otherwise than in degree."""

import statistics

SIDES = {"A": "bare", "B": "preloaded"}

ROWS = [("idle", "kernel threads, idle"), ("peak", "kernel threads, peak"), ("seconds", "seconds"),
        ("rate", "requests/s"), ("p50", "latency p50, us"), ("p99", "latency p99, us"), ("errors", "client errors"),
        ("switches", "context switches"), ("voluntary", "  voluntary"), ("involuntary", "  involuntary"),
        ("cpu", "CPU seconds"), ("cpu_per_request", "CPU us per request"), ("rss", "peak RSS, MiB")]


def number(x):
    if x is None:
        return "-"
    if x == int(x) or abs(x) >= 1000:
        return f"{x:,.0f}"
    return f"{x:.3g}" if abs(x) < 1 else f"{x:.4g}"


def spread(values):
    """The median, and the range where there is one."""
    values = [v for v in values if v is not None]
    if not values:
        return None, "-"
    middle = statistics.median(values)
    low, high = number(min(values)), number(max(values))
    return middle, number(middle) + (f" ({low}..{high})" if low != high else "")


def compare(runs):
    """The table's rows (title, A, B, ratio), and what went wrong, differences first."""
    side = {s: [r for r in runs if r.side == s] for s in SIDES}
    rows = []
    for key, title in ROWS:
        a, text_a = spread([r.figures.get(key) for r in side["A"]])
        b, text_b = spread([r.figures.get(key) for r in side["B"]])
        if a is None and b is None:
            continue
        ratio = number(round(b / a, 4)) if a and b is not None else "-"
        rows.append((title, text_a, text_b, ratio))
    differences, alike = [], []
    for title, get in (("program's exit status", lambda r: r.status),
                       ("client's exit status", lambda r: r.client_status)):
        a, b = (sorted({str(get(r)) for r in side[s] if get(r) is not None}) for s in SIDES)
        if a or b:
            rows.append((title, ", ".join(a) or "-", ", ".join(b) or "-", "same" if a == b else "DIFFERS"))
        if a != b:
            differences.append(f"{title}: {', '.join(a) or '-'} bare, {', '.join(b) or '-'} preloaded")
    worst = {s: max((r.figures.get("errors", 0) for r in side[s]), default=0) for s in SIDES}
    if worst["B"] > worst["A"]:
        differences.append(f"client errors in a run: {worst['A']:.0f} bare, {worst['B']:.0f} preloaded")
    for trouble in dict.fromkeys(t for r in runs for t in r.trouble):
        count = {s: sum(trouble in r.trouble for r in side[s]) for s in SIDES}
        text = f"{trouble}: {count['A']} of {len(side['A'])} runs bare, {count['B']} of {len(side['B'])} preloaded"
        (differences if count["A"] != count["B"] else alike).append(text)
    if worst["A"] and worst["B"] <= worst["A"]:
        alike.append(f"client errors in a run: {worst['A']:.0f} bare, {worst['B']:.0f} preloaded")
    return rows, [f"DIFFERENCE: {d}" for d in differences] + [f"on both sides: {t}" for t in alike]


def print_table(rows):
    head = ("", "A bare", "B preloaded", "B/A")
    width = [max(len(row[i]) for row in [head] + rows) for i in range(4)]
    for row in [head] + rows:
        print(f"{row[0]:<{width[0]}}  " + "  ".join(f"{row[i]:>{width[i]}}" for i in (1, 2, 3)))
