/* SPDX-License-Identifier: MIT
 *
 * test_allthreads.c: a system call in every kernel thread. The timer slack is kept by thread and
 * inherited like credentials, and anybody may change it.
 */
#include "gs.h"
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static _Atomic long slack, calls;
static _Atomic bool quit;
static _Atomic uint32_t word;

static int libc(void *arg)
{
	atomic_fetch_add(&calls, 1);
	return (int)SC5(SYS_prctl, PR_SET_TIMERSLACK, (long)arg, 0, 0, 0);
}

static int refuse(void *arg)
{
	(void)arg;
	return -EPERM;
}

static int all(long ns)
{
	return allthreads(SYS_prctl, PR_SET_TIMERSLACK, ns, 0, libc, (void *)ns);
}

/* That of a thread as the kernel sees it; -1: it has ended. */
static long slackof(int tid)
{
	char path[64];
	long ns = -1;

	snprintf(path, sizeof(path), "/proc/%d/timerslack_ns", tid);
	FILE *f = fopen(path, "r");
	if (f == NULL)
		return -1;
	if (fscanf(f, "%ld", &ns) != 1)
		ns = -1;
	fclose(f);
	return ns;
}

/* Ms with another slack than the last call gave. */
static int others(void)
{
	int n = 0;

	for (struct m *mp = atomic_load(&sched.allms); mp != NULL; mp = mp->alllink) {
		int tid = atomic_load(&mp->procid);
		if (tid == 0 || atomic_load(&mp->exited) == 0)
			continue;
		long ns = slackof(tid);
		n += ns != -1 && ns != slack;
	}
	return n;
}

/* sysmon begins by choosing its own slack, 1 ns: not in the middle of the test. */
static void settled(void)
{
	for (;;) {
		for (struct m *mp = atomic_load(&sched.allms); mp != NULL; mp = mp->alllink)
			if (slackof(atomic_load(&mp->procid)) == 1)
				return;
		gosleep(reldeadline(1000000));
	}
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
		slack = 1000 + i;
		must(all(slack) == 0, "allthreads failed");
		must(others() == 0, "round %d: %d Ms were not told", i, others());
		join(go(i % 2 ? ends : endsbound, NULL));
	}
	return arg;
}

TestAtPs(allthreads, every)
{
	struct g *gs[30];

	settled();
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
		must(all(2000 + (long)arg) == 0, "allthreads failed");
	return arg;
}

TestAtPs(allthreads, one_by_one)
{
	settled();
	ings(20, race);
	cr_assert(atomic_load(&calls) >= 1000);
	slack = slackof((int)SC0(SYS_gettid));
	cr_assert(slack >= 2000 && slack < 2020);
	cr_assert_eq(others(), 0);
}

TestAtPs(allthreads, refused)
{
	settled();
	slack = 5000;
	cr_assert_eq(all(slack), 0);
	cr_assert_eq(allthreads(SYS_prctl, PR_SET_TIMERSLACK, 6000, 0, refuse, NULL), -EPERM);
	cr_assert_eq(others(), 0);
}
