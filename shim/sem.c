/* SPDX-License-Identifier: MIT
 *
 * sem.c: semaphores. sem_init, sem_destroy, sem_getvalue and the named ones' sem_open, sem_close
 * and sem_unlink are libc's: layout and meaning of the object are kept.
 *
 * One 64-bit word: the value below, the number of waiters above. Both change together, so a post
 * learns whether to wake from the same instruction that lets a waiter go on, and
 * does not touch the object afterwards: the waiter may destroy it.
 *
 * No lost wake-up. A waiter counts itself, then waits only if the value is 0 when it is queued. A
 * post while somebody is counted raises the value and wakes one under the queue's lock (futexhand),
 * so a waiter that comes meanwhile sees the new value. The count falls only together with a
 * decrement of the value, or when its waiter gives up or is given a post. Every post while somebody
 * is counted wakes one, so a value that a passer-by takes costs the woken waiter another turn,
 * never a post. A waiter that times out, is interrupted or cancelled was not woken by that post: it
 * swallows none.
 *
 * Bounded waiting. A post that finds the first in the queue to have been overtaken 1 ms ago or
 * longer is given to it, and the value is not raised: nobody can pass by. Who was overtaken goes to
 * the end of the queue; each post takes one off its front, so it is at the front again after as
 * many posts as there were waiters.
 *
 * Process-shared and named ones (private != 0) go to the real functions.
 */
#include "sync.h"
#include <limits.h>

struct sem {
	union {
		_Atomic uint64_t data;
		_Atomic uint32_t value; /* the low half: what futexwait() looks at */
	};
	int32_t shared;
};

_Static_assert(sizeof(struct sem) <= sizeof(sem_t) && sizeof(sem_t) == 32, "size");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "value is the low half");

#define WAITER ((uint64_t)1 << 32)

enum { STARVE_NS = 1000000 };

static inline bool trytake(struct sem *s)
{
	uint64_t d = atomic_load_explicit(&s->data, memory_order_relaxed);

	while ((uint32_t)d != 0)
		if (atomic_compare_exchange_weak_explicit(&s->data, &d, d - 1, memory_order_acquire,
							  memory_order_relaxed))
			return true;
	return false;
}

/* 0 or -1 with errno. ts nil: no deadline. */
static __attribute__((noinline)) int semwait(struct sem *s, clockid_t clk,
					     const struct timespec *ts)
{
	uint64_t deadline = ts != NULL ? absdeadline(clk, ts) : 0;
	uint64_t d = atomic_fetch_add_explicit(&s->data, WAITER, memory_order_relaxed) + WAITER;
	uint64_t since = 0;
	int err;

	for (;;) {
		while ((uint32_t)d != 0)
			if (atomic_compare_exchange_weak_explicit(&s->data, &d, d - 1 - WAITER,
								  memory_order_acquire,
								  memory_order_relaxed))
				return 0;
		err = futexwaithand(&s->value, 0, 0, since, deadline,
				    /* With a time-out the kernel does not go on, whatever signal(7) says. */
				    (deadline ? FUTEX_INTRANY : FUTEX_INTR) | FUTEX_POINT | FUTEX_WHY(WaitSem, 0));
		if (err == 1 || err == -ETIMEDOUT || err == -EINTR)
			break;
		d = atomic_load_explicit(&s->data, memory_order_relaxed);
		if ((uint32_t)d == 0 && since == 0)
			since = nanotime();
	}
	atomic_fetch_sub_explicit(&s->data, WAITER, memory_order_relaxed);
	if (err == 1)
		return 0;
	if (err == -EINTR)
		pthread_testcancel();
	errno = -err;
	return -1;
}

/* A real one blocks the kernel thread; if it is free, nothing needs marking. */
static __attribute__((noinline)) int semreal(sem_t *sem, clockid_t clk, const struct timespec *ts)
{
	int r = REAL(sem_trywait)(sem);

	if (r == 0 || errno != EAGAIN)
		return r;
	entersyscallblock();
	r = ts != NULL ? REAL(sem_clockwait)(sem, clk, ts) : REAL(sem_wait)(sem);
	exitsyscall();
	return r;
}

/* POSIX: a cancellation point even if it does not wait. */
EXPORT int sem_wait(sem_t *sem)
{
	struct sem *s = (struct sem *)sem;

	pthread_testcancel();
	if (unlikely(s->shared))
		return semreal(sem, 0, NULL);
	return likely(trytake(s)) ? 0 : semwait(s, 0, NULL);
}

EXPORT int sem_clockwait(sem_t *sem, clockid_t clk, const struct timespec *ts)
{
	struct sem *s = (struct sem *)sem;

	if (!validclock(clk) || !validnsec(ts)) {
		errno = EINVAL;
		return -1;
	}
	if (unlikely(s->shared))
		return semreal(sem, clk, ts);
	if (likely(trytake(s)))
		return 0; /* as in libc, no cancellation point then; sem_timedwait is */
	pthread_testcancel();
	return semwait(s, clk, ts);
}

EXPORT int sem_timedwait(sem_t *sem, const struct timespec *ts)
{
	if (validnsec(ts))
		pthread_testcancel();
	return sem_clockwait(sem, CLOCK_REALTIME, ts);
}

EXPORT int sem_trywait(sem_t *sem)
{
	struct sem *s = (struct sem *)sem;

	if (unlikely(s->shared))
		return REAL(sem_trywait)(sem);
	if (likely(trytake(s)))
		return 0;
	errno = EAGAIN;
	return -1;
}

/* Whose waiters are not old enough to be given the post. Under their queue's lock. */
static void raisevalue(void *arg)
{
	struct sem *s = arg;
	uint64_t d = atomic_load_explicit(&s->data, memory_order_relaxed);

	/* Full: it was not a moment ago, and somebody waits. The post is lost on nobody. */
	while ((uint32_t)d != SEM_VALUE_MAX)
		if (atomic_compare_exchange_weak_explicit(&s->data, &d, d + 1, memory_order_release,
							  memory_order_relaxed))
			return;
}

/* Async-signal-safe: a compare-and-swap, and futexhand(). */
EXPORT int sem_post(sem_t *sem)
{
	struct sem *s = (struct sem *)sem;
	uint64_t d = atomic_load_explicit(&s->data, memory_order_relaxed);

	if (unlikely(s->shared))
		return REAL(sem_post)(sem);
	do {
		if (unlikely((uint32_t)d == SEM_VALUE_MAX)) {
			errno = EOVERFLOW;
			return -1;
		}
		if (unlikely(d >> 32 != 0)) {
			futexhand(&s->value, STARVE_NS, raisevalue, s);
			return 0;
		}
	} while (!atomic_compare_exchange_weak_explicit(&s->data, &d, d + 1, memory_order_release,
							memory_order_relaxed));
	return 0;
}
