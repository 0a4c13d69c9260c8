/* SPDX-License-Identifier: MIT
 *
 * sema.c: waiting on an address (Go's sema.go): a futex in user space, whose waiters are Gs or foreign
 * kernel threads, side by side in one first-in-first-out queue per address.
 *
 * A table of buckets by hash of the address; in a bucket a list of the distinct addresses waited on
 * (their first waiters), each with its own queue behind it, so that 10,000 waiters on one address cost
 * nothing to a neighbour, and waking is O(1). Waiter records live on their waiters' stacks: a record is
 * in its queue only between futexwait()'s entry and return, and whoever unlinks it does so
 * under the bucket's lock.
 *
 * No lost wake-up: the waiter checks *addr under the bucket lock and queues itself before dropping it;
 * the waker changes *addr first and then looks at the queue under the same lock. So either the waiter
 * sees the new value, or the waker sees the waiter: whichever of the two critical sections is first. There is no look
 * without the lock, and so no fence: objects keep a count or a bit of their own and do not call without need.
 * A waker takes a waiter off the queue only if it wins the waiter's park
 * (parkclaim); one that timed out at the same moment does not swallow the wake-up.
 *
 * Blocks: futexwait parks the G (blocks a foreign thread's M). futexwake blocks nobody. Lock rank: bucket
 * locks are taken with no other runtime lock held, and goready (which may take sched.lock) is called after
 * they are dropped, for at most a batch of waiters at a time.
 */
#include "runtime.h"
#include <linux/futex.h>
#include <sys/syscall.h>

struct waiter {
	uintptr_t addr;
	struct waiter *next;	/* queue of this address */
	struct waiter *tail;	/* of the queue; in its first waiter only */
	struct waiter *nextaddr; /* bucket's list; in first waiters only */
	_Atomic uint32_t *count; /* the object's own number of waiters, or nil */
	struct g *gp;		/* nil: a kernel thread, which sleeps on `word` */
	uint64_t ticket;
	_Atomic uint32_t word;
	bool queued;
};

struct bucket {
	_Alignas(CACHELINE) mutex lock; /* lockshort */
	struct waiter *addrs;
};

static struct bucket table[1024];

/*
 * libc's word that is true until there is a second thread. Till then waiting and waking are the kernel's
 * futex, as in libc: a process without threads shall not notice us, and a handler that posts
 * on the waiting thread itself finds no lock of ours. Nobody is in the kernel's queue when the first thread is made.
 */
static const char *single;

void semainit(void)
{
	single = libcsym("__libc_single_threaded");
}

static bool alone(void)
{
	return single != NULL && *single != 0;
}

static int alonewait(_Atomic uint32_t *addr, uint32_t expect, uint64_t deadline, unsigned flags)
{
	struct timespec ts = {(time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u)};
	long r;

	do
		r = SC6(SYS_futex, addr, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expect, deadline ? &ts : NULL, 0,
			FUTEX_BITSET_MATCH_ANY);
	while (r == -EINTR && !(flags & FUTEX_INTR));
	return (int)r;
}

static struct bucket *bucketof(uintptr_t addr)
{
	return &table[(addr >> 3) * 0x9E3779B97F4A7C15u >> 54];
}

/* ---- queues; bucket lock held ------------------------------------------------------------------ */

static struct waiter **findaddr(struct bucket *b, uintptr_t addr)
{
	struct waiter **pw = &b->addrs;

	while (*pw != NULL && (*pw)->addr != addr)
		pw = &(*pw)->nextaddr;
	return pw;
}

static void enqueue(struct bucket *b, struct waiter *w)
{
	struct waiter *first = *findaddr(b, w->addr);

	w->next = NULL;
	w->queued = true;
	if (w->count != NULL)
		atomic_fetch_add_explicit(w->count, 1, memory_order_relaxed);
	if (first != NULL) {
		first->tail->next = w;
		first->tail = w;
		return;
	}
	w->tail = w;
	w->nextaddr = b->addrs;
	b->addrs = w;
}

/* Unlinks w, whose predecessor in its queue is prev (nil: w is the first). */
static void unqueue(struct bucket *b, struct waiter *w, struct waiter *prev)
{
	if (prev != NULL) {
		struct waiter *first = *findaddr(b, w->addr);
		prev->next = w->next;
		if (first->tail == w)
			first->tail = prev;
	} else {
		struct waiter **pw = findaddr(b, w->addr);
		if (w->next != NULL) {
			w->next->tail = w->tail;
			w->next->nextaddr = w->nextaddr;
			*pw = w->next;
		} else {
			*pw = w->nextaddr;
		}
	}
	w->queued = false;
	if (w->count != NULL)
		atomic_fetch_sub_explicit(w->count, 1, memory_order_relaxed);
}

/* ---- waiting ----------------------------------------------------------------------------------- */

/* A waiter that was not woken by futexwake takes itself off. */
static void dequeue(struct bucket *b, struct waiter *w)
{
	lockshort(&b->lock);
	if (w->queued) {
		struct waiter *prev = NULL, *x = *findaddr(b, w->addr);
		while (x != w) {
			prev = x;
			x = x->next;
		}
		unqueue(b, w, prev);
	}
	unlockshort(&b->lock);
}

/* A foreign thread sleeps in the kernel. w->word: 0 waiting, 1 woken. */
static int threadsleep(struct bucket *b, struct waiter *w, uint64_t deadline, unsigned flags)
{
	struct timespec ts = {(time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u)};
	int err = 0;

	while (atomic_load_explicit(&w->word, memory_order_acquire) == 0) {
		/* WAIT_BITSET takes an absolute CLOCK_MONOTONIC time. */
		long r = SC6(SYS_futex, &w->word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0,
			     deadline ? &ts : NULL, 0, FUTEX_BITSET_MATCH_ANY);
		if (r == -ETIMEDOUT || (r == -EINTR && (flags & FUTEX_INTR))) {
			err = (int)r;
			break;
		}
	}
	if (err != 0) {
		uint64_t all = ALLSIGS, old;
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, 8);
		dequeue(b, w);
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
		/* Unlinked by a waker that got ahead of us: then we were woken. */
		if (atomic_load_explicit(&w->word, memory_order_acquire) != 0)
			err = 0;
	}
	return err;
}

static int sleepon(struct waiter *w, _Atomic uint32_t *check, uint32_t expect, void (*unlockfn)(void *),
		   void *arg, uint64_t deadline, unsigned flags)
{
	struct bucket *b = bucketof(w->addr);
	struct g *gp = getg();
	uint64_t allsigs = ALLSIGS, oldsigs;
	int err;

	if (unlikely(gp == NULL && alone())) {
		if (check != NULL)
			return alonewait(check, expect, deadline, flags);
		atomic_fetch_add_explicit(w->count, 1, memory_order_relaxed);
		unlockfn(arg);
		int r = alonewait(&w->word, 0, deadline, flags);
		atomic_fetch_sub_explicit(w->count, 1, memory_order_relaxed);
		return r;
	}
	/* A signal handler that calls sem_post on this thread must not find the bucket locked. */
	if (gp != NULL)
		exitforeign();
	else
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &allsigs, &oldsigs, 8);
again:
	w->gp = gp;
	atomic_store_explicit(&w->word, 0, memory_order_relaxed);
	if (gp != NULL)
		w->ticket = parkbegin(gp);
	lockshort(&b->lock);
	if (check != NULL && atomic_load_explicit(check, memory_order_seq_cst) != expect) {
		unlockshort(&b->lock);
		if (gp != NULL) {
			parkabort(gp);
			enterforeign();
		} else {
			SC4(SYS_rt_sigprocmask, SIG_SETMASK, &oldsigs, NULL, 8);
		}
		return -EAGAIN;
	}
	enqueue(b, w);
	unlockshort(&b->lock);
	if (unlockfn != NULL)
		unlockfn(arg);
	if (gp == NULL) {
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &oldsigs, NULL, 8);
		err = threadsleep(b, w, deadline, flags);
		return err;
	}
	enum wakereason r = gopark(gp, (enum waitreason)(flags >> 8 & 0xff), w->addr - (flags >> 16), deadline);
	if (r == WakeReady) {
		enterforeign();
		return 0;
	}
	dequeue(b, w);
	err = r == WakeTimeout ? -ETIMEDOUT : -EINTR;
	int ran = enterforeign(); /* runs the handlers */
	if (r == WakeSignal && !((flags & FUTEX_INTR) && ran == EINTR)) {
		/* A wait that signals do not end: back to the queue, unless what we wait for has come. */
		if (unlockfn != NULL)
			return 0; /* POSIX lets a condition wait return after a handler */
		exitforeign();
		goto again;
	}
	return err;
}

int futexwait(_Atomic uint32_t *addr, uint32_t expect, uint64_t deadline, unsigned flags)
{
	struct waiter w = {.addr = (uintptr_t)addr};

	if (flags >> 8 == 0)
		flags |= FUTEX_WHY(WaitFutex, 0);
	return sleepon(&w, addr, expect, NULL, NULL, deadline, flags);
}

int futexwaitunlock(const void *addr, _Atomic uint32_t *count, void (*unlockfn)(void *), void *arg,
		    uint64_t deadline, unsigned flags)
{
	struct waiter w = {.addr = (uintptr_t)addr, .count = count};

	if (flags >> 8 == 0)
		flags |= FUTEX_WHY(WaitCond, 0);
	return sleepon(&w, NULL, 0, unlockfn, arg, deadline, flags);
}

/* ---- waking ------------------------------------------------------------------------------------ */

int futexwake(const void *addr, int n)
{
	struct bucket *b = bucketof((uintptr_t)addr);
	uint64_t allsigs = ALLSIGS, oldsigs;
	struct g *gp = getg();
	int woken = 0;

	if (unlikely(gp == NULL && alone()))
		return (int)SC3(SYS_futex, addr, FUTEX_WAKE_PRIVATE, n);
	if (gp != NULL)
		exitforeign();
	else
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &allsigs, &oldsigs, 8);
	for (bool more = true; more && woken < n;) {
		struct g *ready[64];
		int nready = 0;
		more = false;
		lockshort(&b->lock);
		struct waiter *w;
		while (woken < n && (w = *findaddr(b, (uintptr_t)addr)) != NULL) {
			if (nready == (int)nelem(ready)) {
				more = true;
				break;
			}
			bool parked = false;
			struct g *wgp = w->gp;
			if (wgp == NULL) {
				unqueue(b, w, NULL);
				atomic_store_explicit(&w->word, 1, memory_order_release);
				/* The record may be gone: the address alone is used, and a stray wake is harmless. */
				SC3(SYS_futex, &w->word, FUTEX_WAKE_PRIVATE, 1);
				woken++;
				continue;
			}
			/* Read before the claim: a G that is not yet parked may return at once after it, but only
			 * through dequeue() if somebody else won, which waits for our lock. */
			uint64_t ticket = w->ticket;
			unqueue(b, w, NULL);
			if (!parkclaim(wgp, ticket, WakeReady, &parked))
				continue;
			woken++;
			if (parked)
				ready[nready++] = wgp;
		}
		unlockshort(&b->lock);
		for (int i = 0; i < nready; i++)
			goready(ready[i]);
	}
	if (gp != NULL)
		enterforeign();
	else
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &oldsigs, NULL, 8);
	return woken;
}

void semafork(void)
{
	for (size_t i = 0; i < nelem(table); i++)
		table[i] = (struct bucket){0};
}
