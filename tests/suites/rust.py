# SPDX-License-Identifier: MIT
"""The tests of Rust's std: those of its modules about threads, locks, channels, sockets and processes.

They are part of std's source and say `crate` for it; here each is a crate of its own. Written for the version that Debian
has the source of, they are compiled with whatever rustc there is; one which that does not take is skipped.
"""

import glob
import os
import pathlib
import re
import shutil
import subprocess

from unit import Unit

# File under library/std/src, and what `super` is in it.
MODULES = {
    "barrier": ("sync/barrier/tests.rs", "std::sync"),
    "condvar": ("sync/condvar/tests.rs", "std::sync"),
    "lazy_lock": ("sync/lazy_lock/tests.rs", "std::sync"),
    "mpsc": ("sync/mpsc/tests.rs", "std::sync::mpsc"),
    "mpsc_sync": ("sync/mpsc/sync_tests.rs", "std::sync::mpsc"),
    "mutex": ("sync/mutex/tests.rs", "std::sync"),
    "once": ("sync/once/tests.rs", "std::sync"),
    "once_lock": ("sync/once_lock/tests.rs", "std::sync"),
    "process": ("process/tests.rs", "std::process"),
    "rwlock": ("sync/rwlock/tests.rs", "std::sync"),
    "tcp": ("net/tcp/tests.rs", "std"),
    "thread": ("thread/tests.rs", "std::thread"),
    "thread_local": ("thread/local/tests.rs", "std::thread"),
    "thread_local_dynamic": ("thread/local/dynamic_tests.rs", "std::thread"),
    "udp": ("net/udp/tests.rs", "std"),
}
FEATURES = "once_cell, once_cell_try, tcp_linger, io_error_uncategorized, lazy_cell, scoped_threads"
# What only std itself can say, and a crate that is not there.
REPLACED = [
    (r"use rand::\{self, Rng\};", ""),
    (r"let mut rng = rand::thread_rng\(\);", "let mut rng = 88172645463325252u64;"),
    (r"rng\.gen_bool\(1\.0 / \(N as f64\)\)", "{ rng ^= rng << 13; rng ^= rng >> 7; rng ^= rng << 17; rng % (N as u64) == 0 }"),
    (r"assert_eq!\(c\.get_unchecked\(\), &92\);", ""),
    (r"assert!\(!cell\.is_initialized\(\)\);", "assert!(cell.get().is_none());"),
    (r"udpsock\.0\.socket\(\)\.as_raw\(\)", "std::os::unix::io::AsRawFd::as_raw_fd(&udpsock)"),
]


def sources():
    found = sorted(glob.glob("/usr/src/rustc-*/library/std/src"))
    return pathlib.Path(found[-1]) if found else None


def missing():
    if shutil.which("rustc") is None:
        return "no rustc"
    return None if sources() else "no source of Rust's std: install rust-src"


class Module(Unit):
    timeout = 180

    def __init__(self, name, work):
        super().__init__(name, quick=True)
        self.work = work
        self.binary = work / name

    def source(self):
        path, parent = MODULES[self.name]
        text = (sources() / path).read_text()
        for old, new in REPLACED:
            text = re.sub(old, new, text)
        text = re.sub(r"\bsuper::super\b", "std", text)
        text = re.sub(r"\bsuper::", parent + "::", text)
        text = text.replace("crate::net::test", "crate::nettest")
        text = re.sub(r"\bcrate::(?!nettest)", "std::", text)
        net = (sources() / "net/test.rs").read_text().replace("crate::", "std::")
        return (f"#![allow(warnings)]\n#![feature({FEATURES})]\nmod {self.name} {{\n{text}\n}}\n"
                f"mod nettest {{\n{net}\n}}\n")

    def prepare(self):
        if self.binary.exists():
            return None
        self.work.mkdir(parents=True, exist_ok=True)
        source = self.work / f"{self.name}.rs"
        source.write_text(self.source())
        done = subprocess.run(["rustc", "--edition", "2021", "--test", "-o", str(self.binary), str(source)], cwd=self.work,
                              env={**os.environ, "RUSTC_BOOTSTRAP": "1"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace")
        if done.returncode == 0:
            return None
        errors = [line for line in done.stdout.splitlines() if line.startswith("error")]
        return f"this rustc does not take it: {errors[0] if errors else 'no message'}"

    def command(self, directory):
        return [str(self.binary), "--test-threads", "8"]

    def verdicts(self, run):
        found = {"(end)": "ok" if run.status == 0 else run.end()}
        for name, verdict in re.findall(r"^test (\S+)(?: - .*?)? \.\.\. (?:.*\n)*?.*?\b(ok|FAILED|ignored)$", run.output, re.M):
            found[name] = {"ok": "ok", "ignored": "skip"}.get(verdict, "fails")
        return found


def units(work):
    return [Module(name, work / "rust") for name in MODULES]
