# SPDX-License-Identifier: MIT
"""Which functions the program and its libraries import, and what libgmp does with them (shim/surface.def, shim/calls.def)."""

import pathlib
import re

# kind in surface.def -> heading, what it means
KINDS = {
    "parks": ("park", "a thread that waits there costs no kernel thread"),
    "marked": ("may block", "hold a kernel thread while they do, and others run meanwhile"),
    "bound": ("bind", "give the calling thread a kernel thread of its own, from then on"),
    "own": ("done inside", "the library's own, without waiting"),
    "passes": ("pass through", "libc's as they are; what blocks there holds a kernel thread, others run after some 20 ms"),
}
# On descriptors, which surface.def is not about: these park where the descriptor can be waited for.
PARKS = {prefix + name + suffix for prefix in ("", "__") for suffix in ("", "_chk") for name in (
    "accept accept4 connect poll ppoll select pselect epoll_wait epoll_pwait epoll_pwait2 read readv recv recvfrom recvmsg "
    "recvmmsg write writev send sendto sendmsg sendmmsg sendfile sendfile64 splice").split()}
ON_FDS = "parks until the descriptor is ready; for a file, a marked system call"
CALLS = "a marked system call: it blocks the kernel thread, whose P others may take"

# Of libc and what belongs to it: what they import is their own business.
SYSTEM = re.compile(r"^(libc|libm|libdl|libpthread|librt|libresolv|libutil|libnsl|libnss_\w+|libgcc_s|libanl|libmvec|libthread_db|"
                    r"ld-linux-x86-64|linux-vdso)([.-].*)?\.so")
STARTERS = ("pthread_create", "thrd_create")


def table(path):
    """name -> (kind, why); empty if there is no such file."""
    rows = {}
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except OSError:
        return rows
    for m in re.finditer(r'^\s*(\w+)\((\w+), "(.*)"\)\s*$', text, re.M):
        if m[1] in KINDS:
            rows[m[2]] = (m[1], m[3])
    return rows


def calls(path):
    """name -> (kind, why) of calls.def, whose functions are all marked."""
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except OSError:
        return {}
    found = {}
    for m in re.finditer(r"^(MARK|MARK64|BLOCK)\([^,]*?(\w+)[ *]*, (\w+)", text, re.M):
        for name in (m[3], m[3] + "64") if m[1] == "MARK64" else (m[3],):
            found[name] = ("marked", CALLS)
    return found


def system(name):
    return SYSTEM.match(name) is not None


def classify(modules, interposed, rows):
    """modules: name -> Elf. kind -> name -> modules that import it; what neither table nor library knows is left out."""
    found = {kind: {} for kind in KINDS}
    for name, elf in modules.items():
        if system(name):
            continue
        for function in elf.imports:
            if function in rows:
                kind = rows[function][0]
            elif function in interposed:
                kind = "parks" if function in PARKS else "interposed"
            else:
                continue
            found.setdefault(kind, {}).setdefault(function, []).append(name)
    return found


def starters(modules):
    """Modules that can make threads. libstdc++ always imports pthread_create: there its users count."""
    out = []
    for name, elf in modules.items():
        if system(name) or name.startswith(("libstdc++", "libc++")):
            continue
        if any(s in elf.imports for s in STARTERS) or any("_ZNSt6thread15_M_start_thread" in i for i in elf.imports):
            out.append(name)
    return out
