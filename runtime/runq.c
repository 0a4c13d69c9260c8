/* SPDX-License-Identifier: MIT
 *
 * runq.c: run queues (Go's runqput, runqget, runqgrab, runqsteal, globrunq*).
 *
 * A P's queue is a ring of 256: the owner alone moves the tail and writes slots, anyone moves the
 * head by CAS. runnext is a single slot before it, for the G that was just readied: it runs next
 * on this P, which keeps a ping-pong pair on one CPU. The global queue is a list under sched.lock; those that are
 * back from calls that blocked (backq) have each other turn, behind both come those that were preempted (hogq).
 *
 * Ordering. The owner's release store of the tail publishes the slots; a thief acquires the tail,
 * copies the slots, and only its successful CAS of the head (release, so that the owner's acquire
 * load of the head orders the reuse of slots after the copy) makes the copy valid. A torn view of
 * head and tail shows as n > half the ring and is read again.
 */
#include "runtime.h"

enum { RING = nelem(((struct p *)0)->runq) };

/* Moves half of a full ring and gp to the global queue. False if a thief made room meanwhile. */
static bool runqputslow(struct p *pp, struct g *gp, uint32_t h, uint32_t t)
{
	struct g *batch[RING / 2 + 1];
	uint32_t n = (t - h) / 2;

	if (n != RING / 2)
		throw("runqputslow: queue is not full");
	for (uint32_t i = 0; i < n; i++)
		batch[i] = atomic_load_explicit(&pp->runq[(h + i) % RING], memory_order_relaxed);
	if (!atomic_compare_exchange_strong_explicit(&pp->runqhead, &h, h + n, memory_order_release,
						     memory_order_relaxed))
		return false;
	batch[n] = gp;
	for (uint32_t i = 0; i < n; i++)
		batch[i]->schedlink = batch[i + 1];
	gp->schedlink = NULL;
	struct gqueue q = {batch[0], gp, (int32_t)n + 1};
	lock(&sched.lock);
	globrunqputbatch(&q);
	unlock(&sched.lock);
	return true;
}

/* Owner only. next: into runnext, and the G that was there goes to the tail. */
void runqput(struct p *pp, struct g *gp, bool next)
{
	if (next) {
		/* Others only take it away: where nothing is, nobody but us puts something, and there is nothing to exchange. */
		if (likely(atomic_load_explicit(&pp->runnext, memory_order_relaxed) == NULL)) {
			atomic_store_explicit(&pp->runnext, gp, memory_order_release);
			return;
		}
		gp = atomic_exchange_explicit(&pp->runnext, gp, memory_order_acq_rel);
		if (gp == NULL)
			return;
	}
	for (;;) {
		uint32_t h = atomic_load_explicit(&pp->runqhead, memory_order_acquire);
		uint32_t t = atomic_load_explicit(&pp->runqtail, memory_order_relaxed);
		if (t - h < RING) {
			atomic_store_explicit(&pp->runq[t % RING], gp, memory_order_relaxed);
			atomic_store_explicit(&pp->runqtail, t + 1, memory_order_release);
			return;
		}
		if (runqputslow(pp, gp, h, t))
			return;
	}
}

/* Owner only. *inherit: it came from runnext and goes on with the present time slice. */
struct g *runqget(struct p *pp, bool *inherit)
{
	struct g *next = atomic_load_explicit(&pp->runnext, memory_order_relaxed);
	/* Only a thief can race, and only by taking it away: one try is enough. */
	if (next != NULL && atomic_compare_exchange_strong_explicit(
				    &pp->runnext, &next, NULL, memory_order_acquire, memory_order_relaxed)) {
		*inherit = true;
		return next;
	}
	*inherit = false;
	for (;;) {
		uint32_t h = atomic_load_explicit(&pp->runqhead, memory_order_acquire);
		uint32_t t = atomic_load_explicit(&pp->runqtail, memory_order_relaxed);
		if (t == h)
			return NULL;
		struct g *gp = atomic_load_explicit(&pp->runq[h % RING], memory_order_relaxed);
		if (atomic_compare_exchange_weak_explicit(&pp->runqhead, &h, h + 1, memory_order_release,
							  memory_order_relaxed))
			return gp;
	}
}

/* Takes half of p2's queue into batch (a ring, from position bt). Returns how many. */
static uint32_t runqgrab(struct p *p2, struct p *pp, uint32_t bt, bool stealnext)
{
	for (;;) {
		uint32_t h = atomic_load_explicit(&p2->runqhead, memory_order_acquire);
		uint32_t t = atomic_load_explicit(&p2->runqtail, memory_order_acquire);
		uint32_t n = t - h;
		n -= n / 2;
		if (n == 0) {
			if (!stealnext)
				return 0;
			struct g *next = atomic_load_explicit(&p2->runnext, memory_order_acquire);
			if (next == NULL)
				return 0;
			if (!atomic_compare_exchange_strong_explicit(&p2->runnext, &next, NULL,
								     memory_order_acquire,
								     memory_order_relaxed))
				continue;
			atomic_store_explicit(&pp->runq[bt % RING], next, memory_order_relaxed);
			return 1;
		}
		if (n > RING / 2)
			continue; /* torn head and tail */
		for (uint32_t i = 0; i < n; i++) {
			struct g *gp =
				atomic_load_explicit(&p2->runq[(h + i) % RING], memory_order_relaxed);
			atomic_store_explicit(&pp->runq[(bt + i) % RING], gp, memory_order_relaxed);
		}
		if (atomic_compare_exchange_strong_explicit(&p2->runqhead, &h, h + n,
							    memory_order_acq_rel, memory_order_relaxed))
			return n;
	}
}

/* Owner of pp only: steals half of p2's Gs into pp's queue, returns one of them. */
struct g *runqsteal(struct p *pp, struct p *p2, bool stealnext)
{
	uint32_t t = atomic_load_explicit(&pp->runqtail, memory_order_relaxed);
	uint32_t n = runqgrab(p2, pp, t, stealnext);
	if (n == 0)
		return NULL;
	n--;
	struct g *gp = atomic_load_explicit(&pp->runq[(t + n) % RING], memory_order_relaxed);
	if (n == 0)
		return gp;
	uint32_t h = atomic_load_explicit(&pp->runqhead, memory_order_acquire);
	if (t - h + n >= RING)
		throw("runqsteal: queue overflow");
	atomic_store_explicit(&pp->runqtail, t + n, memory_order_release);
	return gp;
}

uint32_t runqlen(struct p *pp)
{
	uint32_t t = atomic_load_explicit(&pp->runqtail, memory_order_relaxed);
	uint32_t h = atomic_load_explicit(&pp->runqhead, memory_order_relaxed);
	return t - h <= RING ? t - h : 0;
}

/* Nothing here, runnext included. Any thread: read until head, tail and runnext belong together. */
bool runqempty(struct p *pp)
{
	for (;;) {
		uint32_t h = atomic_load_explicit(&pp->runqhead, memory_order_acquire);
		uint32_t t = atomic_load_explicit(&pp->runqtail, memory_order_acquire);
		struct g *next = atomic_load_explicit(&pp->runnext, memory_order_acquire);
		if (t == atomic_load_explicit(&pp->runqtail, memory_order_acquire))
			return h == t && next == NULL;
	}
}

static void globsizes(void)
{
	atomic_store_explicit(&sched.hogqsize, sched.hogq.n, memory_order_relaxed);
	atomic_store_explicit(&sched.backqsize, sched.backq.n, memory_order_relaxed);
	atomic_store_explicit(&sched.runqsize, sched.runq.n + sched.backq.n + sched.hogq.n, memory_order_relaxed);
}

static void queueput(struct gqueue *q, struct g *gp)
{
	gp->schedlink = NULL;
	if (q->tail != NULL)
		q->tail->schedlink = gp;
	else
		q->head = gp;
	q->tail = gp;
	q->n++;
	globsizes();
}

static struct g *queueget(struct gqueue *q)
{
	struct g *gp = q->head;

	if (gp == NULL)
		return NULL;
	q->head = gp->schedlink;
	if (q->head == NULL)
		q->tail = NULL;
	q->n--;
	globsizes();
	gp->schedlink = NULL;
	return gp;
}

void hogrunqput(struct g *gp)
{
	queueput(&sched.hogq, gp);
}

struct g *hogrunqget(void)
{
	return queueget(&sched.hogq);
}

void backrunqput(struct g *gp)
{
	queueput(&sched.backq, gp);
}

struct g *backrunqget(void)
{
	return queueget(&sched.backq);
}

void globrunqputbatch(struct gqueue *q)
{
	if (q->head == NULL)
		return;
	if (sched.runq.tail != NULL)
		sched.runq.tail->schedlink = q->head;
	else
		sched.runq.head = q->head;
	sched.runq.tail = q->tail;
	sched.runq.n += q->n;
	globsizes();
}

void globrunqput(struct g *gp)
{
	gp->schedlink = NULL;
	globrunqputbatch(&(struct gqueue){gp, gp, 1});
}

/*
 * Takes a fair share (at most max; 0: no limit) of the global queue: returns one, the rest go to pp's ring. If it is
 * empty: one that is back from a call. These had their turn before (findrunnable), and must not keep others waiting.
 */
struct g *globrunqget(struct p *pp, int32_t max)
{
	int32_t n = sched.runq.n / gomaxprocs + 1;

	if (sched.runq.n == 0)
		return backrunqget();
	if (n > sched.runq.n)
		n = sched.runq.n;
	if (max > 0 && n > max)
		n = max;
	if (n > (int32_t)RING / 2)
		n = RING / 2;
	struct g *first = sched.runq.head, *gp = first;
	for (int32_t i = 1; i < n; i++)
		gp = gp->schedlink;
	sched.runq.head = gp->schedlink;
	if (sched.runq.head == NULL)
		sched.runq.tail = NULL;
	sched.runq.n -= n;
	globsizes();
	gp->schedlink = NULL;
	for (gp = first->schedlink; gp != NULL;) {
		struct g *next = gp->schedlink;
		/* A full ring would want sched.lock, which we hold: RING/2 always fits, as pp was empty or
		 * this is the 61st tick with max 1. */
		runqput(pp, gp, false);
		gp = next;
	}
	return first;
}
