/* SPDX-License-Identifier: MIT
 *
 * visible.c: what the runtime shows of itself.
 *
 * libgmp_published is found by tools through the library's symbol table, in a live process (its memory is
 * read by process_vm_readv: nothing runs in the process, no socket or file is made, and the kernel lets only
 * those look who may ptrace it) or in a core dump. It describes itself: fields by name with offset and size,
 * names of states and counters. So a tool need not be of the same build; it says which name it misses. `version` is raised
 * only if a name that stays comes to mean something else.
 *
 * Counters are per P and written by its owner with plain stores: no atomic read-modify-write and no shared
 * cache line on a hot path. Readers see each word whole, but not all of them at one moment.
 *
 * GMP_SCHEDTRACE: sysmon prints a line each so many ms, and then only does it wake for it.
 *
 * Rejected: a socket or a signal to ask the process (it must be alive to answer, and a stuck one is what one
 * wants to look at); DWARF (stripped libraries have none); a layout fixed by version (each change breaks each tool).
 */
#include "runtime.h"
#include <fcntl.h>
#include <sys/syscall.h>

const char *const gstatusnames[Gdead + 1] = {"idle", "runnable", "running", "syscall", "waiting", "dead"};
const char *const pstatusnames[Pdead + 1] = {"idle", "running", "foreign", "dead"};
const char *const waitreasons[NWAITREASON] = {
	[WaitNone] = "",	   [WaitRead] = "read",	      [WaitWrite] = "write",
	[WaitAccept] = "accept",   [WaitConnect] = "connect", [WaitPoll] = "poll",
	[WaitSleep] = "sleep",	   [WaitSignal] = "signal",   [WaitFutex] = "futex",
	[WaitMutex] = "mutex",	   [WaitCond] = "condition",  [WaitSem] = "semaphore",
	[WaitRdlock] = "rdlock",   [WaitWrlock] = "wrlock",   [WaitBarrier] = "barrier",
	[WaitOnce] = "once",	   [WaitJoin] = "join",	   [WaitPreempted] = "preempted",
	[WaitLibc] = "libc lock",
};
const char *const counternames[NCOUNTER] = {
#define C(name, word) word,
	COUNTERS(C)
#undef C
};

/* ---- published ---------------------------------------------------------------------------------- */

struct field {
	char name[24];
	uint32_t offset, size;
};

#define F(type, member) {#type "." #member, offsetof(struct type, member), sizeof(((struct type *)0)->member)}
#define SIZE(type) {#type, 0, sizeof(struct type)}

static const struct field fields[] = {
	SIZE(g), F(g, alllink), F(g, goid), F(g, tid), F(g, status), F(g, park), F(g, m), F(g, sched.sp),
	F(g, waitreason), F(g, waitobj), F(g, waitsince), F(g, syscallbp), F(g, timer.when), F(g, stack.lo),
	F(g, stack.hi), F(g, ismain), F(g, lockedm), F(g, fn), F(g, name), F(g, tcb),
	F(g, sigmask), F(g, sigpending),
	SIZE(m), F(m, alllink), F(m, id), F(m, procid), F(m, exited), F(m, curg), F(m, spinning), F(m, lockedg),
	F(m, mstartfn), F(m, call), F(m, g0.stack.lo), F(m, g0.stack.hi),
	SIZE(p), F(p, id), F(p, status), F(p, schedtick), F(p, runqhead), F(p, runqtail),
	F(p, runnext), F(p, ntimers), F(p, count), F(p, preemptlat),
	SIZE(sched), F(sched, started), F(sched, startns), F(sched, allgs), F(sched, allms), F(sched, runqsize),
	F(sched, npidle), F(sched, nmidle), F(sched, nm), F(sched, nmspinning), F(sched, nlockedm), F(sched, ngs),
	F(sched, lastpoll), F(sched, count), F(sched, sysmondelay),
	{"debug.maxm", offsetof(struct debug, maxm), sizeof(debug.maxm)},
};

struct published {
	char magic[8];
	uint32_t version, size;
	const struct field *fields;
	uint64_t nfields;
	const struct sched *sched;
	const struct debug *debug;
	struct p **const *allp;
	const int32_t *gomaxprocs;
	/* words, with their number */
	const char *const *gstatus, *const *pstatus, *const *reasons, *const *counters;
	uint32_t ngstatus, npstatus, nreasons, ncounters;
};

extern const struct published libgmp_published __attribute__((visibility("default")));
const struct published libgmp_published = {
	.magic = "libgmp",
	.version = 1,
	.size = sizeof(struct published),
	.fields = fields,
	.nfields = nelem(fields),
	.sched = &sched,
	.debug = &debug,
	.allp = &allp,
	.gomaxprocs = &gomaxprocs,
	.gstatus = gstatusnames,
	.pstatus = pstatusnames,
	.reasons = waitreasons,
	.counters = counternames,
	.ngstatus = nelem(gstatusnames),
	.npstatus = nelem(pstatusnames),
	.nreasons = nelem(waitreasons),
	.ncounters = nelem(counternames),
};

/* ---- statistics ----------------------------------------------------------------------------------- */

uint64_t counted(enum counter c)
{
	uint64_t n = atomic_load_explicit(&sched.count[c], memory_order_relaxed);

	for (int32_t i = 0; i < gomaxprocs && allp != NULL; i++)
		n += atomic_load_explicit(&allp[i]->count[c], memory_order_relaxed);
	return n;
}

/* Threads by state and by what they wait for, as they are while we walk. */
struct census {
	uint32_t state[nelem(gstatusnames)], reason[NWAITREASON], locked;
};

static void census1(struct g *gp, void *arg)
{
	struct census *c = arg;
	uint32_t st = atomic_load_explicit(&gp->status, memory_order_relaxed), why = gp->waitreason;

	if (st >= nelem(c->state))
		return;
	c->state[st]++;
	if (st == Gwaiting && why < NWAITREASON)
		c->reason[why]++;
	if (st != Gdead && st != Gidle && gp->lockedm != NULL)
		c->locked++;
}

/* ---- GMP_SCHEDTRACE ------------------------------------------------------------------------------- */

static int tracefd = 2;
static uint64_t tracenext;

/* The pool starts. False: the file cannot be opened. */
bool schedtraceinit(void)
{
	sched.startns = setnow(nanotime());
	tracenext = sched.startns + debug.schedtrace;
	if (debug.schedtrace == 0 || debug.schedtracefile == NULL || tracefd != 2)
		return true;
	long fd = SC4(SYS_openat, AT_FDCWD, debug.schedtracefile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0) {
		gprintf("libgmp: GMP_SCHEDTRACE: cannot open %s for writing (error %d); the trace goes to stderr\n",
			debug.schedtracefile, (int)-fd);
		return false;
	}
	tracefd = fdkeep((int)fd);
	return true;
}

static void trace(uint64_t now)
{
	struct out o = {.fd = tracefd, .hurry = true};
	struct census c = {0};
	const char *sep = " (";

	foreachg(census1, &c);
	uint32_t alive = c.state[Grunnable] + c.state[Grunning] + c.state[Gsyscall] + c.state[Gwaiting];
	outf(&o,
	     "SCHED %lums: pid=%d gomaxprocs=%d idleprocs=%d threads=%d spinningthreads=%d idlethreads=%d "
	     "lockedthreads=%u runqueue=%d [",
	     (unsigned long)((now - sched.startns) / 1000000), (int)SC0(SYS_getpid), gomaxprocs,
	     (int)atomic_load(&sched.npidle), (int)atomic_load(&sched.nm), (int)atomic_load(&sched.nmspinning),
	     (int)sched.nmidle, c.locked, (int)atomic_load(&sched.runqsize));
	for (int32_t i = 0; i < gomaxprocs; i++)
		outf(&o, "%s%u", i ? " " : "", runqlen(allp[i]) + (atomic_load(&allp[i]->runnext) != NULL));
	outf(&o, "] gs=%u running=%u runnable=%u syscall=%u waiting=%u", alive, c.state[Grunning],
	     c.state[Grunnable], c.state[Gsyscall], c.state[Gwaiting]);
	for (int i = 0; i < NWAITREASON; i++) {
		if (c.reason[i] == 0)
			continue;
		outf(&o, "%s%s=%u", sep, i == WaitNone ? "starting" : waitreasons[i], c.reason[i]);
		sep = " ";
	}
	outf(&o, "%s", *sep == ' ' && sep[1] == 0 ? ")" : "");
	static const enum counter shown[] = {CountRetakeSyscall, CountRetakeBlocked, CountRetakeBusy, CountPreemptCall,
					     CountPreemptAsync,	 CountHandover,	     CountSteal};
	for (size_t i = 0; i < nelem(shown); i++)
		outf(&o, " %s=%lu", counternames[shown[i]], (unsigned long)counted(shown[i]));
	outf(&o, "\n");
	outflush(&o);
}

/* sysmon, at each tick: prints if it is time. How long until it will be, in ns. */
uint64_t schedtrace(uint64_t now)
{
	if (now >= tracenext) {
		trace(now);
		tracenext += debug.schedtrace * ((now - tracenext) / debug.schedtrace + 1);
	}
	return tracenext - now;
}
