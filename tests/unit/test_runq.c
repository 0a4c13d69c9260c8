/* SPDX-License-Identifier: MIT
 *
 * test_runq.c: run queues on bare Ps and Gs that never run: order, overflow, shares, halves. What
 * thieves do at the same time is test_steal.c's matter.
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

/* The next of pp's queue has to be gs[want], or nil for -1. */
static void expect(struct p *pp, long want, bool wantinherit)
{
	bool inherit = !wantinherit;
	struct g *gp = runqget(pp, &inherit);

	cr_assert_eq(idof(gp), want, "got g %ld, not %ld", idof(gp), want);
	cr_assert_eq(inherit, wantinherit, "g %ld: inherit %d", want, inherit);
}

static long expectglob(void)
{
	lock(&sched.lock);
	struct g *gp = globrunqget(&ps[0], 1);
	unlock(&sched.lock);
	return idof(gp);
}

Test(runq, first_in_first_out_but_runnext)
{
	struct p *pp = &ps[0];

	setup(1);
	seek(pp, UINT32_MAX - 2); /* the ring's positions wrap on the way */
	cr_assert(runqempty(pp));
	expect(pp, -1, false);
	for (int i = 0; i < 5; i++)
		runqput(pp, &gs[i], false);
	cr_assert_eq(runqlen(pp), 5);
	runqput(pp, &gs[5], true);
	cr_assert_eq(runqlen(pp), 5, "runnext is not counted");
	runqput(pp, &gs[6], true); /* 5 goes to the tail */
	cr_assert_eq(runqlen(pp), 6);
	expect(pp, 6, true);
	for (int i = 0; i < 6; i++)
		expect(pp, i, false);
	expect(pp, -1, false);
	runqput(pp, &gs[7], true);
	cr_assert_eq(runqlen(pp), 0);
	cr_assert_not(runqempty(pp), "runnext is work");
	expect(pp, 7, true);
	cr_assert(runqempty(pp));
}

/* The 257th takes the older half along to the global queue. by: runqput's way to the tail. */
static void overflow(bool bynext)
{
	struct p *pp = &ps[0];

	setup(1);
	seek(pp, UINT32_MAX - 100);
	for (int i = 0; i < 256; i++)
		runqput(pp, &gs[i], false);
	cr_assert_eq(runqlen(pp), 256);
	cr_assert_eq(sched.runq.n, 0);
	runqput(pp, &gs[256], bynext);
	if (bynext)
		runqput(pp, &gs[257], true);
	cr_assert_eq(runqlen(pp), 128);
	cr_assert_eq(sched.runq.n, 129, "%d", sched.runq.n);
	cr_assert_eq(sched.runqsize, 129);
	if (bynext)
		expect(pp, 257, true);
	for (int i = 128; i < 256; i++)
		expect(pp, i, false);
	expect(pp, -1, false);
	for (int i = 0; i < 128; i++)
		cr_assert_eq(expectglob(), i);
	cr_assert_eq(expectglob(), 256);
	cr_assert_eq(expectglob(), -1);
	cr_assert_eq(sched.runqsize, 0);
}

Test(runq, overflow)
{
	overflow(false);
}

Test(runq, overflow_of_runnext)
{
	overflow(true);
}

/* globrunqget: n / gomaxprocs + 1, at most max, at most half a ring; the first is returned. */
static void share(int procs, int n, int max, int want)
{
	int i;

	setup(procs);
	for (i = 0; i < n; i++)
		globrunqput(&gs[i]);
	struct g *gp = globrunqget(&ps[0], max);
	cr_assert_eq(idof(gp), want ? 0 : -1);
	cr_assert_eq((int)runqlen(&ps[0]), want ? want - 1 : 0, "%d of %d for one of %d Ps, not %d",
		     runqlen(&ps[0]) + 1, n, procs, want);
	cr_assert_eq(sched.runq.n, n - want);
	cr_assert_eq(sched.runqsize, n - want);
	for (i = 1; i < want; i++)
		expect(&ps[0], i, false);
	for (; i < n; i++)
		cr_assert_eq(expectglob(), i);
	cr_assert_null(sched.runq.head);
	cr_assert_null(sched.runq.tail);
}

Test(runq, share_of_the_global_queue)
{
	share(4, 0, 0, 0);
	share(4, 1, 0, 1);
	share(4, 3, 0, 1);
	share(4, 100, 0, 26);
	share(4, 100, 1, 1);
	share(4, 100, 7, 7);
	share(1, 100, 0, 100);
	share(1, 1000, 0, 128);
	share(8, 2000, 0, 128);
	globrunqputbatch(&(struct gqueue){NULL, NULL, 0});
	cr_assert_eq(expectglob(), -1);
}

Test(runq, back_from_calls_not_before_all_preempted_apart)
{
	setup(1);
	globrunqput(&gs[0]);
	backrunqput(&gs[1]);
	hogrunqput(&gs[2]);
	backrunqput(&gs[3]);
	cr_assert_eq(sched.runqsize, 4);
	cr_assert_eq(sched.backqsize, 2);
	cr_assert_eq(sched.hogqsize, 1);
	/* They have turns of their own; else they come after those who were woken. */
	cr_assert_eq(expectglob(), 0);
	cr_assert_eq(expectglob(), 1);
	cr_assert_eq(idof(backrunqget()), 3);
	cr_assert_null(backrunqget());
	cr_assert_eq(expectglob(), -1);
	cr_assert_eq(sched.runqsize, 1);
	cr_assert_eq(idof(hogrunqget()), 2);
	cr_assert_null(hogrunqget());
	cr_assert_eq(sched.runqsize, 0);
	cr_assert_null(sched.backq.tail);
}

Test(runq, stealing_takes_the_older_half)
{
	struct p *pp = &ps[0], *p2 = &ps[1];

	setup(2);
	for (int n = 1; n <= 256; n++) {
		int half = n - n / 2;
		seek(pp, 0u - (uint32_t)n);
		seek(p2, 7u - (uint32_t)n);
		for (int i = 0; i < n; i++)
			runqput(p2, &gs[i], false);
		runqput(p2, &gs[n], true);
		struct g *gp = runqsteal(pp, p2, true);
		cr_assert_eq(idof(gp), half - 1, "of %d: g %ld", n, idof(gp));
		cr_assert_eq((int)runqlen(pp), half - 1);
		cr_assert_eq((int)runqlen(p2), n - half);
		for (int i = 0; i < half - 1; i++)
			expect(pp, i, false);
		expect(p2, n, true);
		for (int i = half; i < n; i++)
			expect(p2, i, false);
		expect(pp, -1, false);
		expect(p2, -1, false);
	}
}

Test(runq, runnext_is_stolen_only_on_request_and_last)
{
	struct p *pp = &ps[0], *p2 = &ps[1];

	setup(2);
	cr_assert_null(runqsteal(pp, p2, true));
	runqput(p2, &gs[1], true);
	cr_assert_null(runqsteal(pp, p2, false));
	runqput(p2, &gs[0], false);
	cr_assert_eq(idof(runqsteal(pp, p2, true)), 0);
	cr_assert_eq(idof(runqsteal(pp, p2, true)), 1);
	cr_assert_null(runqsteal(pp, p2, true));
	cr_assert(runqempty(p2) && runqempty(pp));
}

/* Everything at random, against a plain array that says what should be where. */
Test(runq, like_a_model)
{
	struct model {
		long next, q[256];
		int n;
	} m[2];
	long glob[NG];
	int nglob = 0, nfree;
	long freeg[NG];
	uint64_t dice = 42;

	setup(2);
	memset(m, 0, sizeof m);
	m[0].next = m[1].next = -1;
	for (nfree = 0; nfree < NG; nfree++)
		freeg[nfree] = nfree;
	seek(&ps[0], UINT32_MAX - 5000);
	seek(&ps[1], UINT32_MAX - 300);
	for (long step = 0; step < times(200000); step++) {
		int i = (int)(roll(&dice) % 2), fill = (int)(step / 3000 % 3);
		struct model *a = &m[i], *b = &m[!i];
		long id;
		bool inherit;
		switch (roll(&dice) % (fill ? 12 : 16)) {
		default: /* put */
			if (nfree == 0)
				break;
			id = freeg[--nfree];
			bool next = roll(&dice) % 2;
			runqput(&ps[i], &gs[id], next);
			if (next) {
				long old = a->next;
				a->next = id;
				if ((id = old) < 0)
					break;
			}
			if (a->n == 256) {
				memcpy(glob + nglob, a->q, 128 * sizeof(long));
				memmove(a->q, a->q + 128, 128 * sizeof(long));
				nglob += 128;
				glob[nglob++] = id;
				a->n = 128;
			} else {
				a->q[a->n++] = id;
			}
			break;
		case 0 ... 4: /* get */
			id = idof(runqget(&ps[i], &inherit));
			cr_assert_eq(inherit, a->next >= 0);
			if (a->next >= 0) {
				cr_assert_eq(id, a->next);
				a->next = -1;
			} else if (a->n > 0) {
				cr_assert_eq(id, a->q[0], "step %ld: %ld, not %ld", step, id,
					     a->q[0]);
				memmove(a->q, a->q + 1, (size_t)--a->n * sizeof(long));
			} else {
				cr_assert_eq(id, -1);
				break;
			}
			freeg[nfree++] = id;
			break;
		case 5: /* steal: into an empty queue */
			if (a->n > 0 || a->next >= 0)
				break;
			id = idof(runqsteal(&ps[i], &ps[!i], false));
			int half = b->n - b->n / 2;
			cr_assert_eq(id, half ? b->q[half - 1] : -1);
			if (half == 0)
				break;
			memcpy(a->q, b->q, (size_t)(half - 1) * sizeof(long));
			a->n = half - 1;
			memmove(b->q, b->q + half, (size_t)(b->n - half) * sizeof(long));
			b->n -= half;
			freeg[nfree++] = id;
			break;
		case 6: /* from the global queue */
			id = expectglob();
			cr_assert_eq(id, nglob ? glob[0] : -1);
			if (nglob == 0)
				break;
			memmove(glob, glob + 1, (size_t)--nglob * sizeof(long));
			freeg[nfree++] = id;
			break;
		}
		cr_assert_eq((int)runqlen(&ps[i]), a->n);
		cr_assert_eq(runqempty(&ps[i]), a->n == 0 && a->next < 0);
		cr_assert_eq(sched.runqsize, nglob);
	}
}
