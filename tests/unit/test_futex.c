/* SPDX-License-Identifier: MIT
 *
 * test_futex.c: futexwait, futexwaitunlock and futexwake among kernel threads without a G: order,
 * no lost wake-up, none swallowed by a time-out, counts. How Gs wait is test_sched.c's matter.
 */
#include "unit.h"

#include "jitter.h"
#include "sema.c"

#include <limits.h>
#include <signal.h>

/* ---- futexwait, one after the other --------------------------------------------------------- */

static _Atomic uint32_t word, other;

Test(futex, results_without_a_waker)
{
	timeinit();
	word = 5;
	cr_assert_eq(futexwait(&word, 4, 0, 0), -EAGAIN);
	cr_assert_eq(futexwait(&word, 4, 1, 0), -EAGAIN);
	cr_assert_eq(futexwait(&word, 5, 1, 0), -ETIMEDOUT);
	for (uint64_t ns = 1; ns <= 10000000; ns *= 10) {
		uint64_t until = nanotime() + ns;
		cr_assert_eq(futexwait(&word, 5, until, 0), -ETIMEDOUT);
		cr_assert_geq(nanotime(), until, "%lu ns early", until - nanotime());
	}
	cr_assert_eq(futexwake(&word, INT_MAX), 0);
	for (size_t i = 0; i < nelem(table); i++)
		cr_assert_null(table[i].addrs, "bucket %zu", i);
}

static _Atomic long returned[64];
static _Atomic long nreturned;

static void *waitonce(void *arg)
{
	must(futexwait(arg, 0, 0, 0) == 0, "woken");
	atomic_store(&returned[atomic_load(&nreturned)], (long)pthread_self());
	atomic_fetch_add(&nreturned, 1);
	return NULL;
}

/* All waiters in addr's bucket. */
static int nqueuedin(void *addr)
{
	struct bucket *b = bucketof((uintptr_t)addr);
	int n = 0;

	lockshort(&b->lock);
	for (struct waiter *first = b->addrs; first != NULL; first = first->nextaddr)
		for (struct waiter *w = first; w != NULL; w = w->next)
			n++;
	unlockshort(&b->lock);
	return n;
}

/* First in, first out, also with a second address in the same bucket between them. */
Test(futex, first_in_first_out)
{
	static _Atomic uint32_t many[100000];
	_Atomic uint32_t *a = &many[0], *b = &many[2];
	pthread_t t[16];

	while (bucketof((uintptr_t)a) != bucketof((uintptr_t)b))
		b += 2;
	for (int i = 0; i < 16; i++) {
		pthread_create(&t[i], NULL, waitonce, i % 2 ? a : b);
		while (nqueuedin(a) != i + 1)
			usleep(50);
	}
	cr_assert_eq(futexwake(b + 2, INT_MAX), 0);
	for (int i = 1; i < 16; i += 2) {
		cr_assert_eq(futexwake(a, 1), 1);
		while (nreturned <= i / 2)
			usleep(50);
		cr_assert_eq(returned[i / 2], (long)t[i], "turn %d", i);
	}
	cr_assert_eq(futexwake(a, 1), 0);
	cr_assert_eq(futexwake(b, 3), 3);
	cr_assert_eq(futexwake(b, 100), 5);
	for (int i = 0; i < 16; i++)
		pthread_join(t[i], NULL);
}

/* ---- no lost wake-up ------------------------------------------------------------------------ */

enum { NT = 4 };
static long rounds;
static _Atomic uint32_t turn;

/* The token goes round: everybody waits on the one word for its value. */
static void *ring(void *arg)
{
	for (uint32_t me = (uint32_t)(long)arg, t;;) {
		while ((t = atomic_load(&turn)) % NT != me && t < rounds) {
			int r = futexwait(&turn, t, 0, 0);
			must(r == 0 || r == -EAGAIN, "%d", r);
		}
		if (t >= rounds)
			return NULL;
		atomic_store(&turn, t + 1);
		futexwake(&turn, INT_MAX);
	}
}

Test(futex, token_ring)
{
	rounds = times(100000);
	inthreads(NT, ring);
	cr_assert_eq(futexwake(&turn, INT_MAX), 0);
}

/* Drepper's mutex: 0 free, 1 held, 2 held and somebody may sleep. One lost wake-up hangs it. */
static _Atomic uint32_t mtx;
static long counter;

static void *count(void *arg)
{
	uint64_t dice = (uint64_t)cputicks() | 1;

	(void)arg;
	for (long i = 0; i < rounds; i++) {
		uint32_t c = 0;
		if (!atomic_compare_exchange_strong(&mtx, &c, 1))
			while (atomic_exchange(&mtx, 2) != 0)
				futexwait(&mtx, 2, 0, 0);
		counter++;
		dawdle(&dice);
		if (atomic_exchange(&mtx, 0) == 2)
			futexwake(&mtx, 1);
		dawdle(&dice);
	}
	return NULL;
}

Test(futex, mutex_made_of_it)
{
	rounds = times(100000);
	inthreads(NT, count);
	cr_assert_eq(counter, NT * rounds, "%ld of %ld", counter, NT * rounds);
}

/* ---- time-outs that race with wake-ups ------------------------------------------------------ */

static _Atomic long nwoken, ntimedout, nwaked;
static _Atomic int waiters;

static int (*waitway)(uint64_t deadline);

static int waitplain(uint64_t deadline)
{
	return futexwait(&word, 0, deadline, 0);
}

static void unlockother(void *arg)
{
	atomic_fetch_add((_Atomic uint32_t *)arg, 1);
}

static _Atomic uint32_t nqueued, nunlocked;

static int waitunlock(uint64_t deadline)
{
	return futexwaitunlock(&word, &nqueued, unlockother, &nunlocked, deadline, 0);
}

/* The threads but the last wait with short deadlines; every wake-up that is counted came to one of
 * them. */
static void *waitorwake(void *arg)
{
	uint64_t dice = (uint64_t)cputicks() | 1;

	if ((long)arg == NT - 1) {
		while (atomic_load(&waiters) > 0) {
			int n = (int)(roll(&dice) % 2) + 1, woken = futexwake(&word, n);
			must(woken >= 0 && woken <= n, "%d of %d", woken, n);
			atomic_fetch_add(&nwaked, woken);
			procyield(roll(&dice) % 500);
		}
		return NULL;
	}
	for (long i = 0; i < rounds; i++) {
		int r = waitway(nanotime() + roll(&dice) % 60000);
		must(r == 0 || r == -ETIMEDOUT, "%d", r);
		atomic_fetch_add(r == 0 ? &nwoken : &ntimedout, 1);
	}
	atomic_fetch_sub(&waiters, 1);
	return NULL;
}

static void timeouts(int (*way)(uint64_t))
{
	timeinit();
	rounds = times(3000);
	waitway = way;
	waiters = NT - 1;
	inthreads(NT, waitorwake);
	cr_assert_eq(nwoken, nwaked, "%ld were woken, %ld woke up, %ld timed out", nwaked, nwoken,
		     ntimedout);
	cr_assert(nwoken > 0 && ntimedout > 0, "no race: %ld woken, %ld timed out", nwoken,
		  ntimedout);
	cr_assert_eq(nqueuedin(&word), 0);
}

Test(futex, timeout_swallows_no_wakeup)
{
	timeouts(waitplain);
}

Test(futex, timeout_of_waitunlock)
{
	timeouts(waitunlock);
	cr_assert_eq(nunlocked, (NT - 1) * rounds);
	cr_assert_eq(nqueued, 0, "%u are left in the count", nqueued);
}

/* As many permits as are posted are taken, with some takers that give up in between. */
static _Atomic uint32_t permits;
static _Atomic long taken, gaveup;

static bool take(uint64_t deadline)
{
	for (;;) {
		uint32_t v = atomic_load(&permits);
		while (v > 0)
			if (atomic_compare_exchange_weak(&permits, &v, v - 1))
				return true;
		if (futexwait(&permits, 0, deadline, 0) == -ETIMEDOUT)
			return false;
	}
}

static void *takeorpost(void *arg)
{
	uint64_t dice = (uint64_t)cputicks() | 1;

	if ((long)arg == NT - 1) {
		for (long i = 0; i < rounds; i++) {
			atomic_fetch_add(&permits, 1);
			futexwake(&permits, 1);
			dawdle(&dice);
			if (roll(&dice) % 64 == 0)
				usleep(roll(&dice) % 100);
		}
		return NULL;
	}
	/* The impatient take what they can; thread 0 takes the rest and never gives up. */
	while (atomic_load(&taken) < rounds) {
		if (take((long)arg == 0 ? 0 : nanotime() + roll(&dice) % 50000)) {
			if (atomic_fetch_add(&taken, 1) == rounds - 1) {
				/* The last: thread 0 may wait for one more. */
				atomic_fetch_add(&permits, NT);
				futexwake(&permits, INT_MAX);
			}
		} else {
			atomic_fetch_add(&gaveup, 1);
		}
	}
	return NULL;
}

Test(futex, semaphore_with_impatient_takers)
{
	timeinit();
	rounds = times(30000);
	inthreads(NT, takeorpost);
	cr_assert_geq(taken, rounds);
	cr_assert_leq(taken, rounds + NT);
}

/* ---- futexwaitunlock ------------------------------------------------------------------------ */

static _Atomic uint32_t held;

static void countedunlock(void *arg)
{
	_Atomic uint32_t *n = arg;

	/* A waker that sees `held` at 0 must find us: so we are counted by now. */
	must(atomic_load(n) == 1, "count %u while unlocking", *n);
	atomic_store(&held, 0);
}

/* A signal is sent only if the count says that somebody waits, once for each wait. */
static void *condition(void *arg)
{
	static _Atomic uint32_t n;

	for (long i = 0; i < rounds; i++) {
		if (arg == NULL) {
			atomic_store(&held, 1);
			must(futexwaitunlock(&other, &n, countedunlock, &n, 0, 0) == 0, "wait");
			must(atomic_load(&n) == 0, "count %u after the wake-up", n);
			must(atomic_exchange(&turn, 0) == 1, "woken by nobody");
		} else {
			while (atomic_load(&n) == 0 || atomic_load(&held) == 1) /* in this order */
				SC0(SYS_sched_yield);
			atomic_store(&turn, 1);
			must(futexwake(&other, 1) == 1, "round %ld: lost", i);
		}
	}
	return NULL;
}

Test(futex, waitunlock_counts_before_it_unlocks)
{
	rounds = times(10000);
	inthreads(2, condition);
}

/* ---- signal handlers ------------------------------------------------------------------------ */

static _Atomic int victim;
static _Atomic long nhandled;

static void wakeinhandler(int sig)
{
	(void)sig;
	futexwake(&word, 1);
	atomic_fetch_add(&nhandled, 1);
}

static void *interrupted(void *arg)
{
	uint64_t dice = (uint64_t)cputicks() | 1;

	if (arg == NULL) {
		atomic_store(&victim, gettid());
		for (long i = 0; i < rounds; i++) {
			uint64_t until = nanotime() + roll(&dice) % 10000;
			int r = futexwait(&word, 0, until, FUTEX_INTR);
			must(r == 0 || r == -ETIMEDOUT || r == -EINTR, "%d", r);
		}
		atomic_store(&waiters, 0);
		return NULL;
	}
	while (atomic_load(&waiters) > 0) {
		int tid = atomic_load(&victim);
		if (tid != 0)
			SC3(SYS_tgkill, getpid(), tid, SIGUSR1);
		procyield(roll(&dice) % 300);
	}
	return NULL;
}

/* A handler that wakes the very address its thread is waiting for (sem_post is allowed to). */
Test(futex, handlers_may_wake, .timeout = 60)
{
	struct sigaction sa = {.sa_handler = wakeinhandler};

	timeinit();
	sigaction(SIGUSR1, &sa, NULL);
	rounds = times(20000);
	waiters = 1;
	inthreads(2, interrupted);
	cr_assert_gt(nhandled, 0);
	cr_assert_eq(nqueuedin(&word), 0);
}
