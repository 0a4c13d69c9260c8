# SPDX-License-Identifier: MIT
"""gmp doctor: can a program run with libgmp.so, what would it do there, what does the machine allow?"""

import argparse
import json
import os
import pathlib
import re
import shlex
import shutil
import stat
import subprocess
import sys
import textwrap

import limits
import surface
from elf import ET_DYN, Elf, NotElf

HERE = pathlib.Path(__file__).resolve().parent
TESTED = ["2.36"]       # versions of glibc it is developed and tested on
WIDTH = 100
SHOWN = 40              # names of functions per kind; --all shows every one


class Stop(Exception):
    """Status 2: the argument."""


def die(text):
    print(f"gmp: doctor: {text}", file=sys.stderr)
    sys.exit(2)


class Report:
    def __init__(self, target):
        self.facts = {"target": target, "eligible": True, "reasons": [], "notes": []}
        self.lines = []

    def say(self, head, text):
        self.lines.append((head, text))

    def no(self, text):
        self.facts["eligible"] = False
        self.facts["reasons"].append(text)

    def note(self, text):
        self.facts["notes"].append(text)

    def print(self):
        ok = self.facts["eligible"]
        print(f"{self.facts['target']}: {'eligible' if ok else 'not eligible'}")
        rows = [("why not", r) for r in self.facts["reasons"]] + self.lines + [("note", n) for n in self.facts["notes"]]
        last = None
        for head, text in rows:
            lead = "" if head == last else head
            last = head
            wrapped = textwrap.wrap(text, WIDTH - 16, break_long_words=False, break_on_hyphens=False) or [""]
            for i, line in enumerate(wrapped):
                print(f"  {lead if i == 0 else '':<13} {line}")


# ---- the program -------------------------------------------------------------------------------------------


def interpreter(path):
    """The program behind a script's first line, and its first argument that is not an option; None: no script."""
    with open(path, "rb") as f:
        line = f.readline(256)
    if not line.startswith(b"#!"):
        return None
    words = shlex.split(line[2:].decode(errors="replace").strip())
    if not words:
        return None
    if os.path.basename(words[0]) == "env":
        rest = [w for w in words[1:] if not w.startswith("-") and "=" not in w]
        return shutil.which(rest[0]) if rest else None
    return words[0]


def find(program):
    path = program if "/" in program else shutil.which(program)
    if not path or not os.path.exists(path):
        raise Stop(f'"{program}" is neither a program here nor the number of a process')
    if os.path.isdir(path) or not os.access(path, os.X_OK):
        raise Stop(f'"{program}" is no program: {path} cannot be executed')
    return os.path.realpath(path)


def secure(report, path):
    """Would the kernel have ld.so ignore LD_PRELOAD?"""
    st = os.stat(path)
    if st.st_mode & stat.S_ISUID and st.st_uid != os.geteuid():
        report.no("it is set-user-ID: the loader ignores LD_PRELOAD for such programs")
    if st.st_mode & stat.S_ISGID and st.st_mode & stat.S_IXGRP and st.st_gid not in (os.getegid(), *os.getgroups()):
        report.no("it is set-group-ID: the loader ignores LD_PRELOAD for such programs")
    try:
        caps = os.getxattr(path, "security.capability")
    except OSError:
        caps = b""
    if caps and os.geteuid() != 0:
        report.no("it has file capabilities: the loader ignores LD_PRELOAD for such programs")
    elif caps or st.st_mode & stat.S_ISUID:
        report.note("it has set-ID bits or file capabilities: only started by its owner (or root) does the loader heed LD_PRELOAD")


def look(report, path):
    """The executable as a file; None if it is none that we can go on with."""
    try:
        elf = Elf(path)
    except NotElf:
        report.no("it is neither an ELF file nor a script")
        return None
    report.facts["file"] = path
    if elf.bits != 64 or elf.machine != "x86-64":
        report.no(f"it is for {elf.machine}, {elf.bits} bits; libgmp is for x86-64")
        return None
    secure(report, path)
    if elf.interp is None:
        if elf.is_go():
            report.no("it is a static Go program: Go schedules its own threads, and the loader is not used")
        elif elf.type == ET_DYN and elf.dynamic and ".interp" not in elf.sections and elf.soname:
            report.no("it is a library, not a program")
        else:
            report.no("it is statically linked: without the loader nothing can be preloaded")
        return None
    if "musl" in elf.interp:
        report.no(f"its libc is musl ({elf.interp}): libgmp understands glibc's threads only")
        return None
    if elf.is_go():
        report.no("it is a Go program: Go has its own scheduler, signal handlers and stacks; there is nothing to gain")
        return None
    return elf


def libraries(elf):
    """name -> path of what the loader would load."""
    try:
        run = subprocess.run([elf.interp, "--list", elf.path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20,
                             check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found = {}
    for line in run.stdout.splitlines():
        m = re.match(r"\s*(\S+) => (/\S+)", line) or re.match(r"\s*((/\S+)) \(0x", line)
        if m:
            found[os.path.basename(m[1])] = m[2]
    return found


def libc_version(path):
    try:
        m = re.search(rb"GNU C Library \(([^)]*)\)[^\n]*?version (\d+\.\d+)", pathlib.Path(path).read_bytes())
    except OSError:
        return None
    return m[2].decode() if m else None


def modules_of(path, libs):
    modules = {}
    for name, file in [(os.path.basename(path), path), *libs.items()]:
        try:
            modules[name] = Elf(file)
        except (OSError, NotElf):
            pass
    return modules


# ---- libgmp itself, on this machine ----------------------------------------------------------------------------


def probe(report, lib):
    """Starts a program of one thread with it, and listens to what it says."""
    for tool in (lib.parent / "tools" / "gmp-probe", lib.parent / "gmp-probe"):
        if tool.is_file():
            break
    else:
        report.note("whether libgmp starts on this machine was not tried: gmp-probe is not built")
        return
    env = {k: v for k, v in os.environ.items() if not k.startswith("GMP_") or k in ("GMP_DEEP", "GMP_FSBASE", "GMP_GUARD", "GMP_LOADER")}
    env.update(LD_PRELOAD=str(lib), GMP_VERBOSE="1", LC_ALL="C")
    try:
        run = subprocess.run([str(tool)], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as e:
        report.no(f"libgmp does not start on this machine: {e}")
        return
    said = [line[8:] for line in run.stderr.splitlines() if line.startswith("libgmp: ")]
    report.facts["probe"] = {"active": run.stdout.strip() == "yes", "said": said}
    if run.returncode != 0 or run.stdout.strip() != "yes":
        why = next((s for s in said if s.startswith("inactive")), said[-1] if said else f"status {run.returncode}")
        report.no(f"libgmp does not start on this machine: {why}")
        return
    report.say("libgmp", f"{lib}: starts on this machine")
    deep = [s for s in said if "patched" in s]
    report.facts["deep"] = deep
    if deep:
        report.say("inside libc", "; ".join(deep[:1]))
        for s in deep[1:]:
            report.say("inside libc", s)
    loader = [s[8:] for s in said if s.startswith("loader: ")]
    report.facts["loader"] = loader
    for s in loader:
        report.note(s)


# ---- what it would do ---------------------------------------------------------------------------------------------


def names(functions, everything):
    shown = sorted(functions)
    more = len(shown) - SHOWN
    if everything or more <= 0:
        return " ".join(shown)
    return " ".join(shown[:SHOWN]) + f" and {more} more"


def functions(report, modules, lib, rows, everything):
    interposed = Elf(lib).exports
    kinds = surface.classify(modules, interposed, rows)
    report.facts["functions"] = {k: {f: {"by": sorted(m), "why": rows[f][1] if f in rows else surface.ON_FDS if k == "parks" else ""} for f, m in sorted(v.items())}
                                 for k, v in kinds.items()}
    starters = surface.starters(modules)
    report.facts["threads_by"] = starters
    report.say("threads", f"made by {', '.join(starters)}" if starters else
               "nothing in it makes threads, unless by modules that it loads later")
    for kind, (head, meaning) in surface.KINDS.items():
        if kinds.get(kind):
            report.say(head, f"{len(kinds[kind])} functions that it imports: {meaning}:")
            report.say(head, names(kinds[kind], everything))
    if kinds.get("interposed"):
        report.say("libgmp's", f"{len(kinds['interposed'])} more are wrapped, so that descriptors, signals and children are known here, too: {names(kinds['interposed'], everything)}")
    expect(report, kinds, starters, modules)


def expect(report, kinds, starters, modules):
    """In words, from what is imported. It cannot know what is called."""
    procs = report.facts.get("procs", 1)
    def say(text):
        report.say("expect", text)
    imports = set().union(*(e.imports for n, e in modules.items() if not surface.system(n)))
    if not starters:
        say("a process without threads notices nothing: the same system calls as bare.")
        return
    say(f"threads that wait for the network, locks, time or each other share {procs} + 4 kernel threads at most; "
        "a thread that computes is preempted when others wait.")
    if kinds.get("marked"):
        say("one more kernel thread for each that is in a blocking call of the kernel's (files, waitpid, locks of files) at the "
            "same time.")
    if kinds.get("bound"):
        say("one more for each thread that calls " + " or ".join(sorted(kinds["bound"])[:4]) + ".")
    if any(i.startswith("io_uring_") for i in imports) or any("liburing" in n for n in modules):
        say("io_uring is the program's own business with the kernel: a thread that waits there holds a kernel thread.")
    if "dlopen" in imports:
        say("it loads modules at run time: what they import is not in this report; gmp doctor PID sees it.")


# ---- a process --------------------------------------------------------------------------------------------------------


def process(report, pid, lib):
    """What a running one has, and has loaded: name -> path."""
    proc = f"/proc/{pid}"
    try:
        exe = os.readlink(f"{proc}/exe")
        maps = pathlib.Path(f"{proc}/maps").read_text(encoding="utf-8", errors="replace")
    except PermissionError:
        raise Stop(f"process {pid} is not yours: only its owner (or root) may look into it") from None
    except OSError:
        raise Stop(f"process {pid} has ended, or is a kernel thread") from None
    files = {}
    for m in re.finditer(r"^\S+ ..x. .*? (/.*)$", maps, re.M):
        path = m[1].removesuffix(" (deleted)")
        files.setdefault(os.path.basename(path), path)
    report.facts["pid"] = pid
    report.facts["preloaded"] = str(lib) in maps or any(has_pool(p) for n, p in files.items() if "gmp" in n)
    if exe.endswith(" (deleted)"):
        report.note("its program file has been replaced since it was started")
        exe = exe.removesuffix(" (deleted)")
    environ = pathlib.Path(f"{proc}/environ").read_bytes().split(b"\0")
    settings = [e.decode(errors="replace") for e in environ if e.startswith(b"GMP_")]
    if report.facts["preloaded"]:
        report.say("process", f"{pid} runs with libgmp.so{', ' + ' '.join(settings) if settings else ''}")
        live(report, pid, lib)
    else:
        report.say("process", f"{pid} runs without libgmp.so; preloading takes a restart")
    return exe, files


def has_pool(path):
    try:
        return b"libgmp_published" in pathlib.Path(path).read_bytes()
    except OSError:
        return False


def live(report, pid, lib):
    tool = next((t for t in (lib.parent / "tools" / "gmp-live", lib.parent / "gmp-live") if t.is_file()), None)
    if tool is None:
        return
    run = subprocess.run([str(tool), "stat", "--json", str(pid)], capture_output=True, text=True, timeout=60, check=False)
    if run.returncode == 3:
        report.say("process", "it has made no thread yet")
    elif run.returncode != 0:
        report.note(run.stderr.strip().removeprefix("gmp: "))
    else:
        s = json.loads(run.stdout)
        report.facts["stat"] = s
        report.say("process", f"{s['threads']:,} threads on {s['kernel_threads']} kernel threads, {s['procs']} Ps, "
                   f"{s['bound']} of the threads bound to a kernel thread of their own")


# ---- all of it ------------------------------------------------------------------------------------------------------------


def examine(report, path, pid, files, lib, rows, everything):
    elf = look(report, path)
    machine, facts = limits.report(pid)
    report.facts.update(facts)
    if elf is not None:
        libs = files or libraries(elf)
        libc = next((p for n, p in libs.items() if n.startswith("libc.so.6") or re.match(r"libc-2\.\d+\.so", n)), None)
        version = libc_version(libc) if libc else None
        report.facts["libc"] = {"path": libc, "version": version}
        if libc is None:
            report.no(f"its libc cannot be found by {elf.interp}")
        elif version is None:
            report.no(f"its libc, {libc}, is not glibc")
        else:
            report.say("program", f"ELF 64-bit x86-64, dynamically linked, glibc {version} ({libc})")
            own = os.path.realpath(elf.interp) != os.path.realpath("/lib64/ld-linux-x86-64.so.2")
            if own:
                report.note(f"it brings its own libc ({elf.interp}), which libgmp was not tried with here")
            elif version not in TESTED:
                report.note(f"libgmp is developed on glibc {', '.join(TESTED)}; what it needs of {version} it checks when it starts")
        if report.facts["eligible"]:
            probe(report, lib)
        if libc is not None and version is not None:
            functions(report, modules_of(path, libs), lib, rows, everything)
    for what, text, worry in machine:
        report.say("limits", f"{what} {text}")
        if worry:
            report.facts.setdefault("worries", []).append(what)


def main():
    p = argparse.ArgumentParser(prog="gmp doctor", add_help=False, allow_abbrev=False)
    p.error = lambda text: die(f"{text}; allowed: gmp doctor [--all] [--json] PROGRAM | PID")
    p.add_argument("--json", action="store_true")
    p.add_argument("--all", action="store_true")
    p.add_argument("target", nargs="*")
    opts = p.parse_args()
    if len(opts.target) != 1:
        p.error("PROGRAM or PID is missing" if not opts.target else f'one PROGRAM or PID only, "{opts.target[1]}" is too much')
    target = opts.target[0]
    lib = pathlib.Path(os.environ["GMP_LIB"]).resolve()
    rows = {}
    for place in (HERE.parent.parent / "shim" / "surface.def", HERE / "surface.def"):
        rows = rows or {**surface.calls(place.with_name("calls.def")), **surface.table(place)}
    report = Report(target)
    try:
        pid, files = None, None
        if target.isdigit() and not os.path.exists(target):
            pid = int(target)
            if not os.path.isdir(f"/proc/{pid}"):
                raise Stop(f'there is no process {target}, and no program of that name')
            path, files = process(report, pid, lib)
        else:
            path = find(target)
            if os.path.basename(path) != os.path.basename(target):
                report.say("program", f"{target} is a link to {path}")
            for _ in range(4):
                behind = interpreter(path)
                if behind is None:
                    break
                report.say("program", f"{path} is a script for {behind}")
                path = find(behind)
        examine(report, path, pid, files, lib, rows, opts.all)
    except Stop as e:
        die(str(e))
    if opts.json:
        print(json.dumps(report.facts))
    else:
        report.print()
    return 0 if report.facts["eligible"] else 1


if __name__ == "__main__":
    sys.exit(main())
