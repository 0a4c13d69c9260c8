/* SPDX-License-Identifier: MIT
 *
 * test_sema.c: futexwait and futexwake among Gs, and among Gs and kernel threads that wait in the
 * same queues: order, no lost wake-up, none swallowed by a time-out, deadlines. test_futex.c has
 * the same for kernel threads alone.
 */
#include "gs.h"

#include "jitter.h"
#include "sema.c"

#include <limits.h>

static _Atomic uint32_t word;
static _Atomic long nwoken, ntimedout, nwaked, nwaiters;

TestAtPs(sema, results)
{
	word = 5;
	cr_assert_eq(futexwait(&word, 4, 0, 0), -EAGAIN);
	cr_assert_eq(futexwait(&word, 4, 1, 0), -EAGAIN);
	cr_assert_eq(futexwait(&word, 5, 1, 0), -ETIMEDOUT, "a time that has passed");
	for (uint64_t ns = 1; ns <= 10000000; ns *= 10) {
		uint64_t until = nanotime() + ns;
		cr_assert_eq(futexwait(&word, 5, until, 0), -ETIMEDOUT);
		cr_assert_geq(nanotime(), until, "%lu ns early", until - nanotime());
	}
	cr_assert_eq(futexwake(&word, INT_MAX), 0);
}

static _Atomic long order[200], norder;

static void *waiter(void *arg)
{
	must(futexwait(&word, 0, 0, 0) == 0, "woken");
	order[atomic_fetch_add(&norder, 1)] = (long)arg;
	return arg;
}

/* A thread without a G is the last in word's queue. */
static bool lastisthread(void)
{
	struct bucket *b = bucketof((uintptr_t)&word);

	exitforeign();
	lockshort(&b->lock);
	struct waiter *first = *findaddr(b, (uintptr_t)&word);
	bool is = first != NULL && first->tail->gp == NULL;
	unlockshort(&b->lock);
	enterforeign();
	return is;
}

/* One after the other, Gs and kernel threads by turns; more at once than futexwake's batch. */
TestAtPs(sema, first_in_first_out)
{
	enum { N = 200 };
	struct g *gs[N] = {NULL};
	pthread_t t[N];

	for (long i = 0; i < N; i++) {
		if (i % 2 != 0 || i >= N / 2) {
			gs[i] = go(waiter, (void *)i);
			while (gs[i]->status != Gwaiting)
				gosched();
		} else {
			pthread_create(&t[i], NULL, waiter, (void *)i);
			while (!lastisthread())
				usleep(50);
		}
	}
	for (long i = 0; i < N / 2; i++) {
		int n = futexwake(&word, 1);
		cr_assert_eq(n, 1, "%d at %ld", n, i);
		while (norder <= i)
			gosched();
	}
	for (long i = 0; i < N / 2; i++)
		cr_assert_eq(order[i], i, "%ld came as the %ldth", order[i], i);
	cr_assert_eq(futexwake(&word, INT_MAX), N / 2);
	for (long i = 0; i < N; i++)
		if (gs[i] != NULL)
			join(gs[i]);
		else
			pthread_join(t[i], NULL);
	cr_assert_eq(futexwake(&word, INT_MAX), 0);
}

/* ---- no lost wake-up ------------------------------------------------------------------------ */

enum { NRING = 5 };
static _Atomic uint32_t turn;
static uint32_t rounds;

static void *ring(void *arg)
{
	for (uint32_t me = (uint32_t)(long)arg, t;;) {
		while ((t = atomic_load(&turn)) % NRING != me && t < rounds) {
			int r = futexwait(&turn, t, 0, 0);
			must(r == 0 || r == -EAGAIN, "%d", r);
		}
		if (t >= rounds)
			return arg;
		atomic_store(&turn, t + 1);
		futexwake(&turn, INT_MAX);
	}
}

TestAtPs(sema, token_ring)
{
	rounds = (uint32_t)times(100000);
	ings(NRING, ring);
}

/* Two of the five are kernel threads. */
TestAtPs(sema, token_ring_with_threads)
{
	pthread_t a, b;

	rounds = (uint32_t)times(10000);
	pthread_create(&a, NULL, ring, (void *)1);
	pthread_create(&b, NULL, ring, (void *)3);
	struct g *gs[] = {go(ring, (void *)0), go(ring, (void *)2), go(ring, (void *)4)};
	for (size_t i = 0; i < nelem(gs); i++)
		join(gs[i]);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
}

/* Drepper's mutex: 0 free, 1 held, 2 held and somebody may sleep. One lost wake-up hangs it. */
static _Atomic uint32_t mtx;
static long counter;

static void mlock(void)
{
	uint32_t c = 0;

	if (!atomic_compare_exchange_strong(&mtx, &c, 1))
		while (atomic_exchange(&mtx, 2) != 0)
			futexwait(&mtx, 2, 0, 0);
}

static void munlock(void)
{
	if (atomic_exchange(&mtx, 0) == 2)
		futexwake(&mtx, 1);
}

static void *count(void *arg)
{
	uint64_t dice = mydice();

	for (int i = 0; i < 2000; i++) {
		mlock();
		counter++;
		if (roll(&dice) % 64 == 0)
			gosched();
		munlock();
		if (roll(&dice) % 16 == 0)
			gosched();
	}
	return arg;
}

TestAtPs(sema, mutex_made_of_it)
{
	for (long i = times(1); i > 0; i--) {
		pthread_t t[2];
		counter = 0;
		pthread_create(&t[0], NULL, count, NULL);
		pthread_create(&t[1], NULL, count, NULL);
		ings(20, count);
		pthread_join(t[0], NULL);
		pthread_join(t[1], NULL);
		cr_assert_eq(counter, 22 * 2000, "%ld", counter);
	}
}

/* ---- time-outs that race with wake-ups ------------------------------------------------------ */

static void *impatient(void *arg)
{
	uint64_t dice = mydice();

	for (int i = 0; i < 300; i++) {
		int r = futexwait(&word, 0, nanotime() + roll(&dice) % 100000, 0);
		must(r == 0 || r == -ETIMEDOUT, "%d", r);
		atomic_fetch_add(r == 0 ? &nwoken : &ntimedout, 1);
	}
	atomic_fetch_sub(&nwaiters, 1);
	return arg;
}

static void *waker(void *arg)
{
	uint64_t dice = mydice();

	while (atomic_load(&nwaiters) > 0) {
		int n = (int)(roll(&dice) % 2) + 1, woken = futexwake(&word, n);
		must(woken >= 0 && woken <= n, "%d of %d", woken, n);
		atomic_fetch_add(&nwaked, woken);
		procyield(roll(&dice) % 200);
		if (roll(&dice) % 4 == 0)
			gosched();
	}
	return arg;
}

/* A wake-up that futexwake counted came to one that waited. */
TestAtPs(sema, timeout_swallows_no_wakeup)
{
	enum { N = 30 };

	for (long i = times(1); i > 0; i--) {
		struct g *gs[N];
		pthread_t t[2], w;
		nwaiters = N + 2;
		for (long k = 0; k < N; k++)
			gs[k] = go(impatient, (void *)k);
		for (int k = 0; k < 2; k++)
			pthread_create(&t[k], NULL, impatient, NULL);
		struct g *wg = go(waker, NULL);
		pthread_create(&w, NULL, waker, NULL);
		for (int k = 0; k < N; k++)
			join(gs[k]);
		join(wg);
		for (int k = 0; k < 2; k++)
			pthread_join(t[k], NULL);
		pthread_join(w, NULL);
		cr_assert_eq(nwoken, nwaked, "%ld were woken, %ld woke up, %ld timed out", nwaked,
			     nwoken, ntimedout);
	}
	cr_assert(nwoken > 0 && ntimedout > 0, "no race: %ld woken, %ld timed out", nwoken,
		  ntimedout);
}

/* Permits: takers that give up in between take away none, and the last is always found. */
static _Atomic uint32_t permits;
static _Atomic long taken;

static void *taker(void *arg)
{
	uint64_t dice = mydice();
	bool patient = (long)arg < 3;

	for (int got = 0; got < 500;) {
		uint32_t v = atomic_load(&permits);
		if (v > 0) {
			if (atomic_compare_exchange_strong(&permits, &v, v - 1)) {
				atomic_fetch_add(&taken, 1);
				got++;
			}
			continue;
		}
		futexwait(&permits, 0, patient ? 0 : nanotime() + roll(&dice) % 30000, 0);
	}
	return arg;
}

static void *poster(void *arg)
{
	uint64_t dice = mydice();

	for (int i = 0; i < 2500; i++) {
		atomic_fetch_add(&permits, 1);
		futexwake(&permits, 1);
		if (roll(&dice) % 32 == 0)
			gosleep(reldeadline(roll(&dice) % 50000));
	}
	return arg;
}

TestAtPs(sema, semaphore_with_impatient_takers)
{
	for (long i = times(1); i > 0; i--) {
		struct g *p[] = {go(poster, NULL), go(poster, NULL)};
		taken = 0;
		ings(10, taker);
		join(p[0]);
		join(p[1]);
		cr_assert_eq(taken, 5000);
		cr_assert_eq(permits, 0);
	}
}

/* ---- futexwaitunlock ------------------------------------------------------------------------ */

/* A condition variable: nobody who waits when `full` changes is left out, none too many is counted.
 */
static _Atomic uint32_t nwait, cond;
static bool full;
static long consumed;

static void unlockit(void *arg)
{
	(void)arg;
	munlock();
}

static void waitcond(uint64_t deadline)
{
	int r = futexwaitunlock(&cond, &nwait, unlockit, NULL, deadline, 0);

	must(r == 0 || (deadline && r == -ETIMEDOUT), "%d", r);
	mlock();
}

static void signalcond(void)
{
	if (atomic_load(&nwait) != 0)
		futexwake(&cond, INT_MAX);
}

static void *producerconsumer(void *arg)
{
	uint64_t dice = mydice();
	bool produces = (long)arg % 2;

	mlock();
	for (int i = 0; i < 1000; i++) {
		while (full == produces)
			waitcond(roll(&dice) % 8 ? 0 : nanotime() + roll(&dice) % 20000);
		full = produces;
		consumed += !produces;
		signalcond();
	}
	munlock();
	return arg;
}

TestAtPs(sema, condition_variable)
{
	for (long i = times(1); i > 0; i--) {
		consumed = 0;
		ings(6, producerconsumer);
		cr_assert_eq(consumed, 3000);
		cr_assert_eq(nwait, 0, "%u are left in the count", nwait);
	}
}
