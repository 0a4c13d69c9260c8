# SPDX-License-Identifier: MIT
"""gdb, on a process that runs with libgmp.so or on its core dump: gdb -x gmp-gdb.py ...

    info gs         every thread of the program, parked ones too
    g N bt          a command in the context of thread gN: its stack
    g N COMMAND     any other that looks at frames: g 7 frame 3, g 7 info locals
    g all bt        the same for each

A core made by the kernel is whole; gdb's own generate-core-file leaves out stacks whose guard pages it cannot read
(GMP_GUARD=mprotect helps).

gdb knows kernel threads only. A parked thread's registers are on its stack; an unwinder, active during the command, makes
gdb believe that the selected kernel thread's innermost frame was called from there. So nothing is written, and core
dumps will do. What is what libgmp_published says, in the library itself (runtime/visible.c).
"""

import re
import struct

import gdb
import gdb.unwinder

VERSION = 1
MAGIC = b"libgmp\0\0"
# struct published: magic, version, size, 6 addresses and sizes, 4 arrays of words, 4 numbers of words
PUBLISHED = struct.Struct("<8sII6Q4Q4I")
FIELD = struct.Struct("<24sII")
# mcall() in arch/x86_64/asm.S: control words, then these, then the return address
SAVED = ("r15", "r14", "r13", "r12", "rbx", "rbp", "rip")


def memory(addr, n):
    return bytes(gdb.selected_inferior().read_memory(addr, n))


def word(addr):
    return struct.unpack("<Q", memory(addr, 8))[0]


def text(addr):
    return bytes(gdb.Value(addr).cast(gdb.lookup_type("char").pointer()).string("latin-1", length=64).split("\0")[0],
                 "latin-1").decode("utf-8", "replace")


class Pool:
    """The library's lists, as they are now."""

    def __init__(self):
        try:
            at = int(gdb.parse_and_eval("(unsigned long)&libgmp_published"))
            magic, version, _, fields, nfields, self.sched, _, self.allp, self.nprocs, *rest = \
                PUBLISHED.unpack(memory(at, PUBLISHED.size))
        except gdb.error as e:
            raise gdb.GdbError(f"no libgmp.so here, or its file is missing: {e}") from None
        if magic != MAGIC or version != VERSION:
            raise gdb.GdbError(f"libgmp.so describes itself as version {version}, this script knows {VERSION}")
        raw = memory(fields, nfields * FIELD.size)
        self.field = {name.rstrip(b"\0").decode(): (offset, size)
                      for name, offset, size in FIELD.iter_unpack(raw)}
        self.gstatus, _, self.reasons, _ = ([text(word(a + 8 * i)) for i in range(n)] for a, n in zip(rest[:4], rest[4:]))

    def get(self, struct_addr, name):
        try:
            offset, size = self.field[name]
        except KeyError:
            raise gdb.GdbError(f"this libgmp.so knows no {name}: it is of another version") from None
        return int.from_bytes(memory(struct_addr + offset, min(size, 8)), "little")

    def members(self, head, link):
        addr = self.get(self.sched, head)
        while addr:
            yield addr
            addr = self.get(addr, link)

    def gs(self):
        return sorted((G(self, a) for a in self.members("sched.allgs", "g.alllink")), key=lambda g: g.goid)

    def alive(self):
        return [g for g in self.gs() if g.status not in ("idle", "dead")]


class G:
    def __init__(self, pool, addr):
        self.pool = pool
        self.addr = addr
        status = pool.get(addr, "g.status")
        self.status = pool.gstatus[status] if status < len(pool.gstatus) else "?"
        self.goid = pool.get(addr, "g.goid")
        self.tid = pool.get(addr, "g.tid")
        self.m = pool.get(addr, "g.m")
        self.sp = pool.get(addr, "g.sched.sp")
        reason = pool.get(addr, "g.waitreason")
        self.reason = pool.reasons[reason] if self.status == "waiting" and reason < len(pool.reasons) else ""
        self.object = pool.get(addr, "g.waitobj")
        offset, size = pool.field["g.name"]
        self.name = memory(addr + offset, size).split(b"\0")[0].decode("utf-8", "replace")

    def parked(self):
        return self.status in ("waiting", "runnable")

    def thread(self):
        """The kernel thread that runs it, as gdb has it; None if it is not among gdb's."""
        if self.parked() or not self.m:
            return None
        tid = self.pool.get(self.m, "m.procid")
        for t in gdb.selected_inferior().threads():
            if tid in t.ptid[1:]:
                return t
        return None

    def where(self):
        """What it waits for, in words."""
        if self.reason in ("read", "write", "accept", "connect", "poll"):
            return f"{self.reason} fd {self.object & 0xffffffff}"
        if self.reason in ("sleep", "signal", ""):
            return self.reason
        return f"{self.reason} {self.object:#x}"


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class ParkedUnwinder(gdb.unwinder.Unwinder):
    """While it is active, the innermost frame's caller is where a parked G stands. Functions that were inlined at the
    innermost place are frames of their own to gdb, further in, which are not asked about: so it is known by its registers."""

    def __init__(self):
        super().__init__("libgmp")
        self.regs = self.innermost = None

    @staticmethod
    def place(frame):
        return int(frame.read_register("rip")), int(frame.read_register("rsp"))

    def __call__(self, pending):
        if self.regs is None or self.place(pending) != self.innermost:
            return None
        long = gdb.lookup_type("long")
        sp = gdb.Value(self.regs["rsp"]).cast(long)
        # Further in than what follows, or gdb takes the stack for broken.
        info = pending.create_unwind_info(FrameId(sp - 4096, pending.read_register("rip")))
        for name, value in self.regs.items():
            info.add_saved_register(name, gdb.Value(value).cast(long))
        return info

    def use(self, regs):
        if regs is not None:
            self.innermost = self.place(gdb.newest_frame())
        self.regs = regs
        gdb.invalidate_cached_frames()

    @staticmethod
    def parked():
        """The frame where the parked G stands."""
        frame = gdb.newest_frame()
        while frame.type() == gdb.INLINE_FRAME:
            frame = frame.older()
        return frame.older()


UNWINDER = ParkedUnwinder()
gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)


def saved(g):
    """A parked G's registers."""
    raw = memory(g.sp, 64)
    values = struct.unpack("<8Q", raw)[1:]
    regs = {name: v - (1 << 64) if v >> 63 else v for name, v in zip(SAVED, values)}
    regs["rsp"] = g.sp + 64
    return regs


def renumbered(out, own):
    """Frames are so many further out than they should be: the kernel thread's own are not shown, the others' numbers go down."""
    lines, skip = [], False
    for line in out.splitlines():
        m = re.match(r"#(\d+) +(.*)", line)
        if m:
            skip = int(m[1]) < own
            line = f"#{int(m[1]) - own:<3}{m[2]}"
        if not skip:
            lines.append(line)
    return "\n".join(lines)


def parked_command(g, command):
    words = command.split()
    UNWINDER.use(saved(g))
    try:
        frame = UNWINDER.parked()
        own = frame.level()
        if words[-1].isdigit() and words[0] in ("bt", "backtrace", "where"):
            command = " ".join(words[:-1] + [str(int(words[-1]) + own)])
        elif words[-1].isdigit() and words[0] in ("f", "frame"):
            command = "frame"
            for _ in range(int(words[-1])):
                frame = frame.older()
                if frame is None:
                    raise gdb.GdbError(f"g{g.goid} has no frame {words[-1]}")
        frame.select()
        out = renumbered(gdb.execute(command, False, True), own)
        if out:
            print(out)
    finally:
        UNWINDER.use(None)


def g_command(g, command):
    thread = gdb.selected_thread()
    frame = gdb.selected_frame()
    level = frame.level()
    try:
        if g.parked():
            parked_command(g, command)
            return
        own = g.thread()
        if own is None:
            raise gdb.GdbError(f"g{g.goid} is {g.status}, and its kernel thread is not among gdb's")
        own.switch()
        gdb.execute(command)
    finally:
        thread.switch()
        gdb.execute(f"frame {level}", False, True)


def need_process():
    if gdb.selected_thread() is None:
        raise gdb.GdbError("no process and no core dump to look at")


class InfoGs(gdb.Command):
    """Lists the threads of a program that runs with libgmp.so: id, state, what each waits for, thread id, name."""

    def __init__(self):
        super().__init__("info gs", gdb.COMMAND_STACK)

    def invoke(self, arg, from_tty):
        if arg:
            raise gdb.GdbError(f'info gs: takes no argument, not "{arg}"')
        need_process()
        pool = Pool()
        for g in pool.alive():
            print(f"{'  ' if g.parked() else '* '}g{g.goid} {g.status}{': ' + g.where() if g.reason else ''}  tid {g.tid}"
                  f'  "{g.name}"')


class GCommand(gdb.Command):
    """Runs a command in the context of a thread of a program with libgmp.so: g N COMMAND, g all COMMAND. Example: g 7 bt"""

    def __init__(self):
        super().__init__("g", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, arg, from_tty):
        words = arg.split(None, 1)
        if len(words) < 2:
            raise gdb.GdbError("usage: g N COMMAND, or g all COMMAND, as in: g 7 bt")
        need_process()
        which = words[0][1:] if words[0][:1] == "g" else words[0]
        gs = Pool().alive()
        if which == "all":
            for g in gs:
                print(f'\ng{g.goid} {g.status}{": " + g.where() if g.reason else ""}  "{g.name}"')
                try:
                    g_command(g, words[1])
                except gdb.error as e:
                    print(f"  {e}")
            return
        if not which.isdigit():
            raise gdb.GdbError(f'g: "{words[0]}" is no thread; allowed: a number as "info gs" lists it, or all')
        for g in gs:
            if g.goid == int(which):
                g_command(g, words[1])
                return
        raise gdb.GdbError(f'there is no thread g{which}; "info gs" lists them')


InfoGs()
GCommand()
