/* SPDX-License-Identifier: MIT
 *
 * test_timerrace.c: timer heaps with several kernel threads that arm, disarm, fire and wake at
 * once: nobody's time-out comes early, twice, or after it was disarmed.
 */
#include "unit.h"

#include "jitter.h"
#include "park.c"
#include "time.c"

enum { NG = 200, NT = 4 };

static struct p ps[NT], *pointers[NT];
static struct g gs[NG];

static void setup(void)
{
	for (int i = 0; i < NT; i++)
		pointers[i] = &ps[i];
	allp = pointers;
	gomaxprocs = NT;
}

static long idof(struct g *gp)
{
	return gp ? gp - gs : -1;
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

/*
 * Each thread is like an M with a P: it takes Gs from the global queue, puts them to sleep, fires
 * what is due in anybody's heap, and at times wakes a G before its time. `due` is the G's own:
 * plain, of whoever has taken it from the queue.
 */
static _Atomic uint64_t clock_ns = 1;
static uint64_t due[NG];
static _Atomic uint64_t ticketof[NG];
static _Atomic uint32_t owned[NG];
static _Atomic long ntimeout, nready, nself;
static long rounds;

static void *sleepers(void *arg)
{
	struct p *pp = &ps[(long)arg];
	uint64_t dice = (uint64_t)cputicks() | 1;
	bool ran;

	for (long turn = 0; turn < rounds; turn++) {
		struct g *gp = getglob();
		uint64_t now = atomic_fetch_add(&clock_ns, roll(&dice) % 8);
		if (gp == NULL || turn % 4 == 0)
			checktimers(&ps[roll(&dice) % NT], now, &ran);
		if (turn % 16 == 0) { /* somebody is woken for another reason */
			struct g *x = &gs[roll(&dice) % NG];
			uint64_t ticket = atomic_load(&ticketof[idof(x)]);
			if (gowake(x, ticket, WakeReady))
				atomic_fetch_add(&nready, 1);
		}
		if (gp == NULL)
			continue;
		long i = idof(gp);
		must(atomic_exchange(&owned[i], 1) == 0, "g %ld was readied twice", i);
		for (bool asleep = false; !asleep;) {
			uint64_t w = atomic_load(&gp->park);
			if ((w & 0xff) == (WakeTimeout << 4 | Parkwoken)) {
				now = atomic_load(&clock_ns);
				must(due[i] != 0 && due[i] <= now, "g %ld due %lu at %lu", i,
				     due[i], now);
				atomic_fetch_add(&ntimeout, 1);
			}
			atomic_store_explicit(&gp->timer.when, 0, memory_order_relaxed);
			if (roll(&dice) % 64 == 0) /* as if it had died and been used again */
				timerdel(&gp->timer);
			uint64_t ticket = parkbegin(gp);
			atomic_store(&ticketof[i], ticket);
			due[i] = 0;
			if (roll(&dice) % 4) {
				due[i] = atomic_load(&clock_ns) + 1 + roll(&dice) % 1000;
				timerarm(pp, &gp->timer, gp, ticket, due[i]);
			} else if (roll(&dice) % 2) {
				parkabort(gp);
				atomic_fetch_add(&nself, 1);
				continue;
			} else {
				/* no time-out: only a ready will do, for instance ours */
				bool parked;
				if (parkclaim(gp, ticket, WakeReady, &parked))
					atomic_fetch_add(&nready, 1);
				continue;
			}
			dawdle(&dice);
			w = ticket << 8 | Parkpreparing;
			atomic_store(&owned[i], 0);
			asleep =
			    atomic_compare_exchange_strong(&gp->park, &w, ticket << 8 | Parkparked);
			if (!asleep) /* woken already: go on with it */
				must(atomic_exchange(&owned[i], 1) == 0, "g %ld: park %lx", i, w);
		}
	}
	return NULL;
}

Test(timerrace, nobody_is_woken_early_or_twice)
{
	bool ran;

	setup();
	timeinit();
	rounds = times(100000);
	for (int i = 0; i < NG; i++)
		globrunqput(&gs[i]);
	inthreads(NT, sleepers);
	for (int i = 0; i < NT; i++)
		sound(&ps[i]);
	/* Whoever still sleeps is woken by the end of time, once. */
	for (int i = 0; i < NT; i++)
		cr_assert_eq(checktimers(&ps[i], UINT64_MAX - 1, &ran), 0);
	int n = 0;
	for (struct g *gp; (gp = getglob()) != NULL; n++) {
		cr_assert_eq(owned[idof(gp)], 0);
		owned[idof(gp)] = 1;
	}
	cr_assert_eq(n, NG, "%d of %d Gs came back", n, NG);
	cr_assert(ntimeout > rounds / 100 && nready > 0, "%ld time-outs, %ld others", ntimeout,
		  nready);
}
