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
 * Requeueing moves a waiter to another address while it sleeps: w->addr is written under the locks of both
 * buckets, so it holds still under either, and a waiter that takes itself off looks again once it has the lock
 * of the bucket it believes to be in. Between the two queues there is no moment in which a waker finds it in neither.
 *
 * Handing over (futexhand) decides under the queue's lock whether what becomes free goes to the oldest waiter, without
 * ever being free, or is free for all; a waiter that looks at the word under that lock sees one or the other.
 *
 * A broadcast (futexbroadcast) wakes one waiter at most and moves the others to the queue of the lock which they all
 * want next, so that each is woken when its turn has come. The lock's holder must look at that queue when it unlocks:
 * held() sees to it while we hold the lock of that queue, before anything is moved there. If it unlocks first, held() says that the lock is
 * free, and the waiter that we wake takes it as one that others wait for (its result is 1). If it unlocks after held(), it wants the
 * queue's lock, and finds those moved. And if somebody is in that queue already, somebody else will wake him: who unlocks, or was
 * woken before. *to is there to be looked at: those in addr's queue need it
 * next, and cannot leave while we hold the queue's lock, not even if their time is up.
 *
 * A signal handler in a wait for a condition (futexcondwait) runs with the waiter off its queue: it may wait, wake, fork, not return
 * at all, and the record is on its stack. Then the waiter is back in its place, unless it may have missed a wake-up. Who
 * wakes such waiters (futexsignal, futexbroadcast) and does not find as many as it should notes that in the bucket, under its lock
 * (missed). The waiter reads the note when it leaves the queue, and again when it comes back, under that lock: if it is the
 * same, no waker has looked in vain, and the waiter is queued for those to come; else it returns as woken. So a
 * wake-up comes to another waiter or ends this wait. A waker that finds it still queued, but already claimed by the
 * signal, takes it off and looks further: to the waiter that is as a note (dequeue() is false). Notes of other
 * addresses in the bucket end a wait in vain, which callers allow. The object's count goes on counting one who is away, or nobody would
 * look for it; it is touched on the way back only if no wake-up was missed, for else the object may be gone. So the count may be too
 * high, and who finds it so with nobody queued sets it right. A handler that never returns leaves no more behind than that.
 * Rejected: leaving the record in the queue (one whose handler jumps out swallows a wake-up from memory that is no record any more).
 *
 * Waking all means those who wait now: later ones, or the same again, have a higher number (seq).
 *
 * Blocks: futexwait parks the G (blocks a foreign thread's M). futexwake blocks nobody. Lock rank: bucket
 * locks are taken with no other runtime lock held (two of them by requeueing only, the lower one first), and goready
 * (which may take sched.lock) is called after they are dropped, for at most a batch of waiters at a time.
 */
#include "runtime.h"
#include <linux/futex.h>
#include <sys/syscall.h>

struct waiter {
	_Atomic uintptr_t addr; /* written before it is queued, then by futexrequeue */
	uint32_t bits;		/* a waker's must meet them */
	struct waiter *next;	/* queue of this address */
	struct waiter *tail;	/* of the queue; in its first waiter only */
	struct waiter *nextaddr; /* bucket's list; in first waiters only */
	_Atomic uint32_t *count; /* the object's own number of waiters, or nil */
	struct g *gp;		/* nil: a kernel thread, which sleeps on `word` */
	uint64_t ticket;	/* of gp's park; of a kernel thread: its TCB */
	_Atomic uint32_t word;
	bool queued;
	uint8_t result;	 /* of the wait, if woken. Under the lock of its queue, before the claim */
	uint32_t want;	 /* futexhand() stores it in the word; 0: nothing */
	uint64_t since;	 /* nanotime when the wait began as the caller counts it; 0: just now */
	uint64_t seq;	 /* its place in the order in which its bucket's waiters came */
	const void *to;	 /* futexbroadcast() may move it there */
	bool comesback;	 /* after a handler, if nobody woke it: futexcondwait() */
	uint64_t missed; /* the bucket's, when it left to run one */
};

struct bucket {
	_Alignas(CACHELINE) mutex lock; /* lockshort */
	struct waiter *addrs;
	uint64_t seq;	 /* that of the last to come */
	uint64_t missed; /* how often a waker of conditions found too few */
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

void semanotalone(void)
{
	single = NULL;
}

static bool alone(void)
{
	return single != NULL && *single != 0;
}

static int alonewait(_Atomic uint32_t *addr, uint32_t expect, uint64_t deadline, unsigned flags, uint32_t bits)
{
	struct timespec ts = {(time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u)};
	long r;

	do
		r = SC6(SYS_futex, addr, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expect, deadline ? &ts : NULL, 0, bits);
	while (r == -EINTR && !(flags & (FUTEX_INTR | FUTEX_INTRANY)));
	return (int)r;
}

static struct bucket *bucketof(uintptr_t addr)
{
	return &table[(addr >> 3) * 0x9E3779B97F4A7C15u >> 54];
}

static uintptr_t addrof(const struct waiter *w)
{
	return atomic_load_explicit(&w->addr, memory_order_relaxed);
}

/* ---- queues; bucket lock held ------------------------------------------------------------------ */

static struct waiter **findaddr(struct bucket *b, uintptr_t addr)
{
	struct waiter **pw = &b->addrs;

	while (*pw != NULL && addrof(*pw) != addr)
		pw = &(*pw)->nextaddr;
	return pw;
}

static void enqueue(struct bucket *b, struct waiter *w)
{
	struct waiter *first = *findaddr(b, addrof(w));

	w->next = NULL;
	w->queued = true;
	w->seq = ++b->seq;
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

/* Back to its place, before the first that came after it. It is counted. */
static void enqueueback(struct bucket *b, struct waiter *w)
{
	struct waiter **pw = findaddr(b, addrof(w)), *first = *pw, *prev = first;

	w->queued = true;
	if (first == NULL || first->seq > w->seq) {
		w->next = first;
		w->tail = first != NULL ? first->tail : w;
		w->nextaddr = first != NULL ? first->nextaddr : NULL;
		*pw = w;
		return;
	}
	while (prev->next != NULL && prev->next->seq < w->seq)
		prev = prev->next;
	w->next = prev->next;
	prev->next = w;
	if (w->next == NULL)
		first->tail = w;
}

/* Unlinks w, whose predecessor in its queue is prev (nil: w is the first). */
static void unqueue(struct bucket *b, struct waiter *w, struct waiter *prev)
{
	if (prev != NULL) {
		struct waiter *first = *findaddr(b, addrof(w));
		prev->next = w->next;
		if (first->tail == w)
			first->tail = prev;
	} else {
		struct waiter **pw = findaddr(b, addrof(w));
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

/*
 * A waiter that was not woken by futexwake takes itself off. away: it comes back, and stays counted. False: somebody has taken it
 * off, or moved it.
 */
static bool dequeue(struct waiter *w, bool away)
{
	struct bucket *b;
	bool was;

	for (;;) {
		uintptr_t addr = addrof(w);
		b = bucketof(addr);
		lockshort(&b->lock);
		if (likely(addr == addrof(w)))
			break;
		unlockshort(&b->lock); /* requeued meanwhile */
	}
	was = w->queued && w->result == 0;
	if (w->queued) {
		struct waiter *prev = NULL, *x = *findaddr(b, addrof(w));
		while (x != w) {
			prev = x;
			x = x->next;
		}
		_Atomic uint32_t *count = w->count;
		if (away && was)
			w->count = NULL; /* never less meanwhile: it is read without the lock */
		unqueue(b, w, prev);
		w->count = count;
	}
	w->missed = b->missed;
	unlockshort(&b->lock);
	return was;
}

/* Lock held. One that was away is queued again (true), or *err is its result: 0 woken, -EINTR it is to end. */
static bool comeback(struct bucket *b, struct waiter *w, bool ends, int *err)
{
	if (b->missed != w->missed) {
		*err = 0;
		return false;
	}
	if (ends) {
		if (w->count != NULL)
			atomic_fetch_sub_explicit(w->count, 1, memory_order_relaxed);
		*err = -EINTR;
		return false;
	}
	enqueueback(b, w);
	return true;
}

/* The calling kernel thread's record, while it is queued. Its own, handlers included. */
static __thread struct waiter *sleeping __attribute__((tls_model("initial-exec")));

/*
 * A foreign thread sleeps in the kernel. w->word: 0 waiting, THREADWOKEN, THREADCANCEL: look whether to end. The latter
 * is set under the bucket's lock, or by the thread's own handler: the record is alive.
 */
static int threadsleep(struct waiter *w, uint64_t deadline, unsigned flags, struct waiter *outer)
{
	struct timespec ts = {(time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u)};
	int err = 0;
	uint32_t v;

	while (((v = atomic_load_explicit(&w->word, memory_order_acquire)) & THREADWOKEN) == 0) {
		if (unlikely(v & THREADCANCEL)) {
			atomic_fetch_and(&w->word, ~(uint32_t)THREADCANCEL);
			if (flags & FUTEX_NOCANCEL ? goasync() : cancelacts(gettls())) {
				err = -EINTR;
				break;
			}
			continue;
		}
		/* WAIT_BITSET takes an absolute CLOCK_MONOTONIC time. */
		long r = SC6(SYS_futex, &w->word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0,
			     deadline ? &ts : NULL, 0, FUTEX_BITSET_MATCH_ANY);
		if (r == -ETIMEDOUT || (r == -EINTR && (flags & (FUTEX_INTR | FUTEX_INTRANY)))) {
			err = (int)r;
			break;
		}
	}
	if (err != 0) {
		uint64_t all = ALLSIGS, old;
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, 8);
		dequeue(w, false);
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
		/* Unlinked by a waker that got ahead of us: then we were woken. */
		if (atomic_load_explicit(&w->word, memory_order_acquire) & THREADWOKEN)
			err = 0;
	}
	sleeping = outer;
	/* 1: moved by a broadcast before its time was up */
	return err == 0 || (w->result != 0 && err == -ETIMEDOUT) ? w->result : err;
}

static int sleepon(struct waiter *w, _Atomic uint32_t *check, uint32_t expect, void (*unlockfn)(void *),
		   void *arg, uint64_t deadline, unsigned flags)
{
	const uintptr_t addr = addrof(w);
	struct bucket *b = bucketof(addr);
	struct g *gp = (flags & FUTEX_THREAD) ? NULL : getg();
	uint64_t allsigs = ALLSIGS, oldsigs;
	bool away = false, ends = false;
	int err;

	if (unlikely(gp == NULL && alone())) {
		if (check != NULL)
			return alonewait(check, expect, deadline, flags, w->bits);
		if (w->count != NULL)
			atomic_fetch_add_explicit(w->count, 1, memory_order_relaxed);
		unlockfn(arg);
		int r = alonewait(&w->word, 0, deadline, flags, ~0u);
		if (w->count != NULL)
			atomic_fetch_sub_explicit(w->count, 1, memory_order_relaxed);
		return r;
	}
	/* A signal handler that calls sem_post on this thread must not find the bucket locked. */
	if (gp != NULL)
		exitforeign();
	else
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &allsigs, &oldsigs, 8);
again:
	atomic_store_explicit(&w->addr, addr, memory_order_relaxed); /* where it was requeued from */
	w->gp = gp;
	atomic_store_explicit(&w->word, 0, memory_order_relaxed);
	w->ticket = gp != NULL ? parkbegin(gp) : (uintptr_t)gettls();
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
	if (unlikely(away)) {
		if (!comeback(b, w, ends, &err)) {
			unlockshort(&b->lock);
			parkabort(gp);
			enterforeign();
			return err;
		}
	} else {
		enqueue(b, w);
	}
	unlockshort(&b->lock);
	if (unlockfn != NULL && !away)
		unlockfn(arg);
	if (gp == NULL) {
		struct waiter *outer = sleeping;
		sleeping = w;
		/* After it is queued: who asks it to end later finds it there. */
		if ((flags & FUTEX_POINT) && unlikely(gocancelled()))
			atomic_fetch_or(&w->word, THREADCANCEL);
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &oldsigs, NULL, 8);
		return threadsleep(w, deadline, flags, outer);
	}
	enum wakereason r = gopark(gp, (enum waitreason)(flags >> 8 & 0xff), addr - (flags >> 16), deadline);
	if (r == WakeReady) {
		enterforeign();
		return w->result;
	}
	away = dequeue(w, w->comesback && r == WakeSignal) && w->comesback && r == WakeSignal;
	err = r != WakeTimeout ? -EINTR : w->result != 0 ? w->result : -ETIMEDOUT;
	int ran = enterforeign(); /* runs the handlers */
	ends = r == WakeCancel ? !(flags & FUTEX_NOCANCEL) || goasync()
				    : ran == EINTR ? (flags & (FUTEX_INTR | FUTEX_INTRANY)) != 0
						   : ran != 0 && (flags & FUTEX_INTRANY);
	if (r != WakeTimeout && !ends) {
		/* A wait that signals do not end: back to the queue, unless what we wait for has come. */
		if (unlockfn != NULL && !away)
			return w->result;
		ends = (flags & FUTEX_POINT) && gocancelled() && cancelacts(gettls()); /* a wait of the handler's may have been told */
		if (ends && !away)
			return -EINTR;
		exitforeign();
		goto again;
	}
	return err;
}

/* By hand: a structure's initialiser would clear the links too, which are written when it is queued. */
static inline void waiterinit(struct waiter *w, const void *addr, uint32_t bits, _Atomic uint32_t *count)
{
	atomic_store_explicit(&w->addr, (uintptr_t)addr, memory_order_relaxed);
	w->bits = bits;
	w->count = count;
	atomic_store_explicit(&w->word, 0, memory_order_relaxed); /* alonewait() looks at it */
	w->result = 0;
	w->want = 0;
	w->since = 0;
	w->to = NULL;
	w->comesback = false;
}

int futexwait(_Atomic uint32_t *addr, uint32_t expect, uint64_t deadline, unsigned flags)
{
	return futexwaitbits(addr, expect, deadline, flags, ~0u);
}

int futexwaitbits(_Atomic uint32_t *addr, uint32_t expect, uint64_t deadline, unsigned flags, uint32_t bits)
{
	struct waiter w;

	waiterinit(&w, addr, bits, NULL);
	if (flags >> 8 == 0)
		flags |= FUTEX_WHY(WaitFutex, 0);
	return sleepon(&w, addr, expect, NULL, NULL, deadline, flags);
}

int futexwaitunlock(const void *addr, _Atomic uint32_t *count, void (*unlockfn)(void *), void *arg,
		    uint64_t deadline, unsigned flags)
{
	struct waiter w;

	waiterinit(&w, addr, ~0u, count);
	if (flags >> 8 == 0)
		flags |= FUTEX_WHY(WaitCond, 0);
	return sleepon(&w, NULL, 0, unlockfn, arg, deadline, flags);
}

int futexwaithand(_Atomic uint32_t *addr, uint32_t expect, uint32_t want, uint64_t since, uint64_t deadline,
		  unsigned flags)
{
	struct waiter w;

	waiterinit(&w, addr, ~0u, NULL);
	w.want = want;
	w.since = since;
	return sleepon(&w, addr, expect, NULL, NULL, deadline, flags);
}

int futexcondwait(const void *addr, _Atomic uint32_t *count, const void *to, void (*unlockfn)(void *), void *arg,
		  uint64_t deadline, unsigned flags)
{
	struct waiter w;

	waiterinit(&w, addr, ~0u, count);
	w.to = to;
	w.comesback = true;
	return sleepon(&w, NULL, 0, unlockfn, arg, deadline, flags);
}

/* ---- waking ------------------------------------------------------------------------------------ */

/* Waiters that were taken off a queue, to be woken once its lock is dropped. */
struct woken {
	struct g *ready[64];
	_Atomic uint32_t *asleep[16]; /* kernel threads, by the word they sleep on */
	uint32_t nready, nasleep;
};

static bool wokenfull(const struct woken *l)
{
	return l->nready == nelem(l->ready) || l->nasleep == nelem(l->asleep);
}

/* Lock held. Takes w, behind prev, off its queue; true if that is what ends its wait. */
static bool takewaiter(struct bucket *b, struct waiter *w, struct waiter *prev, struct woken *l)
{
	/* Read before the claim: a G that is not yet parked may return at once after it, but only
	 * through dequeue() if somebody else won, which waits for our lock. */
	struct g *gp = w->gp;
	uint64_t ticket = w->ticket;
	bool parked;

	unqueue(b, w, prev);
	if (gp == NULL) {
		/* The record may be gone after the store: the address alone is used, and a stray wake is harmless. */
		l->asleep[l->nasleep++] = &w->word;
		atomic_fetch_or_explicit(&w->word, THREADWOKEN, memory_order_release);
		return true;
	}
	if (!parkclaim(gp, ticket, WakeReady, &parked))
		return false;
	if (parked)
		l->ready[l->nready++] = gp;
	return true;
}

/* Locks held. Takes the first of addr's waiters off; false: there is none left. */
static bool takefirst(struct bucket *b, const void *addr, struct woken *l)
{
	struct waiter *w;

	while ((w = *findaddr(b, (uintptr_t)addr)) != NULL)
		if (takewaiter(b, w, NULL, l))
			return true;
	return false;
}

static void wakeall(struct woken *l)
{
	/* The first is the next to run here; the others keep their order behind it. */
	for (uint32_t i = 0; i < l->nready; i++)
		i == 0 ? goready(l->ready[i]) : goreadylast(l->ready[i]);
	for (uint32_t i = 0; i < l->nasleep; i++)
		SC3(SYS_futex, l->asleep[i], FUTEX_WAKE_PRIVATE, 1);
	l->nready = l->nasleep = 0;
}

/* Around the work on queues: no handler of the program's runs in between. */
static void enter(uint64_t *saved)
{
	uint64_t all = ALLSIGS;

	if (getg() != NULL)
		exitforeign();
	else
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &all, saved, 8);
}

static void leave(const uint64_t *saved)
{
	if (getg() != NULL)
		enterforeign();
	else
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, saved, NULL, 8);
}

int futexwake(const void *addr, int n)
{
	return futexwakebits(addr, n, ~0u);
}

int futexwakebits(const void *addr, int n, uint32_t bits)
{
	struct bucket *b = bucketof((uintptr_t)addr);
	struct woken list;
	uint64_t saved, last = 0;
	int woken = 0;

	if (unlikely(getg() == NULL && alone()))
		return (int)SC6(SYS_futex, addr, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, n, 0, 0, bits);
	list.nready = list.nasleep = 0;
	enter(&saved);
	for (bool more = true; more && woken < n;) {
		more = false;
		lockshort(&b->lock);
		struct waiter *prev = NULL, *w = *findaddr(b, (uintptr_t)addr), *next;
		if (last == 0)
			last = b->seq;
		for (; woken < n && w != NULL && w->seq <= last; w = next) {
			if (wokenfull(&list)) {
				more = true;
				break;
			}
			next = w->next;
			if (w->bits & bits)
				woken += takewaiter(b, w, prev, &list);
			else
				prev = w;
		}
		unlockshort(&b->lock);
		wakeall(&list);
	}
	leave(&saved);
	return woken;
}

int futexsignal(const void *addr, _Atomic uint32_t *count)
{
	struct bucket *b = bucketof((uintptr_t)addr);
	struct woken list;
	uint64_t saved;

	if (unlikely(getg() == NULL && alone()))
		return futexwake(addr, 1);
	list.nready = list.nasleep = 0;
	enter(&saved);
	lockshort(&b->lock);
	bool woken = takefirst(b, addr, &list);
	if (!woken) {
		b->missed++;
		/* Nobody is queued, and we have woken nobody who could free it. */
		if (count != NULL)
			atomic_store_explicit(count, 0, memory_order_relaxed);
	}
	unlockshort(&b->lock);
	wakeall(&list);
	leave(&saved);
	return woken;
}

/* As futexwake(addr, 1), by a G that must not find itself on another M: lll.c. No handler runs before it returns. */
int futexwakehere(const void *addr)
{
	struct bucket *b = bucketof((uintptr_t)addr);
	struct woken list;

	if (getg() == NULL)
		return futexwake(addr, 1);
	list.nready = list.nasleep = 0;
	int p = exitforeignhere();
	lockshort(&b->lock);
	int woken = takefirst(b, addr, &list);
	unlockshort(&b->lock);
	if (p == NOP && list.nready != 0) {
		goreadyglobal(list.ready[0]);
		list.nready = 0;
	}
	wakeall(&list);
	enterforeignhere(p);
	return woken;
}

static void lockboth(struct bucket *a, struct bucket *b)
{
	lockshort(a < b ? &a->lock : &b->lock);
	if (a != b)
		lockshort(a < b ? &b->lock : &a->lock);
}

static void unlockboth(struct bucket *a, struct bucket *b)
{
	if (a != b)
		unlockshort(&a->lock);
	unlockshort(&b->lock);
}

/* Locks held. Moves w, behind prev in from's queue, to the end of addr's, in to. */
static void move(struct bucket *from, struct waiter *w, struct waiter *prev, struct bucket *to, uintptr_t addr)
{
	unqueue(from, w, prev);
	atomic_store_explicit(&w->addr, addr, memory_order_relaxed);
	enqueue(to, w);
}

int futexrequeue(_Atomic uint32_t *addr, int nwake, const void *to, int nmove, const uint32_t *expect, int *moved)
{
	struct bucket *b = bucketof((uintptr_t)addr), *b2 = bucketof((uintptr_t)to);
	struct woken list;
	uint64_t saved;
	int woken = 0;

	list.nready = list.nasleep = 0;
	*moved = 0;
	enter(&saved);
	for (bool more = true; more;) {
		more = false;
		lockboth(b, b2);
		if (expect != NULL && atomic_load_explicit(addr, memory_order_seq_cst) != *expect)
			woken = -EAGAIN;
		expect = NULL; /* of a long list the first look decides */
		struct waiter *prev = NULL, *w = *findaddr(b, (uintptr_t)addr), *next;
		for (; woken >= 0 && w != NULL; w = next) {
			next = w->next;
			if (woken < nwake) {
				if (wokenfull(&list)) {
					more = true;
					break;
				}
				woken += takewaiter(b, w, prev, &list);
			} else if (*moved < nmove) {
				(*moved)++;
				if ((uintptr_t)to != (uintptr_t)addr)
					move(b, w, prev, b2, (uintptr_t)to);
				else
					prev = w;
			} else {
				break;
			}
		}
		unlockboth(b, b2);
		wakeall(&list);
	}
	leave(&saved);
	return woken;
}

void threadpoke(void *tcb)
{
	uint64_t allsigs = ~(uint64_t)0, oldsigs;

	/* Rare: all queues are looked through. */
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &allsigs, &oldsigs, 8);
	for (size_t i = 0; i < nelem(table); i++) {
		lockshort(&table[i].lock);
		for (struct waiter *a = table[i].addrs; a != NULL; a = a->nextaddr) {
			for (struct waiter *w = a; w != NULL; w = w->next) {
				if (w->gp != NULL || w->ticket != (uintptr_t)tcb)
					continue;
				atomic_fetch_or(&w->word, THREADCANCEL);
				SC3(SYS_futex, &w->word, FUTEX_WAKE_PRIVATE, 1);
			}
		}
		unlockshort(&table[i].lock);
	}
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &oldsigs, NULL, 8);
}

bool threadasync(void)
{
	if (sleeping == NULL)
		return false;
	/* What libc's handler would have noted: the bit, without which nobody acts. */
	cancelmark(gettls());
	atomic_fetch_or(&sleeping->word, THREADCANCEL);
	return true;
}

int futexhand(_Atomic uint32_t *addr, uint64_t minage, void (*none)(void *), void *arg)
{
	struct bucket *b = bucketof((uintptr_t)addr);
	struct woken list;
	struct waiter *w;
	uint64_t saved;
	int given = 0;

	if (unlikely(getg() == NULL && alone())) {
		none(arg);
		SC3(SYS_futex, addr, FUTEX_WAKE_PRIVATE, 1);
		return 0;
	}
	list.nready = list.nasleep = 0;
	enter(&saved);
	lockshort(&b->lock);
	while (given == 0 && (w = *findaddr(b, (uintptr_t)addr)) != NULL &&
	       (minage == 0 || (w->since != 0 && nanotime() > w->since + minage))) {
		w->result = 1;
		if (w->want != 0)
			atomic_store_explicit(addr, w->want, memory_order_release);
		given = takewaiter(b, w, NULL, &list);
		if (!given)
			w->result = 0; /* its time is up; it comes for our lock, and is there until then */
	}
	if (!given) {
		none(arg);
		takefirst(b, (const void *)addr, &list);
	}
	unlockshort(&b->lock);
	wakeall(&list);
	leave(&saved);
	return given;
}

/* Locks held: some of addr's waiters up to `last`, which all go on to `to`. */
static void broadcast(struct bucket *b, const void *addr, uint64_t last, struct bucket *b2, void *to,
		      bool mustwait, struct woken *l)
{
	struct waiter *w;

	for (int n = 0; n < 256; n++) {
		w = *findaddr(b, (uintptr_t)addr);
		if (w == NULL || w->seq > last || w->to != to || wokenfull(l))
			break;
		if (to == NULL) {
			takewaiter(b, w, NULL, l);
			continue;
		}
		w->result = 1;
		if (!mustwait) {
			mustwait = takewaiter(b, w, NULL, l);
			continue;
		}
		unqueue(b, w, NULL);
		w->count = NULL;
		atomic_store_explicit(&w->addr, (uintptr_t)to, memory_order_relaxed);
		enqueue(b2, w);
	}
}

void futexbroadcast(const void *addr, bool (*held)(void *))
{
	struct bucket *b = bucketof((uintptr_t)addr), *b2;
	struct woken list;
	struct waiter *w;
	uint64_t saved, last = 0;

	if (unlikely(getg() == NULL && alone())) {
		SC3(SYS_futex, addr, FUTEX_WAKE_PRIVATE, INT32_MAX);
		return;
	}
	list.nready = list.nasleep = 0;
	enter(&saved);
	for (;;) {
		lockshort(&b->lock);
		if (last == 0)
			last = b->seq;
		w = *findaddr(b, (uintptr_t)addr);
		bool done = w == NULL || w->seq > last;
		void *to = done ? NULL : (void *)(uintptr_t)w->to;
		b->missed += done; /* for those who are away */
		unlockshort(&b->lock);
		if (done)
			break;
		b2 = to != NULL ? bucketof((uintptr_t)to) : b;
		lockboth(b, b2);
		w = *findaddr(b, (uintptr_t)addr);
		if (w != NULL && w->seq <= last && w->to == to)
			broadcast(b, addr, last, b2, to,
				  to != NULL && (*findaddr(b2, (uintptr_t)to) != NULL || held(to)), &list);
		unlockboth(b, b2);
		wakeall(&list);
	}
	leave(&saved);
}

void semafork(void)
{
	for (size_t i = 0; i < nelem(table); i++)
		table[i] = (struct bucket){.seq = table[i].seq, .missed = table[i].missed}; /* a handler forked, perhaps */
}
