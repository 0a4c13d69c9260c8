/* SPDX-License-Identifier: MIT
 *
 * time.c: the clock, and one 4-ary heap of timers per P (Go's time.go).
 *
 * Every G has one timer, armed by gopark() and disarmed by a plain store of 0 to t->when when the G
 * goes on: no lock, the heap is not touched. The stale entry stays in its heap until its key comes
 * up, or until the G parks again with a later deadline, which then costs a store under an
 * uncontended lock and no sift: a daemon that polls each client with the same time-out over and
 * over pays next to nothing. Only a deadline earlier than the key moves the entry.
 *
 * Who fires: the P's owner in schedule(), thieves in findrunnable(), sysmon by starting an M. What
 * a late or double firing does is decided by gp->park (parkclaim), not here.
 *
 * Ordering: key, index, ticket and t->pp are under the heap's lock; t->when is written by the G
 * (disarm, relaxed: a firing that misses it loses the claim) and under the lock (arm).
 * timer0when is a hint for others, stored under the lock.
 *
 * Rejected: a lock-free heap (nothing to gain: the lock is the P's own), a timing wheel (Go's tick
 * of it lost precision; deadlines here are in ns), removing at each disarm (two sifts a wait).
 */
#include "runtime.h"
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <errno.h>

static int (*libc_clock_gettime)(clockid_t, struct timespec *);

void timeinit(void)
{
	if (libc_clock_gettime == NULL)
		libc_clock_gettime =
			(int (*)(clockid_t, struct timespec *))libcsym("clock_gettime");
}

static uint64_t clockns(clockid_t clk)
{
	struct timespec ts;

	/* libc's goes to the vDSO: about 25 ns. */
	if (likely(libc_clock_gettime != NULL))
		libc_clock_gettime(clk, &ts);
	else
		SC2(SYS_clock_gettime, clk, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t nanotime(void)
{
	return clockns(CLOCK_MONOTONIC);
}

uint64_t reldeadline(uint64_t ns)
{
	uint64_t d = nanotime() + ns;
	return d < ns ? UINT64_MAX : d ? d : 1;
}

uint64_t absdeadline(clockid_t clk, const struct timespec *ts)
{
	if (ts->tv_sec < 0)
		return 1;
	if ((uint64_t)ts->tv_sec > UINT64_MAX / 1000000000u - 1)
		return UINT64_MAX;
	uint64_t t = (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec;
	if (clk == CLOCK_MONOTONIC)
		return t ? t : 1;
	uint64_t now = clockns(clk);
	return t <= now ? 1 : reldeadline(t - now);
}

/* ---- heap; pp->timerlock held ----------------------------------------------------------------- */

static void place(struct p *pp, uint32_t i, struct timer *t)
{
	pp->timers[i] = t;
	t->index = (int32_t)i;
}

static void siftup(struct p *pp, uint32_t i, struct timer *t)
{
	while (i > 0) {
		uint32_t up = (i - 1) / 4;
		if (pp->timers[up]->key <= t->key)
			break;
		place(pp, i, pp->timers[up]);
		i = up;
	}
	place(pp, i, t);
}

static void siftdown(struct p *pp, uint32_t i, struct timer *t)
{
	uint32_t n = pp->ntimers;

	for (;;) {
		uint32_t c = 4 * i + 1, least = c;
		if (c >= n)
			break;
		for (uint32_t k = c + 1; k < c + 4 && k < n; k++)
			if (pp->timers[k]->key < pp->timers[least]->key)
				least = k;
		if (pp->timers[least]->key >= t->key)
			break;
		place(pp, i, pp->timers[least]);
		i = least;
	}
	place(pp, i, t);
}

static void settop(struct p *pp)
{
	atomic_store_explicit(&pp->timer0when, pp->ntimers ? pp->timers[0]->key : 0,
			      memory_order_release);
}

static void removeat(struct p *pp, uint32_t i)
{
	struct timer *t = pp->timers[i];
	uint32_t n = pp->ntimers - 1;

	atomic_store_explicit(&pp->ntimers, n, memory_order_relaxed);
	if (i != n) {
		struct timer *last = pp->timers[n];
		if (i > 0 && pp->timers[(i - 1) / 4]->key > last->key)
			siftup(pp, i, last);
		else
			siftdown(pp, i, last);
	}
	t->index = -1;
	atomic_store_explicit(&t->pp, NULL, memory_order_release);
}

static void grow(struct p *pp)
{
	uint32_t cap = pp->captimers ? pp->captimers * 2 : 512;
	long mem = SC6(SYS_mmap, 0, cap * sizeof(*pp->timers), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem < 0 && mem > -4096)
		throw("no memory for timers");
	struct timer **t = (struct timer **)mem;
	if (pp->timers != NULL) {
		memcpy(t, pp->timers, pp->captimers * sizeof(*t));
		SC2(SYS_munmap, pp->timers, pp->captimers * sizeof(*t));
	}
	pp->timers = t;
	pp->captimers = cap;
}

/* ---- for gopark ------------------------------------------------------------------------------- */

/* Arms gp's timer for its present park: in the heap where it still is, or in pp's. gp itself only. */
void timerarm(struct p *pp, struct timer *t, struct g *gp, uint64_t ticket, uint64_t when)
{
	struct p *at = atomic_load_explicit(&t->pp, memory_order_acquire);
	bool earliest = false;

	/* Only we put it into a heap; others may take it out meanwhile, under that heap's lock. */
	if (at != NULL) {
		lock(&at->timerlock);
		if (atomic_load_explicit(&t->pp, memory_order_relaxed) != NULL) {
			atomic_store_explicit(&t->ticket, ticket, memory_order_relaxed);
			atomic_store_explicit(&t->when, when, memory_order_relaxed);
			if (when < t->key) {
				t->key = when;
				siftup(at, (uint32_t)t->index, t);
				earliest = t->index == 0;
				settop(at);
			}
			unlock(&at->timerlock);
			goto out;
		}
		unlock(&at->timerlock);
	}
	lock(&pp->timerlock);
	t->gp = gp;
	atomic_store_explicit(&t->ticket, ticket, memory_order_relaxed);
	atomic_store_explicit(&t->when, when, memory_order_relaxed);
	t->key = when;
	if (pp->ntimers == pp->captimers)
		grow(pp);
	uint32_t n = pp->ntimers;
	atomic_store_explicit(&pp->ntimers, n + 1, memory_order_relaxed);
	atomic_store_explicit(&t->pp, pp, memory_order_relaxed);
	siftup(pp, n, t);
	earliest = t->index == 0;
	settop(pp);
	unlock(&pp->timerlock);
out:
	/* An M that sleeps in netpoll beyond this must hear of it: our P may be lent for long. */
	if (earliest && atomic_load_explicit(&sched.lastpoll, memory_order_seq_cst) == 0) {
		uint64_t until = atomic_load_explicit(&sched.polluntil, memory_order_seq_cst);
		if (until == 0 || until > when)
			netpollbreak();
	}
}

void timerdel(struct timer *t)
{
	struct p *at = atomic_load_explicit(&t->pp, memory_order_acquire);

	atomic_store_explicit(&t->when, 0, memory_order_relaxed);
	if (at == NULL)
		return;
	lock(&at->timerlock);
	if (atomic_load_explicit(&t->pp, memory_order_relaxed) != NULL) {
		removeat(at, (uint32_t)t->index);
		settop(at);
	}
	unlock(&at->timerlock);
}

/* Fires what is due in pp's heap. Any M that owns a P (not only pp's owner). Returns the next key. */
uint64_t checktimers(struct p *pp, uint64_t now, bool *ran)
{
	uint64_t next = atomic_load_explicit(&pp->timer0when, memory_order_acquire), fired = 0;
	struct g *self = getg();

	if (next == 0 || next > now)
		return next;
	lock(&pp->timerlock);
	while (pp->ntimers > 0) {
		struct timer *t = pp->timers[0];
		uint64_t when;
		if (t->key > now)
			break;
		when = atomic_load_explicit(&t->when, memory_order_relaxed);
		if (when > now) { /* armed again for later, or far from due: mend the heap now */
			t->key = when;
			siftdown(pp, 0, t);
			continue;
		}
		/* Before removeat(): from then on its G may arm it in another heap, for its next park. */
		struct g *gp = t->gp;
		uint64_t ticket = atomic_load_explicit(&t->ticket, memory_order_relaxed);
		removeat(pp, 0);
		if (when == 0)
			continue;
		settop(pp);
		unlock(&pp->timerlock);
		bool parked;
		if (parkclaim(gp, ticket, WakeTimeout, &parked)) {
			*ran = true;
			fired++;
			if (parked)
				goreadylast(gp);
		}
		lock(&pp->timerlock);
	}
	settop(pp);
	next = atomic_load_explicit(&pp->timer0when, memory_order_relaxed);
	unlock(&pp->timerlock);
	if (fired != 0)
		countn(self && self->m ? self->m->p : NULL, CountTimer, fired);
	return next;
}

uint64_t timersnext(void)
{
	uint64_t least = 0;

	for (int32_t i = 0; i < gomaxprocs; i++) {
		uint64_t w = atomic_load_explicit(&allp[i]->timer0when, memory_order_acquire);
		if (w != 0 && (least == 0 || w < least))
			least = w;
	}
	return least;
}

int gosleep(uint64_t deadline)
{
	struct g *gp = getg();

	for (;;) {
		exitforeign();
		parkbegin(gp);
		enum wakereason r = gopark(gp, WaitSleep, 0, deadline);
		int ran = enterforeign();
		if (r == WakeTimeout)
			return 0;
		if (ran != 0 || r == WakeCancel)
			return -EINTR;
	}
}
