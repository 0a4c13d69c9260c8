/* SPDX-License-Identifier: MIT
 *
 * affinity.c: on which CPUs a G may run. Only the kernel can see to that, so such a G gets a kernel thread of its own
 * (ownthread()).
 *
 * Only a G itself can bind itself. Asked from outside, the wish is kept (gp->affinity, WISH_CPUS) and fulfilled when gp runs
 * next (execute(), on g0); one that runs now is asked to give way for that. Until then it is told back as if it held.
 *
 * wishlock guards affinity, affsize, policy and prio of all Gs; wish is read without.
 */
#include "runtime.h"
#include <string.h>
#include <sys/syscall.h>

enum { MAXSIZE = 128 }; /* 1024 CPUs */

mutex wishlock;

void affinityfork(void)
{
	wishlock = (mutex){0};
}

static long setof(int tid, size_t size, const void *set)
{
	return SC3(SYS_sched_setaffinity, tid, size, set);
}

/* Would the kernel take it? Tried out on the calling thread, for the length of two system calls. */
static int valid(size_t size, const void *set)
{
	char old[MAXSIZE];
	long n = SC3(SYS_sched_getaffinity, 0, sizeof(old), old);

	if (n < 0)
		return (int)n;
	long r = setof(0, size, set);
	if (r == 0)
		setof(0, (size_t)n, old);
	return (int)r;
}

static int keep(struct g *gp, size_t size, const void *set)
{
	if (size > MAXSIZE)
		size = MAXSIZE;
	if (gp->affinity == NULL && (gp->affinity = sysalloc(MAXSIZE)) == NULL)
		return -ENOMEM;
	memcpy(gp->affinity, set, size);
	gp->affsize = (uint32_t)size;
	atomic_fetch_or(&gp->wish, WISH_CPUS);
	return 0;
}

int gosetaffinity(struct g *gp, size_t size, const void *set)
{
	int err;

	if (gp == getg()) {
		char now[MAXSIZE];
		long n = SC3(SYS_sched_getaffinity, 0, sizeof(now), now);
		if (n > 0 && !gp->owns && size >= (size_t)n && memcmp(now, set, (size_t)n) == 0)
			return 0; /* as it is */
		bool new = ownthread();
		err = (int)setof(0, size, set);
		if (err != 0 && new)
			disownthread();
		return err;
	}
	struct g *self = getg();
	if (self != NULL)
		exitforeign();
	lock(&wishlock);
	int tid = golockedtid(gp);
	if (tid != 0)
		err = (int)setof(tid, size, set);
	else if ((err = valid(size, set)) == 0)
		err = keep(gp, size, set);
	unlock(&wishlock);
	if (tid == 0 && err == 0)
		wishtell(gp);
	if (self != NULL)
		enterforeign();
	return err;
}

void wishtell(struct g *gp)
{
	struct m *mp = __atomic_load_n(&gp->m, __ATOMIC_RELAXED);

	if (mp != NULL)
		preemptone(mp);
}

/* The calling G's wishes come true: what it is told is to hold. */
void wishawait(void)
{
	struct g *gp = getg();

	while (atomic_load(&gp->wish) != 0) {
		exitforeign();
		atomic_store(&gp->preemptwhen, nanotime());
		atomic_store(&gp->preempt, true);
		enterforeign();
	}
}

/* Bytes written, as the system call has it, or -errno. */
int gogetaffinity(struct g *gp, size_t size, void *set)
{
	if (gp == getg())
		wishawait();
	lock(&wishlock);
	int n = (int)SC3(SYS_sched_getaffinity, golockedtid(gp), size, set);
	if (n >= 0 && (atomic_load(&gp->wish) & WISH_CPUS)) {
		memset(set, 0, (size_t)n);
		memcpy(set, gp->affinity, gp->affsize < (uint32_t)n ? gp->affsize : (size_t)n);
	}
	unlock(&wishlock);
	return n;
}

/* A new G, known to nobody yet. 0, or why the kernel would not have it */
int goinheritaffinity(struct g *gp, size_t size, const void *set)
{
	int err = valid(size, set);

	if (err != 0)
		return err;
	lock(&wishlock);
	err = keep(gp, size, set);
	unlock(&wishlock);
	return err;
}

/*
 * Another G is to have a kernel thread of its own: the id of that, or -ENOTSUP if gp blocks in the kernel and cannot be had
 * for it, -ESRCH if it has ended. One that is parked is woken for nothing, and parks again on its own M.
 */
int goown(struct g *gp)
{
	enum { TRIES = 2000, PAUSE = 100000 };
	int tid = 0;

	for (int i = 0; i < TRIES && tid == 0; i++) {
		exitforeign();
		lock(&wishlock);
		tid = gp->owns ? golockedtid(gp) : 0;
		if (tid == 0)
			atomic_fetch_or(&gp->wish, WISH_OWN);
		unlock(&wishlock);
		uint64_t w = atomic_load(&gp->park);
		if (tid == 0 && ((w & 0xf) != Parkparked || !gowake(gp, w >> 8, WakeSignal)))
			wishtell(gp);
		enterforeign();
		if (tid == 0 && goended(gp))
			return -ESRCH;
		if (tid == 0)
			gosleep(nanotime() + PAUSE);
	}
	return tid != 0 ? tid : -ENOTSUP;
}

/* gp is about to run on mp and is to have a kernel thread of its own: this one. On g0 */
void affine(struct m *mp, struct g *gp)
{
	lock(&wishlock);
	uint8_t wish = atomic_exchange(&gp->wish, 0);
	if (gp->lockedm == NULL && wish != 0) {
		gobind(mp, gp);
	} else if ((wish & WISH_OWN) && !gp->owns) { /* for a while, so far */
		gp->nlocked++;
		gp->owns = true;
	}
	if (wish & WISH_CPUS)
		setof(0, gp->affsize, gp->affinity);
	if (wish & WISH_POLICY)
		policyset(gp);
	unlock(&wishlock);
}
