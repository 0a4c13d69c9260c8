# SPDX-License-Identifier: MIT
"""glibc's own thread tests (Debian's glibc-source), against the libc that is installed.

They are built outside of glibc's build: with the parts of its `support` folder that need no internal header, and the
few definitions below. A test that needs more than that is left out, and so is one for another build of libc (static,
32-bit time). Each runs under glibc's own driver, whose time-out is put off so that ours comes first.
"""

import glob
import pathlib
import re
import shutil
import subprocess
import tarfile
import threading

from unit import Unit

FOLDERS = ("nptl", "sysdeps/pthread")
PARTS = (*FOLDERS, "support", "malloc", "include", "sysdeps/unix/sysv/linux", "sysdeps/x86_64")
SINGLE = ("test-skeleton.c", "posix/tst-vfork1.c", "posix/tst-vfork2.c", "elf/tst-unwind-main.c", "locale/tst-C-locale.c")
COPIED = ("include/intprops.h", "include/array_length.h", "include/libc-diag.h", "include/libc-pointer-arith.h",
          "include/scratch_buffer.h", "malloc/dynarray.h", "sysdeps/x86_64/stackinfo.h",
          "sysdeps/unix/sysv/linux/tst-skeleton-thread-affinity.c", "sysdeps/unix/sysv/linux/tst-skeleton-affinity.c")
EMPTY = ("config.h", "libc-config.h", "internal-signals.h")
PATHS = ("SRCDIR", "OBJDIR", "OBJDIR_ELF_LDSO", "INSTDIR", "LIBDIR", "SLIBDIR", "BINDIR", "SBINDIR", "ROOTSBINDIR",
         "COMPLOCALEDIR", "LOCALEDIR", "SYSCONFDIR")
DEFINITIONS = """
#include <stddef.h>
#include <stdbool.h>
#include <limits.h>
#include <signal.h>
#include <sys/cdefs.h>
#undef attribute_hidden
#define attribute_hidden
#define libc_hidden_proto(x)
#define libc_hidden_def(x)
#define __set_errno(v) (errno = (v))
#define TIMEOUTFACTOR 10
#define __SIGRTMIN 32
#define SIGCANCEL 32
""" + "".join(f'#define {p}_PATH "/"\n' for p in PATHS)
# Not tests by themselves, or of another build.
HELPERS = re.compile(r"-static$|-time64$|mod[0-9a-z]?(-[a-z]+)?$|-mod[0-9]$|-common$|aux$|tst-initializers1-|gdb-attach|tst-audit")
MODULES = {"tst-fini1": ["tst-fini1mod"], "tst-_res1": ["tst-_res1mod1", "tst-_res1mod2"]}
FLAGS = {"tst-atfork2": ["-rdynamic"], "tst-atfork3": ["-rdynamic"], "tst-atfork4": ["-rdynamic"], "tst-tls3": ["-rdynamic"],
         "tst-create1": ["-rdynamic"], "tst-execstack": ["-Wl,-z,noexecstack"]}
ARGUMENTS = {"tst-umask1": ["tst-umask1.temp"], "tst-exec4": ["{self}"], "tst-cancel7": ["--command", "exec {self}"],
             "tst-cancelx7": ["--command", "exec {self}"]}
WITH_UNWINDING = re.compile(r"tst-(cancelx|cleanupx|oncex|unwind)")
QUICK = re.compile(r"tst-(barrier|cond|mutex|rwlock|sem|once|join|tsd|key|spin|robust)[1-4]$")

lock = threading.Lock()


def archive():
    found = sorted(glob.glob("/usr/src/glibc/glibc-*.tar.xz"))
    return found[-1] if found else None


def missing():
    if shutil.which("gcc") is None:
        return "no gcc"
    return None if archive() else "no source of glibc's: install glibc-source"


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace")


def unpack(work):
    """The folder of the sources; unpacked once."""
    top = work / "glibc"
    if (top / "unpacked").exists():
        return top
    with tarfile.open(archive()) as tar:
        for member in tar:
            name = member.name.partition("/")[2]
            if member.isfile() and (name.startswith(tuple(p + "/" for p in PARTS)) or name in SINGLE):
                target = top / "source" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(tar.extractfile(member).read())
    own = top / "own"
    own.mkdir(exist_ok=True)
    (top / "bin").mkdir(exist_ok=True)
    for name in COPIED:
        shutil.copy(top / "source" / name, own)
    for name in EMPTY:
        (own / name).touch()
    (own / "shlib-compat.h").write_text("#define TEST_COMPAT(library, from, to) 0\n")
    (own / "definitions.h").write_text(DEFINITIONS)
    (top / "unpacked").touch()
    return top


def compile(top, *arguments):
    source = top / "source"
    # After the system's headers: glibc's sources have files of the same names, which are for building libc.
    after = [f"-idirafter{d}" for d in (top / "own", source, source / "support")]
    return run(*(["ccache"] if shutil.which("ccache") else []), "gcc", "-w", "-O1", "-std=gnu11", "-D_GNU_SOURCE", "-pthread",
               "-include", str(top / "own" / "definitions.h"), *after, *map(str, arguments))


def support(top):
    """What of `support` can be built outside of glibc, as an archive."""
    archived = top / "support.a"
    with lock:
        if archived.exists():
            return archived
        objects = []
        source = top / "source"
        for c in sorted([*(source / "support").glob("*.c"), *(source / "malloc").glob("dynarray_*.c"),
                         *(source / "malloc").glob("scratch_buffer_*.c")]):
            if c.stem.startswith(("tst-", "test-", "shell-", "echo-", "true-", "links-")):
                continue
            o = top / "bin" / (c.stem + ".o")
            if compile(top, "-c", c, "-o", o).returncode == 0:
                objects.append(str(o))
        run("ar", "rcs", str(archived), *objects)
    return archived


class Test(Unit):
    timeout = 150
    procs = (1, 2, 8)

    def __init__(self, source, top):
        super().__init__(source.stem, bool(QUICK.match(source.stem)))
        self.top, self.source = top, source
        self.binary = top / "bin" / self.name

    def module(self, name):
        target = self.top / "bin" / (name + ".so")
        source = next((f for d in FOLDERS if (f := self.top / "source" / d / (name + ".c")).exists()), None)
        return target if source and compile(self.top, "-shared", "-fPIC", f"-Wl,-soname,{name}.so", source, "-o", target
                                            ).returncode == 0 else None

    def prepare(self):
        if self.binary.exists():
            return None
        library = support(self.top)
        for source in self.source.parent.glob(self.name + "*mod*.c"):
            self.module(source.stem)
        if self.name == "tst-pt-tls4":
            self.module("tst-tls4moda"), self.module("tst-tls4modb")
        linked = [m for m in map(self.module, MODULES.get(self.name, [])) if m]
        linked += (self.source.parent / (self.name + "aux.c"),) if (self.source.parent / (self.name + "aux.c")).exists() else ()
        more = ["-fexceptions", "-fasynchronous-unwind-tables"] if WITH_UNWINDING.match(self.name) else []
        done = compile(self.top, *more, *FLAGS.get(self.name, []), *(f"-I{self.top}/source/{d}" for d in FOLDERS), self.source, *linked,
                       library, "-Wl,-rpath,$ORIGIN", "-lrt", "-lm", "-ldl", "-lresolv", "-o", self.binary)
        if done.returncode == 0:
            return None
        return "not outside of glibc: " + next((x for x in done.stdout.splitlines() if "error:" in x or "undefined" in x), "")[-160:]

    def command(self, directory):
        return [str(self.binary), *(a.replace("{self}", str(self.binary)) for a in ARGUMENTS.get(self.name, []))]

    def verdicts(self, run):
        return {self.name: {0: "ok", 77: "skip"}.get(run.status) or run.end()}


def units(work):
    top = unpack(work)
    found = {}
    for folder in FOLDERS:
        for source in sorted((top / "source" / folder).glob("tst-*.c")):
            if not HELPERS.search(source.stem):
                found[source.stem] = Test(source, top)
    return list(found.values())
