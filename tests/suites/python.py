# SPDX-License-Identifier: MIT
"""CPython's own tests, by Debian's interpreter: it and its test suite are of one version."""

import os
import subprocess
import xml.etree.ElementTree

from unit import Unit

PYTHON = "/usr/bin/python3"

# Modules which make threads, wait, or deal with signals, processes and descriptors; seconds bare.
MODULES = {
    "test_asyncio": 110, "test_concurrent_futures": 180, "test_context": 1, "test_eintr": 10, "test_epoll": 1,
    "test_faulthandler": 20, "test_fork1": 6, "test_ftplib": 10, "test_functools": 2, "test_gc": 2, "test_hashlib": 10,
    "test_httplib": 5, "test_httpservers": 2, "test_import": 5, "test_io": 30, "test_ioctl": 1, "test_logging": 25,
    "test_mailbox": 5, "test_multiprocessing_fork": 90, "test_multiprocessing_forkserver": 120,
    "test_multiprocessing_spawn": 180, "test_nntplib": 2, "test_openpty": 1, "test_os": 5, "test_pipes": 2, "test_poll": 12,
    "test_poplib": 5, "test_popen": 1, "test_posix": 2, "test_pty": 2, "test_queue": 8, "test_sched": 2, "test_select": 2,
    "test_selectors": 15, "test_signal": 50, "test_smtplib": 3, "test_socket": 30, "test_socketserver": 1, "test_sqlite3": 10,
    "test_ssl": 45, "test_subprocess": 40, "test_telnetlib": 2, "test_thread": 1, "test_threadedtempfile": 1,
    "test_threading": 15, "test_threading_local": 1, "test_threadsignals": 6, "test_time": 3, "test_timeout": 5, "test_urllib2_localnet": 5,
    "test_wait3": 2, "test_wait4": 2, "test_weakref": 5, "test_xmlrpc": 5, "test_asyncore": 5, "test_asynchat": 2,
}
QUICK = {
    "test_epoll", "test_fork1", "test_httpservers", "test_queue", "test_select", "test_socketserver", "test_thread",
    "test_threadedtempfile", "test_threading", "test_threading_local", "test_threadsignals",
}
RESOURCES = {"test_socketserver": ["-u", "network"]}  # asks for it, but stays on loopback
# A virtual machine's socket to its host: hangs bare where there is a device for it and nobody behind.
IGNORED = ["*.ThreadedVSOCKSocketStreamTest.*"]


def missing():
    if not os.access(PYTHON, os.X_OK):
        return f"no {PYTHON}"
    done = subprocess.run([PYTHON, "-c", "import test.libregrtest, test.test_threading"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return None if done.returncode == 0 else f"{PYTHON} has no test suite: scripts/setup suites"


class Module(Unit):
    def __init__(self, name):
        super().__init__(name, name in QUICK)
        self.timeout = 60 + 5 * MODULES[name]

    def command(self, directory):
        ignored = [a for pattern in IGNORED for a in ("-i", pattern)]
        return [PYTHON, "-m", "test", "--junit-xml", str(directory / "verdicts.xml"), *ignored,
                *RESOURCES.get(self.name, []), "-v", self.name]

    def verdicts(self, run):
        found = {"(end)": "ok" if run.status == 0 else run.end()}
        try:
            tree = xml.etree.ElementTree.parse(run.dir / "verdicts.xml")
        except (OSError, xml.etree.ElementTree.ParseError):
            return found
        for case in tree.iter("testcase"):
            tags = {child.tag for child in case}
            bad = tags & {"failure", "error"}
            skipped = "skipped" in tags or case.get("result") == "skipped" or case.get("status") == "notrun"
            found[case.get("name")] = "fails" if bad else "skip" if skipped else "ok"
        return found


def units(work):
    return [Module(name) for name in MODULES]
