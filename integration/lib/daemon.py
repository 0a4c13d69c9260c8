# SPDX-License-Identifier: MIT
"""A daemon under test: what a program's folder defines, and what it can use.

integration/NAME/program.py has a `class Program(Daemon)`. It must define configure(), command(), hold() and work(), and
may replace whatever else is below "to define". compare.py says in which order they are called. Everything checks with
check(); what raises has failed. Clients run in this process on one asyncio loop, or as programs of their own: never
with the library.
"""

import asyncio
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import string
import subprocess
import time

LISTEN = 60     # s from the start until it listens
END = 30        # s from the signal until it has ended
LOOKS = 10      # dumps in which a thread may be on the move


class Failed(Exception):
    pass


def check(true, what):
    if not true:
        raise Failed(what)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def bare_env():
    """The environment without settings of the library's."""
    return {k: v for k, v in os.environ.items() if not k.startswith("GMP_") and k != "LD_PRELOAD"}


def read(path):
    try:
        return pathlib.Path(path).read_text(errors="replace")
    except OSError:
        return ""


def descendants(pid):
    """pid and all that come of it, as far as they have not left their parents."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = read(f"/proc/{entry}/stat").rpartition(")")[2].split()
            if len(fields) > 1:
                children.setdefault(int(fields[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def alive(pid):
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] not in ([], ["Z"])


class Daemon:
    # -- to define: figures ------------------------------------------------------------------------------------------
    model = ""                      # for the table: what its threads do
    binary = ""                     # the program as it is called; without it the run is skipped
    held = 200                      # connections that hold() keeps open
    spare = 4                       # kernel threads above P that it may have under the library; None: not counted
    busy = None                     # likewise under load; None: 10 more, for a machine that starves them of CPU
    peak = None                     # the most at any moment; None: not looked at
    user = None                     # an ordinary user, for a program that will not run as root
    row = True                      # has it one in the table of all programs?
    stop_signal = signal.SIGTERM
    reload_signal = None            # after it work() runs once more
    leaves = False                  # its processes for connections may outlive it, until those are closed
    settle = 0.1                    # s from the last client's end to the stop
    logs = ("*.log", "log")         # its logs in self.dir, beside stdout and stderr
    trouble = (r"error|warn|crit|alert|emerg|fatal|fail|assert|abort|segfault|panic|corrupt|traceback|exception|"
               r"double free|core dumped|exit signal")
    expected = ()                   # regular expressions of log lines that are no trouble, though they look like it

    # -- given ---------------------------------------------------------------------------------------------------------
    # self.dir      a temporary folder, empty before configure(); the restart finds what the first run left
    # self.here     the program's folder in integration/
    # self.build    the build folder
    # self.port     a free port of 127.0.0.1
    # self.procs    GMP_PROCS, or None: bare
    # self.pid      of the process started last
    # self.full     is time no matter?

    # -- to define: actions --------------------------------------------------------------------------------------------
    def version(self):
        """For the table."""
        return ""

    async def configure(self):
        """Write what command() needs into self.dir, start backends. Called once, before the first start."""
        raise NotImplementedError

    def command(self):
        """The daemon's argv. It stays in the foreground."""
        raise NotImplementedError

    def environ(self):
        """Variables for the daemon beside the usual ones."""
        return {}

    async def hold(self):
        """Open self.held connections, use each, call self.holding() while all are open, use them again, close them."""
        raise NotImplementedError

    async def work(self):
        """A verified load. The answer must be the same bare and preloaded."""
        raise NotImplementedError

    async def again(self):
        """After the restart on the same data; likewise."""
        return await self.work()

    async def rate(self):
        """Requests (or whatever) per second under load; None: not measured."""
        return None

    async def reload(self):
        """Send the signal, come back when it is done."""
        before = set(descendants(self.pid)) - {self.pid}
        self.signal(self.reload_signal)
        await asyncio.sleep(0.5)
        deadline = time.monotonic() + 30
        while any(alive(p) for p in before):    # workers of before
            check(time.monotonic() < deadline, "30 s after the signal there are still processes of before it")
            await asyncio.sleep(0.05)

    async def leave_open(self):
        """Connections that stay open while it is told to stop: the answer keeps them alive."""
        return [await self.connect() for _ in range(50)]

    def listening(self):
        """Is it ready?"""
        return self.accept_queue() is not None

    # -- to use: files and clients ---------------------------------------------------------------------------------------
    def template(self, name, to=None, **more):
        """Writes the template self.here/NAME to self.dir with $dir, $port and what else is given filled in; its path."""
        values = {name: getattr(self, name) for name in dir(self)} | more
        path = self.dir / (to or name)
        path.write_text(string.Template((self.here / name).read_text()).substitute(values))
        return str(path)

    def output(self, *argv):
        """What a helper prints, bare, in self.dir."""
        done = subprocess.run(argv, cwd=self.dir, env=bare_env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        check(done.returncode == 0, f"{' '.join(argv)}: status {done.returncode}: {done.stdout[-2000:].decode(errors='replace')}")
        return done.stdout.decode(errors="replace")

    async def client(self, *argv, stdin=None, status=0, seconds=240):
        """What a client prints; its exit status must be the one given (None: any)."""
        child = await asyncio.create_subprocess_exec(
            *map(str, argv), cwd=self.dir, env=bare_env(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL)
        try:
            out, _ = await asyncio.wait_for(child.communicate(stdin), seconds)
        except asyncio.TimeoutError:
            raise Failed(f"{argv[0]}: not done after {seconds} s: {' '.join(map(str, argv))}") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        text = out.decode(errors="replace")
        check(status is None or child.returncode == status,
              f"{' '.join(map(str, argv))}: status {child.returncode}, not {status}: {text[-2000:]}")
        return text

    async def quick_backend(self):
        """The port of a plain HTTP server, bare, for rates: one in this process would be the limit. It ends with the daemon."""
        child = subprocess.Popen([self.build / "integration/http-server", "-p", "0"], env=bare_env(),
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        self.helpers.append(child)
        return int(child.stdout.readline().decode().rsplit(":", 1)[1])

    async def connect(self, port=None, **options):
        return await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port or self.port, **options), 30)

    async def accepted(self):
        """Wait until it has accepted all that there is: a backlog may be as short as 5."""
        deadline = time.monotonic() + 30
        while self.accept_queue():
            check(time.monotonic() < deadline, "the server does not accept")
            await asyncio.sleep(0.001)

    def accept_queue(self):
        """Connections that wait to be accepted, or None if nobody listens there."""
        port = f":{self.port:04X}"
        for name in ("tcp", "tcp6"):
            for line in read(f"/proc/net/{name}").splitlines()[1:]:
                field = line.split()
                if field[1].endswith(port) and field[3] == "0A":
                    return int(field[4].split(":")[1], 16)
        return None

    # -- to use: the process -----------------------------------------------------------------------------------------------
    async def start(self):
        """Start it and wait until it listens."""
        env = bare_env() | {"PYTHONUNBUFFERED": "1"} | {k: str(v) for k, v in self.environ().items()}
        if self.procs:
            env.update(GMP_PROCS=str(self.procs), LD_PRELOAD=str(self.lib))
            if self.force:
                env["GMP_FORCEPREEMPT"] = str(self.force)
        self.starts += 1
        with open(self.dir / f"stdout.{self.starts}", "wb") as out, open(self.dir / f"stderr.{self.starts}", "wb") as err:
            self.child = subprocess.Popen([str(a) for a in self.command()], env=env, cwd=self.dir, user=self.user,
                                          stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
                                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        self.pid = self.child.pid
        await self.until_listening()
        if self.procs:
            check(self.preloaded(self.pid), f"the library is not in the process: {self.errors()}")

    async def until_listening(self):
        deadline = time.monotonic() + LISTEN
        while not self.listening():
            check(self.child.poll() is None, f"it ended at start with status {self.child.returncode}: {self.errors()}")
            check(time.monotonic() < deadline, f"it does not listen after {LISTEN} s: {self.errors()}")
            await asyncio.sleep(0.02)

    async def stop(self, sig=None, seconds=END):
        """Send the signal (self.stop_signal); the exit status, once all its processes have ended."""
        sig = sig or self.stop_signal
        check(self.child.poll() is None, f"it ended by itself, with status {self.child.returncode}: {self.errors()}")
        left = descendants(self.pid)[1:]
        self.child.send_signal(sig)
        deadline = time.monotonic() + seconds
        while self.child.poll() is None:
            check(time.monotonic() < deadline, f"still there {seconds} s after {signal.Signals(sig).name}")
            await asyncio.sleep(0.01)
        self.left = left
        if not self.leaves:
            await self.all_ended(deadline)
        return self.child.returncode

    async def all_ended(self, deadline):
        while any(alive(p) for p in self.left):
            check(time.monotonic() < deadline, f"it has ended and left processes: {[p for p in self.left if alive(p)]}")
            await asyncio.sleep(0.01)

    def signal(self, sig):
        self.child.send_signal(sig)

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def kill(self):
        """End it and what comes of it, and the helpers with all their processes, by SIGKILL."""
        for helper in self.helpers:
            os.killpg(helper.pid, signal.SIGKILL)   # a session each; not waited for, so the number is still its own
            helper.wait()
            helper.stdout.close()
        if self.child is None:
            return
        for pid in descendants(self.pid) if self.alive() else [p for p in self.left if alive(p)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.child.wait()

    def errors(self):
        return read(self.dir / f"stderr.{self.starts}")[-2000:].strip()

    def threads(self):
        """Kernel threads of all its processes."""
        n = 0
        for pid in descendants(self.pid):
            try:
                n += len(os.listdir(f"/proc/{pid}/task"))
            except OSError:
                pass
        return n

    def cpu(self):
        """CPU seconds of all its processes, and of those that have ended and were waited for."""
        ticks = 0
        for pid in descendants(self.pid):
            ticks += sum(map(int, read(f"/proc/{pid}/stat").rpartition(")")[2].split()[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def holding(self):
        """All connections are open and at rest: count the kernel threads. Those that a burst has left go one by one."""
        deadline = time.monotonic() + 60
        while (n := self.threads()) > self.most(self.spare) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.held_threads, self.held_processes = n, len(descendants(self.pid))
        self.few(n, self.spare, f"with {self.held} connections")
        self.look()

    def look(self):
        """gmp dump while it serves: every thread of it must have a stack. One that is between two turns has none then."""
        for pid in [p for p in descendants(self.pid) if self.preloaded(p)][:4]:
            without = None
            for _ in range(LOOKS):
                threads = self.dump(pid)
                self.stacks = max(self.stacks, len(threads))
                none = {g["id"]: g for g in threads if not g["stack"]}
                without = none.keys() & (none if without is None else without)
                if not without:
                    break
            check(not without, f"gmp dump {pid}: no stack of {[none[i] for i in without]}")

    def preloaded(self, pid):
        return self.procs and str(self.lib) in read(f"/proc/{pid}/maps")

    def dump(self, pid):
        """The threads that it shows; none if the process has made none, or has ended meanwhile."""
        done = subprocess.run([self.here.parent.parent / "scripts/gmp", "dump", "--json", str(pid)], check=False, timeout=120,
                              env=bare_env() | {"GMP_LIB": str(self.lib)}, stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode == 3 or not self.preloaded(pid):
            return []
        check(done.returncode == 0, f"gmp dump {pid}: status {done.returncode}: {done.stderr.decode()}")
        return json.loads(done.stdout)["threads"]

    def most(self, spare):
        """As many kernel threads may it have."""
        return self.procs + spare if self.procs and spare is not None else 1 << 30

    def few(self, n, spare, when):
        """The promise: few kernel threads. Broken, it is said at the end, so that all else is checked, too."""
        if n > self.most(spare) and not self.too_many:
            self.too_many = f"{n} kernel threads {when}, more than {self.procs}+{spare}"

    # -- the runner's ----------------------------------------------------------------------------------------------------
    def __init__(self, name, here, build, lib, procs=None, force=0, folder=None):
        self.name, self.here, self.build, self.lib = name, here, build, lib
        self.procs, self.force, self.dir = procs, force, folder
        self.port = free_port()
        self.child = None
        self.left = []
        self.helpers = []
        self.pid = self.starts = self.held_threads = self.held_processes = self.stacks = 0
        self.too_many = None

    def missing(self):
        if self.binary and not shutil.which(self.binary, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            return self.binary
        return None

    def log_files(self):
        found = set(self.dir.glob("stdout.*")) | set(self.dir.glob("stderr.*"))
        for pattern in self.logs:
            found |= set(self.dir.glob(pattern))
        return sorted(p for p in found if p.is_file())

    def log_trouble(self):
        """{what a line of trouble looks like without its numbers: the line}"""
        found = {}
        for path in self.log_files():
            for line in read(path).splitlines():
                if "libgmp: " in line or (re.search(self.trouble, line, re.I) and
                                          not any(re.search(e, line) for e in self.expected)):
                    shape = re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{10,}\b|\d+", "N", line.replace(str(self.dir), "DIR"))
                    shape = re.sub(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b", "", shape)
                    found.setdefault(shape, line)
        return found
