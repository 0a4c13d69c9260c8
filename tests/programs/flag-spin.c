/* SPDX-License-Identifier: MIT */
/* Threads that spin, without a call, on what another thread will write: more of them than CPUs.
 * Flags, a turn that goes round, a barrier of their own making, a lock whose holder may be off the
 * CPU; what is computed under them is right. */
#include "t.h"
#include <stdatomic.h>

enum { N = 6 };

static int turns;
static _Atomic unsigned long turn, arrived, round_;
static _Atomic bool locked;
static _Atomic int flag[N];
static unsigned long under, sum[N];

static void *rounds(void *arg)
{
	unsigned long me = (unsigned long)arg;

	for (int i = 0; i < turns; i++) {
		/* Mine comes once in N. */
		while (turn % N != me)
			;
		under += me;
		turn++;
	}
	return arg;
}

static void *locks(void *arg)
{
	for (int i = 0; i < 200 * turns; i++) {
		while (atomic_exchange_explicit(&locked, true, memory_order_acquire))
			;
		under++;
		atomic_store_explicit(&locked, false, memory_order_release);
	}
	return arg;
}

static void *barriers(void *arg)
{
	unsigned long me = (unsigned long)arg;

	for (int i = 1; i <= turns; i++) {
		sum[me] += (unsigned long)i;
		if (++arrived % N == 0)
			round_++;
		while (round_ < (unsigned long)i)
			;
		MUST(sum[(me + 1) % N] >= sum[me]);
	}
	return arg;
}

/* Each waits for the one before, the first for main, which sleeps meanwhile. */
static void *chain(void *arg)
{
	unsigned long me = (unsigned long)arg;

	while (!flag[me])
		;
	if (me + 1 < N)
		flag[me + 1] = 1;
	return arg;
}

static void all(void *(*fn)(void *), const char *what, bool begin)
{
	pthread_t t[N];

	for (long i = 0; i < N; i++)
		t[i] = start(fn, (void *)i);
	if (begin) {
		usleep(30000);
		flag[0] = 1;
	}
	for (int i = 0; i < N; i++)
		finish(t[i]);
	say("%s", what);
}

int main(void)
{
	turns = scaled(6);
	all(chain, "a chain of flags", true);
	all(rounds, "turns", false);
	say("under them: %lu", under);
	under = 0;
	all(locks, "a lock", false);
	say("under it: %lu", under);
	all(barriers, "a barrier", false);
	return 0;
}
