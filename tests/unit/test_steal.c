/* SPDX-License-Identifier: MIT
 *
 * test_steal.c: a run queue's owner, and thieves on other kernel threads: each G that is put is got
 * exactly once, and what its putter wrote is seen; a queue is never seen empty that is not.
 */
#include "unit.h"

#include "jitter.h"
#include "runq.c"

enum { NG = 2000, NP = 8 };

static struct p ps[NP], *pointers[NP];
static struct g gs[NG];

static void setup(int n)
{
	for (int i = 0; i < NP; i++)
		pointers[i] = &ps[i];
	allp = pointers;
	gomaxprocs = n;
}

static void seek(struct p *pp, uint32_t at)
{
	atomic_store(&pp->runqhead, at);
	atomic_store(&pp->runqtail, at);
}

static long idof(struct g *gp)
{
	return gp ? gp - gs : -1;
}

/*
 * Each G is free (0) or queued (1). The owner queues free Gs, everybody consumes. A G that comes
 * twice is found free, one that is lost stays queued. waitsince is a plain word: what the owner
 * wrote there must be seen by whoever gets the G.
 */
static _Atomic uint32_t queued[NG];
static _Atomic uint64_t nput, ngot, nstolen, sumput, sumgot;
static _Atomic int owners;
static int nthieves;

static void consume(struct g *gp)
{
	uint64_t sum = gp->waitsince;

	must(atomic_exchange(&queued[idof(gp)], 0) == 1, "g %ld came twice", idof(gp));
	atomic_fetch_add(&sumgot, sum);
	atomic_fetch_add(&ngot, 1);
}

static struct g *getglob(struct p *pp, int32_t max)
{
	struct g *gp = NULL;

	if (atomic_load(&sched.runqsize) != 0) {
		lock(&sched.lock);
		gp = globrunqget(pp, max);
		unlock(&sched.lock);
	}
	return gp;
}

static void *owner(struct p *pp, long rounds)
{
	uint64_t dice = (uint64_t)cputicks() | 1, sum = 0, n = 0;
	bool inherit;
	uint32_t at = 0;

	while (rounds-- > 0) {
		/* A burst, at times one that overflows; then some are taken back. */
		uint32_t burst = roll(&dice) % (roll(&dice) % 16 == 0 ? 400 : 8);
		for (uint32_t i = 0; i < burst; i++) {
			at = (at + 1) % NG;
			if (atomic_load(&queued[at]) != 0)
				break;
			must(atomic_exchange(&queued[at], 1) == 0, "g %u", at);
			gs[at].waitsince = roll(&dice);
			sum += gs[at].waitsince;
			n++;
			runqput(pp, &gs[at], roll(&dice) % 3 == 0);
			dawdle(&dice);
		}
		for (uint32_t i = roll(&dice) % 8; i > 0; i--) {
			struct g *gp = runqget(pp, &inherit);
			if (gp == NULL)
				gp = getglob(pp, 0);
			if (gp != NULL)
				consume(gp);
		}
	}
	atomic_fetch_add(&nput, n);
	atomic_fetch_add(&sumput, sum);
	return NULL;
}

static void *ownerorthief(void *arg)
{
	struct p *pp = &ps[(long)arg];
	uint64_t dice = (uint64_t)cputicks() | 1, stolen = 0;
	bool inherit;

	if (arg == NULL) {
		owner(pp, times(100000) / (nthieves + 1));
		atomic_fetch_sub(&owners, 1);
	}
	for (int quiet = 0; quiet < 3 || atomic_load(&owners) > 0;) {
		/* The share of another's queue, or of the global one, goes into an empty ring only.
		 */
		bool last = atomic_load(&owners) == 0;
		struct p *p2 = &ps[roll(&dice) % (uint32_t)(nthieves + 1)];
		struct g *gp = runqget(pp, &inherit);
		if (gp == NULL && p2 != pp) {
			gp = runqsteal(pp, p2, last || roll(&dice) % 4 == 0);
			stolen += gp != NULL;
		}
		if (gp == NULL)
			gp = getglob(pp, 0);
		quiet = gp || !last ? 0 : quiet + 1;
		for (; gp != NULL; gp = runqget(pp, &inherit)) {
			consume(gp);
			dawdle(&dice);
		}
		dawdle(&dice);
	}
	atomic_fetch_add(&nstolen, stolen);
	return NULL;
}

static void steal(int thieves)
{
	nthieves = thieves;
	setup(thieves + 1);
	for (int i = 0; i <= thieves; i++)
		seek(&ps[i], UINT32_MAX - 1000 * (uint32_t)i);
	owners = 1;
	inthreads(thieves + 1, ownerorthief);
	/* A thief may have missed what another was about to put. */
	for (int i = 0; i <= thieves; i++) {
		bool inherit;
		struct g *gp;
		while ((gp = runqget(&ps[i], &inherit)) != NULL)
			consume(gp);
	}
	for (int i = 0; i < NG; i++)
		cr_assert_eq(queued[i], 0, "g %d of %d was lost", i, NG);
	cr_assert_eq(nput, ngot, "%lu put, %lu got", nput, ngot);
	cr_assert_eq(sumput, sumgot, "a G came with another's word");
	cr_assert(thieves == 0 || nstolen > 0, "none of %lu was stolen", nput);
}

Test(steal, no_thief)
{
	steal(0);
}

Test(steal, one_thief)
{
	steal(1);
}

Test(steal, two_thieves)
{
	steal(2);
}

Test(steal, seven_thieves)
{
	steal(7);
}

/* ---- runqempty ------------------------------------------------------------------------------ */

static _Atomic long looks;

/* One G at least is always there: in runnext, in the ring, or on its way from there to here. */
static void *shuffle(void *arg)
{
	struct p *pp = &ps[0], *p2 = &ps[1];
	bool inherit;

	if (arg != NULL) { /* who looks */
		while (atomic_fetch_sub(&looks, 1) > 0)
			must(!runqempty(pp), "head %u tail %u next %ld", pp->runqhead, pp->runqtail,
			     idof(pp->runnext));
		return NULL;
	}
	for (long i = 1; atomic_load(&looks) > 0; i = !i) {
		runqput(pp, &gs[i], true); /* the other goes to the ring */
		must(runqget(pp, &inherit) == &gs[i], "runnext");
		runqput(pp, &gs[i], true);
		must(runqsteal(p2, pp, false) == &gs[!i], "the ring's");
	}
	return NULL;
}

Test(steal, not_seen_empty_while_a_g_moves)
{
	setup(2);
	looks = times(300000);
	runqput(&ps[0], &gs[0], true);
	inthreads(2, shuffle);
}
