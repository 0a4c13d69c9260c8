/* SPDX-License-Identifier: MIT
 *
 * sigmask.c: what Gs block, what the kernel is told of it, and waiting for signals.
 *
 * A running G's M has the G's mask in the kernel. An M that sleeps blocks everything (stopm, netpoll), and
 * sysmon takes in its stead what any G takes: all but sigs.closed (no G takes it: it must stay
 * pending in the kernel, where sigwait, signalfd and sigpending look) and sigs.quiet (ignored).
 *
 * sigs.closed is looked up by sysmon, not counted: after a G has begun to block something (or ended), sysmon looks at
 * all masks at its next tick (sigs.stale). A signal that gets to sysmon before that, and that no G
 * takes, is closed then and sent to the process again. Whoever unblocks a closed signal, or is born with it
 * unblocked, has sysmon open it at once (sigsetg, StoreLoad with openmask() and route() in sigroute.c). So a mask
 * change costs little beside its own system call, however many Gs there are, and waits for nobody; a loop
 * that unblocks signals in pselect() only does not wake sysmon each time.
 *
 * "Soft". With SIG_DFL in the kernel, sysmon or an M on its way to sleep could die of a signal in that moment
 * although every G blocks it. So from the first time that any G blocks a signal whose default action is
 * deadly, it has the trampoline in the kernel too, and the default action is ours to take (sigdefault).
 *
 * Rejected: exact counts per signal and a handshake with sysmon whenever one becomes blocked by all:
 * "block all, pthread_create, unblock" is a common idiom, and would pay 100 us each time.
 */
#include "runtime.h"
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

/* Some G's mask is now `mask`; its seq_cst store came before: partner of route() and openmask(). */
static void reopen(uint64_t mask)
{
	if (unlikely(atomic_load(&sigs.closed) & ~mask))
		sigreopen();
}

void sigsetg(struct g *gp, uint64_t mask)
{
	atomic_store(&gp->sigmask, mask);
	reopen(mask);
}

void signew(struct g *gp, uint64_t mask)
{
	if (unlikely(gp->sigq != NULL)) {
		uint64_t saved = sigenter();
		sigflush(gp, ALLSIGS, false);
		sigleave(saved);
	}
	gp->sigalt = (stack_t){.ss_sp = NULL};
	atomic_store_explicit(&gp->cancel, 0, memory_order_relaxed);
	atomic_store_explicit(&gp->point, 0, memory_order_relaxed);
	gp->unwinds = false;
	if (unlikely(mask != 0))
		sigsoften(mask);
	sigsetg(gp, mask);
}

/* Signals of one kernel thread alone, as /proc says; 0 if it cannot be read. */
static uint64_t privatesignals(void)
{
	char buf[2048];
	uint64_t set = 0;

	if (readfile("/proc/thread-self/status", buf, sizeof(buf)) <= 0)
		return 0;
	const char *s = strstr(buf, "\nSigPnd:\t");
	if (s == NULL)
		return 0;
	for (s += 9; (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f'); s++)
		set = set << 4 | (uint64_t)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
	return set;
}

void sigadopt(struct g *gp)
{
	static const struct timespec none;
	uint64_t set = 0;
	siginfo_t info;

	SC2(SYS_rt_sigpending, &set, 8);
	if (likely(set == 0))
		return;
	/* The kernel hands out a thread's own before the process's. */
	while ((set = privatesignals() & ~UNBLOCKABLE) != 0 && SC4(SYS_rt_sigtimedwait, &set, &info, &none, 8) > 0) {
		uint64_t saved = sigenter();
		sigpost(gp, &info, false);
		sigleave(saved);
	}
}

/* gp's mask has changed: what is pending and now blocked may be another's, what is unblocked is gp's. */
static void recheck(struct g *gp, uint64_t mask)
{
	uint64_t saved;

	if (likely(atomic_load(&gp->sigpending) == 0))
		return;
	saved = sigenter();
	sigflush(gp, mask, true);
	if (atomic_load(&gp->sigpending) & ~mask)
		atomic_store(&gp->sigwake, 1);
	sigleave(saved);
}

void sigexit(struct g *gp)
{
	uint64_t mask = atomic_load_explicit(&gp->sigmask, memory_order_relaxed);

	atomic_store(&gp->sigmask, ALLSIGS);
	recheck(gp, ALLSIGS);
	if (unlikely(atomic_load_explicit(&sigs.ever, memory_order_relaxed) & ~mask))
		atomic_store_explicit(&sigs.stale, true, memory_order_relaxed);
}

int gosigmask(int how, const uint64_t *set, uint64_t *old)
{
	struct g *gp = getg();
	uint64_t cur = atomic_load_explicit(&gp->sigmask, memory_order_relaxed), mask;

	if (set == NULL)
		mask = cur;
	else if (how == SIG_BLOCK)
		mask = cur | *set;
	else if (how == SIG_UNBLOCK)
		mask = cur & ~*set;
	else if (how == SIG_SETMASK)
		mask = *set;
	else
		return -EINVAL;
	mask &= ~UNBLOCKABLE;
	if (old != NULL)
		*old = cur;
	if (set == NULL || (mask == cur && gp->m->sigmask == mask))
		return 0;
	if (mask & ~cur)
		sigsoften(mask & ~cur);
	atomic_store(&gp->sigmask, mask);
	/* What is pending in the kernel and unblocked now runs its handler here, maybe on another M afterwards. */
	gp->sigdeliver = true;
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
	gp->sigdeliver = false;
	gp->m->sigmask = mask;
	reopen(mask); /* not before: sysmon would be faster, and the handler not have run when we return */
	recheck(gp, mask);
	if (mask & ~cur) {
		atomic_store_explicit(&sigs.stale, true, memory_order_relaxed);
		/* A blocked SIGCHLD stays pending by default; unblocked, it is lost. */
		if (unlikely(mask & ~cur & atomic_load(&sigs.quiet) & ~atomic_load(&sigs.sysmon)))
			sigawaitclosed(mask & ~cur & atomic_load(&sigs.quiet));
	}
	if (atomic_load(&gp->sigwake))
		runsigs(gp);
	return 0;
}

/*
 * Not made soft, nor looked up by sysmon: the program has blocked nothing. Where the default action is deadly it may be taken
 * meanwhile, as at any other time; what else only this G would take waits for it in the kernel.
 */
uint64_t gosighold(void)
{
	struct g *gp = getg();
	uint64_t old = atomic_load_explicit(&gp->sigmask, memory_order_relaxed);
	uint64_t mask = old | (ALLSIGS & ~UNBLOCKABLE & ~FAULTS);

	atomic_store(&gp->sigmask, mask);
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
	gp->m->sigmask = mask;
	return old;
}

void gosigswap(uint64_t mask, uint64_t *old)
{
	struct g *gp = getg();

	*old = atomic_load_explicit(&gp->sigmask, memory_order_relaxed);
	mask &= ~UNBLOCKABLE;
	if (mask & ~*old)
		sigsoften(mask & ~*old);
	sigsetg(gp, mask);
	recheck(gp, mask);
}

uint64_t gosigpending(void)
{
	struct g *gp = getg();

	return atomic_load(&gp->sigpending) & atomic_load(&gp->sigmask);
}

int gosigrun(void)
{
	exitforeign();
	return enterforeign() != 0 ? -EINTR : 0;
}

void gosigpipe(void)
{
	struct g *gp = getg();
	const uint64_t set = SIGBIT(SIGPIPE);
	struct timespec none = {0, 0};
	siginfo_t info;

	if (gp == NULL || !(atomic_load_explicit(&gp->sigmask, memory_order_relaxed) & set))
		return;
	while (SC4(SYS_rt_sigtimedwait, &set, &info, &none, 8) == SIGPIPE) {
		sigunbounce(&info);
		if (sigiskick(&info))
			continue;
		uint64_t saved = sigenter();
		sigpost(gp, &info, false);
		sigleave(saved);
	}
}

/* ---- waiting ------------------------------------------------------------------------------------------ */

int gosigsuspend(const uint64_t *mask)
{
	struct g *gp = getg();
	uint64_t old = 0;
	enum wakereason r;
	int left;

	if (mask != NULL)
		gosigswap(*mask, &old);
	do {
		exitforeign();
		parkbegin(gp);
		r = gopark(gp, WaitSignal, 0, 0);
		left = enterforeign();
	} while (left == 0 && r != WakeCancel);
	if (mask != NULL)
		gosigmask(SIG_SETMASK, &old, NULL);
	return -EINTR;
}

/*
 * The kernel waits, on an M of its own: it has the process's queue, and hands out in its order. What is sent to
 * this G alone is in gp->sigpending: the sender sees gp->sigwait, and its kick ends the kernel's wait.
 */
int gosigwait(uint64_t set, siginfo_t *info, const struct timespec *timeout)
{
	struct g *gp = getg();
	bool none = timeout != NULL && timeout->tv_sec == 0 && timeout->tv_nsec == 0;
	uint64_t deadline = 0;
	uint32_t handled = gp->sighandled;
	struct timespec ts;
	struct g *owner;
	bool kick;
	int r;

	set &= ~UNBLOCKABLE;
	if (timeout != NULL) {
		if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999)
			return -EINVAL;
		uint64_t s = (uint64_t)timeout->tv_sec;
		deadline = s > UINT64_MAX / 2000000000u
				   ? UINT64_MAX
				   : reldeadline(s * 1000000000u + (uint64_t)timeout->tv_nsec);
	}
	for (;;) {
		if (!none)
			entersyscallblock();
		uint64_t saved = sigenter();
		bool got = sigtake(gp, set, info);
		kick = false;
		gp->sigwait = got ? 0 : set;
		sigleave(saved);
		if (got) {
			r = info->si_signo;
		} else {
			if (timeout != NULL) {
				uint64_t now = nanotime(), left = deadline > now ? deadline - now : 0;
				ts.tv_sec = (time_t)(left / 1000000000u);
				ts.tv_nsec = (long)(left % 1000000000u);
			}
			gopoint(true);
			r = (int)SC4(SYS_rt_sigtimedwait, &set, info, timeout ? &ts : NULL, 8);
			gopoint(false);
			if (r > 0) {
				kick = sigiskick(info);
				sigunbounce(info);
			}
			saved = sigenter();
			gp->sigwait = 0;
			sigleave(saved);
		}
		if (!none)
			exitsyscall();
		if (r > 0 && !got && sigtimerof(info, &owner) && owner != gp) { /* from the process's queue, and not ours */
			sigpush(info);
			sysmonkick();
			continue;
		}
		/* The kernel says EINTR too if somebody else was faster. */
		if (r == -EINTR ? gp->sighandled != handled || gocancelled() : !kick)
			return r;
	}
}
