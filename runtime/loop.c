/* SPDX-License-Identifier: MIT
 *
 * loop.c: event loops of the program's own, epoll sets in which one G waits (Go has nothing like
 * it).
 *
 * An epoll set is a descriptor like any other, and the netpoller can wait for it: the loop's G
 * parks, the set's event wakes the netpoller, the G looks into its set. For an idle loop that is
 * right, it costs no M. A busy one pays three system calls where it made one, and a turn through
 * the scheduler. So a loop that has been busy of late (HOT waits in a row, each shorter than SHORT)
 * waits in its own set, in the kernel, if its M would have nothing else to do. The P is given up
 * first, and the set is taken out of the netpoller's: its events would wake that one too.
 *
 * Bounds: one loop in four Ps at a time, so that the number of Ms stays what it is said to be; CAP at a
 * time, then the loop is no busy one and parks. A G that comes to wait for the same set has it
 * registered again; both are then woken, which costs but does no harm.
 *
 * With several busy loops all park: an M that goes from one to the next serves them for less than one M for each, which
 * would have to be woken.
 *
 * A G that is bound waits there always, and as long as it likes: nobody else runs on its M. Parked, it would cost the
 * netpoller's M a turn only to wake that one.
 *
 * Nothing is lost when the set is taken out: it is put in again before anybody parks for it, and
 * epoll then tells at once if something is ready in it.
 *
 * Rejected: a marked system call that keeps the P (with as many busy loops as Ps nobody polls the
 * network); taking part in the netpoller by level (its sleeper would turn round as long as the loop
 * is at work).
 */
#include "runtime.h"
#include <sys/epoll.h>
#include <sys/syscall.h>

enum {
	HOT = 4,
	HOTMOST = 16,
	SHORT = 4000000 /* cputicks, about 2 ms */,
	CAP = 10000000 /* ns */
};

void loopwaited(struct polldesc *pd, int64_t ticks)
{
	struct g *gp = getg();

	if (gp->loopfd != pd->fd || ticks > SHORT) {
		gp->loopfd = pd->fd;
		gp->loophot = 0;
	} else if (gp->loophot < HOTMOST) {
		gp->loophot++;
	}
}

/* Is another loop busy too? A guess, by who waited last: no lock. */
static bool crowded(struct g *gp)
{
	static _Atomic uint64_t last;
	static _Atomic int64_t when, shared;
	int64_t now = cputicks();

	if (atomic_load_explicit(&last, memory_order_relaxed) != gp->goid) {
		if (now - atomic_load_explicit(&when, memory_order_relaxed) < SHORT)
			atomic_store_explicit(&shared, now, memory_order_relaxed);
		atomic_store_explicit(&last, gp->goid, memory_order_relaxed);
	}
	atomic_store_explicit(&when, now, memory_order_relaxed);
	return now - atomic_load_explicit(&shared, memory_order_relaxed) < 4 * SHORT;
}

/* For a G that is not bound: a busy loop, within the bounds. */
static bool worthwhile(struct g *gp, struct polldesc *pd)
{
	return gp->loophot >= HOT && gp->loopfd == pd->fd && !crowded(gp) &&
	       atomic_load_explicit(&sched.nloops, memory_order_relaxed) < (gomaxprocs + 3) / 4;
}

static bool alone(struct polldesc *pd, uint32_t gen)
{
	if (unlikely((atomic_load_explicit(&pd->nwait[PD_READ], memory_order_relaxed) |
		      atomic_load_explicit(&pd->npoll, memory_order_relaxed)) != 0))
		return false;
	return likely(!__atomic_load_n(&pd->registered, __ATOMIC_RELAXED)) || pdunregister(pd, gen);
}

int loopwait(struct polldesc *pd, uint32_t gen, struct epoll_event *ev, int n, uint64_t deadline)
{
	static _Atomic bool cannot;
	struct g *gp = getg();
	bool own = gp->lockedm != NULL;
	uint64_t most = own ? UINT64_MAX : CAP;
	struct timespec ts;

	if ((!own && !worthwhile(gp, pd)) || atomic_load_explicit(&cannot, memory_order_relaxed) ||
	    atomic_load_explicit(&sched.nblocking, memory_order_relaxed) >=
		debug.maxm - 1 - gomaxprocs || /* gomayblock() */
	    !alone(pd, gen))
		return 0;
	if (deadline != 0) {
		uint64_t now = nanotime();
		if (now >= deadline)
			return 0;
		if (deadline - now < most)
			most = deadline - now;
	}
	ts = (struct timespec){(time_t)(most / 1000000000u), (long)(most % 1000000000u)};
	if (own)
		entersyscallblock();
	else if (!entersyscallidle())
		return 0;
	int64_t begin = cputicks();
	gopoint(true);
	long r = SC6(SYS_epoll_pwait2, pd->fd, ev, n, most == UINT64_MAX ? NULL : &ts, NULL, 8);
	gopoint(false);
	exitsyscall();
	gp = getg();
	if (r == -ENOSYS) {
		atomic_store_explicit(&cannot, true, memory_order_relaxed);
		return 0;
	}
	if (r == -EINTR)
		return gospurious() ? 0 : -EINTR;
	loopwaited(pd, r == 0 ? SHORT + 1 : cputicks() - begin);
	return (int)r;
}
