# SPDX-License-Identifier: MIT
"""gmp ab: run a program bare (A) and preloaded with libgmp.so (B) in turn, and show the difference.

program.py says where the figures come from, and what they miss.
"""

import argparse
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

from client import parse_client
from page import write_page
from program import GRACE, Program, become_subreaper, listening, read
from table import SIDES, compare, print_table

SETTLE = 0.4            # s from listening to the idle sample, and from the client's end to SIGTERM
SHOWN = 25              # last lines of an output that are shown
STOPPERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """The user wants the whole comparison to end."""


def handle_stop(signum, _frame):
    raise Stopped(signal.Signals(signum).name)


class Run:
    def __init__(self, side):
        self.side = side
        self.figures = {}
        self.trouble = []       # what went wrong, in words
        self.status = "?"       # of the program
        self.client_status = None
        self.samples = []
        self.load = None        # (begin, end) of the client, seconds since the program's start


class Progress:
    """One line on stderr, refreshed on a terminal."""

    def __init__(self, total):
        self.total, self.count, self.side = total, 0, ""
        self.tty = sys.stderr.isatty()
        self.last = 0.0

    def begin(self, side):
        self.count += 1
        self.side = f"run {self.count}/{self.total}, {side} {SIDES[side]}"
        self.began = time.monotonic()
        if not self.tty:
            print(f"{self.side} ...", file=sys.stderr, flush=True)

    def show(self, what, threads):
        now = time.monotonic()
        if self.tty and now > self.last + 0.2:
            self.last = now
            print(f"\r\033[K{self.side}: {what}, {now - self.began:.0f} s, {threads} threads",
                  end="", file=sys.stderr, flush=True)

    def clear(self):
        if self.tty:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def free_port():
    """A port of 127.0.0.1 that nothing uses; outside the range from which clients get theirs."""
    low = int(read("/proc/sys/net/ipv4/ip_local_port_range").split()[0])
    start = int.from_bytes(os.urandom(2), "big")
    for i in range(1000):
        port = 10000 + (start + i) % max(1, low - 10000) if low > 11000 else 0
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return s.getsockname()[1]
            except OSError:
                continue
    raise SystemExit("gmp ab: no free port on 127.0.0.1")


def environment(side, opts):
    env = dict(os.environ)
    env.pop("GMP_LIB", None)
    others = [lib for lib in re.split("[ :]+", env.pop("LD_PRELOAD", ""))
              if lib and os.path.realpath(lib) != os.path.realpath(opts.lib)]
    if side == "B":
        others.insert(0, opts.lib)
        if opts.procs:
            env["GMP_PROCS"] = str(opts.procs)
    if others:
        env["LD_PRELOAD"] = ":".join(others)
    return env


def wait_for_port(program, port, opts, progress):
    """The port once something listens there, or None."""
    end = time.monotonic() + opts.wait
    while time.monotonic() < end and program.alive():
        progress.show("waiting until it listens", program.sample())
        if port is None:
            found = program.listening_port()
        else:
            found = port if port in listening().values() else None
        if found:
            return found
        time.sleep(0.02)
    return None


def settle(program, progress, what):
    end = time.monotonic() + SETTLE
    while time.monotonic() < end and program.alive():
        progress.show(what, program.sample())
        time.sleep(0.02)


def run_client(run, program, command, output, progress):
    with open(output, "wb") as out:
        client = subprocess.Popen(command, shell=True, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                  start_new_session=True)
    program.foreign.add(client.pid)
    begin = time.monotonic()
    try:
        while client.poll() is None:
            progress.show("load", program.sample())
            time.sleep(0.01)
    finally:
        if client.poll() is None:
            os.killpg(client.pid, signal.SIGTERM)
            client.wait()
    run.load = (begin - program.started, time.monotonic() - program.started)
    run.client_status = client.returncode


def wait_for_user(program, progress):
    """Until Enter, SIGINT, or the program's end."""
    tty = sys.stdin is not None and sys.stdin.isatty()
    if tty:
        print(f"{progress.side}: Enter or Ctrl-C stops it", file=sys.stderr)
    try:
        while program.alive():
            progress.show("running", program.sample())
            if tty and select.select([sys.stdin], [], [], 0.02)[0]:
                sys.stdin.readline()
                return
            if not tty:
                time.sleep(0.02)
    except Stopped as stopped:
        if str(stopped) != "SIGINT":
            raise


def drive(run, program, port, opts, client_output, progress):
    """What happens between the program's start and its stop."""
    if not opts.client and port is None:
        wait_for_user(program, progress)
        return
    port = wait_for_port(program, port, opts, progress)
    if port is None:
        run.trouble.append(f"it did not listen within {opts.wait} s" if program.alive() else
                           "it ended before it listened")
        return
    if not opts.client:
        wait_for_user(program, progress)
        return
    settle(program, progress, "idle")
    run.figures["idle"] = program.sample(force=True)
    run_client(run, program, opts.client.replace("{port}", str(port)), client_output, progress)
    settle(program, progress, "after the load")
    if not program.alive():
        run.trouble.append("it ended under load, before it was stopped")


def one_run(side, opts, folder, progress):
    run = Run(side)
    port = free_port() if any("{port}" in arg for arg in opts.program) else None
    argv = [arg.replace("{port}", str(port)) for arg in opts.program]
    output, client_output = (os.path.join(folder, f"{progress.count}.{name}") for name in ("program", "client"))
    progress.begin(side)
    try:
        program = Program(argv, environment(side, opts), output)
    except OSError as error:
        print(f"gmp ab: cannot start {argv[0]}: {error.strerror}", file=sys.stderr)
        raise SystemExit(127 if isinstance(error, FileNotFoundError) else 126) from None
    try:
        drive(run, program, port, opts, client_output, progress)
    finally:
        progress.clear()
        run.figures["seconds"] = None if opts.client else time.monotonic() - program.started
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPERS)      # an impatient second Ctrl-C must not leave it behind
        if program.stop():
            run.trouble.append(f"SIGTERM did not end it within {GRACE} s")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPERS)
    run.samples = program.samples
    run.status = program.end()
    run.figures.update(
        peak=max((threads for _, threads in program.samples), default=None), rss=program.peak_rss / 1024 or None,
        cpu=program.cpu, switches=sum(program.switches.values()), **program.switches)
    run.figures.update(parse_client(read(client_output if opts.client else output)))
    if run.figures.get("requests"):
        run.figures["cpu_per_request"] = program.cpu / run.figures["requests"] * 1e6
    errors = run.figures.get("errors", 0)
    if run.trouble or run.client_status or errors:
        what = run.trouble or [f"the client ended with {run.client_status}, {errors:.0f} errors"]
        print(f"{progress.side}: {', '.join(what)}", file=sys.stderr)
        show_tail("the client printed", client_output)
        show_tail("the program printed", output)
    return run


def show_tail(title, path):
    lines = read(path).splitlines()
    if lines:
        print(f"  {title}:", file=sys.stderr)
        for line in lines[-SHOWN:]:
            print(f"    {line}", file=sys.stderr)


def whole(low, high):
    def parse(text):
        if not re.fullmatch(r"[0-9]{1,6}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f'"{text}", must be a whole number from {low} to {high}')
        return int(text)
    return parse


def parse_args(argv):
    parser = argparse.ArgumentParser(
        prog="gmp ab",
        usage="gmp ab [--procs N] [--client 'CMD'] [--runs K] [--html FILE] -- PROGRAM [ARG...]",
        description="""Runs PROGRAM bare (A) and with libgmp.so preloaded (B) in turn and shows both side by side.
        {port} in an ARG and in CMD stands for a free port of 127.0.0.1, another one in each run; where no ARG
        has it, CMD gets the port that the program prints (listening on 127.0.0.1:PORT) or listens on. Without
        a client a run lasts until Enter, Ctrl-C, or the program's end. A program is stopped by SIGTERM.""",
        epilog="""Exit status: 0; 1 if anything went wrong or differs in exit status or errors; 2 for a wrong
        argument; 127 or 126 if PROGRAM was not found or could not be executed.""")
    add = parser.add_argument
    add("--procs", type=whole(1, 1024), metavar="N", help="Ps of the preloaded side (GMP_PROCS), 1 to 1024")
    add("--client", metavar="'CMD'", help="the load, a shell command; figures are taken from what load-client, "
        "wrk or ab print")
    add("--runs", type=whole(1, 1000), default=1, metavar="K", help="runs of each side, 1 to 1000; default 1")
    add("--wait", type=whole(1, 3600), default=30, metavar="SECONDS",
        help="how long the program may take until it listens, 1 to 3600; default 30")
    add("--html", metavar="FILE", help="write a page with the table and a plot of the threads over time")
    add("program", nargs=argparse.REMAINDER, metavar="-- PROGRAM [ARG...]", help="what to run")
    opts = parser.parse_args(argv)
    if opts.program[:1] == ["--"]:
        opts.program = opts.program[1:]
    if not opts.program:
        parser.error("PROGRAM is missing")
    opts.lib = os.environ.get("GMP_LIB", "")
    if not os.path.isfile(opts.lib):
        parser.error("GMP_LIB does not name libgmp.so; start this as `gmp ab`, which finds it")
    if opts.html and not os.path.isdir(os.path.dirname(opts.html) or "."):
        parser.error(f'--html is "{opts.html}": no such folder')
    return opts


def main():
    opts = parse_args(sys.argv[1:])
    become_subreaper()
    for signum in STOPPERS:
        signal.signal(signum, handle_stop)
    progress = Progress(2 * opts.runs)
    runs = []
    try:
        with tempfile.TemporaryDirectory(prefix="gmp-ab-") as folder:
            for _ in range(opts.runs):
                for side in SIDES:
                    runs.append(one_run(side, opts, folder, progress))
    except Stopped as stopped:
        progress.clear()
        print(f"gmp ab: stopped by {stopped}", file=sys.stderr)
        return 128 + signal.Signals[str(stopped)]
    rows, remarks = compare(runs)
    print_table(rows)
    for remark in remarks:
        print(remark)
    if opts.html:
        write_page(opts.html, opts, runs, rows, remarks)
    return 1 if remarks or any(r.client_status for r in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
