/* SPDX-License-Identifier: MIT
 *
 * mutexrobust.c: robust mutexes of one process.
 *
 * The object is used as libc uses it: the lock word has the owner's id, OWNER_DIED, WAITERS; the
 * mutex is in its owner's robust list; owner may say INCONSISTENT or NOTRECOVERABLE. What differs
 * is that waiters wait in our queue (sema.c), and that libc's init makes all robust mutexes
 * process-shared, since the kernel does not know private ones: ours takes that bit away again
 * where nobody asked for it. The owner's end is told by robustexit() (runtime/robust.c).
 *
 * No lost wake-up. A waiter sets WAITERS, and waits only if the word is still that when it is
 * queued. Who unlocks takes the word away, or gives it to the oldest waiter, under the queue's lock
 * (futexhand). A waiter that has slept takes the lock with WAITERS set, as libc's does: others may
 * be queued behind it, so the next unlock looks at the queue too. One that finds the mutex not
 * recoverable unlocks it, and so wakes the next. The owner's death sets OWNER_DIED, then wakes one.
 *
 * Bounded waiting: to a waiter older than 1 ms the lock is handed over, never free meanwhile.
 *
 * An owner that is not a G ends without us: the kernel marks the word, but wakes nobody in our
 * queue. Who waits for such an owner looks again every 10 ms.
 */
#include "sync.h"
#include <limits.h>
#include <linux/futex.h>

enum { INCONSISTENT = INT_MAX, NOTRECOVERABLE = INT_MAX - 1 };
enum { STARVE_NS = 1000000, LOOK_NS = 10000000 };

/* libc's lists: a node is the address of a `next`; the `prev` of it is the word before. */
struct node {
	uintptr_t prev, next;
};

static inline struct node *nodeof(uintptr_t link)
{
	return (struct node *)((link & ~(uintptr_t)1) - offsetof(struct node, next));
}

static inline struct node *linksof(struct pmutex *m)
{
	return (struct node *)&((pthread_mutex_t *)m)->__data.__list;
}

static void enqueue(struct pmutex *m)
{
	uintptr_t *head = gorobust(), first = *head;
	struct node *n = linksof(m);

	nodeof(first)->prev = (uintptr_t)&n->next;
	n->next = first;
	n->prev = (uintptr_t)head;
	*head = (uintptr_t)&n->next;
}

static void dequeue(struct pmutex *m)
{
	struct node *n = linksof(m);

	nodeof(n->next)->prev = n->prev;
	nodeof(n->prev)->next = n->next;
	n->prev = n->next = 0;
}

static inline uint32_t word(struct pmutex *m)
{
	return atomic_load_explicit(&m->lock, memory_order_relaxed);
}

static void makefree(void *arg)
{
	atomic_store_explicit(&((struct pmutex *)arg)->lock, 0, memory_order_release);
}

/* No access to *m after it. */
static void release(struct pmutex *m)
{
	uint32_t v = word(m);

	while ((v & FUTEX_WAITERS) == 0)
		if (atomic_compare_exchange_weak_explicit(&m->lock, &v, 0, memory_order_release,
							  memory_order_relaxed))
			return;
	futexhand(&m->lock, STARVE_NS, makefree, m);
}

/* The word is ours. users: 1, or 0 around a condition wait. */
static int taken(struct pmutex *m, uint32_t users)
{
	if (unlikely(atomic_load_explicit(&m->owner, memory_order_relaxed) == NOTRECOVERABLE)) {
		m->count = 0;
		release(m);
		return ENOTRECOVERABLE;
	}
	m->count = 1;
	enqueue(m);
	atomic_store_explicit(&m->owner, self(), memory_order_relaxed);
	m->nusers += users;
	return 0;
}

static int takendead(struct pmutex *m, uint32_t users)
{
	m->count = 1;
	atomic_store_explicit(&m->owner, INCONSISTENT, memory_order_relaxed);
	enqueue(m);
	/* The dead owner is still counted, and takes the place of the new one. */
	m->nusers -= 1 - users;
	return EOWNERDEAD;
}

/* The word if it can be had: 0 or EOWNERDEAD; else EBUSY, *v is what it was. */
static int take(struct pmutex *m, uint32_t *v, uint32_t as)
{
	while (*v == 0 || (*v & FUTEX_OWNER_DIED) != 0)
		if (atomic_compare_exchange_weak_explicit(&m->lock, v, as | (*v & FUTEX_WAITERS),
							  memory_order_acquire,
							  memory_order_relaxed))
			return (*v & FUTEX_OWNER_DIED) != 0 ? EOWNERDEAD : 0;
	return EBUSY;
}

/* The caller has it already: 0 counted, or an error; -1: it waits for itself. */
static int again(struct pmutex *m)
{
	int type = m->kind & KIND_TYPE;

	if (type == PTHREAD_MUTEX_ERRORCHECK)
		return EDEADLK;
	if (type != PTHREAD_MUTEX_RECURSIVE)
		return -1;
	if (m->count == UINT32_MAX)
		return EAGAIN;
	m->count++;
	return 0;
}

int robustlock(struct pmutex *m, uint32_t users, clockid_t clk, const struct timespec *ts)
{
	uint32_t id = (uint32_t)self(), as = id, v = word(m);
	uint64_t deadline = 0, since = 0;
	int err;

	for (;;) {
		err = take(m, &v, as);
		if (err != EBUSY)
			return err == 0 ? taken(m, users) : takendead(m, users);
		if ((v & FUTEX_TID_MASK) == id && (err = again(m)) >= 0)
			return err;
		if (since == 0) {
			bool before =
			    ts != NULL && ts->tv_sec < 0; /* libc: the kernel's look at it */
			if (ts != NULL && (!validnsec(ts) || (before && (m->kind & KIND_PI) != 0)))
				return EINVAL;
			deadline = ts != NULL ? absdeadline(clk, ts) : 0;
			since = nanotime();
		}
		if ((v & FUTEX_WAITERS) == 0) {
			if (!atomic_compare_exchange_weak_explicit(&m->lock, &v, v | FUTEX_WAITERS,
								   memory_order_relaxed,
								   memory_order_relaxed))
				continue;
			v |= FUTEX_WAITERS;
		}
		uint64_t until = deadline;
		if (!isgtid((int)(v & FUTEX_TID_MASK))) {
			uint64_t look = reldeadline(LOOK_NS);
			until = until == 0 || look < until ? look : until;
		}
		err = futexwaithand(&m->lock, v, id | FUTEX_WAITERS, since, until,
				    FUTEX_WHY(WaitMutex, 0));
		if (err == 1)
			return taken(m, users);
		if (err == -ETIMEDOUT && until == deadline)
			return ETIMEDOUT;
		if (err != -EAGAIN)
			as = id | FUTEX_WAITERS;
		if (users != 0)
			testasync(err);
		v = word(m);
	}
}

int robusttrylock(struct pmutex *m)
{
	uint32_t id = (uint32_t)self(), v = word(m);
	int err = take(m, &v, id);

	if (err != EBUSY)
		return err == 0 ? taken(m, 1) : takendead(m, 1);
	if ((v & FUTEX_TID_MASK) == id && (err = again(m)) >= 0)
		return err;
	return EBUSY;
}

bool robustmine(struct pmutex *m)
{
	return (word(m) & FUTEX_TID_MASK) == (uint32_t)self();
}

int robustunlock(struct pmutex *m, uint32_t users)
{
	int owner = atomic_load_explicit(&m->owner, memory_order_relaxed);
	bool lost = owner == INCONSISTENT;

	if (!robustmine(m))
		return EPERM;
	if ((m->kind & KIND_TYPE) == PTHREAD_MUTEX_RECURSIVE && --m->count != 0)
		return lost ? ENOTRECOVERABLE : 0;
	dequeue(m);
	atomic_store_explicit(&m->owner, lost ? NOTRECOVERABLE : 0, memory_order_relaxed);
	m->nusers -= users;
	release(m);
	return 0;
}

int robustconsistent(struct pmutex *m)
{
	if (atomic_load_explicit(&m->owner, memory_order_relaxed) != INCONSISTENT)
		return EINVAL;
	atomic_store_explicit(&m->owner, self(), memory_order_relaxed);
	return 0;
}
