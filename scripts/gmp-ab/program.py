# SPDX-License-Identifier: MIT
"""The program under test and every process that comes of it, as /proc and wait4 show them.

  threads, RSS   /proc/PID/status of every process of the program, every 40 ms. A peak that is shorter is missed.
                 The peak RSS is the largest sum over the processes at one time, or a single process's VmHWM
                 if that is more; pages which processes share count in each.
  switches, CPU  wait4()'s rusage, which the kernel sums over all threads, ended ones too, and over all children that
                 were waited for: exact, and free while the program runs. It covers start and stop as well.
                 Missed: children of a program that ignores SIGCHLD (the kernel drops their counts).

Daemons which leave their parent are found because this process is a child subreaper: they become its children.
(So would what a client's command leaves behind; it would be counted to the program.)
"""

import ctypes
import os
import re
import signal
import time

INTERVAL = 0.04         # s between two samples
GRACE = 10              # s from SIGTERM to SIGKILL

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def processes():
    """{pid: (parent, start time)} of every process."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = read(f"/proc/{entry}/stat").rpartition(")")[2].split()
            if len(fields) > 19:
                found[int(entry)] = int(fields[1]), fields[19]
    return found


def listening():
    """{socket inode: port} of every listening TCP socket."""
    found = {}
    for name in ("tcp", "tcp6"):
        for line in read(f"/proc/net/{name}").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                found[fields[9]] = int(fields[1].rpartition(":")[2], 16)
    return found


def describe(status):
    """A wait status in words."""
    if status is None:
        return "?"
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return str(code)
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"        # a real-time one


class Program:
    """The program and every process that comes of it."""

    def __init__(self, argv, env, output):
        self.members = {}       # pid -> start time, which tells a reused pid
        self.foreign = set()    # our own children that do not belong to it
        self.status = None      # a wait status
        self.daemons = set()    # how those ended that had left their parent
        self.output = output
        self.switches = {"voluntary": 0, "involuntary": 0}
        self.cpu = 0.0
        self.samples = []       # (seconds since start, threads)
        self.peak_rss = 0       # KiB
        self.next_sample = self.next_scan = 0.0
        with open(output, "wb") as out, open(os.devnull, "rb") as null:
            self.pid = os.posix_spawnp(
                argv[0], argv, env, setsid=True, setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT],
                file_actions=[(os.POSIX_SPAWN_DUP2, null.fileno(), 0), (os.POSIX_SPAWN_DUP2, out.fileno(), 1),
                              (os.POSIX_SPAWN_DUP2, out.fileno(), 2)])
        self.started = time.monotonic()
        self.reaped = False

    def scan(self):
        """Finds the members, and reaps those that have ended."""
        me = os.getpid()
        ended = True
        while ended:            # again after an end: the children of what has ended have a new parent now
            table = processes()
            ours = [pid for pid, (parent, _) in table.items() if parent == me and pid not in self.foreign]
            ended = any([self.reap(pid) for pid in ours])
        children = {}
        for pid, (parent, start) in table.items():
            children.setdefault(parent, []).append(pid)
        todo = [pid for pid, start in self.members.items() if pid in table and table[pid][1] == start]
        todo += [pid for pid in children.get(me, []) if pid not in self.foreign]
        self.members = {}
        while todo:
            pid = todo.pop()
            if pid not in self.members:
                self.members[pid] = table[pid][1]
                todo += children.get(pid, [])
        self.next_scan = time.monotonic() + 0.25

    def reap(self, pid):
        """Takes in the figures of a child that has ended; says whether it has."""
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended != pid:
            return False
        if pid == self.pid:
            self.status = status
            self.reaped = True
        else:
            self.daemons.add(describe(status))
        self.switches["voluntary"] += usage.ru_nvcsw
        self.switches["involuntary"] += usage.ru_nivcsw
        self.cpu += usage.ru_utime + usage.ru_stime
        return True

    def end(self):
        """How it ended, in words, daemons which it left behind included."""
        return ", ".join([describe(self.status)] + [f"daemon {status}" for status in sorted(self.daemons)])

    def alive(self):
        return not self.reaped or bool(self.members)

    def sample(self, force=False):
        """Takes a sample if it is time; answers the number of threads in the last one."""
        begin = time.monotonic()
        if begin >= self.next_sample or force:
            if begin >= self.next_scan or force:
                self.scan()
            threads = rss = 0
            for pid in list(self.members):
                status = dict(line.split(":", 1) for line in read(f"/proc/{pid}/status").splitlines() if ":" in line)
                if not status:
                    self.next_scan = 0
                    continue
                count = int(status.get("Threads", 0))
                if status.get("State", "").strip().startswith("Z"):
                    self.next_scan = 0
                    if count < 2:               # a main thread that has ended before its others is a Z, too
                        continue
                threads += count
                rss += int(status.get("VmRSS", "0").split()[0])
                self.peak_rss = max(self.peak_rss, int(status.get("VmHWM", "0").split()[0]))
            self.peak_rss = max(self.peak_rss, rss)
            if threads:
                self.samples.append((begin - self.started, threads))
            cost = time.monotonic() - begin
            self.next_sample = begin + max(INTERVAL, 10 * cost)     # never more than a tenth of a CPU
        return self.samples[-1][1] if self.samples else 0

    def listening_port(self):
        """The port it printed, or the lowest one that a member listens on; None if there is none yet."""
        said = re.search(r"listening on 127\.0\.0\.1:(\d+)", read(self.output))
        if said:
            return int(said.group(1))
        inodes = listening()
        ports = set()
        for pid in self.members:
            try:
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    link = os.readlink(f"/proc/{pid}/fd/{fd}")
                    if link.startswith("socket:["):
                        ports.add(inodes.get(link[8:-1]))
            except OSError:
                pass
        ports.discard(None)
        return min(ports, default=None)

    def signal(self, signum, done):
        """Sends it to the members not in `done`: SIGKILL to all, another to those without a parent among them."""
        table = processes()
        for pid in set(self.members) - done:
            if signum == signal.SIGKILL or table.get(pid, (0,))[0] not in self.members:
                done.add(pid)
                try:
                    os.kill(pid, signum)
                except ProcessLookupError:
                    pass

    def stop(self):
        """SIGTERM, also to those whom the first one's end leaves behind; then SIGKILL. Says whether it came to that."""
        for signum in (signal.SIGTERM, signal.SIGKILL):
            done = set()
            end = time.monotonic() + GRACE
            while time.monotonic() < end:
                self.scan()
                if not self.alive():
                    return signum == signal.SIGKILL
                self.signal(signum, done)
                time.sleep(0.02)
        return True
