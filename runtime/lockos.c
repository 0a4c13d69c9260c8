/* SPDX-License-Identifier: MIT
 *
 * lockos.c: a G with a kernel thread of its own (Go's LockOSThread), and how an M ends.
 *
 * What the kernel knows by thread (real-time policy, affinity, credentials, namespaces, robust futexes) cannot
 * follow a G from M to M. Such a G is bound to the M it runs on: gp->lockedm and mp->lockedg name each other. It still
 * needs a P to run, and still parks; only then its M sleeps with it instead of running others.
 *
 *   gp stops   schedule() sees mp->lockedg: stoplockedm() gives the P away and sleeps on mp->park. Such an M is
 *              never on the idle list.
 *   gp ready   it goes through the run queues like any other. The M that finds it hands its own P over
 *              (startlockedm) and stops in its stead.
 *
 * No wake-up is lost: gp is on a queue only after its M has left its stack (park_m, gosched_m, lostp_m), so it is
 * found once per stop, and mp->park, a note, remembers a wake-up that comes before the sleep.
 *
 * A G that ends bound takes its M along, since nobody knows what was done to it (as in Go). An M also ends when it
 * has been idle for long (sysmon.c, retirem). Unlike Go both are given back: the struct m, its stack and TCB go to
 * sched.mdead and are used again once the kernel thread is gone (CLONE_CHILD_CLEARTID clears mp->exited).
 *
 * Some of those attributes are inherited by threads. So a G that has changed one is bound for good (ownthread()), and the
 * threads which it creates are kernel threads of libc's; and no bound M makes Ms (newmwaiting() in proc.c).
 *
 * Never ends: the process's first kernel thread (its end leaves /proc/self/exe and maps unreadable), and one that has
 * forked (PR_SET_PDEATHSIG in its children fires at its end). They sleep for good, or stay idle.
 *
 * lockedm is written by its own G, or by whoever runs it on g0; others read it only of a G they took from a queue.
 */
#include "runtime.h"
#include <sys/syscall.h>

static void bind(struct m *mp, struct g *gp)
{
	gp->lockedm = mp;
	mp->lockedg = gp;
	atomic_fetch_add_explicit(&sched.nlockedm, 1, memory_order_relaxed);
}

/* From outside, for good: gp is about to run on mp. On g0 */
void gobind(struct m *mp, struct g *gp)
{
	gp->nlocked = 1;
	gp->owns = true;
	bind(mp, gp);
}

int lockosthread(void)
{
	struct g *gp = getg();

	if (gp == NULL)
		return (int)SC0(SYS_gettid);
	struct m *mp = exitforeign();
	if (gp->nlocked++ == 0)
		bind(mp, gp);
	int tid = atomic_load_explicit(&mp->procid, memory_order_relaxed);
	enterforeign();
	return tid;
}

bool ownthread(void)
{
	struct g *gp = getg();

	if (gp == NULL || gp->owns)
		return false;
	lockosthread();
	gp->owns = true;
	return true;
}

void disownthread(void)
{
	getg()->owns = false;
	unlockosthread();
}

bool ownsthread(void)
{
	struct g *gp = getg();

	return gp != NULL && gp->owns;
}

static void unbind(struct m *mp, struct g *gp)
{
	gp->owns = false;
	gp->nlocked = 0;
	gp->lockedm = NULL;
	mp->lockedg = NULL;
	atomic_fetch_sub_explicit(&sched.nlockedm, 1, memory_order_relaxed);
}

void unlockosthread(void)
{
	struct g *gp = getg();

	if (gp == NULL || gp->nlocked == 0)
		return;
	struct m *mp = exitforeign();
	if (--gp->nlocked == 0)
		unbind(mp, gp);
	enterforeign();
}

int golockedtid(const struct g *gp)
{
	struct m *mp = gp->lockedm;

	return mp ? atomic_load_explicit(&mp->procid, memory_order_relaxed) : 0;
}

/* mp's G has stopped: sleep until it is to run again. Comes back with a P. On g0. */
void stoplockedm(struct m *mp)
{
	if (mp->spinning || mp->lockedg->lockedm != mp)
		throw("stoplockedm: M spins, or is not bound");
	if (mp->p != NULL)
		handoffp(releasep(mp));
	setsigmask(mp, ALLSIGS); /* its signals are for Gs: sysmon takes them meanwhile */
	notesleep(&mp->park);
	setnow(nanotime());
	noteclear(&mp->park);
	if (atomic_load_explicit(&mp->lockedg->status, memory_order_acquire) != Grunnable)
		throw("stoplockedm: woken for a G that is not runnable");
	acquirep(mp, mp->nextp);
	mp->nextp = NULL;
}

/* gp, just taken from a queue, is bound to another M: that one gets our P. mp has none afterwards. On g0. */
void startlockedm(struct m *mp, struct g *gp)
{
	struct m *locked = gp->lockedm;

	if (locked == mp)
		throw("startlockedm: it is our own");
	locked->nextp = releasep(mp);
	notewakeup(&locked->park);
}

/* ---- an M's end ------------------------------------------------------------------------------------------- */

static noreturn void sleepforgood(struct m *mp)
{
	note never = {0};

	setsigmask(mp, ALLSIGS);
	for (;;) {
		notesleep(&never);
		noteclear(&never);
	}
}

/* Ends the calling M, on g0, without a P. */
noreturn void mexit(struct m *mp)
{
	if (mp->p != NULL || mp->spinning || mp->lockedg != NULL)
		throw("mexit: M is still needed");
	setsigmask(mp, ALLSIGS);
	atomic_fetch_sub(&sched.nm, 1);
	if (unlikely(anyrunq()))
		wakep(); /* at the bound one more was refused to who wanted it until now */
	if (atomic_load(&mp->procid) == (int32_t)SC0(SYS_getpid) || mp->forked)
		sleepforgood(mp);
	lock(&sched.lock);
	mp->schedlink = sched.mdead;
	sched.mdead = mp;
	unlock(&sched.lock);
	countone(NULL, CountMexit);
	if (unlikely(mp->dyingg != NULL))
		sysmonkick();
	for (;;)
		SC1(SYS_exit, 0); /* the kernel clears mp->exited when nothing runs on g0's stack any more */
}

/* A struct m whose kernel thread is gone, or nil. */
struct m *mreuse(void)
{
	struct m *mp = NULL;

	lock(&sched.lock);
	for (struct m **l = &sched.mdead; *l != NULL; l = &(*l)->schedlink) {
		if (atomic_load_explicit(&(*l)->exited, memory_order_acquire) != 0 || (*l)->dyingg != NULL)
			continue;
		mp = *l;
		*l = mp->schedlink;
		break;
	}
	unlock(&sched.lock);
	return mp;
}

/* The bound G that ran here has ended: so does the M. On g0, with a P. */
noreturn void goexitlocked(struct m *mp, struct g *gp)
{
	mp->retired = true; /* it must not make Ms on its way out: plain() */
	unbind(mp, gp);
	if (unlikely(gp->robustleft)) {
		mp->dyingg = gp;
		atomic_fetch_add(&sched.ndying, 1);
	} else {
		gdestroy(mp, gp);
	}
	handoffp(releasep(mp));
	mexit(mp);
}

uint64_t lastrites(void)
{
	while (atomic_load_explicit(&sched.ndying, memory_order_relaxed) != 0) {
		struct g *gp = NULL;
		lock(&sched.lock);
		for (struct m *mp = sched.mdead; mp != NULL; mp = mp->schedlink) {
			if (mp->dyingg == NULL || atomic_load_explicit(&mp->exited, memory_order_acquire) != 0)
				continue;
			gp = mp->dyingg;
			mp->dyingg = NULL;
			break;
		}
		unlock(&sched.lock);
		if (gp == NULL)
			return 50000;
		atomic_fetch_sub(&sched.ndying, 1);
		gdestroy(NULL, gp);
	}
	return 0;
}
