/* SPDX-License-Identifier: MIT
 *
 * cputime.c: CPU time by G.
 *
 * The kernel counts by M. Reading its clock at each switch costs a system call or two, so it is done only from the first
 * question on (sched.cputimes); what a G has used before that is not known, and its clock starts at 0 then. main
 * starts with what its kernel thread had used when the pool began.
 *
 * gp->cputime is written by the M that runs gp, when gp stops (dropg). While gp runs, what its M has used
 * since mp->cpustart is to be added. Who asks for another G's reads both and looks whether it has switched meanwhile.
 */
#include "runtime.h"
#include <sys/syscall.h>
#include <time.h>

static uint64_t now(void)
{
	struct timespec ts;

	SC2(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t threadcpu(int tid)
{
	struct timespec ts;
	/* CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED of that tid: readable from outside, about 1 us. */
	long clk = (long)(int)((~(unsigned)tid << 3) | 6);

	if (SC2(SYS_clock_gettime, clk, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* mp begins to run a G, sched.cputimes is set. */
void cpubegin(struct m *mp)
{
	atomic_store_explicit(&mp->cpustart, now(), memory_order_relaxed);
}

/* And ends. */
void cpuend(struct m *mp, struct g *gp)
{
	uint64_t start = atomic_load_explicit(&mp->cpustart, memory_order_relaxed), used = now();

	if (start != 0 && used > start)
		atomic_store_explicit(&gp->cputime,
				      atomic_load_explicit(&gp->cputime, memory_order_relaxed) + used - start,
				      memory_order_relaxed);
	atomic_store_explicit(&mp->cpustart, 0, memory_order_relaxed);
}

static void begin(void)
{
	static mutex once;

	lock(&once);
	if (!atomic_load(&sched.cputimes)) {
		for (struct m *mp = atomic_load(&sched.allms); mp != NULL; mp = mp->alllink)
			atomic_store(&mp->cpustart, threadcpu(atomic_load(&mp->procid)));
		atomic_store(&sched.cputimes, true);
	}
	unlock(&once);
}

uint64_t gocputime(struct g *gp)
{
	struct g *self = getg();

	if (unlikely(!atomic_load_explicit(&sched.cputimes, memory_order_acquire)))
		begin();
	if (gp == self) {
		struct m *mp = exitforeign();
		uint64_t start = atomic_load(&mp->cpustart);
		uint64_t t = atomic_load(&gp->cputime) + (start != 0 ? now() - start : 0);
		enterforeign();
		return t;
	}
	for (int tries = 0;; tries++) {
		uint64_t t = atomic_load(&gp->cputime), used = 0;
		struct m *mp = __atomic_load_n(&gp->m, __ATOMIC_ACQUIRE);
		if (mp != NULL) {
			uint64_t start = atomic_load(&mp->cpustart);
			uint64_t cpu = threadcpu(atomic_load(&mp->procid));
			used = start != 0 && cpu > start ? cpu - start : 0;
		}
		if ((mp == __atomic_load_n(&gp->m, __ATOMIC_ACQUIRE) && t == atomic_load(&gp->cputime)) || tries > 100)
			return t + used;
	}
}
