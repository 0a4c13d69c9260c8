/* SPDX-License-Identifier: MIT
 *
 * traceback.c: threads and their stacks on stderr, from inside: when an invariant is broken (throw), when all wait
 * for ever (deadlock.c), and with GMP_TRACEBACK=1 before a signal's default action makes a core.
 *
 * Async-signal-safe, and bounded: so many frames, a stack that another thread has too only once, and after LONGEST what each
 * thread waits for, but no stacks. The others go on running while we look, so a stack may come out wrong, but never faults
 * (unwind.c); one that computes is asked for its registers by the signal that preempts. Whoever comes second waits for the
 * first, for a while.
 *
 * Without GMP_TRACEBACK a program that dies prints nothing more than bare: its stderr may be somebody's to parse. Status
 * and core are the same with it.
 */
#include "runtime.h"
#include <fcntl.h>
#include <sys/syscall.h>
#include <ucontext.h>

enum { MAXFRAMES = 30, SHAPES = 256, MS = 1000000, LONGEST = 5000 /* ms, for the stacks */ };

static struct {
	uint64_t hash, goid;
} shapes[SHAPES];
static uint32_t nshapes;

static bool inlib(uintptr_t pc)
{
	return pc >= sigs.textlo && pc < sigs.texthi;
}

/* Who has been shown with these frames; 0: nobody, and from now on it is gp. */
static uint64_t shape(const struct g *gp, const uintptr_t *pc, int n)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a, by words */

	for (int i = 0; i < n; i++)
		h = (h ^ pc[i]) * 1099511628211u;
	for (uint32_t i = 0; i < nshapes; i++)
		if (shapes[i].hash == h)
			return shapes[i].goid;
	if (nshapes < SHAPES) {
		shapes[nshapes].hash = h;
		shapes[nshapes++].goid = gp->goid;
	}
	return 0;
}

/*
 * The frames from u on. Unless all: of the library's own at the beginning only the last, the function that the program
 * called; or none, if they are on top of a signal's frame: then the G was preempted.
 */
static void frames(struct out *o, const struct g *gp, struct uregs *u, bool all)
{
	static uintptr_t pc[4 * MAXFRAMES];
	static bool exact[4 * MAXFRAMES];
	int n = 0, from = 0;
	uint64_t same;

	do {
		pc[n] = u->r[16];
		exact[n] = u->exact;
	} while (++n < (int)nelem(pc) && unwindstep(u));
	while (from < n && !all && inlib(pc[from] - !exact[from]))
		from++;
	if (from + 1 < n && from > 0 && exact[from + 1]) /* the library's, then the kernel's */
		from++;
	else if (from > 0)
		from--;
	while (!all && n > from + 1 && inlib(pc[n - 1])) /* gostart() */
		n--;
	if (!all && (same = shape(gp, pc + from, n - from)) != 0) {
		outf(o, "    as g%lu\n", (unsigned long)same);
		return;
	}
	for (int i = from; i < n && i - from < MAXFRAMES; i++) {
		outf(o, "    #%d ", i - from);
		unwindname(o, pc[i], exact[i]);
		outf(o, "\n");
	}
	if (n - from > MAXFRAMES)
		outf(o, "    ...\n");
}

/* A parked G's registers are on its stack: control words, r15, r14, r13, r12, rbx, rbp, return address. */
static bool parkedregs(const struct g *gp, struct uregs *u)
{
	uint64_t w[8];

	if (!peek((uintptr_t)gp->sched.sp, w, sizeof(w)))
		return false;
	*u = (struct uregs){.exact = false};
	u->r[15] = w[1];
	u->r[14] = w[2];
	u->r[13] = w[3];
	u->r[12] = w[4];
	u->r[3] = w[5];
	u->r[6] = w[6];
	u->r[16] = w[7];
	u->r[7] = (uintptr_t)gp->sched.sp + sizeof(w);
	return true;
}

static const char *number(const char *s, uint64_t *v)
{
	int base = 10;

	while (*s == ' ')
		s++;
	if (s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
	}
	for (*v = 0;; s++) {
		if (*s >= '0' && *s <= '9')
			*v = *v * (uint64_t)base + (uint64_t)(*s - '0');
		else if (base == 16 && *s >= 'a' && *s <= 'f')
			*v = *v * 16 + (uint64_t)(*s - 'a' + 10);
		else
			return s;
	}
}

/* A G whose thread sleeps in the kernel: /proc/self/task/TID/syscall has "nr six arguments sp pc". */
static bool kernelregs(const struct g *gp, struct uregs *u)
{
	char path[48], buf[256], *s = path;
	struct m *mp = gp->m;
	int tid = mp ? atomic_load(&mp->procid) : 0;
	uint64_t v[9];

	if (tid == 0)
		return false;
	for (const char *t = "/proc/self/task/"; *t;)
		*s++ = *t++;
	taskpath(s, tid, "syscall");
	long fd = SC4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	long len = SC3(SYS_read, fd, buf, sizeof(buf) - 1);
	SC1(SYS_close, fd);
	if (len <= 0 || buf[0] < '0' || buf[0] > '9') /* "running", or -1: not in a call */
		return false;
	buf[len] = 0;
	const char *at = buf;
	for (int i = 0; i < 9; i++)
		at = number(at, &v[i]);
	*u = (struct uregs){.exact = true};
	u->r[7] = v[7];
	u->r[16] = v[8];
	if ((uintptr_t)gp->syscallbp > v[7])
		u->r[6] = (uintptr_t)gp->syscallbp;
	return true;
}

/* 1: the handler writes; 2: it has written. */
static _Atomic uintptr_t whom;
static struct uregs where;

static void fromcontext(const ucontext_t *uc, struct uregs *u)
{
	/* gregs: r8-r15 rdi rsi rbp rbx rdx rax rcx rsp rip; DWARF: rax rdx rcx rbx rsi rdi rbp rsp r8-r15 rip */
	static const uint8_t greg[] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
				       REG_R9,	REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};

	*u = (struct uregs){.exact = true};
	for (size_t i = 0; i < nelem(greg); i++)
		u->r[i] = (uint64_t)uc->uc_mcontext.gregs[greg[i]];
}

void tracebacksig(struct g *gp, const void *ctx)
{
	uintptr_t w = (uintptr_t)gp;

	if (likely(atomic_load_explicit(&whom, memory_order_relaxed) != w) || !atomic_compare_exchange_strong(&whom, &w, 1))
		return;
	fromcontext(ctx, &where);
	atomic_store_explicit(&whom, 2, memory_order_release); /* partner: askregs() */
}

/* A G on a CPU: the handler of the signal that preempts leaves its registers. False: it did not come to that in time. */
static bool askregs(const struct g *gp, struct uregs *u)
{
	static const struct timespec nap = {0, MS};
	struct m *mp = gp->m;
	uintptr_t w = (uintptr_t)gp;

	if (mp == NULL)
		return false;
	atomic_store(&whom, w);
	if (sigkick(mp, SIGPREEMPT))
		for (int i = 0; i < 1000 && atomic_load(&whom) == w; i++)
			SC2(SYS_nanosleep, &nap, NULL);
	if (atomic_compare_exchange_strong(&whom, &w, 0))
		return false;
	while (atomic_load_explicit(&whom, memory_order_acquire) != 2)
		SC2(SYS_nanosleep, &nap, NULL);
	*u = where;
	return true;
}

static void title(struct out *o, const struct g *gp)
{
	outf(o, "g%lu%s%s%s tid %d", (unsigned long)gp->goid, gp->name[0] ? " \"" : "", gp->name, gp->name[0] ? "\"" : "",
	     gp->tid);
}

struct search {
	int tid;	/* 0: by address */
	uintptr_t addr;
	struct g *found;
};

static void search1(struct g *gp, void *arg)
{
	struct search *s = arg;
	uint32_t st = atomic_load_explicit(&gp->status, memory_order_relaxed);

	if (s->tid != 0 ? gp->tid == s->tid && st != Gdead && st != Gidle : (uintptr_t)gp == s->addr)
		s->found = gp;
}

/* Who holds the mutex (a word of libc's layout), or who is to be joined. */
static void object(struct out *o, const struct g *gp)
{
	struct search s = {0};

	outf(o, " 0x%lx", (unsigned long)gp->waitobj);
	if (gp->waitreason == WaitJoin)
		s.addr = gp->waitobj;
	else if (gp->waitreason != WaitMutex ||
		 !peek(gp->waitobj + offsetof(pthread_mutex_t, __data.__owner), &s.tid, sizeof(s.tid)) || s.tid == 0)
		return;
	foreachg(search1, &s);
	outf(o, s.tid ? " held by " : " of ");
	if (s.found != NULL)
		title(o, s.found);
	else
		outf(o, "tid %d", s.tid);
}

static void state(struct out *o, const struct g *gp, uint32_t st)
{
	uint64_t now = nanotime();

	if (st >= nelem(gstatusnames)) {
		outf(o, ": state %u, which there is not\n", st);
		return;
	}
	outf(o, ": %s", gstatusnames[st]);
	if ((st == Gwaiting || st == Gsyscall) && gp->waitsince != 0 && now > gp->waitsince)
		outf(o, " %lu ms", (unsigned long)((now - gp->waitsince) / MS));
	if (st == Gwaiting && gp->waitreason < NWAITREASON) {
		outf(o, ": %s", waitreasons[gp->waitreason]);
		if (gp->waitreason >= WaitFutex)
			object(o, gp);
		else if (gp->waitreason <= WaitPoll)
			outf(o, " fd %d", (int)gp->waitobj);
	}
	outf(o, "\n");
}

struct dump {
	struct out *o;
	const struct g *skip;
	uint64_t until;
};

static void dumpg(struct g *gp, void *arg)
{
	struct dump *d = arg;
	uint32_t st = atomic_load_explicit(&gp->status, memory_order_relaxed);
	struct uregs u;

	if (gp == d->skip || st == Gdead || st == Gidle || gp->isg0)
		return;
	bool parked = st == Gwaiting || st == Grunnable || (st >= nelem(gstatusnames) && gp->m == NULL);
	title(d->o, gp);
	state(d->o, gp, st);
	if (nanotime() > d->until)
		outf(d->o, "    (too many threads to show its stack)\n");
	else if (parked ? parkedregs(gp, &u) : (kernelregs(gp, &u) || askregs(gp, &u)))
		frames(d->o, gp, &u, false);
	else
		outf(d->o, "    (on a CPU)\n");
	outf(d->o, "\n");
	outflush(d->o);
}

/* One at a time; who comes while another prints waits for it, but not for ever. False: has been printed. */
static bool begin(void)
{
	static _Atomic int busy; /* tid */
	static const struct timespec nap = {0, 10 * MS};
	int none = 0, self = (int)SC0(SYS_gettid);

	if (atomic_compare_exchange_strong(&busy, &none, self)) {
		unwindinit();
		return true;
	}
	for (int i = 0; none != self && i < LONGEST / 10 + 300; i++)
		SC2(SYS_nanosleep, &nap, NULL);
	return false;
}

/* Ends with a line that says so, for it may be cut off by the end of the process. */
static void dumpall(struct uregs *u)
{
	static struct out o;
	struct g *self = getg();

	o = (struct out){.fd = 2};
	if (self != NULL && self->isg0)
		self = self->m->curg; /* whom the scheduler works for */
	struct dump d = {.o = &o, .skip = u ? self : NULL, .until = nanotime() + (uint64_t)LONGEST * MS};
	nshapes = 0;
	if (u != NULL) {
		outf(&o, "this thread: ");
		if (self != NULL)
			title(&o, self);
		else
			outf(&o, "kernel thread %d", (int)SC0(SYS_gettid));
		outf(&o, "\n");
		frames(&o, NULL, u, true);
		outf(&o, "\n");
	}
	foreachg(dumpg, &d);
	outf(&o, "libgmp: end of traceback\n");
	outflush(&o);
}

void traceback(struct uregs *u)
{
	if (begin())
		dumpall(u);
}

/* A signal's default action is about to end the process. uc: where it interrupted this thread; nil: it did not. */
void sigtraceback(int s, const siginfo_t *info, const ucontext_t *uc)
{
	struct uregs u;

	if (!debug.traceback || !(SIGBIT(s) & COREDUMPS) || !begin())
		return;
	if (uc == NULL) {
		struct g *self = getg();
		uint64_t *fp = __builtin_frame_address(0);
		u = (struct uregs){.exact = false};
		u.r[6] = fp[0];
		u.r[7] = (uint64_t)(fp + 2);
		u.r[16] = fp[1];
		gprintf("libgmp: signal %d\n", s);
		dumpall(self != NULL && !self->isg0 ? &u : NULL);
		return;
	}
	fromcontext(uc, &u);
	if (info != NULL && (SIGBIT(s) & FAULTS))
		gprintf("libgmp: signal %d, code %d, address %p, at %lx\n", s, info->si_code, info->si_addr,
			(unsigned long)SIGPC(uc));
	else
		gprintf("libgmp: signal %d, at %lx\n", s, (unsigned long)SIGPC(uc));
	dumpall(&u);
}
