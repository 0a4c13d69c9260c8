# SPDX-License-Identifier: MIT
"""How much the machine, and the process's limits, leave for threads and connections."""

import os
import pathlib
import re
import resource
import struct

RSS_KIB = 9             # of a thread that waits in read(), measured
AREAS = 64              # thread stacks in one mapping, where guard pages need none of their own
AT_HWCAP2, HWCAP2_FSGSBASE = 26, 2
NAMES = {"Max open files": resource.RLIMIT_NOFILE, "Max address space": resource.RLIMIT_AS,
         "Max stack size": resource.RLIMIT_STACK, "Max processes": resource.RLIMIT_NPROC,
         "Max locked memory": resource.RLIMIT_MEMLOCK}


def read(path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def limits(pid):
    """name -> (soft, hard), None for no limit; of a process, or of what we would start."""
    found = {}
    if pid is None:
        for name, number in NAMES.items():
            found[name] = tuple(None if v == resource.RLIM_INFINITY else v for v in resource.getrlimit(number))
        return found
    for line in read(f"/proc/{pid}/limits").splitlines():
        m = re.match(r"(.+?) {2,}(\S+) +(\S+)", line)
        if m and m[1] in NAMES:
            found[m[1]] = tuple(None if v == "unlimited" else int(v) for v in m.groups()[1:])
    return found


def kernel():
    m = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(m[1]), int(m[2])) if m else (0, 0)


def fsgsbase():
    try:
        aux = pathlib.Path("/proc/self/auxv").read_bytes()
    except OSError:
        return False
    return any(key == AT_HWCAP2 and value & HWCAP2_FSGSBASE for key, value in struct.iter_unpack("<QQ", aux))


def cpus(pid):
    """Usable ones: affinity, cgroup v2 quota rounded up, as the library counts them."""
    try:
        n = len(os.sched_getaffinity(pid or 0))
    except OSError:
        n = os.cpu_count() or 1
    m = re.search(r"^0::(.*)$", read(f"/proc/{pid or 'self'}/cgroup"), re.M)
    path = m[1] if m else ""
    while path:
        quota = read(f"/sys/fs/cgroup{path}/cpu.max").split()
        if len(quota) == 2 and quota[0].isdigit() and int(quota[1]):
            n = min(n, max(1, -(-int(quota[0]) // int(quota[1]))))
        if path == "/":
            break
        path = path.rsplit("/", 1)[0]
    return n


def memory_kib(pid):
    """What threads could have: free memory, or what is left of the cgroup's."""
    m = re.search(r"MemAvailable: +(\d+)", read("/proc/meminfo"))
    free = int(m[1]) if m else 0
    m = re.search(r"^0::(.*)$", read(f"/proc/{pid or 'self'}/cgroup"), re.M)
    path = m[1] if m else ""
    while path:
        most, used = (read(f"/sys/fs/cgroup{path}/memory.{n}").strip() for n in ("max", "current"))
        if most.isdigit() and used.isdigit():
            free = min(free, (int(most) - int(used)) // 1024)
        if path == "/":
            break
        path = path.rsplit("/", 1)[0]
    return free


def human(n):
    return f"{n / 1e6:.1f} million" if n >= 10 ** 6 else f"{n:,}"


def report(pid):
    """Lines (what, text, is it a worry), and the same for programs."""
    lim = limits(pid)
    lines, facts = [], {}

    soft, hard = lim.get("Max open files", (None, None))
    facts["nofile"] = {"soft": soft, "hard": hard}
    worry = soft is not None and soft < 4096
    lines.append(("nofile", f"{'no limit' if soft is None else f'{soft:,}'} descriptors" + (
        f": some {max(0, soft - 50):,} connections at most; ulimit -n raises it"
        f"{'' if hard is None else f' up to {hard:,}'}" if worry else ""), worry))

    maps = int(read("/proc/sys/vm/max_map_count") or 0)
    madvise = kernel() >= (6, 13)
    threads = maps * AREAS if madvise else maps // 2
    facts["max_map_count"] = maps
    facts["threads_by_mappings"] = threads
    lines.append(("max_map_count", f"{maps:,}: some {human(threads)} threads, " +
                  (f"{AREAS} stacks in a mapping" if madvise else
                   "two mappings each: guard pages without them need Linux 6.13"), threads < 50000))

    free = memory_kib(pid)
    facts["memory_kib"] = free
    facts["threads_by_memory"] = free // RSS_KIB
    lines.append(("memory", f"{free // 1024:,} MiB: some {human(free // RSS_KIB)} threads of {RSS_KIB} KiB that only wait",
                  free // RSS_KIB < 10000))

    stack = lim.get("Max stack size", (None, None))[0] or 8 << 20
    space = lim.get("Max address space", (None, None))[0]
    overcommit = read("/proc/sys/vm/overcommit_memory").strip()
    facts["default_stack"] = stack
    facts["address_space"] = space
    if space is not None:
        n = space // stack
        lines.append(("address space", f"{space >> 20:,} MiB (ulimit -v): {n:,} threads of {stack >> 10:,} KiB stack at most", True))
    if overcommit == "2":
        lines.append(("overcommit", "vm.overcommit_memory is 2: stacks count against the commit limit although they are never "
                                    f"touched: {stack >> 10:,} KiB for each thread", True))
    facts["procs"] = cpus(pid)
    facts["wrfsbase"] = fsgsbase()
    lines.append(("CPU", f"{facts['procs']} usable: as many Ps, unless GMP_PROCS says otherwise; a switch sets the thread pointer by "
                  + ("an instruction" if facts["wrfsbase"] else "a system call (kernel or CPU without FSGSBASE): slower"),
                  not facts["wrfsbase"]))
    return lines, facts
