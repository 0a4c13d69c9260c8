/* SPDX-License-Identifier: MIT
 *
 * signal.c: signals and Gs: the program's dispositions, and how a handler comes to run on its G.
 *
 * The kernel knows Ms, the program knows Gs. So the program's dispositions are kept in sigs.act and
 * the kernel has sigtrampoline() for each signal with a handler; SIG_DFL and SIG_IGN are the kernel's own
 * (but see "soft" in sigmask.c). All handlers run in a kernel signal frame, on the G they belong
 * to, in program code: stack, siginfo, ucontext, errno and siglongjmp are what the program expects.
 *
 * Whose signal is it? Faults, SIGPIPE and tgkill: of the G that runs. pthread_kill: the target G's
 * (never seen by the kernel). Sent to the process: main's if main does not block it, else any G's that
 * does not. What the trampoline does depends on where it finds itself:
 *
 *   program code, its own signal      runs the handler, and all else that is pending for this G
 *   program code, another G's         sigpush(): sysmon gives it to that G
 *   libgmp's text, not in the runtime keeps it for this G (below)
 *   runtime, g0, sysmon               sigpush(): no lock is safe to take here
 *   no G (foreign thread, vfork or fork child)  runs it as libc would, unless main wants it
 *
 * A signal for a G is in gp->sigpending first, and then the G is poked: woken if parked, else its M
 * is interrupted by the same signal with a siginfo that says "kick" (so the kernel's SA_RESTART rules hold
 * for a call that blocks in the kernel). A G that leaves the runtime looks itself (runsigs).
 *
 * None is lost: sigpush and sigpost keep every signal until it is taken (standard ones merge, as
 * in the kernel); sysmon pokes a G again at each tick until nothing deliverable is pending (sigqueue.c),
 * so it does not matter which races a single poke loses. None runs twice: sigtake() removes it under sigs.lock.
 *
 * Masks. While a G is in program code its M's kernel mask is gp->sigmask. The trampoline runs with all
 * blocked; it opens the mask for the handler only, closes it again, and leaves gp->m->sigmask as
 * sigreturn will make it: between these there is no moment at which the books are wrong and a signal
 * can come. The handler may park and come back on another M: gp->m is read anew after it.
 *
 * libgmp's text. Between a wrapper's attempt and its wait a handler that longjmps or makes the same call would
 * find half-done work (a descriptor's ready flag taken). So asynchronous signals wait until the wrapper
 * parks, returns or is in a marked system call. Not so where we interrupt ourselves (gp->sigdeliver).
 *
 * Rejected: one signal thread that runs all handlers (wrong thread, wrong stack, no siglongjmp); handlers as
 * plain calls from the runtime (no ucontext, no alternate stack, two ways to do the same); SIGURG for all
 * kicks (the kernel would restart a call that the program wants interrupted).
 */
#include "runtime.h"
#include <sys/syscall.h>
#include <ucontext.h>

/* ---- running handlers --------------------------------------------------------------------------------- */

static uint64_t *ucmask(ucontext_t *uc)
{
	return (uint64_t *)&uc->uc_sigmask;
}

static uint64_t handlermask(const struct sigact *a, int s)
{
	return a->mask | ((a->flags & SA_NODEFER) ? 0 : SIGBIT(s));
}

/* Raised by what the interrupted instruction did, or by its system call. */
static bool synchronous(int s, const siginfo_t *info)
{
	if (SIGBIT(s) & FAULTS)
		return info->si_code > 0;
	/* The kernel says "from a process" of these, and it is we. kill(getpid(), SIGPIPE) is not told apart. */
	return (s == SIGPIPE || s == SIGXFSZ) && info->si_code == SI_USER && info->si_pid == SC0(SYS_getpid);
}

/* Will what raised it do so again once the handler returns? A breakpoint or a filter's trap is over. */
static bool recurs(int s)
{
	return (SIGBIT(s) & FAULTS) && s != SIGTRAP && s != SIGSYS;
}

/* One handler, on gp, in the frame of uc. All signals are blocked before and after. */
static void runhandler(struct g *gp, siginfo_t *info, ucontext_t *uc)
{
	int s = info->si_signo;
	struct sigact a = sigtakeact(s);
	uint64_t mask = atomic_load_explicit(&gp->sigmask, memory_order_relaxed);
	uint64_t frame = *ucmask(uc);
	bool stays = runtime_stays;

	if (a.fn == IGN)
		return;
	if (a.fn == DFL) {
		sigtraceback(s, info, uc);
		if (debug.traceback && synchronous(s, info) && recurs(s))
			sigharden(s); /* once more, by default: the core is that of the fault, as without us */
		else
			sigdefault(s);
		return;
	}
	sigsetg(gp, mask | handlermask(&a, s));
	gp->sigbusy = false;
	/* The frame may block more than gp does: libc does so for system() and posix_spawn(). */
	setsigmask(gp->m, mask | handlermask(&a, s) | frame);
	runtime_stays = false;
	a.fn(s, info, uc);
	runtime_stays = stays;
	setsigmask(gp->m, ALLSIGS);
	gp->sigbusy = true;
	gp->sighandled++;
	gp->sigintr += !(a.flags & SA_RESTART);
	gp->spurious = false;
	gp->sigran |= (a.flags & SA_RESTART) ? RAN_RESTART : RAN_INTR;
	/* As the kernel has it: what the handler did to its mask is undone, what it wrote to uc holds. */
	if (*ucmask(uc) != frame)
		mask = *ucmask(uc) & ~UNBLOCKABLE;
	sigsetg(gp, mask);
}

/* In program code of gp: runs info's handler (nil: none), then those of all that is pending and not blocked. */
static void deliver(struct g *gp, siginfo_t *info, ucontext_t *uc)
{
	uint64_t fit = ALLSIGS, left;
	stack_t alt = gp->sigalt;
	bool insys;
	siginfo_t next;

	gp->m->sigmask = ALLSIGS;
	/* What the program is to see, and what it gets back at the end, whatever the handler does. */
	uc->uc_stack = alt;
	bool disarms = alt.ss_sp != NULL && ((unsigned)alt.ss_flags & SS_AUTODISARM);
	uc->uc_stack.ss_flags = alt.ss_sp == NULL	  ? SS_DISABLE
				: disarms		  ? (int)SS_AUTODISARM
				: sigonalt(gp, SIGSP(uc)) ? SS_ONSTACK
							  : 0;
	/* Only handlers that belong on the stack we are on; both do if an alternate one was interrupted. */
	if (unlikely(alt.ss_sp != NULL) && !sigonalt(gp, SIGSP(uc)))
		fit = sigwithin(&alt, (uintptr_t)uc) ? atomic_load(&sigs.onstack) : ~atomic_load(&sigs.onstack);
	if (unlikely(disarms))
		gp->sigalt = (stack_t){.ss_sp = NULL};
	gp->sigdeliver = false;
	gp->sigbusy = true;
	insys = atomic_load_explicit(&gp->status, memory_order_relaxed) == Gsyscall;
	uint8_t point = gp->point;
	gp->point = 0; /* the handler's calls are not the interrupted one */
	if (insys)
		exitsyscall();
	if (info != NULL && info->si_signo >= 32 && (atomic_load(&gp->sigpending) & SIGBIT(info->si_signo))) {
		uint64_t saved = sigenter();
		struct g *owner;
		if (sigpost(gp, info, info->si_code != SI_TKILL && !sigtimerof(info, &owner))) /* behind those that came before */
			info = NULL;
		sigleave(saved);
	}
	for (;;) {
		if (info == NULL) {
			/* Not only if sigwake is set: the handler may have blocked what is open again now. */
			if (!atomic_load(&gp->sigwake) && !atomic_load(&gp->sigpending))
				break;
			uint64_t saved = sigenter();
			left = atomic_load(&gp->sigpending) & ~atomic_load(&gp->sigmask);
			if (sigtake(gp, left & fit, &next))
				info = &next;
			else if (left == 0)
				atomic_store(&gp->sigwake, 0);
			else
				sigkick(gp->m, __builtin_ctzll(left) + 1); /* comes as soon as we return */
			sigleave(saved);
			if (info == NULL)
				break;
		}
		runhandler(gp, info, uc);
		info = NULL;
	}
	if (insys)
		entersyscall();
	gp->point = point;
	gp->sigbusy = false;
	/* What sigreturn will do to this M, maybe not the one that was interrupted. */
	gp->sigalt = alt;
	uc->uc_stack = sigaltof(gp->m);
	sigtiles(uc);
	gp->m->sigmask = atomic_load_explicit(&gp->sigmask, memory_order_relaxed);
}

/* The lowest signal that gp may take now, 0 if there is none; then nobody need poke it any more. */
static int deliverable(struct g *gp)
{
	siginfo_t info;
	uint64_t saved = sigenter();
	uint64_t set = atomic_load(&gp->sigpending) & ~atomic_load(&gp->sigmask);
	int s = 0;

	while (set != 0 && s == 0) {
		s = __builtin_ctzll(set) + 1;
		if (sigignored(s)) {
			sigtake(gp, SIGBIT(s), &info);
			set &= ~SIGBIT(s);
			s = 0;
		}
	}
	if (s == 0)
		atomic_store(&gp->sigwake, 0);
	setsigmask(gp->m, atomic_load(&gp->sigmask)); /* after gosigswap() it may differ */
	sigleave(saved);
	return s;
}

uint32_t gohandled(bool any)
{
	struct g *gp = getg();

	return gp == NULL ? 0 : any ? gp->sighandled : gp->sigintr;
}

/* The calling G has left the runtime and gp->sigwake is set. */
int runsigs(struct g *gp)
{
	uint8_t outer = gp->sigran;
	int s, tries = 0;

	if (gp->sigbusy)
		return 0;
	gp->sigran = 0;
	while (atomic_load(&gp->sigwake) && (s = deliverable(gp)) != 0 && tries++ < 64) {
		gp->sigdeliver = true;
		sigkick(gp->m, s); /* comes back when the handlers have run */
		gp->sigdeliver = false;
	}
	if (unlikely(tries >= 64)) {
		/* libc blocks it in the kernel (posix_spawn, say): later. */
		uint64_t saved = sigenter();
		signag(gp);
		sigleave(saved);
		sysmonkick();
	}
	int res = (gp->sigran & RAN_INTR) ? EINTR : gp->sigran ? ERESTART : 0;
	gp->sigran = outer;
	return res;
}

/* ---- the trampoline -------------------------------------------------------------------------------------- */

static bool mainwants(int s)
{
	struct g *gp = sched.maing;

	return gp != NULL && !(atomic_load(&gp->sigmask) & SIGBIT(s));
}

/* No G: what libc would do, unless the pool is there and main wants it. */
static void onthread(int s, siginfo_t *info, ucontext_t *uc)
{
	if (poolstarted() && info->si_code != SI_TKILL && !synchronous(s, info) && mainwants(s)) {
		sigpush(info);
		sysmonkick();
		return;
	}
	struct sigact a = sigtakeact(s);
	if (a.fn == IGN)
		return;
	if (a.fn == DFL) {
		sigtraceback(s, info, uc);
		sigdefault(s);
		return;
	}
	uint64_t mask = (*ucmask(uc) | handlermask(&a, s)) & ALLSIGS;
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
	a.fn(s, info, uc);
}

/* In the runtime: self is a G there, or a g0. Nothing may be locked or waited for. */
static void inside(struct g *self, int s, siginfo_t *info, ucontext_t *uc, bool kick)
{
	if (synchronous(s, info) && (SIGBIT(s) & FAULTS)) {
		/* A fault of ours, or a bad pointer of the program's. Once more, by default: a core. */
		sigtraceback(s, info, uc);
		if (!recurs(s) && sigs.act[s].fn == DFL)
			sigdefault(s);
		sigharden(s);
		return;
	}
	if (kick) {
		uint64_t w = atomic_load(&self->park);
		bool parked;
		/* Preparing to park, beyond its own look at sigwake. Not parked, so nobody need ready it. */
		if (!self->isg0 && atomic_load(&self->sigwake) && (w & 0xf) == Parkpreparing)
			parkclaim(self, w >> 8, WakeSignal, &parked);
		return;
	}
	sigpush(info);
	/* Idle, with the mask of a G that has left: not a second time, it may be that no G wants it. */
	if (self->isg0 && self->m->curg == NULL) {
		self->m->sigmask |= SIGBIT(s);
		*ucmask(uc) |= SIGBIT(s);
	}
	sysmonkick();
}

void sigtrampoline(int s, siginfo_t *info, void *ctx)
{
	struct g *gp = getg();
	ucontext_t *uc = ctx;

	if (s == SIGPREEMPT) {
		if (sigiskick(info))
			preemptsig(ctx);
		else
			allthreadssig(s, info, ctx);
		return;
	}
	sigunbounce(info);
	bool kick = sigiskick(info), sync = synchronous(s, info);
	struct g *owner;
	bool owned = sigtimerof(info, &owner);
	/* To the kernel a guard of madvise's is no mapping; libc's are mappings without rights. */
	if (unlikely(sync && s == SIGSEGV && info->si_code == SEGV_MAPERR) && gp != NULL && !gp->isg0 &&
	    stackguards(gp, (uintptr_t)info->si_addr))
		info->si_code = SEGV_ACCERR;
	if (unlikely(owned) && (owner == NULL || owner != gp)) {
		sigpush(info);
		sysmonkick();
		return;
	}
	if (gp == NULL) {
		if (!kick)
			onthread(s, info, uc);
		return;
	}
	if (gp->isg0 || gp->inruntime > 0) {
		inside(gp, s, info, uc, kick);
		return;
	}
	if (!kick && !sync && !owned && info->si_code != SI_TKILL && gp != sched.maing && mainwants(s)) {
		sigpush(info);
		sysmonkick();
		return;
	}
	uintptr_t pc = SIGPC(uc);
	if (!sync && !gp->sigdeliver && pc >= sigs.textlo && pc < sigs.texthi &&
	    atomic_load_explicit(&gp->status, memory_order_relaxed) != Gsyscall) {
		uint64_t saved = sigenter();
		if (!kick)
			sigpost(gp, info, info->si_code != SI_TKILL && !owned);
		signag(gp);
		sigleave(saved);
		sysmonkick();
		return;
	}
	deliver(gp, kick ? NULL : info, uc);
}

/* ---- vfork ----------------------------------------------------------------------------------------------- */

struct g *vforkenter(void)
{
	entersyscallblock();
	gospawns();
	return getg();
}

void vforkleave(struct g *gp)
{
	if (gp == NULL)
		return;
	exitsyscall();
}
