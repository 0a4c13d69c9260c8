/* SPDX-License-Identifier: MIT
 *
 * sigaction.c: the program's dispositions, what the kernel is given of them, and default actions.
 *
 * sigs.act holds what the program asked for since the pool started; before, the kernel has it, and
 * siginit() reads it. The kernel is given, per signal: SIG_IGN; SIG_DFL, unless soft (sigmask.c); else the trampoline
 * with everything blocked, and the program's SA_RESTART, SA_ONSTACK and child flags, which are the kernel's to honour.
 *
 * In a fork's child all this stays, pool or not: the trampoline runs handlers on a thread without a G too.
 */
#include "runtime.h"
#include <link.h>
#include <string.h>
#include <sys/syscall.h>

#define KERNELFLAGS (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_RESTART | SA_ONSTACK)
#define RESTORER 0x04000000ul /* libc sets it, and shows it in what sigaction() gives back */

struct sigstate sigs;
static int (*libcsigaction)(int, const struct sigaction *, struct sigaction *);

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
	bool tell = debug.traceback && (bit & COREDUMPS); /* sigtraceback() is to have it */

	if (a->fn == IGN) {
		ka.sa_handler = SIG_IGN;
		hard = 0;
	} else if (a->fn == DFL && !tell && (hard & ~atomic_load(&sigs.ever)) == hard) {
		ka.sa_handler = SIG_DFL;
	} else {
		if (a->fn == DFL)
			ka.sa_flags = SA_RESTART | (tell ? SA_ONSTACK : 0);
		ka.sa_flags |= SA_SIGINFO;
		ka.sa_sigaction = sigtramp;
		*(uint64_t *)&ka.sa_mask = ALLSIGS;
		hard = 0;
	}
	libcsigaction(s, &ka, NULL);
	atomic_fetch_and(&sigs.hard, ~bit);
	atomic_fetch_or(&sigs.hard, hard);
	atomic_fetch_and(&sigs.onstack, ~bit);
	if (a->flags & SA_ONSTACK)
		atomic_fetch_or(&sigs.onstack, bit);
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
	if (s < 1 || s > 64 || (SIGBIT(s) & UNBLOCKABLE))
		return -EINVAL;
	if (new != NULL)
		sigsoften(*(const uint64_t *)&new->sa_mask & ~SIGBIT(s));
	uint64_t saved = sigenter();
	struct sigact *a = &sigs.act[s], was = *a;
	bool wasquiet = sigignored(s), quieter = false; /* sysmon blocks what is ignored */
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
		quieter = sigignored(s) != wasquiet;
	}
	sigleave(saved);
	if (quieter)
		sigreopen();
	if (old != NULL) {
		memset(old, 0, sizeof(*old));
		old->sa_sigaction = was.fn;
		old->sa_flags = (int)was.flags;
		*(uint64_t *)&old->sa_mask = was.mask;
	}
	return 0;
}

bool sigisours(const struct sigaction *k)
{
	return k->sa_sigaction == sigtramp;
}

struct sigact sigtakeact(int s)
{
	uint64_t saved = sigenter();
	struct sigact a = sigs.act[s];
	bool quieter = false;

	if ((a.flags & SA_RESETHAND) && a.fn != DFL && a.fn != IGN) {
		sigs.act[s].fn = DFL;
		install(s);
		quieter = sigignored(s);
	}
	sigleave(saved);
	if (quieter)
		sigreopen();
	return a;
}

/* ---- the default action ------------------------------------------------------------------------------ */

/* SIG_DFL in the kernel, whatever the books say. Needs no lock. */
void sigharden(int s)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};

	libcsigaction(s, &dfl, NULL);
}

/* Not under the lock. Returns from signals that stop the process, and from those that do nothing. */
void sigdefault(int s)
{
	uint64_t bit = SIGBIT(s), old;

	if (bit & IGNORED)
		return;
	sigtraceback(s, NULL, NULL); /* unless that has been done */
	sigharden(s);
	SC3(SYS_tgkill, SC0(SYS_getpid), SC0(SYS_gettid), s);
	SC4(SYS_rt_sigprocmask, SIG_UNBLOCK, &bit, &old, 8);
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
	uint64_t saved = sigenter();
	install(s);
	sigleave(saved);
}

/* ---- start, fork -------------------------------------------------------------------------------------------- */

static int findtext(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t self = (uintptr_t)sigtrampoline;

	(void)size, (void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + ph->p_vaddr;
		if (ph->p_type == PT_LOAD && (ph->p_flags & PF_X) && self - lo < ph->p_memsz) {
			sigs.textlo = lo;
			sigs.texthi = lo + ph->p_memsz;
			return 1;
		}
	}
	return 0;
}

/* The pool starts: take over what the program has installed so far. In a fork's child we have it. */
void siginit(uint64_t mask)
{
	if (!sigtaken()) {
		libcsigaction = (int (*)(int, const struct sigaction *, struct sigaction *))libcown("sigaction");
		if (libcsigaction == NULL)
			throw("libc has no sigaction");
		dl_iterate_phdr(findtext, NULL);
		for (int s = 1; s <= 64; s++) {
			struct sigaction old;
			if ((SIGBIT(s) & UNBLOCKABLE) || libcsigaction(s, NULL, &old) != 0)
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
			if (!(SIGBIT(s) & UNBLOCKABLE))
				install(s);
		sigleave(saved);
	}
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
	sigtimerfork();
	atomic_store(&sigs.closed, 0);
	if (gp != NULL) {
		sigflush(gp, ALLSIGS, false);
		gp->sigwait = 0;
		gp->sigbusy = gp->sigdeliver = false;
		/* Without a pool the kernel's alternate stack is the program's again. */
		stack_t alt = gp->sigalt;
		if (alt.ss_sp == NULL)
			alt.ss_flags = SS_DISABLE;
		SC2(SYS_sigaltstack, &alt, NULL);
		atomic_store(&gp->sigwake, 0);
	}
}
