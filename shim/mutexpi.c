/* SPDX-License-Identifier: MIT
 *
 * mutexpi.c: priority-inheriting mutexes of one process, not robust.
 *
 * Priorities are the kernel's, so only the kernel can lend them: it must know the holder by the id
 * of a kernel thread, and all who wait must wait in its queue. That binds the holder and costs each
 * waiter a kernel thread. But as long as all threads have one priority, there is nothing to lend.
 * So the lock word has two modes, and whoever takes a free mutex chooses one:
 *
 *   0      free
 *   OURS   held in our mode: waiters queue on the word (sema.c) and park.
 *          | QUEUED: somebody may be queued
 *   a tid  held in the kernel's mode: FUTEX_LOCK_PI's word. The holder is bound to that kernel
 *          thread meanwhile. | FUTEX_WAITERS: somebody may be in the kernel's queue
 *
 * Our mode, until some thread gets a real-time policy or priority which the others have not
 * (gopriorities(), policy.c: said before it can run with it, and for good); from then on the
 * kernel's. In both, m->owner is the thread as in other mutexes.
 *
 * OURS is above any thread's id, and not among the bits which the kernel uses. So a word tells its
 * mode, an unlock sees in which one the mutex was taken, and the kernel, asked to wait for such a
 * word, finds nobody (ESRCH): the caller, who asks the kernel himself, looks again. (libc's
 * function would sleep for ever.) FUTEX_WAITERS is left in the word then, and means nothing there.
 *
 * No waiter in the wrong queue. In the kernel's: it queues somebody only if the word has the id of
 * a living thread, with FUTEX_WAITERS set. That holder's unlock is then the kernel's, which hands
 * the mutex over to one of its queue if there is one. So the word is free or ours only when nobody
 * is queued in the kernel. In ours: a waiter is queued only if the word is OURS | QUEUED, under the
 * queue's lock. That holder's unlock frees the word and then looks at the queue.
 *
 * No lost wake-up in ours. Queue not empty => the word is OURS | QUEUED, or somebody who was woken
 * is on his way. He
 *   - takes the mutex in our mode, with QUEUED, so that his unlock looks at the queue again; or
 *   - finds it held in our mode, sets QUEUED, and queues again; or
 *   - wakes all others who are queued, before he takes it in the kernel's mode or waits in the
 *     kernel for it. The last is what nobody else would do: unlocking in the kernel's mode does not
 *     look at our queue.
 * A waiter that was not woken (time-out, cancellation) owes nothing, as in mutex.c. When a thread
 * learns that there are priorities does not matter for any of this: a late one takes the mutex in
 * our mode once more.
 *
 * So the one thing that is lost in the change from one mode to the other: who waits for a mutex
 * that was taken before, lends its holder nothing, and stands in line with those who were queued
 * already, once.
 *
 * Bounded waiting: in our mode a free mutex is for whoever runs, and is handed to a waiter older
 * than 1 ms (futexhand). In the kernel's mode the kernel hands it over, by priority.
 *
 * As libc: a mutex whose holder has ended, or waits for itself, is waited for until the time-out,
 * or for ever. In the kernel's mode that is a nap and another look. But a holder's kernel thread
 * may end a moment after its joiner was let go, and the kernel then gives the mutex to whoever has
 * come to wait. He sees by m->owner, which an unlock clears, that nobody has unlocked it: it stays
 * locked, by nobody, in our mode.
 *
 * Rejected: libc's functions (above); the kernel's mode from the start (each waiter a kernel
 * thread, where nobody has a priority); all in the kernel's mode once the first such thread is
 * there (who waits would have to be moved, and the holder bound, from outside).
 */
#include "sync.h"
#include <linux/futex.h>
#include <sys/syscall.h>
#include "arch.h"

enum { OURS = 0x20000000, QUEUED = 1 };
enum { STARVE_NS = 1000000, NAP_NS = 10000000 };

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

static inline uint32_t word(struct pmutex *m)
{
	return atomic_load_explicit(&m->lock, memory_order_relaxed);
}

static inline bool swap(struct pmutex *m, uint32_t from, uint32_t to, memory_order order)
{
	return atomic_compare_exchange_strong_explicit(&m->lock, &from, to, order,
						       memory_order_relaxed);
}

/* The id of the caller's kernel thread, to which it is bound until unlockosthread(). */
static uint32_t bindid(void)
{
	return (uint32_t)(getg() != NULL ? lockosthread() : self());
}

/* The free mutex, in the kernel's mode. */
static bool takebound(struct pmutex *m)
{
	uint32_t tid = bindid();

	if (swap(m, 0, tid, memory_order_acquire))
		return true;
	unlockosthread();
	return false;
}

/* ---- waiting -------------------------------------------------------------------------------- */

/* FUTEX_LOCK_PI's time is CLOCK_REALTIME's; the other kind is younger. */
static long lockpi(struct pmutex *m, clockid_t clk, const struct timespec *ts)
{
	if (ts != NULL && clk == CLOCK_MONOTONIC)
		return SC4(SYS_futex, &m->lock, FUTEX_LOCK_PI2 | FUTEX_PRIVATE_FLAG, 0, ts);
	return SC4(SYS_futex, &m->lock, FUTEX_LOCK_PI_PRIVATE, 0, ts);
}

/* In the kernel, which gives it to us: 0; ETIMEDOUT; EAGAIN: not in this way, not now. */
static int waitkernel(struct pmutex *m, clockid_t clk, const struct timespec *ts, uint64_t deadline,
		      bool wait)
{
	static _Atomic uint32_t nobody; /* wakes who waits here */
	uint32_t v = word(m);

	bindid();
	entersyscallblock();
	long err = lockpi(m, clk, ts);
	exitsyscall();
	if (err == 0)
		return 0;
	unlockosthread();
	if (err == -ETIMEDOUT)
		return ETIMEDOUT;
	if (word(m) == 0 || ((word(m) ^ v) & FUTEX_TID_MASK) != 0)
		return EAGAIN;
	/* Its holder has ended, or waits for us, or is us. */
	uint64_t nap = reldeadline(NAP_NS);
	if (deadline != 0 && deadline < nap)
		nap = deadline;
	int r = futexwait(&nobody, 0, nap, FUTEX_NOCANCEL | FUTEX_WHY(WaitMutex, 0));
	if (!wait)
		testasync(r);
	return r == -ETIMEDOUT && nap == deadline ? ETIMEDOUT : EAGAIN;
}

/* 0, or what libc says only when it would wait: EINVAL, ETIMEDOUT. wait: a condition wait returns
 * with the mutex. */
static __attribute__((noinline)) int acquireslow(struct pmutex *m, clockid_t clk,
						 const struct timespec *ts, bool wait)
{
	uint32_t as = OURS; /* with QUEUED: we were woken, others may be queued */
	uint64_t deadline = 0, since = 0;
	int err;

	if (ts != NULL && (ts->tv_sec < 0 || !validnsec(ts)))
		return EINVAL;
	if (ts != NULL)
		deadline = absdeadline(clk, ts);
	for (;;) {
		uint32_t v = word(m);
		bool ours = v == 0 ? !gopriorities() : (v & OURS) != 0;
		if (!ours && as != OURS) {
			futexwake(&m->lock, INT32_MAX);
			as = OURS;
		}
		if (v == 0) {
			if (ours ? swap(m, 0, as, memory_order_acquire) : takebound(m))
				return 0;
			continue;
		}
		if (!ours) {
			err = waitkernel(m, clk, ts, deadline, wait);
			if (err != EAGAIN)
				return err;
			continue;
		}
		if ((v & QUEUED) == 0 && !swap(m, v, v | QUEUED, memory_order_relaxed))
			continue;
		if (since == 0)
			since = nanotime();
		err = futexwaithand(&m->lock, v | QUEUED, OURS | QUEUED, since, deadline,
				    FUTEX_WHY(WaitMutex, 0));
		if (err == 1)
			return 0;
		if (err == -ETIMEDOUT)
			return ETIMEDOUT;
		if (err == 0)
			as = OURS | QUEUED;
		if (!wait)
			testasync(err);
	}
}

static inline bool tryacquire(struct pmutex *m)
{
	return likely(!gopriorities()) ? swap(m, 0, OURS, memory_order_acquire)
				       : word(m) == 0 && takebound(m);
}

/* The caller has it. Had it been unlocked? */
static inline bool unlocked(struct pmutex *m)
{
	return likely(atomic_load_explicit(&m->owner, memory_order_relaxed) == 0);
}

static __attribute__((noinline, cold)) void bury(struct pmutex *m)
{
	uint32_t v = word(m);

	if (v & OURS)
		return;
	/* The kernel says that there are waiters, and gives it to one of them, or makes it free:
	 * who gets it is the next here. */
	if ((v & FUTEX_WAITERS) != 0 || !swap(m, v, OURS, memory_order_relaxed))
		SC2(SYS_futex, &m->lock, FUTEX_UNLOCK_PI_PRIVATE);
	unlockosthread();
}

static inline int acquire(struct pmutex *m, clockid_t clk, const struct timespec *ts, bool wait)
{
	for (;;) {
		int err = tryacquire(m) ? 0 : acquireslow(m, clk, ts, wait);
		if (err != 0 || unlocked(m))
			return err;
		bury(m);
	}
}

/* ---- unlocking: no access to *m after what gives it away ------------------------------------- */

static void makefree(void *arg)
{
	atomic_store_explicit(&((struct pmutex *)arg)->lock, 0, memory_order_release);
}

static __attribute__((noinline)) void releaseslow(struct pmutex *m)
{
	uint32_t v = word(m);

	if (v == 0)
		return;
	if (v & OURS) { /* and is not OURS alone; FUTEX_WAITERS may come and go */
		if (!gopriorities()) {
			futexhand(&m->lock, STARVE_NS, makefree, m);
		} else {
			atomic_store_explicit(&m->lock, 0, memory_order_seq_cst);
			futexwake(&m->lock, INT32_MAX); /* to the kernel's mode, all of them */
		}
		return;
	}
	if ((v & ~(uint32_t)FUTEX_TID_MASK) != 0 || !swap(m, v, 0, memory_order_release))
		SC2(SYS_futex, &m->lock, FUTEX_UNLOCK_PI_PRIVATE);
	unlockosthread();
}

static inline void release(struct pmutex *m, uint32_t users)
{
	atomic_store_explicit(&m->owner, 0, memory_order_relaxed);
	m->nusers -= users;
	if (unlikely(!swap(m, OURS, 0, memory_order_release)))
		releaseslow(m);
}

/* ---- the kinds ------------------------------------------------------------------------------ */

bool pimine(struct pmutex *m)
{
	return atomic_load_explicit(&m->owner, memory_order_relaxed) == self();
}

static inline void own(struct pmutex *m, uint32_t users)
{
	m->count = 1; /* as libc, whatever the type */
	m->nusers += users;
	atomic_store_explicit(&m->owner, self(), memory_order_relaxed);
}

/* The caller has it: once more. */
static int again(struct pmutex *m)
{
	if (m->count == UINT32_MAX)
		return EAGAIN;
	m->count++;
	return 0;
}

int pilock(struct pmutex *m, uint32_t users, clockid_t clk, const struct timespec *ts)
{
	int type = m->kind & KIND_TYPE;

	if ((type == PTHREAD_MUTEX_RECURSIVE || type == PTHREAD_MUTEX_ERRORCHECK) && pimine(m))
		return type == PTHREAD_MUTEX_ERRORCHECK ? EDEADLK : again(m);
	int err = acquire(m, clk, ts, users == 0);
	if (err == 0)
		own(m, users);
	return err;
}

int pitrylock(struct pmutex *m)
{
	int type = m->kind & KIND_TYPE;

	if (type == PTHREAD_MUTEX_RECURSIVE && pimine(m))
		return again(m);
	bool got = tryacquire(m);
	if (got && !unlocked(m)) {
		bury(m);
		got = false;
	}
	if (!got) /* libc looks at the owner in this one case */
		return type == PTHREAD_MUTEX_ERRORCHECK && pimine(m) ? EDEADLK : EBUSY;
	own(m, 1);
	return 0;
}

int piunlock(struct pmutex *m, uint32_t users)
{
	if (!pimine(m))
		return EPERM;
	if ((m->kind & KIND_TYPE) == PTHREAD_MUTEX_RECURSIVE && --m->count != 0)
		return 0;
	release(m, users);
	return 0;
}
