/* SPDX-License-Identifier: MIT
 *
 * test_lock.c: the runtime's mutex and note, with kernel threads that contend for them.
 */
#include "unit.h"

#include "jitter.h"
#include "lock.c"

enum { NT = 4 };

static mutex l;
static _Atomic int inside;
static bool isshort;
static long count, skipped[NT], rounds; /* count: plain, under l */

/* Relaxed: the lock alone orders the count for ThreadSanitizer's eyes. */
static int enter(int n)
{
	return atomic_fetch_add_explicit(&inside, n, memory_order_relaxed);
}

static void *locker(void *arg)
{
	uint64_t dice = (uint64_t)cputicks() | 1;

	for (long i = 0; i < rounds; i++) {
		if (roll(&dice) % 4 != 0) {
			(isshort ? lockshort : lock)(&l);
		} else if (!trylock(&l)) {
			skipped[(long)arg]++;
			continue;
		}
		must(enter(1) == 0, "%d inside", inside);
		count++;
		dawdle(&dice);
		must(enter(-1) == 1, "%d inside", inside);
		if (isshort)
			unlockshort(&l);
		else
			unlock(&l);
		dawdle(&dice);
	}
	return NULL;
}

static void exclusion(void)
{
	rounds = times(100000);
	inthreads(NT, locker);
	for (int i = 0; i < NT; i++)
		count += skipped[i];
	cr_assert_eq(count, NT * rounds, "%ld of %ld", count, NT * rounds);
	cr_assert_eq(l.key, 0, "%u", l.key);
}

Test(lock, excludes)
{
	exclusion();
}

Test(lock, short_one_excludes)
{
	isshort = true;
	exclusion();
}

/* The holder sleeps, so all others do too: whoever unlocks has to wake the next. */
static void *sleeper(void *arg)
{
	(void)arg;
	for (long i = 0; i < rounds; i++) {
		lock(&l);
		must(enter(1) == 0, "%d inside", inside);
		count++;
		usleep(100);
		enter(-1);
		unlock(&l);
	}
	return NULL;
}

Test(lock, sleepers_are_woken)
{
	rounds = times(100);
	inthreads(2 * NT, sleeper);
	cr_assert_eq(count, 2 * NT * rounds, "%ld of %ld", count, 2 * NT * rounds);
	cr_assert_eq(l.key, 0, "%u", l.key);
}

Test(lock, trylock)
{
	cr_assert(trylock(&l));
	cr_assert_not(trylock(&l));
	unlock(&l);
	cr_assert(trylock(&l));
	unlock(&l);
}

Test(lock, unlock_of_a_free_one_is_fatal, .signal = SIGABRT)
{
	freopen("/dev/null", "w", stderr);
	lock(&l);
	unlock(&l);
	unlock(&l);
}

/* ---- note ----------------------------------------------------------------------------------- */

static note to[2];
static long said[2]; /* plain: the note publishes it */

static void *pingpong(void *arg)
{
	int me = arg != NULL;

	for (long i = 1; i <= rounds; i++) {
		if (me == 0) {
			said[1] = i;
			notewakeup(&to[1]);
		}
		notesleep(&to[me]);
		noteclear(&to[me]);
		must(said[me] == i, "round %ld: told %ld", i, said[me]);
		if (me == 1) {
			said[0] = i;
			notewakeup(&to[0]);
		}
	}
	return NULL;
}

Test(note, pingpong)
{
	rounds = times(10000);
	inthreads(2, pingpong);
}

Test(note, wakeup_may_come_first)
{
	note n = {0};

	notewakeup(&n);
	notewakeup(&n); /* no second one is kept */
	notesleep(&n);
	cr_assert(notetsleep(&n, 0));
	cr_assert(notetsleep(&n, 1000000000));
	cr_assert(notetsleep(&n, -1));
	noteclear(&n);
	cr_assert_not(notetsleep(&n, 0));
}

Test(note, times_out)
{
	note n = {0};

	timeinit();
	for (int64_t ns = 1; ns <= 10000000; ns *= 10) {
		uint64_t start = nanotime();
		cr_assert_not(notetsleep(&n, ns));
		uint64_t took = nanotime() - start;
		cr_assert_geq(took, (uint64_t)ns, "%lu of %ld ns", took, ns);
	}
}

/* Wake-ups about when the time is out: true exactly if there was one. */
static _Atomic uint32_t asked;

static void *timed(void *arg)
{
	uint64_t dice = (uint64_t)cputicks() | 1;

	for (long i = 1; i <= rounds; i++) {
		if (arg != NULL) {
			while (atomic_load(&asked) != (uint32_t)i)
				SC0(SYS_sched_yield);
			procyield(roll(&dice) % 2000);
			said[0] = i;
			notewakeup(&to[0]);
			continue;
		}
		atomic_store(&asked, (uint32_t)i);
		if (!notetsleep(&to[0], roll(&dice) % 50000))
			notesleep(&to[0]); /* and then it comes yet */
		must(said[0] == i, "round %ld: told %ld", i, said[0]);
		noteclear(&to[0]);
	}
	return NULL;
}

Test(note, wakeup_races_with_the_timeout)
{
	rounds = times(5000);
	inthreads(2, timed);
}
