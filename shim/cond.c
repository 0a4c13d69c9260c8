/* SPDX-License-Identifier: MIT
 *
 * cond.c: condition variables.
 *
 * The whole state of a private one is the queue of its address and, in the object, the number of
 * those queued, kept by the queue itself (futexwaitunlock). libc's word with the flags of
 * pthread_condattr_t stays where libc's pthread_cond_init and _destroy, which are used as they
 * are, write it; they find no waiters of their own.
 *
 * No lost wake-up. A waiter is counted and queued while it holds the mutex. Whoever changes the
 * predicate under the mutex afterwards has synchronised with that unlock, so it sees the count, and
 * finds the waiter in the queue. The count is read without the lock: a caller that has not
 * synchronised may miss a waiter that is just coming, which is as if it had signalled earlier.
 * First in, first out: a thread that comes later cannot take the wake-up of one that was already
 * waiting.
 *
 * A broadcast moves the waiters to the queue of the mutex, and wakes one of them at most (if the
 * mutex is free): 10,000 that all woke at once would find it locked, all but one. Each is then
 * woken by the unlock before it. Who comes back from there, or was the one woken, locks the mutex
 * as after a wait for it, so that its own unlock looks at the queue again. See sema.c.
 *
 * A waiter that was cancelled or timed out was not taken off by a signal (futexsignal
 * skips it and takes the next), so none is swallowed; the cancellation acts after the mutex is ours
 * again. After a handler the wait goes on, unless it was signalled meanwhile. A woken waiter does not touch the object: it may be destroyed as soon as everybody has
 * been woken.
 *
 * Process-shared ones go to the real functions, which need a mutex that they understand. One with a
 * mutex of ours is used by one process only, however it was made: such waiters queue here,
 * uncounted (there is no room), and signallers of a process-shared condition variable look here
 * first.
 *
 * Spurious returns happen (a late futexwake for an older object at this address), as POSIX allows.
 *
 * Rejected: libc's two groups and sequence counters (they replace the ordered queue which futexes
 * in the kernel do not promise); a wait on a sequence word (a waiter could miss 2^32 signals, and
 * each signal would write to the object, waiters or not).
 */
#include "sync.h"

struct cond {
	_Atomic uint32_t nwait; /* queued waiters; under their queue's lock */
	uint32_t pad[8];
	uint32_t flags; /* written by init */
	uint32_t pad1[2];
};

enum { COND_SHARED = 1, COND_MONOTONIC = 2 };

_Static_assert(sizeof(struct cond) == sizeof(pthread_cond_t) && sizeof(pthread_cond_t) == 48,
	       "size");
_Static_assert(offsetof(pthread_cond_t, __data.__wrefs) == offsetof(struct cond, flags), "flags");

static inline bool shared(const pthread_cond_t *c)
{
	return (((const struct cond *)c)->flags & COND_SHARED) != 0;
}

static inline clockid_t condclock(const pthread_cond_t *c)
{
	return ((const struct cond *)c)->flags & COND_MONOTONIC ? CLOCK_MONOTONIC : CLOCK_REALTIME;
}

struct wait {
	pthread_cond_t *c;
	pthread_mutex_t *mutex;
	int err;
};

static void unlockmutex(void *arg)
{
	struct wait *w = arg;

	w->err = condunlock(w->mutex);
	if (unlikely(w->err != 0))
		futexwake(w->c, INT32_MAX); /* ourselves, and no harm to the others */
}

/* Deadline 0: none. */
static int condwait(pthread_cond_t *c, pthread_mutex_t *mutex, uint64_t deadline)
{
	struct cond *cv = (struct cond *)c;
	struct wait w = {.c = c, .mutex = mutex};
	int err = condmayunlock(mutex), err2;

	if (err != 0)
		return err;
	pthread_testcancel();
	err = futexcondwait(cv, shared(c) ? NULL : &cv->nwait, condmutex(mutex), unlockmutex, &w,
			    deadline, FUTEX_POINT | FUTEX_WHY(WaitCond, 0));
	if (unlikely(w.err != 0))
		return w.err;
	err2 = condrelock(mutex, err == 1);
	if (err == -EINTR)
		pthread_testcancel();
	if (err2 != 0)
		return err2;
	return err == -ETIMEDOUT ? ETIMEDOUT : 0;
}

/* Both, or neither, are the kernel's business. */
static bool real(const pthread_cond_t *c, const pthread_mutex_t *mutex)
{
	int kind = ((const struct pmutex *)mutex)->kind;

	return unlikely(shared(c)) && !mutexours(kind) && !mutexpi(kind) && !mutexrobust(kind);
}

EXPORT int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *mutex)
{
	return likely(!real(c, mutex)) ? condwait(c, mutex, 0) : condreal(c, mutex, 0, NULL);
}

EXPORT int pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *mutex, clockid_t clk,
				  const struct timespec *ts)
{
	if (!validnsec(ts) || !validclock(clk))
		return EINVAL;
	if (likely(!real(c, mutex)))
		return condwait(c, mutex, absdeadline(clk, ts));
	return condreal(c, mutex, clk, ts);
}

EXPORT int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *mutex,
				  const struct timespec *ts)
{
	return pthread_cond_clockwait(c, mutex, condclock(c), ts);
}

EXPORT int pthread_cond_signal(pthread_cond_t *c)
{
	struct cond *cv = (struct cond *)c;

	if (unlikely(shared(c)))
		return futexsignal(cv, NULL) > 0 ? 0 : REAL(pthread_cond_signal)(c);
	if (atomic_load_explicit(&cv->nwait, memory_order_relaxed) != 0)
		futexsignal(cv, &cv->nwait);
	return 0;
}

EXPORT int pthread_cond_broadcast(pthread_cond_t *c)
{
	struct cond *cv = (struct cond *)c;

	if (unlikely(shared(c))) {
		futexbroadcast(cv, condheld);
		return REAL(pthread_cond_broadcast)(c);
	}
	if (atomic_load_explicit(&cv->nwait, memory_order_relaxed) != 0)
		futexbroadcast(cv, condheld);
	return 0;
}
