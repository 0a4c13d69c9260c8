# SPDX-License-Identifier: MIT
"""One program, preloaded, under its load again and again for minutes: memory, descriptors, threads and kernel threads, each
time at rest, must be in the second half what they were in the first; no answer, log line or exit status may be wrong.
"""

import asyncio
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time

from daemon import Failed, bare_env, check, descendants, read

ROOM = {"RSS MB": 1.1, "descriptors": 1.05, "threads": 1.05, "kernel threads": 1.25}    # second half's median to the first's
HEADS = ("minute", "rounds", *ROOM)


def gs(daemon, pid):
    """Threads as the library counts them; 1 if it has made none."""
    done = subprocess.run([daemon.here.parent.parent / "scripts/gmp", "stat", "--json", str(pid)], stdin=subprocess.DEVNULL,
                          env=bare_env() | {"GMP_LIB": str(daemon.lib)}, capture_output=True, timeout=60, check=False)
    if done.returncode == 3:
        return 1
    check(done.returncode == 0, f"gmp stat {pid}: {done.stderr.decode()}")
    return json.loads(done.stdout)["threads"]


def sample(daemon):
    pids = descendants(daemon.pid)
    rss = sum(int(m[1]) for pid in pids if (m := re.search(r"^VmRSS:\s*(\d+)", read(f"/proc/{pid}/status"), re.M)))
    return {"RSS MB": round(rss / 1024, 1), "descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
            "threads": sum(gs(daemon, pid) for pid in pids), "kernel threads": daemon.threads()}


async def rounds(daemon, seconds, say):
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    await daemon.configure()
    await daemon.start()
    begin = time.monotonic()
    first, found, done, due = await daemon.work(), [], 1, 0
    while (now := time.monotonic() - begin) < seconds:
        if now >= due:
            await asyncio.sleep(2)      # for those that have just ended
            found.append(sample(daemon))
            say("  ".join(f"{v:>{len(h)}}" for h, v in zip(HEADS, (f"{now / 60:.1f}", done, *found[-1].values()))))
            due = now + max(10, seconds / 30)
        got = await daemon.work()
        check(got == first, f"round {done}: {got!r}, at first {first!r}")
        done += 1
    await asyncio.sleep(daemon.settle)
    status = await daemon.stop()
    trouble = daemon.log_trouble()
    check(not trouble, f"log: {list(trouble.values())[:5]}")
    half = len(found) // 2
    check(half >= 2, "too short to tell")
    for what, room in ROOM.items():
        before, after = (statistics.median(s[what] for s in part) for part in (found[:half], found[half:]))
        check(after <= before * room + 1, f"{what}: {before} in the first half, {after} in the second")
    return done, status


def soak(name, make, procs, minutes, say):
    """Did it pass?"""
    with tempfile.TemporaryDirectory(prefix="gmp-integration.") as folder:
        daemon = make(procs, pathlib.Path(folder))
        daemon.dir.chmod(0o755)
        if daemon.user:
            shutil.chown(folder, daemon.user)
        say("  ".join(HEADS))
        try:
            done, status = asyncio.run(rounds(daemon, minutes * 60, say))
        except Exception as e:  # pylint: disable=broad-except
            say(f"FAIL {name}: {e if isinstance(e, Failed) else repr(e)}")
            return False
        finally:
            daemon.kill()
    say(f"ok {name}: {minutes} minutes, {done} rounds, {procs} P, exit status {status}")
    return True
