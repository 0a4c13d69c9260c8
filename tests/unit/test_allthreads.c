/* SPDX-License-Identifier: MIT
 *
 * test_allthreads.c: a system call in every kernel thread. The I/O priority is kept by thread and
 * inherited like credentials, and anybody may change it, within its class.
 */
#include "gs.h"
#include <sys/syscall.h>

enum { THREAD = 1, BESTEFFORT = 2 << 13 }; /* linux/ioprio.h */

static _Atomic long prio, calls;
static _Atomic bool quit;
static _Atomic uint32_t word;

static int libc(void *arg)
{
	atomic_fetch_add(&calls, 1);
	return (int)SC3(SYS_ioprio_set, THREAD, 0, (long)arg);
}

static int refuse(void *arg)
{
	(void)arg;
	return -EPERM;
}

/* One of eight. */
static long level(long n)
{
	return BESTEFFORT | (n & 7);
}

static int all(long p)
{
	return allthreads(SYS_ioprio_set, THREAD, 0, p, libc, (void *)p);
}

/* That of a thread as the kernel sees it; negative: it has ended. */
static long prioof(int tid)
{
	return SC2(SYS_ioprio_get, THREAD, tid);
}

/* Ms with another priority than the last call gave. */
static int others(void)
{
	int n = 0;

	for (struct m *mp = atomic_load(&sched.allms); mp != NULL; mp = mp->alllink) {
		int tid = atomic_load(&mp->procid);
		if (tid == 0 || atomic_load(&mp->exited) == 0)
			continue;
		long p = prioof(tid);
		n += p >= 0 && p != prio;
	}
	return n;
}

/* Makes its M be in the kernel, so that others are made and ended. */
static void *blocks(void *arg)
{
	struct timespec ts = {0, 100000};

	while (!quit) {
		entersyscallblock();
		SC2(SYS_nanosleep, &ts, NULL);
		exitsyscall();
		gosleep(reldeadline(50000));
	}
	return arg;
}

static void *parked(void *arg)
{
	while (!quit)
		futexwait(&word, 0, reldeadline(1000000), 0);
	return arg;
}

static void *ends(void *arg)
{
	return arg;
}

/* Bound, it ends with its M: Ms come and go. */
static void *endsbound(void *arg)
{
	lockosthread();
	return arg;
}

static void *calls_(void *arg)
{
	for (int i = 0; i < 100; i++) {
		prio = level(i);
		must(all(prio) == 0, "allthreads failed");
		must(others() == 0, "round %d: %d Ms were not told", i, others());
		join(go(i % 2 ? ends : endsbound, NULL));
	}
	return arg;
}

TestAtPs(allthreads, every)
{
	struct g *gs[30];

	for (int i = 0; i < 30; i++)
		gs[i] = go(i % 2 ? blocks : parked, NULL);
	calls_(NULL); /* on main, which stays on M 0 or does not */
	join(go(calls_, NULL));
	atomic_store(&quit, true);
	for (int i = 0; i < 30; i++)
		join(gs[i]);
}

/* Many at once: one goes after the other, and all end with the same. */
static void *race(void *arg)
{
	for (int i = 0; i < 50; i++)
		must(all(level((long)arg)) == 0, "allthreads failed");
	return arg;
}

TestAtPs(allthreads, one_by_one)
{
	ings(20, race);
	cr_assert(atomic_load(&calls) >= 1000);
	prio = prioof((int)SC0(SYS_gettid));
	cr_assert(prio >= level(0) && prio <= level(7));
	cr_assert_eq(others(), 0);
}

TestAtPs(allthreads, refused)
{
	prio = level(5);
	cr_assert_eq(all(prio), 0);
	cr_assert_eq(allthreads(SYS_ioprio_set, THREAD, 0, level(6), refuse, NULL), -EPERM);
	cr_assert_eq(others(), 0);
}
