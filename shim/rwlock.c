/* SPDX-License-Identifier: MIT
 *
 * rwlock.c: reader-writer locks. Init and destroy are libc's: zeros, the kind and the shared flag.
 *
 * rw->state: WHELD, or a number of readers; with it RWAIT, WWAIT, WSTARVE: readers, writers,
 * starving writers may be queued (on rtoken, wkey, hand). Readers wait while WHELD; with the kind
 * PREFER_WRITER_NONRECURSIVE also while a writer waits (libc treats PREFER_WRITER as
 * PREFER_READER, since POSIX lets a reader recurse; so do we).
 *
 * No lost wake-up. A waiter queues itself first and then, in the want...() call-backs, either finds
 * that the lock can be had and wakes its own queue, or sees it held with its flag set, or sets the
 * flag. Who releases clears the flag in the store that releases (or hands over) and looks at the
 * queue after that. Both are seq_cst: the flag which the waiter saw was cleared later, so the queue
 * held the waiter then. A woken writer knows nothing about those behind it and takes the lock with
 * WWAIT set; readers are all woken at once.
 *
 * Who comes next. A writer hands the lock to all readers queued at that moment (they own it when
 * they wake: a writer that passes by cannot get between), else it wakes a writer; the last reader
 * wakes a writer; with writer preference, waiting writers come before waiting readers. The woken
 * writer may be overtaken. After 1 ms it queues as starving, and starving writers are handed the
 * lock whenever it would become free, as in mutex.c. Readers that always overlap starve writers,
 * as in libc, where only the writer-preferring kind helps.
 *
 * Handing to readers: the writer turns its lock into a read lock of its own plus one for each of
 * the n queued, leaves n tokens, wakes n, and takes back what had no taker. While it has its own,
 * the count cannot reach zero. nread, the number queued, is a hint only: too small, and the rest is
 * woken without tokens; too big (a child after fork), and the tokens come back.
 *
 * Rejected: one queue for both (a writer at its head would stop the readers behind it); libc's
 * explicit phases (more state than the queues need); with writer preference, handing the lock to
 * each writer, or keeping WWAIT while the woken writer is on its way: the one costs a switch
 * between Ps per critical section, the other stops readers for ever if that writer gives up
 * meanwhile.
 */
#include "sync.h"

struct rwlock {
	_Atomic uint32_t state;
	_Atomic uint32_t nread;	 /* readers queued; under their queue's lock */
	_Atomic uint32_t rtoken; /* each a read lock for a woken reader */
	_Atomic uint32_t hand;	 /* token: the write lock, for a starving writer */
	uint32_t wkey;		 /* its address only */
	uint32_t pad;
	_Atomic int32_t writer; /* tid of the holder, for EDEADLK; the holder's */
	uint32_t shared;	/* written by init, as kind */
	uint32_t pad1[4];
	uint32_t kind;
	uint32_t pad2;
};

_Static_assert(sizeof(struct rwlock) == sizeof(pthread_rwlock_t) && sizeof(pthread_rwlock_t) == 56,
	       "size");
_Static_assert(offsetof(pthread_rwlock_t, __data.__cur_writer) == offsetof(struct rwlock, writer),
	       "writer");
_Static_assert(offsetof(pthread_rwlock_t, __data.__shared) == offsetof(struct rwlock, shared),
	       "shared");
_Static_assert(offsetof(pthread_rwlock_t, __data.__flags) == offsetof(struct rwlock, kind), "kind");

#define WHELD 0x80000000u
#define WWAIT 0x40000000u
#define RWAIT 0x20000000u
#define WSTARVE 0x10000000u
#define READERS 0x0fffffffu

enum { STARVE_NS = 1000000 };

/* Every step of a protocol is a compare-and-swap; the fast paths below have weaker orders. */
static inline bool cas(struct rwlock *rw, uint32_t *s, uint32_t new)
{
	return atomic_compare_exchange_weak_explicit(&rw->state, s, new, memory_order_seq_cst,
						     memory_order_seq_cst);
}

static inline uint32_t state(struct rwlock *rw)
{
	return atomic_load_explicit(&rw->state, memory_order_seq_cst);
}

static inline bool prefersw(const struct rwlock *rw)
{
	return rw->kind == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP;
}

static inline bool rmaytake(const struct rwlock *rw, uint32_t s)
{
	return (s & (prefersw(rw) ? WHELD | WWAIT | WSTARVE : WHELD)) == 0;
}

static inline bool wmaytake(uint32_t s)
{
	return (s & (WHELD | READERS)) == 0;
}

/* ---- releasing: no access to *rw after the store that gives the last of it away ------------- */

static void wrelease(struct rwlock *rw);

/* What a lock that becomes free keeps of s: if a writer is woken, the readers' flag is its
 * business. */
static inline uint32_t freed(uint32_t s)
{
	return (s & WWAIT) != 0 ? s & RWAIT : 0;
}

/* It was s. Only rw's address counts now. */
static void wakefreed(struct rwlock *rw, uint32_t s)
{
	if ((s & WWAIT) != 0 && futexwake(&rw->wkey, 1) > 0)
		return;
	if ((s & RWAIT) != 0)
		futexwake(&rw->rtoken, INT32_MAX);
}

/* Gives back k read locks. */
static __attribute__((noinline)) void rrelease(struct rwlock *rw, uint32_t k)
{
	uint32_t s = state(rw);

	for (;;) {
		if ((s & READERS) < k)
			return; /* was not locked: the program's error */
		if ((s & READERS) > k) {
			if (cas(rw, &s, s - k))
				return;
		} else if ((s & WSTARVE) != 0) {
			/* Take it for the starving, and hand it over as a writer does. */
			if (cas(rw, &s, (s & ~READERS) | WHELD)) {
				wrelease(rw);
				return;
			}
		} else if (cas(rw, &s, freed(s))) {
			wakefreed(rw, s);
			return;
		}
	}
}

/* A reader that has come back: is one of the read locks handed out its own? Also takes them back.
 */
static bool rtake(struct rwlock *rw)
{
	uint32_t n = atomic_load_explicit(&rw->rtoken, memory_order_relaxed);

	while (n != 0)
		if (atomic_compare_exchange_weak_explicit(
			&rw->rtoken, &n, n - 1, memory_order_acquire, memory_order_relaxed))
			return true;
	return false;
}

/* From WHELD with RWAIT, seen as s. False: s was stale, and is new. */
static bool handreaders(struct rwlock *rw, uint32_t *s)
{
	uint32_t n = atomic_load_explicit(&rw->nread, memory_order_relaxed);
	uint32_t woken, back = 0;

	n = n < READERS / 2 ? n : READERS / 2;
	if (!cas(rw, s, (*s & (WWAIT | WSTARVE)) | (n + 1)))
		return false;
	atomic_fetch_add_explicit(&rw->rtoken, n, memory_order_release);
	woken = (uint32_t)futexwake(&rw->rtoken, (int)n);
	if (woken == n)
		futexwake(&rw->rtoken, INT32_MAX); /* who came meanwhile, or all if n was wrong */
	while (back < n - woken && rtake(rw))
		back++;
	rrelease(rw, 1 + back);
	return true;
}

/* Gives back the write lock, held by the caller or taken for the starving. */
static __attribute__((noinline)) void wrelease(struct rwlock *rw)
{
	uint32_t s = state(rw);

	for (;;) {
		if ((s & RWAIT) != 0 && !(prefersw(rw) && (s & (WWAIT | WSTARVE)) != 0)) {
			if (handreaders(rw, &s))
				return;
		} else if ((s & WSTARVE) != 0) {
			if (cas(rw, &s, s & ~WSTARVE)) {
				if (tokengive(&rw->hand))
					return;
				s = state(rw);
			}
		} else if (cas(rw, &s, freed(s))) {
			wakefreed(rw, s);
			return;
		}
	}
}

/* ---- waiting -------------------------------------------------------------------------------- */

/* The caller is queued: set the flag, or wake the queue if the lock can be had. */
static void wantread(void *arg)
{
	struct rwlock *rw = arg;
	uint32_t s = state(rw);

	while (!rmaytake(rw, s))
		if ((s & RWAIT) != 0 || cas(rw, &s, s | RWAIT))
			return;
	futexwake(&rw->rtoken, INT32_MAX);
}

static void wantwrite(void *arg)
{
	struct rwlock *rw = arg;
	uint32_t s = state(rw);

	while (!wmaytake(s))
		if ((s & WWAIT) != 0 || cas(rw, &s, s | WWAIT))
			return;
	futexwake(&rw->wkey, 1);
}

static void wantstarve(void *arg)
{
	struct rwlock *rw = arg;
	uint32_t s = state(rw);

	while (!wmaytake(s))
		if ((s & WSTARVE) != 0 || cas(rw, &s, s | WSTARVE))
			return;
	futexwake(&rw->hand, 1);
}

/*
 * A writer gives up. Its flag must not outlive it: it would stop readers where writers are
 * preferred, and make a try fail for nothing elsewhere. Clear all flags; those who wait look again.
 */
static void wgiveup(struct rwlock *rw)
{
	atomic_fetch_and_explicit(&rw->state, ~(WWAIT | WSTARVE | RWAIT), memory_order_seq_cst);
	futexwake(&rw->hand, 1);
	futexwake(&rw->wkey, 1);
	futexwake(&rw->rtoken, INT32_MAX);
}

static __attribute__((noinline)) int rdlockslow(struct rwlock *rw, clockid_t clk,
						const struct timespec *ts)
{
	uint64_t deadline = ts != NULL ? absdeadline(clk, ts) : 0;
	uint32_t s = state(rw);

	for (;;) {
		if ((s & WHELD) != 0 &&
		    atomic_load_explicit(&rw->writer, memory_order_relaxed) == self())
			return EDEADLK;
		while (rmaytake(rw, s)) {
			if ((s & READERS) == READERS)
				return EAGAIN;
			if (cas(rw, &s, s + 1))
				return 0;
		}
		int err = futexwaitunlock(&rw->rtoken, &rw->nread, wantread, rw, deadline,
					  FUTEX_WHY(WaitRdlock, offsetof(struct rwlock, rtoken)));
		testasync(err);
		if (rtake(rw))
			return 0;
		if (err == -ETIMEDOUT)
			return ETIMEDOUT;
		s = state(rw);
	}
}

static __attribute__((noinline)) int wrlockslow(struct rwlock *rw, clockid_t clk,
						const struct timespec *ts)
{
	uint64_t deadline = ts != NULL ? absdeadline(clk, ts) : 0, since = 0;
	uint32_t s = state(rw), more = 0; /* others may be queued behind us */
	bool starving = false;

	for (;;) {
		if ((s & WHELD) != 0 &&
		    atomic_load_explicit(&rw->writer, memory_order_relaxed) == self())
			return EDEADLK;
		while (wmaytake(s))
			if (cas(rw, &s, s | WHELD | more))
				goto taken;
		if (since == 0)
			since = nanotime();
		else if (!starving)
			starving = more != 0 && nanotime() - since > STARVE_NS;
		int err =
		    starving
			? futexwaitunlock(&rw->hand, NULL, wantstarve, rw, deadline,
					  FUTEX_WHY(WaitWrlock, offsetof(struct rwlock, hand)))
			: futexwaitunlock(&rw->wkey, NULL, wantwrite, rw, deadline,
					  FUTEX_WHY(WaitWrlock, offsetof(struct rwlock, wkey)));
		more |= starving ? WSTARVE : WWAIT;
		if (unlikely(err == -ETIMEDOUT || (err == -EINTR && goasync()))) {
			wgiveup(rw);
			testasync(err);
			return ETIMEDOUT;
		}
		if (starving && tokentake(&rw->hand)) {
			atomic_fetch_or_explicit(&rw->state, more, memory_order_relaxed);
			goto taken;
		}
		s = state(rw);
	}
taken:
	atomic_store_explicit(&rw->writer, self(), memory_order_relaxed);
	return 0;
}

/* ---- the calls ------------------------------------------------------------------------------ */

static inline struct rwlock *rwlock(pthread_rwlock_t *rwlock)
{
	return (struct rwlock *)rwlock;
}

/*
 * No flag set, fewer than the most readers: nothing to think about. The first attempt is a guess
 * (nobody is inside): a load before it would cost a fifth of the whole call, and where others are
 * inside, the failed attempt has at least brought the cache line.
 */
static inline bool tryread(struct rwlock *rw)
{
	uint32_t s = 0;

	do
		if (likely(atomic_compare_exchange_strong_explicit(
			&rw->state, &s, s + 1, memory_order_acquire, memory_order_relaxed)))
			return true;
	while (s < READERS);
	return false;
}

static inline bool trywrite(struct rwlock *rw)
{
	uint32_t s = 0;
	int off = tidoff();

	if (off == 0 || !atomic_compare_exchange_strong_explicit(
			    &rw->state, &s, WHELD, memory_order_acquire, memory_order_relaxed))
		return false;
	atomic_store_explicit(&rw->writer, tidat(off), memory_order_relaxed);
	return true;
}

/*
 * A process-shared one is libc's. It holds the writer's id, by which libc tells that somebody waits
 * for itself, and what an unlock is to undo: of a kernel thread, for other processes compare it
 * too.
 */
#define RWREAL(writes, try, call)                                                                  \
	({                                                                                         \
		bool id_ = (writes) || haskernelid();                                              \
		if (id_)                                                                           \
			kernelid();                                                                \
		int err_ = try;                                                                    \
		if (err_ == EBUSY) {                                                               \
			entersyscallblock();                                                       \
			err_ = call;                                                               \
			exitsyscall();                                                             \
		}                                                                                  \
		if (id_)                                                                           \
			kernelidend();                                                             \
		err_;                                                                              \
	})

static __attribute__((noinline)) int rdlockother(pthread_rwlock_t *lock)
{
	if (rwlock(lock)->shared)
		return RWREAL(false, REAL(pthread_rwlock_tryrdlock)(lock),
			      REAL(pthread_rwlock_rdlock)(lock));
	return rdlockslow(rwlock(lock), 0, NULL);
}

EXPORT int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	if (likely(!rwlock(lock)->shared && tryread(rwlock(lock))))
		return 0;
	return rdlockother(lock);
}

EXPORT int pthread_rwlock_tryrdlock(pthread_rwlock_t *lock)
{
	struct rwlock *rw = rwlock(lock);

	if (unlikely(rw->shared))
		return RWREAL(false, REAL(pthread_rwlock_tryrdlock)(lock), EBUSY);
	if (likely(tryread(rw)))
		return 0;
	for (uint32_t s = state(rw); rmaytake(rw, s);) {
		if ((s & READERS) == READERS)
			return EAGAIN;
		if (cas(rw, &s, s + 1))
			return 0;
	}
	return EBUSY;
}

EXPORT int pthread_rwlock_clockrdlock(pthread_rwlock_t *lock, clockid_t clk,
				      const struct timespec *ts)
{
	if (!validclock(clk) || !validnsec(ts))
		return EINVAL;
	if (unlikely(rwlock(lock)->shared))
		return RWREAL(false, REAL(pthread_rwlock_tryrdlock)(lock),
			      REAL(pthread_rwlock_clockrdlock)(lock, clk, ts));
	return tryread(rwlock(lock)) ? 0 : rdlockslow(rwlock(lock), clk, ts);
}

EXPORT int pthread_rwlock_timedrdlock(pthread_rwlock_t *lock, const struct timespec *ts)
{
	return pthread_rwlock_clockrdlock(lock, CLOCK_REALTIME, ts);
}

static __attribute__((noinline)) int wrlockother(pthread_rwlock_t *lock)
{
	if (rwlock(lock)->shared)
		return RWREAL(true, REAL(pthread_rwlock_trywrlock)(lock),
			      REAL(pthread_rwlock_wrlock)(lock));
	return wrlockslow(rwlock(lock), 0, NULL);
}

EXPORT int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
	if (likely(!rwlock(lock)->shared && trywrite(rwlock(lock))))
		return 0;
	return wrlockother(lock);
}

EXPORT int pthread_rwlock_trywrlock(pthread_rwlock_t *lock)
{
	struct rwlock *rw = rwlock(lock);

	if (unlikely(rw->shared))
		return RWREAL(true, REAL(pthread_rwlock_trywrlock)(lock), EBUSY);
	if (likely(trywrite(rw)))
		return 0;
	for (uint32_t s = state(rw); wmaytake(s);)
		if (cas(rw, &s, s | WHELD)) {
			atomic_store_explicit(&rw->writer, self(), memory_order_relaxed);
			return 0;
		}
	return EBUSY;
}

EXPORT int pthread_rwlock_clockwrlock(pthread_rwlock_t *lock, clockid_t clk,
				      const struct timespec *ts)
{
	if (!validclock(clk) || !validnsec(ts))
		return EINVAL;
	if (unlikely(rwlock(lock)->shared))
		return RWREAL(true, REAL(pthread_rwlock_trywrlock)(lock),
			      REAL(pthread_rwlock_clockwrlock)(lock, clk, ts));
	return trywrite(rwlock(lock)) ? 0 : wrlockslow(rwlock(lock), clk, ts);
}

EXPORT int pthread_rwlock_timedwrlock(pthread_rwlock_t *lock, const struct timespec *ts)
{
	return pthread_rwlock_clockwrlock(lock, CLOCK_REALTIME, ts);
}

/* Whoever unlocks a write lock is its owner: there is one. */
static __attribute__((noinline)) int unlockslow(pthread_rwlock_t *lock)
{
	struct rwlock *rw = rwlock(lock);

	if (rw->shared)
		return RWREAL(false, REAL(pthread_rwlock_unlock)(lock), EBUSY);
	if ((state(rw) & WHELD) == 0) {
		rrelease(rw, 1);
	} else {
		atomic_store_explicit(&rw->writer, 0, memory_order_relaxed);
		wrelease(rw);
	}
	return 0;
}

EXPORT int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
	struct rwlock *rw = rwlock(lock);
	uint32_t s = 1; /* a guess, as in tryread() */

	if (unlikely(rw->shared))
		return unlockslow(lock);
	/* Ours or nobody's: while we hold it for reading there is no writer. */
	if (atomic_load_explicit(&rw->writer, memory_order_relaxed) != 0) {
		s = WHELD;
		atomic_store_explicit(&rw->writer, 0, memory_order_relaxed);
		if (likely(atomic_compare_exchange_strong_explicit(
			&rw->state, &s, 0, memory_order_release, memory_order_relaxed)))
			return 0;
		return unlockslow(lock);
	}
	do
		if (likely(atomic_compare_exchange_strong_explicit(
			&rw->state, &s, s - 1, memory_order_release, memory_order_relaxed)))
			return 0;
	while (s - 1 < READERS);
	return unlockslow(lock);
}

ALIAS(__pthread_rwlock_rdlock, pthread_rwlock_rdlock);
ALIAS(__pthread_rwlock_tryrdlock, pthread_rwlock_tryrdlock);
ALIAS(__pthread_rwlock_wrlock, pthread_rwlock_wrlock);
ALIAS(__pthread_rwlock_trywrlock, pthread_rwlock_trywrlock);
ALIAS(__pthread_rwlock_unlock, pthread_rwlock_unlock);
