/* SPDX-License-Identifier: MIT
 *
 * test_timer.c: timer heaps on bare Ps and Gs, in a time of their own: the heap's order, lazily
 * mended entries, deadlines. Several threads at once are test_timerrace.c's matter.
 *
 * A G that fires goes by goreadylast() to the global queue, for the test's threads are no Ms.
 */
#include "unit.h"

#include "jitter.h"
#include "park.c"
#include "time.c"

enum { NG = 1000, NP = 4 };

static struct p ps[NP], *pointers[NP];
static struct g gs[NG];

static void setup(void)
{
	for (int i = 0; i < NP; i++)
		pointers[i] = &ps[i];
	allp = pointers;
	gomaxprocs = NP;
}

static long idof(struct g *gp)
{
	return gp ? gp - gs : -1;
}

/* gs[i] sleeps until `when`, as gopark() would have it. */
static void sleepuntil(struct p *pp, int i, uint64_t when)
{
	uint64_t ticket = parkbegin(&gs[i]);

	timerarm(pp, &gs[i].timer, &gs[i], ticket, when);
	atomic_store(&gs[i].park, ticket << 8 | Parkparked);
}

/* What gopark() does when somebody else has woken gs[i]. */
static void wake(int i)
{
	bool parked;

	must(parkclaim(&gs[i], gs[i].park >> 8, WakeReady, &parked), "g %d, park %lx", i,
	     gs[i].park);
	atomic_store_explicit(&gs[i].timer.when, 0, memory_order_relaxed);
}

static bool timedout(int i)
{
	return (gs[i].park & 0xff) == (WakeTimeout << 4 | Parkwoken);
}

static struct g *getglob(void)
{
	struct g *gp = NULL;

	if (atomic_load(&sched.runqsize) == 0)
		return NULL;
	lock(&sched.lock);
	gp = globrunqget(&ps[0], 1);
	unlock(&sched.lock);
	return gp;
}

/* Parents before children, each entry knows its place, the hint is the top's key. */
static void sound(struct p *pp)
{
	for (uint32_t i = 0; i < pp->ntimers; i++) {
		struct timer *t = pp->timers[i];
		must(i == 0 || pp->timers[(i - 1) / 4]->key <= t->key,
		     "%u of %u: key %lu after %lu", i, pp->ntimers, t->key,
		     pp->timers[(i - 1) / 4]->key);
		must(t->index == (int32_t)i && t->pp == pp, "%u of %u: index %d, heap %p", i,
		     pp->ntimers, t->index, (void *)t->pp);
		must(t->when == 0 || t->when >= t->key, "due at %lu, key %lu", t->when, t->key);
	}
	must(pp->timer0when == (pp->ntimers ? pp->timers[0]->key : 0), "hint %lu", pp->timer0when);
}

Test(timer, fire_in_order_of_time)
{
	uint64_t dice = 7, last = 0;
	bool ran;

	setup();
	for (int i = 0; i < NG; i++) {
		sleepuntil(&ps[0], i, 1 + roll(&dice) % 2000);
		sound(&ps[0]);
	}
	uint64_t next = ps[0].timer0when;
	for (int n = 0; n < NG;) {
		ran = false;
		cr_assert_eq(checktimers(&ps[0], next - 1, &ran), next);
		cr_assert_not(ran);
		cr_assert_eq(timersnext(), next);
		uint64_t now = next + roll(&dice) % 50;
		next = checktimers(&ps[0], now, &ran);
		cr_assert(ran);
		sound(&ps[0]);
		cr_assert(next == 0 || next > now, "%lu at %lu", next, now);
		for (struct g *gp; (gp = getglob()) != NULL; n++) {
			cr_assert(timedout((int)idof(gp)));
			cr_assert_eq(gp->status, Grunnable);
			cr_assert_geq(gp->timer.when, last, "g %ld: %lu after %lu", idof(gp),
				      gp->timer.when, last);
			cr_assert_leq(gp->timer.when, now);
			last = gp->timer.when;
		}
	}
	cr_assert_eq(next, 0);
	cr_assert_eq(ps[0].ntimers, 0);
	cr_assert_eq(timersnext(), 0);
}

static void check(struct p *pp, uint64_t now, uint64_t wantnext, bool wantran)
{
	bool ran = false;
	uint64_t next = checktimers(pp, now, &ran);

	cr_assert_eq(next, wantnext, "at %lu: next %lu, not %lu", now, next, wantnext);
	cr_assert_eq(ran, wantran, "at %lu", now);
	sound(pp);
}

Test(timer, mended_when_the_key_comes_up)
{
	struct timer *t = &gs[0].timer;

	setup();
	/* Later: stays where it was until then, fires at its time only. */
	sleepuntil(&ps[0], 0, 100);
	wake(0);
	sleepuntil(&ps[0], 0, 300);
	cr_assert_eq(t->key, 100);
	check(&ps[0], 99, 100, false);
	check(&ps[0], 100, 300, false);
	check(&ps[0], 299, 300, false);
	/* Earlier: moves at once. */
	wake(0);
	sleepuntil(&ps[0], 0, 200);
	cr_assert_eq(ps[0].timer0when, 200);
	check(&ps[0], 200, 0, true);
	cr_assert(timedout(0));
	cr_assert_null(t->pp);
	cr_assert_eq(getglob(), &gs[0]);
	/* Disarmed: goes when its key comes up, wakes nobody. */
	sleepuntil(&ps[0], 0, 400);
	wake(0);
	check(&ps[0], 399, 400, false);
	cr_assert_eq(ps[0].ntimers, 1);
	check(&ps[0], 400, 0, false);
	cr_assert_null(t->pp);
	/* The disarmed one's G has begun another park, without a time: the old entry does not end
	 * it. */
	sleepuntil(&ps[0], 0, 500);
	wake(0);
	uint64_t ticket = parkbegin(&gs[0]);
	check(&ps[0], 1000, 0, false);
	cr_assert_eq(gs[0].park, ticket << 8 | Parkpreparing);
	parkabort(&gs[0]);
	/* Armed, and claimed by another just then: the time-out loses. */
	sleepuntil(&ps[0], 0, 2000);
	bool parked;
	cr_assert(parkclaim(&gs[0], gs[0].park >> 8, WakeReady, &parked));
	check(&ps[0], 2000, 0, false);
	cr_assert_not(timedout(0));
	/* Fires while the G prepares its park: claimed, but nothing to ready. */
	ticket = parkbegin(&gs[0]);
	timerarm(&ps[0], t, &gs[0], ticket, 3000);
	check(&ps[0], 3000, 0, true);
	cr_assert(timedout(0));
	cr_assert_null(getglob());
}

Test(timer, rearmed_in_the_heap_where_it_is)
{
	setup();
	sleepuntil(&ps[0], 0, 100);
	wake(0);
	sleepuntil(&ps[1], 0, 50); /* its G has moved to another P */
	cr_assert_eq(gs[0].timer.pp, &ps[0]);
	cr_assert_eq(ps[1].ntimers, 0);
	cr_assert_eq(timersnext(), 50);
	wake(0);
	sleepuntil(&ps[1], 0, 70);
	check(&ps[0], 60, 70, false);
	check(&ps[1], 100, 0, false);
	check(&ps[0], 70, 0, true);
	sleepuntil(&ps[1], 0, 200); /* it was out: now into the new one's */
	cr_assert_eq(gs[0].timer.pp, &ps[1]);
	check(&ps[1], 200, 0, true);
}

Test(timer, deleted_from_anywhere)
{
	uint64_t dice = 3;
	bool ran = false;

	setup();
	for (int i = 0; i < NG; i++)
		sleepuntil(&ps[i % 2], i, 1 + roll(&dice) % 1000);
	for (int n = 0; n < NG * 2; n++) {
		int i = (int)(roll(&dice) % NG);
		timerdel(&gs[i].timer); /* also twice */
		cr_assert_null(gs[i].timer.pp);
		sound(&ps[i % 2]);
	}
	uint32_t left = ps[0].ntimers + ps[1].ntimers, fired = 0;
	checktimers(&ps[0], 1000, &ran);
	checktimers(&ps[1], 1000, &ran);
	while (getglob() != NULL)
		fired++;
	cr_assert(left > 0 && fired == left, "%u of %u fired", fired, left);
}

/* All at random on four heaps, against what each G's deadline says. */
Test(timer, like_a_model)
{
	uint64_t dice = 11, now = 1, due[NG] = {0}; /* 0: does not sleep */

	setup();
	for (long step = 0; step < times(100000); step++) {
		int i = (int)(roll(&dice) % NG);
		struct p *pp = &ps[roll(&dice) % NP];
		switch (roll(&dice) % 8) {
		default:
			if (due[i] != 0) {
				wake(i);
				if (roll(&dice) % 32 == 0)
					timerdel(&gs[i].timer);
			}
			due[i] = now + 1 + roll(&dice) % (roll(&dice) % 4 ? 200 : 20000);
			sleepuntil(pp, i, due[i]);
			break;
		case 0:
			if (due[i] != 0)
				wake(i);
			due[i] = 0;
			break;
		case 1:;
			bool ran = false;
			now += roll(&dice) % 20;
			checktimers(pp, now, &ran);
			for (struct g *gp; (gp = getglob()) != NULL; ran = false) {
				i = (int)idof(gp);
				must(timedout(i) && due[i] != 0 && due[i] <= now,
				     "g %d due %lu at %lu", i, due[i], now);
				due[i] = 0;
			}
			for (uint32_t k = 0; k < pp->ntimers; k++) {
				i = (int)idof(pp->timers[k]->gp);
				must(due[i] == 0 || due[i] > now, "g %d due %lu at %lu: late", i,
				     due[i], now);
			}
			sound(pp);
			break;
		}
	}
}

/* ---- the clock ------------------------------------------------------------------------------ */

Test(timer, deadlines)
{
	timeinit();
	uint64_t now = nanotime();
	cr_assert_geq(reldeadline(0), now);
	cr_assert_geq(reldeadline(1000000000), now + 1000000000);
	cr_assert_leq(reldeadline(1000000000), nanotime() + 1000000000);
	cr_assert_eq(reldeadline(UINT64_MAX), UINT64_MAX, "saturates");
	cr_assert_eq(reldeadline(UINT64_MAX - 1), UINT64_MAX);

	struct timespec ts = {0, 0};
	cr_assert_eq(absdeadline(CLOCK_MONOTONIC, &ts), 1, "never 0");
	cr_assert_eq(absdeadline(CLOCK_REALTIME, &ts), 1, "has passed");
	ts.tv_sec = -1;
	cr_assert_eq(absdeadline(CLOCK_REALTIME, &ts), 1);
	ts = (struct timespec){12, 34};
	cr_assert_eq(absdeadline(CLOCK_MONOTONIC, &ts), 12000000034);
	ts.tv_sec = INT64_MAX;
	cr_assert_eq(absdeadline(CLOCK_MONOTONIC, &ts), UINT64_MAX);
	cr_assert_eq(absdeadline(CLOCK_REALTIME, &ts), UINT64_MAX);
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 100;
	now = nanotime();
	uint64_t d = absdeadline(CLOCK_REALTIME, &ts);
	uint64_t then = nanotime(); /* the two clocks are read one after the other */
	cr_assert(d <= then + 100000000000 && d > now + 99000000000, "%lu from %lu", d, now);
}
