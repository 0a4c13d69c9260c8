/* SPDX-License-Identifier: MIT
 *
 * test_requeue.c: the program's futexes (gofutex) among Gs, kernel threads in our queues and kernel
 * threads in the kernel's own: each wake-up that is counted comes to one waiter, however they are
 * moved, time out and race.
 */
#include "gs.h"

#include "jitter.h"
#include "sema.c"

#include <limits.h>
#include <stdlib.h>

enum { NWORDS = 3, WAITERS = 12 };
static uint32_t words[NWORDS * 16];
static _Atomic long nwoken, ntimedout, nwaked, nmoved, nwaiters;
static long rounds;

static uint32_t *wordat(uint64_t i)
{
	return &words[i % NWORDS * 16];
}

/* In the kernel's queue, as of a library that makes its system calls itself. */
static long rawfutex(uint32_t *addr, int op, uint32_t val, uintptr_t ts, uint32_t *addr2,
		     uint32_t val3)
{
	return SC6(SYS_futex, addr, op, val, ts, addr2, val3);
}

static void *wait(uint64_t dice,
		  long (*fx)(uint32_t *, int, uint32_t, uintptr_t, uint32_t *, uint32_t))
{
	for (long i = 0; i < rounds; i++) {
		uint64_t at = nanotime() + roll(&dice) % 200000;
		struct timespec ts = {(time_t)(at / 1000000000u), (long)(at % 1000000000u)};
		uint32_t bits = 1u << roll(&dice) % 2 | (roll(&dice) % 4 ? 3 : 0);
		long r = fx(wordat(roll(&dice)), FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0,
			    (uintptr_t)&ts, NULL, bits);
		must(r == 0 || r == -ETIMEDOUT, "%ld", r);
		atomic_fetch_add(r == 0 ? &nwoken : &ntimedout, 1);
	}
	atomic_fetch_sub(&nwaiters, 1);
	return NULL;
}

static void *gwaits(void *arg)
{
	wait(mydice(), gofutex);
	return arg;
}

static void *rawwaits(void *arg)
{
	wait((uint64_t)(uintptr_t)&arg | 1, rawfutex);
	return arg;
}

static void *wakes(void *arg)
{
	uint64_t dice = mydice();

	while (atomic_load(&nwaiters) > 0) {
		int n = (int)(roll(&dice) % 3) + 1;
		uint32_t bits = (uint32_t)(roll(&dice) % 3) + 1;
		long r = gofutex(wordat(roll(&dice)), FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG,
				 (uint32_t)n, 0, NULL, bits);
		must(r >= 0 && r <= n, "%ld of %d", r, n);
		atomic_fetch_add(&nwaked, r);
		if (getg() != NULL && roll(&dice) % 4)
			gosleep(reldeadline(roll(&dice) % 100000));
		else
			procyield(roll(&dice) % 500);
	}
	return arg;
}

static void *moves(void *arg)
{
	uint64_t dice = mydice();

	while (atomic_load(&nwaiters) > 0) {
		int n = (int)(roll(&dice) % 5);
		bool cmp = roll(&dice) % 2;
		long r = gofutex(wordat(roll(&dice)),
				 (cmp ? FUTEX_CMP_REQUEUE : FUTEX_REQUEUE) | FUTEX_PRIVATE_FLAG, 0,
				 (uintptr_t)n, wordat(roll(&dice)), 0);
		must(r >= 0 && r <= n, "%ld of %d", r, n);
		atomic_fetch_add(&nmoved, r);
		gosleep(reldeadline(roll(&dice) % 50000));
	}
	return arg;
}

TestAtPs(requeue, every_wakeup_comes_to_one)
{
	struct g *gs[WAITERS];
	pthread_t t[4], waker;

	rounds = times(1500);
	nwaiters = WAITERS + 4;
	for (long i = 0; i < WAITERS; i++)
		gs[i] = go(gwaits, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, i % 2 ? rawwaits : gwaits, NULL);
	struct g *w = go(wakes, NULL), *m = go(moves, NULL), *m2 = go(moves, NULL);
	pthread_create(&waker, NULL, wakes, NULL);
	for (int i = 0; i < WAITERS; i++)
		join(gs[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	join(w);
	join(m);
	join(m2);
	pthread_join(waker, NULL);
	cr_assert_eq(nwoken, nwaked, "%ld were woken, %ld woke up, %ld timed out, %ld moves",
		     nwaked, nwoken, ntimedout, nmoved);
	cr_assert(nwoken > 0 && ntimedout > 0 && nmoved > 0,
		  "no race: %ld woken, %ld timed out, %ld moved", nwoken, ntimedout, nmoved);
	for (size_t i = 0; i < nelem(table); i++)
		cr_assert_null(table[i].addrs, "bucket %zu", i);
}

static _Atomic long norder;

static void *waitson(void *arg)
{
	must(gofutex(arg, FUTEX_WAIT_PRIVATE, 0, 0, NULL, 0) == 0, "woken");
	atomic_fetch_add(&norder, 1);
	return arg;
}

static void *rawwaitson(void *arg)
{
	must(rawfutex(arg, FUTEX_WAIT_PRIVATE, 0, 0, NULL, 0) == 0, "woken");
	atomic_fetch_add(&norder, 1);
	return arg;
}

static long waiting(uint32_t *p)
{
	return gofutex(p, FUTEX_REQUEUE_PRIVATE, 0, INT_MAX, p, 0);
}

/* Gs first, then the kernel's, in one count. */
TestAtPs(requeue, counts_of_both_queues)
{
	enum { N = 150, K = 5 };
	uint32_t *a = wordat(0), *b = wordat(1);
	struct g *gs[N];
	pthread_t t[K];

	for (int i = 0; i < N; i++)
		gs[i] = go(waitson, a);
	for (int i = 0; i < K; i++)
		pthread_create(&t[i], NULL, rawwaitson, a);
	while (waiting(a) != N + K)
		usleep(100);
	uint32_t other = 1;
	cr_assert_eq(gofutex(a, FUTEX_CMP_REQUEUE_PRIVATE, 1, 1, b, other), -EAGAIN);
	cr_assert_eq(gofutex(a, FUTEX_CMP_REQUEUE_PRIVATE, 100, 20, b, 0), 120,
		     "more than a batch");
	cr_assert_eq(waiting(b), 20);
	cr_assert_eq(waiting(a), N + K - 120);
	cr_assert_eq(gofutex(a, FUTEX_REQUEUE_PRIVATE, N - 120, 2, b, 0), N - 120 + 2,
		     "the kernel's are moved too");
	cr_assert_eq(waiting(b), 22);
	cr_assert_eq(waiting(a), 3);
	cr_assert_eq(gofutex(b, FUTEX_WAKE_PRIVATE, 21, 0, NULL, 0), 21);
	cr_assert_eq(gofutex(b, FUTEX_WAKE_PRIVATE, INT_MAX, 0, NULL, 0), 1);
	cr_assert_eq(gofutex(a, FUTEX_WAKE_PRIVATE, INT_MAX, 0, NULL, 0), 3);
	for (int i = 0; i < N; i++)
		join(gs[i]);
	for (int i = 0; i < K; i++)
		pthread_join(t[i], NULL);
	cr_assert_eq(norder, N + K);
}
