# SPDX-License-Identifier: MIT
"""What the scripts here share: start a server bare or preloaded, look at its kernel threads, hold connections open, stop
it, and count what passed. A script runs its checks bare first (they must pass), then preloaded at each P count.

Clients and backends are one asyncio loop in this process: no threads, and nothing of the library.
"""

import argparse
import asyncio
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SPARE = 4  # kernel threads above P that a network server may have
HELD = 200


class Failed(Exception):
    pass


def check(true, what):
    if not true:
        raise Failed(what)


def procs_list(text):
    try:
        procs = [int(p) for p in text.split(",")]
    except ValueError:
        procs = [0]
    if min(procs) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers of 1 or more")
    return procs


def options(description):
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--build", metavar="DIR", type=pathlib.Path, default=ROOT / "build", help="build folder (build)")
    p.add_argument("--lib", metavar="FILE", type=pathlib.Path, help="the library (libgmp.so in the build folder)")
    p.add_argument("--procs", metavar="LIST", type=procs_list, default=[1, 2], help="values of GMP_PROCS (1,2)")
    opts = p.parse_args()
    opts.build = opts.build.resolve()
    opts.lib = (opts.lib or opts.build / "libgmp.so").resolve()
    if not opts.lib.is_file():
        p.error(f"{opts.lib} is not there: build it first, or name it with --lib")
    return opts


def need(opts, program):
    """The path of a program: a stock one, or one of ours in the build folder."""
    path = opts.build / program if "/" in program and not program.startswith("/") else shutil.which(program)
    if not path or not os.access(path, os.X_OK):
        print(f"SKIP {pathlib.Path(sys.argv[0]).name}: {program} is not there", flush=True)
        print("0 passed, 0 failed, 1 skipped")
        sys.exit(0)
    return str(path)


class Server:
    """A process under test. procs is None for bare."""

    def __init__(self, opts, procs, argv, cwd, port=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith("GMP_") and k != "LD_PRELOAD"}
        env["PYTHONUNBUFFERED"] = "1"
        self.procs = procs
        if procs:
            env.update(GMP_PROCS=str(procs), LD_PRELOAD=str(opts.lib))
        self.err = open(pathlib.Path(cwd, "stderr"), "w+b")
        self.child = subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=self.err, start_new_session=True)
        self.pid = self.child.pid
        self.most = 0
        self.too_many = None
        try:
            if port is None:  # a bundled one says where it listens
                line = self.child.stdout.readline().decode()
                check(line.startswith("listening on 127.0.0.1:"), f"the server did not start: {line!r} {self.errors()}")
                port = int(line.rsplit(":", 1)[1])
            self.port = port
            deadline = time.monotonic() + 30
            while not self.listening():
                check(self.child.poll() is None, f"the server ended at start: {self.errors()}")
                check(time.monotonic() < deadline, "the server does not listen after 30 s")
                time.sleep(0.02)
            if procs:
                maps = pathlib.Path("/proc", str(self.pid), "maps").read_text()
                check(str(opts.lib) in maps, f"the library is not in the process: {self.errors()}")
        except BaseException:
            self.kill()
            raise

    def errors(self):
        self.err.flush()
        self.err.seek(0)
        return self.err.read()[-2000:].decode(errors="replace").strip()

    def accept_queue(self):
        """Connections that wait to be accepted, or None if nobody listens there."""
        port = f":{self.port:04X}"
        with open("/proc/net/tcp", encoding="ascii") as f:
            for line in f:
                field = line.split()
                if field[1].endswith(port) and field[3] == "0A":
                    return int(field[4].split(":")[1], 16)
        return None

    def listening(self):
        return self.accept_queue() is not None

    async def accepted(self):
        """Wait until the server has accepted all that there is: a backlog may be as short as 5."""
        deadline = time.monotonic() + 20
        while self.accept_queue():
            check(time.monotonic() < deadline, "the server does not accept")
            await asyncio.sleep(0.001)

    def threads(self):
        n = len(os.listdir(f"/proc/{self.pid}/task"))
        self.most = max(self.most, n)
        return n

    def few(self, n, when):
        """The promise: at most P+4 kernel threads; broken, it is said at the end, so that all else is checked, too."""
        if n > self.procs_and_spare() and not self.too_many:
            self.too_many = f"{n} kernel threads {when}, more than {self.procs}+{SPARE}"

    def few_threads(self, when):
        """At rest. Those that a burst has left end one by one."""
        deadline = time.monotonic() + 60
        while (n := self.threads()) > self.procs_and_spare() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.few(n, when)
        return n

    def procs_and_spare(self):
        return self.procs + SPARE if self.procs else 1 << 30

    async def watch(self):
        """Look at the threads until cancelled."""
        while True:
            self.few(self.threads(), "under load")
            await asyncio.sleep(0.02)

    def stop(self, sig=signal.SIGTERM, seconds=15):
        """The exit status after a signal."""
        self.child.send_signal(sig)
        try:
            status = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            check(False, f"still there {seconds} s after {signal.Signals(sig).name}")
        finally:
            self.kill()
        check(not self.too_many, self.too_many)
        return status

    def kill(self):
        if self.child.poll() is None:
            states = []
            for tid in os.listdir(f"/proc/{self.pid}/task")[:20]:
                try:
                    stat = pathlib.Path(f"/proc/{self.pid}/task/{tid}/stat").read_text().rsplit(")", 1)[1].split()[0]
                    wchan = pathlib.Path(f"/proc/{self.pid}/task/{tid}/wchan").read_text()
                    states.append(f"{stat}:{wchan}")
                except OSError:
                    pass
            print(f"  kernel threads at the end: {' '.join(states)}", flush=True)
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def body(key, n):
    """n bytes that belong to this key."""
    return random.Random(str(key)).randbytes(n)


def run(work):
    """asyncio.run; what a failure leaves behind is not reported once more for each connection."""
    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        return await work
    return asyncio.run(main())


async def connect(port):
    return await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 20)


async def exactly(reader, n):
    return await asyncio.wait_for(reader.readexactly(n), 30)


async def everything(reader):
    return await asyncio.wait_for(reader.read(-1), 30)


async def end(writer):
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        pass


async def side_by_side(jobs, width):
    """Run the coroutines, `width` at a time."""
    gate = asyncio.Semaphore(width)

    async def one(job):
        async with gate:
            await job
    await asyncio.gather(*(one(job) for job in jobs))


async def watched(server, work):
    """Run work while the server's threads are counted; either's failure is ours."""
    work = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(server.watch())
    await asyncio.wait([work, watch], return_when=asyncio.FIRST_COMPLETED)
    watch.cancel()
    if not work.done():
        work.cancel()
    done = await asyncio.gather(work, watch, return_exceptions=True)
    for e in reversed(done):
        if isinstance(e, BaseException) and not isinstance(e, asyncio.CancelledError):
            raise e


class Tally:
    """Runs the checks bare, then preloaded; the result of the bare one is the reference."""

    def __init__(self, opts):
        self.opts = opts
        self.passed = self.failed = 0
        self.name = pathlib.Path(sys.argv[0]).name

    def run(self, what, function):
        """function(procs, folder) answers something that must be the same for all, after raising nothing."""
        reference = None
        for procs in [None] + self.opts.procs:
            how = f"preloaded, {procs} P" if procs else "bare"
            begin = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="gmp-stock.") as folder:
                try:
                    result = function(procs, pathlib.Path(folder))
                    note = ""
                    if isinstance(result, tuple):
                        result, note = result
                    if procs is None:
                        reference = result
                    check(result == reference, f"answered {result!r}, bare {reference!r}")
                    self.passed += 1
                    print(f"ok {self.name}: {what}, {how}: {note} {time.monotonic() - begin:.1f} s", flush=True)
                except Exception as e:  # pylint: disable=broad-except
                    self.failed += 1
                    print(f"FAIL {self.name}: {what}, {how}: {e if isinstance(e, Failed) else repr(e)}", flush=True)
                    if not isinstance(e, Failed):
                        traceback.print_exc(limit=-4, file=sys.stdout)
                    err = pathlib.Path(folder, "stderr")
                    if err.is_file():
                        for line in err.read_text(errors="replace").splitlines()[-20:]:
                            print("    " + line)
                    if procs is None:
                        print(f"FAIL {self.name}: {what}: it fails bare; not tried preloaded", flush=True)
                        return

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(self.failed != 0)
