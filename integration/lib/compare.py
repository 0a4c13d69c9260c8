# SPDX-License-Identifier: MIT
"""One program, bare and preloaded, in the order that every program goes through:

  configure, start          the fresh folder
  hold, work                200 connections, every answer compared; gmp dump while they are held, and under load
  reload_signal, work       if it has one
  stop                      idle; the exit status
  start, again              on the same data
  leave_open, stop          with connections open; the exit status

Only if asked for, bare and preloaded are then started side by side and put under load in turn: requests per second.

The bare run is the reference: its facts, exit statuses and lines of trouble in the logs are what the others must have.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time
import traceback

from daemon import Failed, bare_env, check, descendants, read


class Run:
    """What one run of a program came to."""

    def __init__(self):
        self.facts = {}         # must be the same
        self.trouble = {}       # lines in the logs that look bad
        self.threads = 0        # kernel threads while the connections were held, of so many processes
        self.processes = 0
        self.stacks = 0         # threads whose stacks gmp dump has shown at once
        self.most = 0           # and the most that were seen
        self.failure = None


async def watched(daemon, run, work, seconds):
    """Run work while the kernel threads are counted."""
    seen = []

    async def watch():
        while True:
            seen.append(daemon.threads())
            await asyncio.sleep(0.1)
    watcher = asyncio.ensure_future(watch())
    try:
        return await asyncio.wait_for(work, seconds)
    except asyncio.TimeoutError:
        raise Failed(f"not done after {seconds} s") from None
    finally:
        watcher.cancel()
        run.most = max(run.most, *seen)
        # More is allowed for a moment: Ps of Ms which the machine gives no CPU are taken away, and those that take over
        # stay for a second.
        if len(seen) > 30:
            daemon.few(sorted(seen)[len(seen) // 2], daemon.busy if daemon.busy is not None or daemon.spare is None else daemon.spare + 10, "most of the time")


async def looked_at(daemon, work):
    """gmp dump in the midst of it."""
    async def look():
        await asyncio.sleep(0.2)
        await asyncio.to_thread(daemon.look)
    result, _ = await asyncio.gather(work, look())
    return result


async def scenario(daemon, run, opts):
    """All of it; what fails is named by its step."""
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)

    @contextlib.contextmanager
    def step(name):
        run.step = name
        yield

    with step("start"):
        await daemon.configure()
        await daemon.start()
    with step("hold"):
        await watched(daemon, run, daemon.hold(), opts.limit)
        run.threads, run.processes = daemon.held_threads, daemon.held_processes
        check(run.threads, "hold() did not call holding()")
        run.most = max(run.most, run.threads)
    with step("work"):
        run.facts["work"] = await watched(daemon, run, looked_at(daemon, daemon.work()), opts.limit)
        run.stacks = daemon.stacks
    if daemon.reload_signal:
        with step("reload"):
            await daemon.reload()
            run.facts["work after reload"] = await watched(daemon, run, daemon.work(), opts.limit)
    with step("stop"):
        await asyncio.sleep(daemon.settle)
        run.facts["exit status"] = await daemon.stop()
    with step("restart"):
        await daemon.start()
        run.facts["after the restart"] = await watched(daemon, run, daemon.again(), opts.limit)
    with step("stop with connections"):
        left = await daemon.leave_open()
        await asyncio.sleep(daemon.settle)
        run.facts["exit status with connections"] = await daemon.stop()
        for connection in left:
            connection[1].close()
        await daemon.all_ended(time.monotonic() + 30)
    check(not daemon.too_many, daemon.too_many)
    check(not daemon.procs or daemon.peak is None or run.most <= daemon.peak, f"{run.most} kernel threads at one time")


async def turns(a, b, count):
    """Medians of so many rounds: rate of a, of b, b/a, b/a per CPU second of the server; None if it is not measured. A round
    before them warms up, and who begins alternates.
    """
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    rounds = []
    for daemon in (a, b):
        await daemon.configure()
        await daemon.start()
    for i in range(count + 1):
        rates, costs = {}, {}
        for daemon in (a, b) if i % 2 == 0 else (b, a):
            before, cpu = time.monotonic(), daemon.cpu()
            rates[daemon] = await daemon.rate()
            if rates[daemon] is None:
                return None
            costs[daemon] = (daemon.cpu() - cpu) / (time.monotonic() - before) / rates[daemon]
        rounds.append((rates[a], rates[b], rates[b] / rates[a], costs[a] / costs[b]))
    return [statistics.median(r) for r in zip(*rounds[1:])]


def measure(make, procs, count):
    """turns() in fresh folders, with nothing left behind."""
    daemons = []
    with tempfile.TemporaryDirectory(prefix="gmp-integration.") as name:
        pathlib.Path(name).chmod(0o755)
        try:
            for p in (None, procs):
                folder = pathlib.Path(name, "preloaded" if p else "bare")
                folder.mkdir(mode=0o755)
                daemons.append(make(p, folder))
                if daemons[-1].user:
                    shutil.chown(folder, daemons[-1].user)
            return asyncio.run(turns(*daemons, count))
        finally:
            for daemon in daemons:
                daemon.kill()


def post_mortem(daemon, folder):
    """What a stuck or failed process has to say, beside its logs."""
    for pid in descendants(daemon.pid) if daemon.alive() else []:
        out = folder / f"process.{pid}"
        tasks = []
        for task in sorted(pathlib.Path(f"/proc/{pid}/task").glob("*")):
            stat = read(task / "stat").rpartition(")")[2].split()
            tasks.append(f"{task.name} {stat[:1]} {read(task / 'wchan')} {read(task / 'syscall').strip()}\n")
        out.write_text(read(f"/proc/{pid}/cmdline").replace("\0", " ") + "\n" + "".join(tasks))
        if not daemon.procs:
            continue
        with open(out, "ab") as f:
            for command in ([str(daemon.here.parent.parent / "scripts/gmp"), "dump", str(pid)],
                            ["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt", "-ex", "call (void)printsched()"]):
                try:
                    subprocess.run(command, stdout=f, stderr=f, stdin=subprocess.DEVNULL, timeout=60, check=False,
                                   env=bare_env() | {"GMP_LIB": str(daemon.lib)})
                except (OSError, subprocess.TimeoutExpired) as e:
                    f.write(f"{command[0]}: {e}\n".encode())


def one_run(make, procs, opts, kept):
    """kept: the folder where logs go if it fails."""
    run = Run()
    with tempfile.TemporaryDirectory(prefix="gmp-integration.") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        daemon = make(procs, folder)
        if daemon.user:
            shutil.chown(folder, daemon.user)
        logs = tempfile.mkdtemp(prefix="gmp-logs.")
        try:
            asyncio.run(scenario(daemon, run, opts))
        except Exception as e:  # pylint: disable=broad-except
            run.failure = f"{run.step}: {e if isinstance(e, Failed) else repr(e)}"
            post_mortem(daemon, pathlib.Path(logs))
            if not isinstance(e, Failed):
                (pathlib.Path(logs) / "traceback").write_text(traceback.format_exc())
        finally:
            daemon.kill()
            run.trouble = daemon.log_trouble()
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(logs, kept)
            shutil.rmtree(logs)
            for path in daemon.log_files():
                shutil.copy(path, kept / path.relative_to(folder).as_posix().replace("/", "_"))
    return run


def differences(reference, run):
    """In words, how a run differs from the bare one."""
    if run.failure:
        return [run.failure]
    found = []
    for key in sorted(set(reference.facts) | set(run.facts)):
        if run.facts.get(key) != reference.facts.get(key):
            found.append(f"{key}: {run.facts.get(key)!r}, bare {reference.facts.get(key)!r}")
    if run.stacks == 0 and run is not reference and reference.threads > reference.processes:
        found.append(f"gmp dump shows no thread, bare has {reference.threads}")
    for shape, line in run.trouble.items():
        if shape not in reference.trouble:
            found.append(f"log, not so bare: {line.strip()[:300]}")
    return found


def rates(name, make, procs, count, facts, say):
    """measure(), into the facts; True if nothing failed."""
    try:
        found = measure(make, procs, count)
    except Exception as e:  # pylint: disable=broad-except
        say(f"FAIL {name}: under load: {e if isinstance(e, Failed) else repr(e)}")
        return False
    if found:
        facts.update(zip(("rate", "preloaded_rate", "ratio", "cpu_ratio"), found))
        say(f"   {name}: {found[0]:,.0f} requests/s bare, {found[1]:,.0f} preloaded: {found[2]:.2f}x, "
            f"{found[3]:.2f}x per CPU second of the server")
    return True


def compare(name, make, opts, log_root, say):
    """All runs of a program: (runs that passed, runs that failed, what the table says)."""
    passed = failed = 0
    facts = {"program": name, "verdict": "passes"}
    reference = None
    for procs in [None] + [p for p in opts.procs for _ in range(opts.repeat)]:
        how = f"preloaded, {procs} P" if procs else "bare"
        kept = log_root / f"{name}.{procs or 'bare'}"
        begin = time.monotonic()
        run = one_run(make, procs, opts, kept)
        wrong = differences(reference or run, run)
        took = f"{time.monotonic() - begin:.0f} s"
        note = f"{run.threads} kernel threads held, {run.most} at most" + (f", {run.stacks} stacks" if run.stacks else "")
        if procs is None:
            reference = run
            daemon = make(None, None)
            facts.update(version=daemon.version(), model=daemon.model, held=daemon.held, threads=run.threads)
        elif procs == opts.procs[min(1, len(opts.procs) - 1)]:
            facts.update(procs=procs, preloaded_threads=run.threads)
        if not wrong:
            passed += 1
            say(f"ok {name}: {how}: {note}, {took}")
            if procs:
                shutil.rmtree(kept)
            continue
        failed += 1
        facts["verdict"] = "fails: " + wrong[0][:80]
        for i, what in enumerate(wrong):
            say(f"{'FAIL' if i == 0 else '    '} {name}: {how}: {what}" + (f"; {took}, logs in {kept}" if i == 0 else ""))
        if procs is None:
            say(f"FAIL {name}: it fails bare; not tried preloaded")
            facts["verdict"] = "fails bare"
            break
    if opts.rate and not failed:
        failed += not rates(name, make, facts["procs"], opts.rate, facts, say)
    if not failed:
        shutil.rmtree(log_root / f"{name}.bare")
    with contextlib.suppress(OSError):
        os.rmdir(log_root)
    return passed, failed, facts


def save(facts, folder):
    """What this run did not find out stays from one before."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{facts['program']}.json"
    facts = (json.loads(path.read_text()) if path.is_file() else {}) | facts
    path.write_text(json.dumps(facts, indent=1, default=str) + "\n")
