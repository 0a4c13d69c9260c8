/* SPDX-License-Identifier: MIT
 *
 * signal.c: signals and Gs: the program's dispositions, and how a handler comes to run on its G.
 *
 * The kernel knows Ms, the program knows Gs. So the program's dispositions are kept in sigs.act and
 * the kernel has trampoline() for each signal with a handler; SIG_DFL and SIG_IGN are the kernel's own
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
#include <link.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define FAULTS (SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGFPE) | SIGBIT(SIGILL) | SIGBIT(SIGTRAP) | SIGBIT(SIGSYS))
#define IGNORED (SIGBIT(SIGCHLD) | SIGBIT(SIGCONT) | SIGBIT(SIGURG) | SIGBIT(SIGWINCH))
#define NOTOURS (SIGBIT(SIGKILL) | SIGBIT(SIGSTOP) | SIGBIT(32) | SIGBIT(33))
#define KERNELFLAGS (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_RESTART | SA_ONSTACK)
#define RESTORER 0x04000000ul /* libc sets it, and shows it in what sigaction() gives back */

struct sigstate sigs;
static uintptr_t textlo, texthi;
static int (*libcsigaction)(int, const struct sigaction *, struct sigaction *);

static void trampoline(int s, siginfo_t *info, void *ctx);

bool sigtaken(void)
{
	return atomic_load_explicit(&sigs.taken, memory_order_acquire);
}

/* ---- the lock: its holder must not be interrupted by a trampoline that takes it ------------------- */

uint64_t sigenter(void)
{
	struct g *gp = getg();
	uint64_t all = ALLSIGS, old = 0;

	if (gp != NULL) {
		gp->inruntime++; /* only against the trampoline: no P is needed here */
		atomic_signal_fence(memory_order_seq_cst);
	} else {
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, 8);
	}
	lock(&sigs.lock);
	return old;
}

void sigleave(uint64_t saved)
{
	struct g *gp = getg();

	unlock(&sigs.lock);
	if (gp != NULL) {
		atomic_signal_fence(memory_order_seq_cst);
		gp->inruntime--;
	} else {
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &saved, NULL, 8);
	}
}

/* ---- dispositions --------------------------------------------------------------------------------- */

bool sigignored(int s)
{
	return sigs.act[s].fn == IGN || (sigs.act[s].fn == DFL && (SIGBIT(s) & IGNORED));
}

/* Gives the kernel what belongs to sigs.act[s]. Lock held. */
static void install(int s)
{
	const struct sigact *a = &sigs.act[s];
	struct sigaction ka = {.sa_flags = (int)(a->flags & KERNELFLAGS)};
	uint64_t bit = SIGBIT(s), hard = bit & ~(IGNORED | FAULTS | SIGBIT(SIGABRT));

	if (a->fn == IGN) {
		ka.sa_handler = SIG_IGN;
		hard = 0;
	} else if (a->fn == DFL && (hard & ~atomic_load(&sigs.ever)) == hard) {
		ka.sa_handler = SIG_DFL;
	} else {
		if (a->fn == DFL)
			ka.sa_flags = SA_RESTART;
		ka.sa_flags |= SA_SIGINFO;
		ka.sa_sigaction = trampoline;
		memset(&ka.sa_mask, 0xff, sizeof(ka.sa_mask));
		hard = 0;
	}
	libcsigaction(s, &ka, NULL);
	atomic_fetch_and(&sigs.hard, ~bit);
	atomic_fetch_or(&sigs.hard, hard);
	if (sigignored(s))
		atomic_fetch_or(&sigs.quiet, bit);
	else
		atomic_fetch_and(&sigs.quiet, ~bit);
}

/* The kernel must not act on these any more while some G blocks them: we get them and decide. */
void sigsoften(uint64_t set)
{
	uint64_t saved;

	atomic_fetch_or(&sigs.ever, set);
	if ((atomic_load(&sigs.hard) & set) == 0)
		return;
	saved = sigenter();
	for (int s = 1; s <= 64; s++)
		if (atomic_load(&sigs.hard) & set & SIGBIT(s))
			install(s);
	sigleave(saved);
}

static void flushone(struct g *gp, void *set)
{
	if (atomic_load(&gp->sigpending) & *(uint64_t *)set)
		sigflush(gp, *(uint64_t *)set, false);
}

int gosigaction(int s, const struct sigaction *new, struct sigaction *old)
{
	if (s < 1 || s > 64 || (SIGBIT(s) & NOTOURS))
		return -EINVAL;
	if (new != NULL)
		sigsoften(*(const uint64_t *)&new->sa_mask & ~SIGBIT(s));
	uint64_t saved = sigenter();
	struct sigact *a = &sigs.act[s], was = *a;
	if (new != NULL) {
		uint64_t bit = SIGBIT(s);
		a->fn = new->sa_sigaction;
		a->flags = (unsigned)new->sa_flags | RESTORER;
		a->mask = *(const uint64_t *)&new->sa_mask & ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP));
		if (a->fn != DFL && a->fn != IGN)
			atomic_fetch_or(&sigs.ever, bit); /* its handler blocks it */
		install(s);
		if (sigignored(s)) /* POSIX: what is pending is discarded, blocked or not */
			foreachg(flushone, &bit);
		atomic_store(&sigs.reopen, true);
	}
	sigleave(saved);
	if (new != NULL && atomic_load(&sched.started))
		sysmonkick();
	if (old != NULL) {
		memset(old, 0, sizeof(*old));
		old->sa_sigaction = was.fn;
		old->sa_flags = (int)was.flags;
		*(uint64_t *)&old->sa_mask = was.mask;
	}
	return 0;
}

/* ---- the default action ------------------------------------------------------------------------------ */

/* Not under the lock. Returns from signals that stop the process, and from those that do nothing. */
void sigdefault(int s)
{
	uint64_t bit = SIGBIT(s), old;
	struct sigaction dfl = {.sa_handler = SIG_DFL};

	if (bit & IGNORED)
		return;
	libcsigaction(s, &dfl, NULL);
	SC3(SYS_tgkill, SC0(SYS_getpid), SC0(SYS_gettid), s);
	SC4(SYS_rt_sigprocmask, SIG_UNBLOCK, &bit, &old, 8);
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
	uint64_t saved = sigenter();
	install(s);
	sigleave(saved);
}

/* ---- running handlers --------------------------------------------------------------------------------- */

static uint64_t *ucmask(ucontext_t *uc)
{
	return (uint64_t *)&uc->uc_sigmask;
}

static struct sigact takeact(int s)
{
	uint64_t saved = sigenter();
	struct sigact a = sigs.act[s];

	if ((a.flags & SA_RESETHAND) && a.fn != DFL && a.fn != IGN) {
		sigs.act[s].fn = DFL;
		install(s);
		atomic_store(&sigs.reopen, true);
	}
	sigleave(saved);
	return a;
}

static uint64_t handlermask(const struct sigact *a, int s)
{
	return a->mask | ((a->flags & SA_NODEFER) ? 0 : SIGBIT(s));
}

/* One handler, on gp, in the frame of uc. All signals are blocked before and after. */
static void runhandler(struct g *gp, siginfo_t *info, ucontext_t *uc)
{
	int s = info->si_signo;
	struct sigact a = takeact(s);
	uint64_t mask = atomic_load_explicit(&gp->sigmask, memory_order_relaxed);
	uint64_t frame = *ucmask(uc);

	if (a.fn == IGN)
		return;
	if (a.fn == DFL) {
		sigdefault(s);
		return;
	}
	sigsetg(gp, mask | handlermask(&a, s));
	gp->sigbusy = false;
	/* The frame may block more than gp does: libc does so for system() and posix_spawn(). */
	setsigmask(gp->m, mask | handlermask(&a, s) | frame);
	a.fn(s, info, uc);
	setsigmask(gp->m, ALLSIGS);
	gp->sigbusy = true;
	gp->sigran |= (a.flags & SA_RESTART) ? RAN_RESTART : RAN_INTR;
	/* As the kernel has it: what the handler did to its mask is undone, what it wrote to uc holds. */
	if (*ucmask(uc) != frame)
		mask = *ucmask(uc) & ~NOTOURS;
	sigsetg(gp, mask);
}

/* In program code of gp: runs info's handler (nil: none), then those of all that is pending and not blocked. */
static void deliver(struct g *gp, siginfo_t *info, ucontext_t *uc)
{
	bool insys;
	siginfo_t next;

	gp->m->sigmask = ALLSIGS;
	gp->sigdeliver = false;
	gp->sigbusy = true;
	insys = atomic_load_explicit(&gp->status, memory_order_relaxed) == Gsyscall;
	if (insys)
		exitsyscall();
	while (info != NULL || atomic_load(&gp->sigwake)) {
		if (info == NULL) {
			uint64_t saved = sigenter();
			if (sigtake(gp, ~atomic_load(&gp->sigmask), &next))
				info = &next;
			else
				atomic_store(&gp->sigwake, 0);
			sigleave(saved);
			if (info == NULL)
				break;
		}
		runhandler(gp, info, uc);
		info = NULL;
	}
	if (insys)
		entersyscall();
	gp->sigbusy = false;
	gp->m->sigmask = atomic_load_explicit(&gp->sigmask, memory_order_relaxed); /* by sigreturn */
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

/* Raised by what the interrupted instruction did, or by its system call. */
static bool synchronous(int s, const siginfo_t *info)
{
	if (SIGBIT(s) & FAULTS)
		return info->si_code > 0;
	/* The kernel says "from a process" of these, and it is we. kill(getpid(), SIGPIPE) is not told apart. */
	return (s == SIGPIPE || s == SIGXFSZ) && info->si_code == SI_USER && info->si_pid == SC0(SYS_getpid);
}

static bool mainwants(int s)
{
	struct g *gp = sched.maing;

	return gp != NULL && !(atomic_load(&gp->sigmask) & SIGBIT(s));
}

/* No G: what libc would do, unless the pool is there and main wants it. */
static void onthread(int s, siginfo_t *info, ucontext_t *uc)
{
	if (sigiskick(info))
		return;
	if (poolstarted() && info->si_code != SI_TKILL && !synchronous(s, info) && mainwants(s)) {
		sigpush(info);
		sysmonkick();
		return;
	}
	struct sigact a = takeact(s);
	if (a.fn == IGN)
		return;
	if (a.fn == DFL) {
		sigdefault(s);
		return;
	}
	uint64_t mask = *ucmask(uc) | handlermask(&a, s);
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
	a.fn(s, info, uc);
}

/* In the runtime: self is a G there, or a g0. Nothing may be locked or waited for. */
static void inside(struct g *self, int s, siginfo_t *info, ucontext_t *uc)
{
	if (synchronous(s, info) && (SIGBIT(s) & FAULTS)) {
		/* A fault of ours, or a bad pointer of the program's. Once more, by default: a core. */
		struct sigaction dfl = {.sa_handler = SIG_DFL};
		libcsigaction(s, &dfl, NULL);
		return;
	}
	if (sigiskick(info)) {
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

static void trampoline(int s, siginfo_t *info, void *ctx)
{
	struct g *gp = getg();
	ucontext_t *uc = ctx;

	sigunbounce(info);
	bool kick = sigiskick(info), sync = synchronous(s, info);
	if (gp == NULL) {
		onthread(s, info, uc);
		return;
	}
	if (gp->isg0 || gp->inruntime > 0) {
		inside(gp, s, info, uc);
		return;
	}
	if (!kick && !sync && info->si_code != SI_TKILL && gp != sched.maing && mainwants(s)) {
		sigpush(info);
		sysmonkick();
		return;
	}
	uintptr_t pc = SIGPC(uc);
	if (!sync && !gp->sigdeliver && pc >= textlo && pc < texthi &&
	    atomic_load_explicit(&gp->status, memory_order_relaxed) != Gsyscall) {
		uint64_t saved = sigenter();
		if (!kick)
			sigpost(gp, info, info->si_code != SI_TKILL);
		signag(gp);
		sigleave(saved);
		sysmonkick();
		return;
	}
	deliver(gp, kick ? NULL : info, uc);
}

/* ---- start, fork -------------------------------------------------------------------------------------------- */

static int findtext(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t self = (uintptr_t)trampoline;

	(void)size, (void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + ph->p_vaddr;
		if (ph->p_type == PT_LOAD && (ph->p_flags & PF_X) && self - lo < ph->p_memsz) {
			textlo = lo;
			texthi = lo + ph->p_memsz;
			return 1;
		}
	}
	return 0;
}

/* The pool starts: take over what the program has installed so far. In a fork's child we have it. */
void siginit(void)
{
	uint64_t mask;

	if (!sigtaken()) {
		libcsigaction = (int (*)(int, const struct sigaction *, struct sigaction *))libcown("sigaction");
		if (libcsigaction == NULL)
			throw("libc has no sigaction");
		dl_iterate_phdr(findtext, NULL);
		for (int s = 1; s <= 64; s++) {
			struct sigaction old;
			if ((SIGBIT(s) & NOTOURS) || libcsigaction(s, NULL, &old) != 0)
				continue;
			sigs.act[s] = (struct sigact){old.sa_sigaction, (unsigned)old.sa_flags,
						      *(uint64_t *)&old.sa_mask};
		}
		atomic_store_explicit(&sigs.taken, true, memory_order_release);
		for (int s = 1; s <= 64; s++)
			if (sigs.act[s].fn != DFL && sigs.act[s].fn != IGN)
				atomic_fetch_or(&sigs.ever, sigs.act[s].mask | SIGBIT(s));
		uint64_t saved = sigenter();
		for (int s = 1; s <= 64; s++)
			if (!(SIGBIT(s) & NOTOURS))
				install(s);
		sigleave(saved);
	}
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &mask, 8);
	sigsoften(mask);
	atomic_store(&sigs.closed, mask); /* the first G's */
	atomic_store(&sigs.reopen, true);
}

static void forget(struct g *gp, void *arg)
{
	(void)arg;
	gp->signagged = false;
	gp->signag = NULL;
}

static uint64_t forkmask; /* under sigs.lock */

/* Around a fork: the child's copy of the books must be whole, and a signal for the child must not go into them. */
void siglockfork(void)
{
	uint64_t all = ALLSIGS, old;

	if (!sigtaken()) /* cannot change meanwhile: forkprepare() holds the start's lock */
		return;
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, 8);
	lock(&sigs.lock);
	forkmask = old;
}

void sigunlockfork(void)
{
	uint64_t old = forkmask;

	if (!sigtaken())
		return;
	unlock(&sigs.lock);
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
}

/* In the child, before sigunlockfork(). Dispositions and the mask stay; what was pending is the parent's. */
void sigfork(struct g *gp)
{
	foreachg(forget, NULL);
	sigqueuefork();
	atomic_store(&sigs.closed, 0);
	if (gp != NULL) {
		sigflush(gp, ALLSIGS, false);
		gp->sigwait = 0;
		gp->sigbusy = gp->sigdeliver = false;
		atomic_store(&gp->sigwake, 0);
	}
}

/* ---- vfork ----------------------------------------------------------------------------------------------- */

__thread bool runtime_vforked __attribute__((tls_model("initial-exec"), visibility("hidden")));

struct g *vforkenter(void)
{
	entersyscallblock();
	return getg();
}

void vforkleave(struct g *gp)
{
	if (gp != NULL)
		exitsyscall();
}
