/* SPDX-License-Identifier: MIT
 *
 * test_cancel.c: a request that finds a G preparing to park, parked, or running, over and over: its next park ends with
 * WakeCancel, whether or not the one it found came to be. The G's turns are its own, without locks: the test drives both sides.
 */
#include "gs.h"

static _Atomic int stage; /* 1: prepares, 2: asked */

static void reach(int want)
{
	while (atomic_load(&stage) < want)
		__builtin_ia32_pause();
}

static void *parks(void)
{
	struct g *gp = getg();

	parkbegin(gp);
	enum wakereason r = gopark(gp, WaitRead, 0, 0);
	enterforeign();
	return (void *)(long)r;
}

/* Asked while it prepares a park that it then calls off. */
static void *callsoff(void *arg)
{
	(void)arg;
	exitforeign();
	parkbegin(getg());
	atomic_store(&stage, 1);
	reach(2);
	parkabort(getg());
	return parks();
}

/* Asked about when it parks. */
static void *waits(void *arg)
{
	uint64_t dice = mydice();

	(void)arg;
	exitforeign();
	atomic_store(&stage, 1);
	for (uint32_t i = roll(&dice) % 2000; i > 0; i--)
		__builtin_ia32_pause();
	return parks();
}

static void asks(void *(*fn)(void *), long n)
{
	cancelinit(pthread_cancel);
	for (long i = 0; i < n; i++) {
		atomic_store(&stage, 0);
		struct g *gp = go(fn, NULL);
		if (gomaxprocs > 1)
			reach(1);
		int err = gocancel(gp, pthread_cancel);
		atomic_store(&stage, 2);
		void *ret = join(gp);
		must(err == 0 && ret == (void *)WakeCancel, "%d, %p", err, ret);
	}
}

Test(cancel, called_off_2, .timeout = 100)
{
	start(2);
	asks(callsoff, times(300));
}

Test(cancel, called_off_8, .timeout = 100)
{
	start(8);
	asks(callsoff, times(300));
}

TestAtPs(cancel, parking)
{
	asks(waits, times(2000));
}
