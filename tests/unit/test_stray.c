/* SPDX-License-Identifier: MIT
 *
 * test_stray.c: the slots of Gs that go on without a P: how many there are, who loses his and when,
 * and that none is lost while Ms come and go and sysmon takes them away.
 */
#include "unit.h"

#include "jitter.h"
#include "stray.c"

enum { NM = 8, PS = 2 };

static struct m ms[NM];

static void setup(void)
{
	gomaxprocs = PS;
	for (int i = 0; i < NM; i++)
		ms[i] = (struct m){.id = i + 1};
	atomic_store(&sched.npidle, 0);
	strayfork();
}

Test(stray, there_are_some_for_each_p)
{
	int in = 0;

	setup();
	for (int i = 0; i < NM; i++)
		in += strayenter(&ms[i]);
	cr_assert_eq(in, PS * PERP);
	cr_assert(straying(&ms[0]));
	strayleave(&ms[0]);
	cr_assert_not(straying(&ms[0]));
	cr_assert(strayenter(&ms[NM - 1]));
	cr_assert_not(strayenter(&ms[0]));
}

Test(stray, ends_where_a_p_idles)
{
	setup();
	cr_assert(strayenter(&ms[0]));
	atomic_store(&sched.npidle, 1);
	cr_assert_not(straying(&ms[0]));
}

Test(stray, who_was_asked_in_vain_loses_his)
{
	uint64_t now = 1000;

	setup();
	cr_assert_not(straywatch(now));
	cr_assert(strayenter(&ms[0]));
	for (int i = 0; i <= TIMES; i++) {
		cr_assert(straying(&ms[0]));
		cr_assert(straywatch(now));
		now += MS;
	}
	straywatch(now);
	cr_assert_not(straying(&ms[0]));
	cr_assert_not(straywatch(now));
	/* The slot is another's: he does not free it. */
	cr_assert(strayenter(&ms[PS * PERP]));
	strayleave(&ms[0]);
	cr_assert(straying(&ms[PS * PERP]));
}

Test(stray, each_time_counts_for_itself)
{
	uint64_t now = 1000;

	setup();
	for (int i = 0; i < 10 * TIMES; i++, now += MS) {
		cr_assert(strayenter(&ms[0]));
		straywatch(now);
		cr_assert(straying(&ms[0]));
		strayleave(&ms[0]);
	}
}

/* ---- many Ms, and sysmon -----------------------------------------------------------------------
 */

static _Atomic long nin, nlost;
static _Atomic bool over;

static void *strays(void *arg)
{
	struct m *mp = arg;
	uint64_t dice = (uint64_t)mp->id;
	long n = times(200000);

	for (long i = 0; i < n; i++) {
		if (!strayenter(mp))
			continue;
		nin++;
		if (roll(&dice) % 8 == 0)
			dawdle(&dice);
		nlost += !straying(mp);
		strayleave(mp);
	}
	return NULL;
}

static void *watches(void *arg)
{
	for (uint64_t now = MS; !over; now += 2 * MS)
		straywatch(now);
	return arg;
}

Test(stray, all_slots_are_free_in_the_end)
{
	pthread_t t[NM], w;

	setup();
	cr_assert_eq(pthread_create(&w, NULL, watches, NULL), 0);
	for (int i = 0; i < NM; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, strays, &ms[i]), 0);
	for (int i = 0; i < NM; i++)
		pthread_join(t[i], NULL);
	over = true;
	pthread_join(w, NULL);
	cr_assert_gt(nin, 0);
	cr_assert_leq(nlost, nin);
	cr_assert_eq(atomic_load(&nstrays), 0);
	for (int i = 0; i < SLOTS; i++)
		cr_assert_null(atomic_load(&slots[i].mp));
}
