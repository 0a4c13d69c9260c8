# SPDX-License-Identifier: MIT
"""The Open POSIX Test Suite (Debian's source package posixtestsuite): a program for each assertion of the standard.

Its verdict is the exit status. Left out: what sets the system's clock or takes the CPU with a real-time policy for
seconds, and programs that run until they are told to stop.
"""

import re
import shutil
import subprocess

import aptsource
from unit import Unit

PACKAGE = "posixtestsuite"
VERDICTS = {0: "ok", 1: "fails", 2: "unresolved", 4: "skip", 5: "skip"}
FOLDERS = ("conformance/interfaces", "conformance/behavior", "functional/mqueues", "functional/semaphores",
           "functional/threads/condvar", "functional/threads/robust_test", "functional/timers/timers")
SETS_CLOCK = re.compile(r"\b(clock_settime|settimeofday|stime)\s*\(")
HELPERS = re.compile(r"testfrmw|scenarii|buildonly")
# A few of each family that are done at once.
QUICK = re.compile(r"/(pthread_(barrier|create|detach|exit|getspecific|join|key|kill|mutex|once|self|sigmask|spin)[a-z_]*"
                   r"|sem_[a-z]+|sig(pending|queue|wait))/1-1$")
# Makes threads until no more can be made, all waiting for a process-shared condition variable: tens of thousands of
# kernel threads, and more than GMP_MAXM.
EXHAUSTS = {"pthread_cond_broadcast/1-2"}


def missing():
    if shutil.which("gcc") is None:
        return "no gcc"
    return aptsource.missing()


class Test(Unit):
    timeout = 100
    procs = (1, 2, 8)

    def __init__(self, name, top, binaries):
        super().__init__(name.removeprefix("conformance/").removeprefix("interfaces/"), bool(QUICK.search(name)))
        self.top = top
        self.source = top / (name + ".c")
        self.binary = binaries / self.name.replace("/", ".")

    def prepare(self):
        if self.binary.exists():
            return None
        self.binary.parent.mkdir(exist_ok=True)
        done = subprocess.run([*(["ccache"] if shutil.which("ccache") else []), "gcc", "-w", "-O1", "-D_GNU_SOURCE", "-pthread", "-include", "signal.h", "-include", "fcntl.h",
                               f"-I{self.top}/include", f"-I{self.source.parent}", f"-I{self.top}/functional/threads/include",
                               str(self.source), "-o", str(self.binary), "-lrt", "-lm"],
                              cwd=self.source.parent, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace")
        if done.returncode == 0:
            return None
        return "it does not compile: " + next((x for x in done.stdout.splitlines() if "error" in x), done.stdout[-200:])

    def command(self, directory):
        return [str(self.binary)]

    def verdicts(self, run):
        return {self.name: VERDICTS.get(run.status) or run.end()}


def units(work):
    folder = work / "posix"
    why = aptsource.fetch(PACKAGE, folder)
    if why:
        raise LookupError(why)
    top = folder / "source"
    found = []
    for below in FOLDERS:
        for source in sorted((top / below).rglob("*.c")):
            text = source.read_text(errors="replace")
            name = f"{source.parent.name}/{source.stem}"
            if name not in EXHAUSTS and re.search(r"\bmain\s*\(", text) and not HELPERS.search(source.name) and not SETS_CLOCK.search(text):
                found.append(Test(str(source.relative_to(top).with_suffix("")), top, folder / "bin"))
    return found
