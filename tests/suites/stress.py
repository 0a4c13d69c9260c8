# SPDX-License-Identifier: MIT
"""stress-ng's stressors with --verify: two instances of each, for so many operations or seconds."""

import re
import shutil

from unit import Unit

# Stressor -> bogus operations per instance; with a few of them most are done in a second.
STRESSORS = {
    "pthread": 200, "mutex": 20000, "sem": 20000, "futex": 2000, "peterson": 20, "dekker": 20, "sock": 20, "pipe": 20000,
    "poll": 200, "switch": 20000, "epoll": 200, "eventfd": 2000, "fifo": 2000, "timerfd": 200, "timer": 200, "itimer": 200,
    "sockpair": 200, "sockmany": 20, "udp": 200, "sockfd": 200, "mq": 2000, "msg": 2000, "sem-sysv": 2000, "sigq": 2000,
    "sigsuspend": 200, "sigfd": 200, "sigpending": 2000, "sigrt": 200, "sigchld": 50, "sigio": 50, "sigpipe": 50, "signal": 2000,
    "signest": 100, "sigsegv": 500, "sigfpe": 500, "sigtrap": 500, "sigabrt": 20, "kill": 2000, "fork": 50, "vfork": 50, "clone": 50,
    "spawn": 20, "exec": 10, "wait": 200, "daemon": 5, "zombie": 20, "nanosleep": 50, "hrtimers": 50, "alarm": 10, "yield": 2000,
    "membarrier": 200, "rseq": 200000, "aio": 200, "dnotify": 5, "inotify": 5, "locka": 200, "lockf": 200, "flock": 2000, "splice": 200,
    "tee": 200, "vm-splice": 200, "sendfile": 20, "dup": 50, "close": 50, "open": 20, "poll": 200, "getrandom": 50, "pidfd": 50,
    "prctl": 20, "resources": 1, "schedpolicy": 200, "set": 10, "personality": 20, "landlock": 5, "seccomp": 50, "nice": 5,
    "loadavg": 20, "mcontend": 20, "lockbus": 20, "tlb-shootdown": 20, "stack": 5, "context": 200, "atomic": 20, "malloc": 2000,
    "mlockmany": 1, "matrix": 20, "tsc": 200, "vecmath": 50, "funccall": 5, "tree": 1, "sysinfo": 20, "procfs": 1, "key": 50, "netlink-proc": 20,
}
QUICK = {"pthread", "mutex", "sem", "futex", "sock", "pipe", "poll", "switch", "epoll", "eventfd", "timer", "sigq", "sigsuspend", "clone",
         "vfork", "yield", "aio", "spawn", "membarrier"}


def missing():
    return None if shutil.which("stress-ng") else "no stress-ng"


class Stressor(Unit):
    def __init__(self, name):
        super().__init__(name, name in QUICK)

    def command(self, directory):
        return ["stress-ng", f"--{self.name}", "2", f"--{self.name}-ops", str(2 * STRESSORS[self.name]), "--timeout", "4",
                "--verify", "--temp-path", str(directory), "--oomable", "--no-rand-seed"]

    def verdicts(self, run):
        if run.status == 0 and re.search(r"skipped|aborted", run.output, re.I) and not re.search(r"skipped: 0", run.output):
            return {self.name: "skip"}
        return super().verdicts(run)


def units(work):
    return [Stressor(name) for name in STRESSORS]
