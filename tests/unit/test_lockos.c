/* SPDX-License-Identifier: MIT
 *
 * test_lockos.c: Gs bound to a kernel thread of their own: they stay on it whatever they wait for, nobody else
 * runs there, it ends with them; and Ms that are not needed any more end.
 */
#include "gs.h"
#include <sys/syscall.h>

static _Atomic uint32_t word;
static _Atomic long done;

static int ktid(void)
{
	return (int)SC0(SYS_gettid);
}

/* Waits in each way there is; bound, it is on the same kernel thread all the time. */
static void waits(int i)
{
	switch (i % 4) {
	case 0:
		gosched();
		break;
	case 1:
		gosleep(reldeadline(20000));
		break;
	case 2:
		futexwait(&word, 0, reldeadline(10000), 0);
		break;
	case 3:
		entersyscallblock();
		SC0(SYS_sched_yield);
		exitsyscall();
		break;
	}
}

static void *bound(void *arg)
{
	int tid = lockosthread();

	for (int i = 0; i < 200; i++) {
		waits(i + (int)(long)arg);
		must(ktid() == tid && golockedtid(getg()) == tid, "on %d, bound to %d", ktid(), tid);
		must(getg()->m->lockedg == getg(), "its M is another's");
	}
	if ((long)arg % 2) /* half of them go back, half end bound */
		unlockosthread();
	atomic_fetch_add(&done, 1);
	return arg;
}

static void *loose(void *arg)
{
	for (int i = 0; i < 200; i++) {
		waits(i + (int)(long)arg);
		must(getg()->m->lockedg == NULL, "it runs on a bound M");
	}
	return arg;
}

static void *mixed(void *arg)
{
	return (long)arg % 3 == 0 ? bound(arg) : loose(arg);
}

TestAtPs(lockos, stays)
{
	ings(60, mixed);
	cr_assert_eq(sched.nlockedm, 0);
	cr_assert_eq(atomic_load(&done), 20);
	ings(60, mixed);
}

TestAtPs(lockos, nests)
{
	int tid = lockosthread();

	cr_assert_eq(lockosthread(), tid);
	unlockosthread();
	cr_assert_eq(golockedtid(getg()), tid);
	ings(20, loose);
	cr_assert_eq(ktid(), tid);
	unlockosthread();
	unlockosthread(); /* one too many is none */
	cr_assert_eq(golockedtid(getg()), 0);
	cr_assert_eq(sched.nlockedm, 0);
}

static void *pingpong(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg % 2;

	lockosthread();
	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t w;
		while (((w = atomic_load(&word)) & 1) != me)
			futexwait(&word, w, 0, 0);
		atomic_store(&word, w + 1);
		futexwake(&word, 1);
	}
	return arg;
}

TestAtPs(lockos, two_bound_ready_each_other)
{
	ings(2, pingpong);
	cr_assert_eq(word, 4000);
	cr_assert_eq(sched.nlockedm, 0);
}

/* A thousand lives and deaths: kernel threads, struct ms and stacks are used again. */
static void *dies(void *arg)
{
	lockosthread();
	gosched();
	return arg;
}

static int nthreads(void)
{
	int n = 0;

	for (struct m *mp = atomic_load(&sched.allms); mp != NULL; mp = mp->alllink)
		n++;
	return n;
}

TestAtPs(lockos, ms_end_with_their_gs)
{
	for (int i = 0; i < 50; i++)
		ings(20, dies);
	cr_assert(nthreads() < 200, "%d struct ms", nthreads());
	cr_assert(counted(CountMexit) > 500, "%lu", counted(CountMexit));
}

static void *blocks(void *arg)
{
	struct timespec ts = {0, 50000000};

	entersyscallblock();
	SC2(SYS_nanosleep, &ts, NULL);
	exitsyscall();
	return arg;
}

TestAtPs(lockos, idle_ms_end)
{
	ings(60, blocks);
	must(sched.nm > 30, "%d Ms", sched.nm);
	for (int i = 0; i < 3000 && sched.nm > gomaxprocs + 6; i++) /* sysmon looks once a second */
		gosleep(reldeadline(20000000));
	cr_assert(sched.nm <= gomaxprocs + 6, "%d Ms", sched.nm);
	ings(60, blocks);
}
