# SPDX-License-Identifier: MIT
"""libstdc++'s own tests of threads and of waiting on atomics, each a program of its own."""

import glob
import pathlib
import re
import shutil
import subprocess
import tarfile

from unit import Unit

FOLDERS = ("30_threads/", "29_atomics/", "util/")
# What blocks and wakes, by its folder or file.
QUICK = re.compile("wait_notify|30_threads/(barrier|latch|semaphore|jthread|stop_token|shared_mutex|call_once|async"
                   "|condition_variable_any|condition_variable/members)/")


def archive():
    found = sorted(glob.glob("/usr/src/gcc-*/gcc-*.tar.xz"))
    return found[-1] if found else None


def missing():
    if shutil.which("g++") is None:
        return "no g++"
    return None if archive() else "no source of gcc's: install gcc-12-source"


def unpack(work):
    """The tests' folder; unpacked once."""
    top = work / "cxx"
    if (top / "unpacked").exists():
        return top
    top.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive()) as tar:
        for member in tar:
            before, testsuite, name = member.name.partition("/libstdc++-v3/testsuite/")
            if testsuite and member.isfile() and name.startswith(FOLDERS):
                target = top / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(tar.extractfile(member).read())
    (top / "unpacked").touch()
    return top


def compiler():
    return (["ccache"] if shutil.which("ccache") else []) + ["g++"]


class Test(Unit):
    timeout = 120

    def __init__(self, name, top):
        super().__init__(name, bool(QUICK.search(name)))
        self.top = top
        self.source = top / (name + ".cc")
        self.binary = top / "bin" / name.replace("/", ".")

    def prepare(self):
        if self.binary.exists():
            return None
        self.binary.parent.mkdir(exist_ok=True)
        asked = re.search(r"-std=(gnu\+\+\w+)", self.source.read_text(errors="replace"))
        std = asked.group(1) if asked and asked.group(1) in ("gnu++11", "gnu++14") else "gnu++20"
        objects = []
        for source in (self.source, self.top / "util" / "testsuite_hooks.cc"):
            objects.append(f"{self.binary}.{source.stem}.o")
            done = subprocess.run([*compiler(), f"-std={std}", "-w", "-pthread", "-Iutil", "-c", str(source), "-o", objects[-1]],
                                  cwd=self.top, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, errors="replace")
            if done.returncode != 0:
                return "it does not compile: " + next((x for x in done.stdout.splitlines() if "error" in x), "no message")
        done = subprocess.run(["g++", "-pthread", *objects, "-latomic", "-o", str(self.binary)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        for path in objects:
            pathlib.Path(path).unlink()
        return None if done.returncode == 0 else "it does not link: " + done.stdout[-200:]

    def command(self, directory):
        return [str(self.binary)]


def units(work):
    top = unpack(work)
    found = []
    for source in sorted([*top.glob("30_threads/**/*.cc"), *top.glob("29_atomics/**/wait_notify/*.cc"),
                          *top.glob("29_atomics/**/wait_notify.cc")]):
        text = source.read_text(errors="replace")
        if re.search(r"\{\s*dg-do run", text) and "-static" not in text:
            found.append(Test(str(source.relative_to(top).with_suffix("")), top))
    return found
