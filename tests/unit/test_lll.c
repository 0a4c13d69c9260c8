/* SPDX-License-Identifier: MIT
 *
 * test_lll.c: libc's own locks: mutual exclusion, and nobody left asleep, with Gs, kernel threads,
 * Ms in the runtime and sleepers in the kernel's queue on one word; the fork's part.
 */
#include "gs.h"
#include <linux/futex.h>

static _Atomic uint32_t word;
static long inside, count;
static _Atomic int flawed;

/* libc's fast paths. */
static void lll(_Atomic uint32_t *l)
{
	uint32_t v = 0;

	if (!atomic_compare_exchange_strong(l, &v, 1))
		lllwait(l);
}

static void unlll(_Atomic uint32_t *l)
{
	if (atomic_exchange(l, 0) > 1)
		lllwake(l);
}

/* What libc does where nobody has patched it, or inside a timed wait. */
static void kernellock(_Atomic uint32_t *l)
{
	uint32_t v = 0;

	if (atomic_compare_exchange_strong(l, &v, 1))
		return;
	while (atomic_exchange(l, 2) != 0)
		SC4(SYS_futex, l, FUTEX_WAIT_PRIVATE, 2, NULL);
}

static void critical(uint64_t *dice)
{
	if (++inside != 1)
		atomic_fetch_add(&flawed, 1);
	dawdle(dice);
	count++;
	inside--;
}

static long rounds;

static void *locks(void *arg)
{
	uint64_t dice = (uint64_t)(long)arg * 7919 + 1;

	for (long i = 0; i < rounds; i++) {
		lll(&word);
		critical(&dice);
		unlll(&word);
		if (roll(&dice) % 64 == 0)
			gosched();
	}
	return arg;
}

/* Every third time in the runtime with the P on loan, as between forkprepare() and the fork: on the
 * same M. */
static void *locksinside(void *arg)
{
	uint64_t dice = (uint64_t)(long)arg * 104729 + 1;

	for (long i = 0; i < rounds; i++) {
		bool in = i % 3 == 0 && getg() != NULL;
		if (in)
			getg()->inruntime++;
		struct m *mp = in ? getg()->m : NULL;
		lll(&word);
		critical(&dice);
		unlll(&word);
		if (in) {
			must(getg()->m == mp, "it stays");
			getg()->inruntime--;
		}
	}
	return arg;
}

static void *sleepsinkernel(void *arg)
{
	uint64_t dice = (uint64_t)(long)arg * 15485863 + 1;

	for (long i = 0; i < rounds / 4; i++) {
		kernellock(&word);
		critical(&dice);
		unlll(&word);
	}
	return arg;
}

/* n Gs run fn, beside two kernel threads that run tfn. */
static void mixed(int n, void *(*fn)(void *), void *(*tfn)(void *), long want)
{
	pthread_t t[2];

	word = 0;
	inside = count = 0;
	for (long i = 0; tfn && i < 2; i++)
		must(pthread_create(&t[i], NULL, tfn, (void *)(100 + i)) == 0, "thread");
	ings(n, fn);
	for (int i = 0; tfn && i < 2; i++)
		pthread_join(t[i], NULL);
	cr_assert_eq(flawed, 0);
	cr_assert_eq(count, want, "%ld of %ld", count, want);
	cr_assert_eq(word, 0);
}

TestAtPs(lll, gs)
{
	rounds = times(20000);
	mixed(8, locks, NULL, 8 * rounds);
}

TestAtPs(lll, gs_and_threads)
{
	rounds = times(10000);
	mixed(6, locks, locks, 8 * rounds);
}

TestAtPs(lll, in_the_runtime)
{
	rounds = times(5000);
	mixed(6, locksinside, locks, 8 * rounds);
}

TestAtPs(lll, sleepers_in_the_kernel)
{
	rounds = times(5000);
	mixed(6, locks, sleepsinkernel, 6 * rounds + 2 * (rounds / 4));
}

/* Many who wait for one that parks while it holds the lock. */
static void *holds(void *arg)
{
	lll(&word);
	for (int i = 0; i < 20; i++)
		gosleep(reldeadline(1000000));
	count++;
	unlll(&word);
	return arg;
}

TestAtPs(lll, holder_sleeps)
{
	word = 0;
	count = 0;
	ings(5, holds);
	cr_assert_eq(count, 5);
	cr_assert_eq(word, 0);
}

/* The one that forks waits for a lock of libc's; who has it parks, and wants sigs.lock; others want
 * stacks for new Gs. */
static void *forker(void *arg)
{
	for (int i = 0; i < 50; i++) {
		forkprepare();
		lll(&word);
		unlll(&word);
		forkparent();
		gosched();
	}
	return arg;
}

static void *nothing(void *arg)
{
	return arg;
}

static void *creates(void *arg)
{
	for (int i = 0; i < 100; i++) {
		struct newattr attr = {.stacksize = (size_t)(i % 7 + 1) << 16, .guardsize = 4096};
		uintptr_t t;
		lll(&word);
		gosleep(reldeadline(20000));
		gosignal(getg(), &(siginfo_t){.si_signo = SIGURG});
		unlll(&word);
		must(newproc(&attr, nothing, NULL, &t) == 0, "newproc");
		must(gojoin(gofthread(t), NULL, 0) == 0, "gojoin");
	}
	return arg;
}

static void *forksorcreates(void *arg)
{
	return (long)arg % 2 ? forker(arg) : creates(arg);
}

TestAtPs(lll, forks)
{
	word = 0;
	ings(6, forksorcreates);
	cr_assert_eq(word, 0);
}
