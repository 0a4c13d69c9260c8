/* SPDX-License-Identifier: MIT
 *
 * mutex.c: pthread_mutex_*: normal, recursive, error-checking and adaptive ones of one process here;
 * robust ones in mutexrobust.c; priority-inheriting ones in mutexpi.c; priority-protecting and
 * process-shared ones in mutexreal.c.
 *
 * m->lock: 0 free, 1 held, 2 held and somebody may be queued on &m->lock, 3 held and, besides that,
 * somebody may be queued on &m->hand (a starving waiter, below). Others than the holder only raise
 * it; only the holder lowers it.
 *
 * No lost wake-up. A waiter raises the lock to 2 or 3 and waits only if it still has that value
 * when the waiter is queued (futexwait checks under the queue's lock). The holder frees the lock
 * first and then wakes, so it either finds the waiter, or the waiter sees a free lock. One waiter
 * is woken, and there may be more: a woken one takes the lock as 2, or raises it to 2 before it
 * waits again, so the next unlock looks at the queue too. Queue not empty => lock >= 2, or a woken
 * waiter is on its way. A waiter that timed out was not woken (futexwait's contract), so it owes
 * nobody anything.
 *
 * Bounded waiting, as in Go's sync.Mutex. The lock is freed before the woken waiter runs, so that
 * whoever runs may take it (barging: no switch per critical section). A waiter that was woken,
 * lost, and has waited 1 ms goes to the queue of &m->hand, and unlocks hand the lock over to that
 * queue until it is empty: the lock is never free meanwhile. Order: the starving waiter queues
 * itself, then makes sure that the lock is 3 (or, if it is free, takes it and hands it to the
 * queue); the holder lowers 3 to 2, then looks at the queue. All seq_cst, so either the waiter
 * raises a 2 to 3 again, which the holder sees when it frees the lock, or the holder finds the
 * waiter. The new owner sets 3 again, for others may starve behind it. Tokens: see tokengive().
 *
 * Unlike Go: starving waiters have a queue of their own. In Go's order (back to the front of the
 * one queue) we would need a LIFO futexwait; at its tail, a younger head would end the starvation
 * mode.
 *
 * Rejected: libc's exchange in unlock (a compare-and-swap costs the same, and leaves room for 3);
 * long spinning (parking a G costs less than 100 pauses; the holder may sit on our own run queue).
 */
#include "sync.h"
#include <sched.h>
#include <sys/single_threaded.h>

#define COLD __attribute__((noinline, cold))

enum { STARVE_NS = 1000000, MAXSPIN = 60 };

_Atomic int tidoffset;

COLD int tidslow(void)
{
	static _Atomic bool busy; /* dlsym may allocate, and the allocator may lock a mutex */

	if (!atomic_exchange_explicit(&busy, true, memory_order_acquire)) {
		/* libthread_db's description of struct pthread: bits, number, offset. */
		const uint32_t *desc = libcsym("_thread_db_pthread_tid");
		if (desc != NULL && desc[0] == 32)
			atomic_store_explicit(&tidoffset, (int)desc[2], memory_order_relaxed);
		atomic_store_explicit(&busy, false, memory_order_release);
	}
	return tidoff() != 0 ? tidat(tidoff()) : selftid();
}

__attribute__((constructor)) static void tidinit(void)
{
	self();
}

bool shim_filtered;

bool spinnable(void)
{
	static _Atomic int8_t many; /* 0 not known, 1 yes, -1 no */
	int8_t v = atomic_load_explicit(&many, memory_order_relaxed);

	if (unlikely(v == 0)) {
		cpu_set_t set;
		v = !shim_filtered && sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1 ? -1 : 1;
		atomic_store_explicit(&many, v, memory_order_relaxed);
	}
	return v > 0;
}

bool tokentake(_Atomic uint32_t *token)
{
	for (uint32_t i = 1;; i++) {
		uint32_t v = atomic_load_explicit(token, memory_order_relaxed);
		if (v == TOKEN_NONE)
			return false;
		if (v == TOKEN_HERE && atomic_compare_exchange_weak_explicit(token, &v, TOKEN_NONE,
									     memory_order_acquire,
									     memory_order_relaxed))
			return true;
		/* The giver has a few instructions to go, unless its CPU was taken away. */
		spinpause();
		if (i % 64 == 0)
			sched_yield();
	}
}

/* No atomic instruction is needed while libc knows of one thread and the pool has not started. */
static inline bool alone(void)
{
	return unlikely(__libc_single_threaded) && getg() == NULL;
}

static inline struct pmutex *pmutex(pthread_mutex_t *mutex)
{
	return (struct pmutex *)mutex;
}

static inline bool isowner(const struct pmutex *m)
{
	return atomic_load_explicit(&m->owner, memory_order_relaxed) == self();
}

static inline bool tryacquire(struct pmutex *m)
{
	uint32_t v = 0;

	if (alone() && atomic_load_explicit(&m->lock, memory_order_relaxed) == 0) {
		atomic_store_explicit(&m->lock, 1, memory_order_relaxed);
		return true;
	}
	return atomic_compare_exchange_strong_explicit(&m->lock, &v, 1, memory_order_acquire,
						       memory_order_relaxed);
}

static inline void own(struct pmutex *m, uint32_t users)
{
	m->nusers += users;
	atomic_store_explicit(&m->owner, self(), memory_order_relaxed);
}

/* ---- waiting -------------------------------------------------------------------------------- */

static void releaseslow(struct pmutex *m);

/* A few looks at the lock before we park, and fewer where they have not paid. */
static bool spin(struct pmutex *m)
{
	int paid = atomic_load_explicit(&m->spins, memory_order_relaxed);
	int max = 2 * paid + 10 < MAXSPIN ? 2 * paid + 10 : MAXSPIN, i;

	if (!spinnable())
		return false;
	for (i = 0; i < max; i++) {
		uint32_t v = atomic_load_explicit(&m->lock, memory_order_relaxed);
		if (v == 3)
			break;
		if (v == 0 && tryacquire(m)) {
			atomic_store_explicit(&m->spins, (int16_t)(paid + (i - paid) / 4),
					      memory_order_relaxed);
			return true;
		}
		spinpause();
	}
	atomic_store_explicit(&m->spins, (int16_t)(paid / 2), memory_order_relaxed);
	return false;
}

/* The caller is queued on &m->hand: see to it that somebody hands it the lock. */
static void wanthand(void *arg)
{
	struct pmutex *m = arg;
	uint32_t v = atomic_load_explicit(&m->lock, memory_order_seq_cst);

	while (v != 3) {
		if (!atomic_compare_exchange_weak_explicit(&m->lock, &v, 3, memory_order_seq_cst,
							   memory_order_seq_cst))
			continue;
		if (v == 0)
			releaseslow(m); /* it was free and is ours: hand it to the queue */
		return;
	}
}

static int starve(struct pmutex *m, uint64_t deadline, bool relock)
{
	for (;;) {
		int err = futexwaitunlock(&m->hand, NULL, wanthand, m, deadline,
					  FUTEX_WHY(WaitMutex, offsetof(struct pmutex, hand)));
		if (err == -ETIMEDOUT)
			return ETIMEDOUT;
		if (!relock)
			testasync(err);
		if (tokentake(&m->hand)) {
			atomic_store_explicit(&m->lock, 3, memory_order_relaxed);
			return 0;
		}
	}
}

/*
 * 0, or what libc says only when it would wait: EINVAL, ETIMEDOUT. take: 1, or 2 if others may be
 * queued behind us, as after each wait. relock: a condition wait returns with the mutex, whatever
 * comes.
 */
COLD static int acquireslow(struct pmutex *m, clockid_t clk, const struct timespec *ts, bool relock,
			    uint32_t take)
{
	uint64_t deadline = 0, since = 0;

	if (take == 1 && spin(m))
		return 0;
	if (ts != NULL) {
		if (ts->tv_sec >= 0 && !validnsec(ts)) /* libc itself answers for a time before 1970 */
			return EINVAL;
		deadline = absdeadline(clk, ts);
	}
	for (;;) {
		uint32_t v = atomic_load_explicit(&m->lock, memory_order_relaxed);
		if (v == 0) {
			if (atomic_compare_exchange_weak_explicit(
				&m->lock, &v, take, memory_order_acquire, memory_order_relaxed))
				return 0;
			continue;
		}
		if (v == 1) {
			if (!atomic_compare_exchange_weak_explicit(
				&m->lock, &v, 2, memory_order_relaxed, memory_order_relaxed))
				continue;
			v = 2;
		}
		if (since == 0)
			since = nanotime();
		else if (take == 2 && nanotime() - since > STARVE_NS)
			return starve(m, deadline, relock);
		int err = futexwait(&m->lock, v, deadline, FUTEX_WHY(WaitMutex, 0));
		if (err == -ETIMEDOUT)
			return ETIMEDOUT;
		if (err == 0)
			take = 2;
		if (!relock)
			testasync(err);
	}
}

/* ---- unlocking: no access to *m after the store that gives it away -------------------------- */

COLD static void releaseslow(struct pmutex *m)
{
	uint32_t v = atomic_load_explicit(&m->lock, memory_order_relaxed);

	while (v != 0) { /* 0: unlock of a free mutex, the program's error */
		if (v == 3) {
			atomic_store_explicit(&m->lock, 2, memory_order_seq_cst);
			if (tokengive(&m->hand))
				return;
			v = atomic_load_explicit(&m->lock, memory_order_relaxed);
		} else if (atomic_compare_exchange_weak_explicit(
			       &m->lock, &v, 0, memory_order_release, memory_order_relaxed)) {
			if (v == 2)
				futexwake(&m->lock, 1);
			return;
		}
	}
}

static inline void release(struct pmutex *m, uint32_t users)
{
	uint32_t v = 1;

	atomic_store_explicit(&m->owner, 0, memory_order_relaxed);
	m->nusers -= users;
	if (alone() && atomic_load_explicit(&m->lock, memory_order_relaxed) == 1)
		atomic_store_explicit(&m->lock, 0, memory_order_relaxed);
	else if (unlikely(!atomic_compare_exchange_strong_explicit(
		     &m->lock, &v, 0, memory_order_release, memory_order_relaxed)))
		releaseslow(m);
}

/* ---- the kinds ------------------------------------------------------------------------------ */

static int lockkind(pthread_mutex_t *mutex, uint32_t users, clockid_t clk,
		    const struct timespec *ts)
{
	struct pmutex *m = pmutex(mutex);
	int type = m->kind & KIND_TYPE;

	if (type == PTHREAD_MUTEX_RECURSIVE || type == PTHREAD_MUTEX_ERRORCHECK) {
		if (isowner(m)) {
			if (type == PTHREAD_MUTEX_ERRORCHECK)
				return EDEADLK;
			if (m->count == UINT32_MAX)
				return EAGAIN;
			m->count++;
			return 0;
		}
	}
	if (!tryacquire(m)) {
		int err = acquireslow(m, clk, ts, users == 0, 1);
		if (err != 0)
			return err;
	}
	if (type == PTHREAD_MUTEX_RECURSIVE)
		m->count = 1;
	own(m, users);
	return 0;
}

__attribute__((noinline)) static int lockslow(pthread_mutex_t *mutex)
{
	int kind = pmutex(mutex)->kind;

	if (likely(mutexours(kind)))
		return lockkind(mutex, 1, 0, NULL);
	if (mutexpi(kind))
		return pilock(pmutex(mutex), 1, 0, NULL);
	return mutexrobust(kind) ? robustlock(pmutex(mutex), 1, 0, NULL) : reallock(mutex);
}

/* No call in the usual path, so that it needs no stack frame. */
EXPORT int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	struct pmutex *m = pmutex(mutex);
	int off = tidoff();

	if (unlikely(off == 0 || !mutexnormal(m->kind) || !tryacquire(m)))
		return lockslow(mutex);
	m->nusers++;
	atomic_store_explicit(&m->owner, tidat(off), memory_order_relaxed);
	return 0;
}

EXPORT int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	struct pmutex *m = pmutex(mutex);

	if (unlikely(!mutexours(m->kind)))
		return mutexpi(m->kind) ? pitrylock(m) : mutexrobust(m->kind) ? robusttrylock(m) : realtrylock(mutex);
	if ((m->kind & KIND_TYPE) == PTHREAD_MUTEX_RECURSIVE && isowner(m)) {
		if (m->count == UINT32_MAX)
			return EAGAIN;
		m->count++;
		return 0;
	}
	if (!tryacquire(m))
		return EBUSY;
	if ((m->kind & KIND_TYPE) == PTHREAD_MUTEX_RECURSIVE)
		m->count = 1;
	own(m, 1);
	return 0;
}

EXPORT int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clk, const struct timespec *ts)
{
	if (!validclock(clk))
		return EINVAL;
	int kind = pmutex(mutex)->kind;
	if (likely(mutexours(kind)))
		return lockkind(mutex, 1, clk, ts);
	if (mutexpi(kind))
		return pilock(pmutex(mutex), 1, clk, ts);
	return mutexrobust(kind) ? robustlock(pmutex(mutex), 1, clk, ts)
				 : realclocklock(mutex, clk, ts);
}

EXPORT int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *ts)
{
	return pthread_mutex_clocklock(mutex, CLOCK_REALTIME, ts);
}

static int unlockkind(pthread_mutex_t *mutex, uint32_t users)
{
	struct pmutex *m = pmutex(mutex);
	int type = m->kind & KIND_TYPE;

	if ((type == PTHREAD_MUTEX_RECURSIVE || type == PTHREAD_MUTEX_ERRORCHECK) && !isowner(m))
		return EPERM;
	if (type == PTHREAD_MUTEX_RECURSIVE && --m->count != 0)
		return 0;
	release(m, users);
	return 0;
}

__attribute__((noinline)) static int unlockslow(pthread_mutex_t *mutex)
{
	int kind = pmutex(mutex)->kind;

	if (likely(mutexours(kind)))
		return unlockkind(mutex, 1);
	if (mutexpi(kind))
		return piunlock(pmutex(mutex), 1);
	return mutexrobust(kind) ? robustunlock(pmutex(mutex), 1) : realunlock(mutex);
}

EXPORT int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	struct pmutex *m = pmutex(mutex);

	if (unlikely(!mutexnormal(m->kind)))
		return unlockslow(mutex);
	release(m, 1);
	return 0;
}

/* ---- around a condition wait ---------------------------------------------------------------- */

/*
 * A mutex whose kind has an owner is asked for it too: once we are queued on the condition variable
 * it is too late for an error. Plain ones have none to check.
 */
int condmayunlock(pthread_mutex_t *mutex)
{
	struct pmutex *m = pmutex(mutex);
	int type = m->kind & KIND_TYPE;

	if (mutexpi(m->kind))
		return pimine(m) ? 0 : EPERM;
	if (mutexrobust(m->kind))
		return robustmine(m) ? 0 : EPERM;
	if (!mutexours(m->kind))
		return realmine(mutex) ? 0 : EPERM;
	if (type != PTHREAD_MUTEX_RECURSIVE && type != PTHREAD_MUTEX_ERRORCHECK)
		return 0;
	return isowner(m) ? 0 : EPERM;
}

int condunlock(pthread_mutex_t *mutex)
{
	int kind = pmutex(mutex)->kind;

	if (likely(mutexours(kind)))
		return unlockkind(mutex, 0);
	if (mutexpi(kind))
		return piunlock(pmutex(mutex), 0);
	return mutexrobust(kind) ? robustunlock(pmutex(mutex), 0) : realunlock(mutex);
}

int condrelock(pthread_mutex_t *mutex, bool behind)
{
	struct pmutex *m = pmutex(mutex);

	if (unlikely(behind)) {
		acquireslow(m, 0, NULL, true, 2);
		if ((m->kind & KIND_TYPE) == PTHREAD_MUTEX_RECURSIVE)
			m->count = 1;
		own(m, 0);
		return 0;
	}
	if (likely(mutexours(m->kind)))
		return lockkind(mutex, 0, 0, NULL);
	if (mutexpi(m->kind))
		return pilock(m, 0, 0, NULL);
	return mutexrobust(m->kind) ? robustlock(m, 0, 0, NULL) : reallock(mutex);
}

void *condmutex(pthread_mutex_t *mutex)
{
	return mutexours(pmutex(mutex)->kind) ? &pmutex(mutex)->lock : NULL;
}

/*
 * Is the mutex, whose lock is `word`, held? Then see to it that its unlock looks at the queue. Under
 * the lock of that queue: an unlock that comes after this waits for it.
 */
bool condheld(void *word)
{
	_Atomic uint32_t *lock = word;
	uint32_t v = atomic_load_explicit(lock, memory_order_relaxed);

	while (v == 1)
		if (atomic_compare_exchange_weak_explicit(lock, &v, 2, memory_order_relaxed,
							  memory_order_relaxed))
			return true;
	return v != 0;
}

ALIAS(__pthread_mutex_lock, pthread_mutex_lock);
ALIAS(__pthread_mutex_trylock, pthread_mutex_trylock);
ALIAS(__pthread_mutex_unlock, pthread_mutex_unlock);
