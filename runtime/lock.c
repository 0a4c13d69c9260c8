/* SPDX-License-Identifier: MIT
 *
 * lock.c: mutex and note for kernel threads (Go's lock_futex.go).
 *
 * Held for some tens of instructions, by an M, by sysmon or by a foreign thread; never across a
 * park and never while program code runs. The holder may lose its CPU, so spinning is short.
 * Order of locks: see "Lock ranks" in HACKING.md.
 *
 * Ordering: lock's successful exchange acquires what unlock's exchange released. Rejected: ticket
 * locks (a descheduled ticket holder stops everybody), and spinning without bound.
 */
#include "runtime.h"
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

enum { SPINS = 40 };

static void futexsleep(_Atomic uint32_t *addr, uint32_t val, int64_t ns)
{
	struct timespec ts = {ns / 1000000000, ns % 1000000000};
	SC4(SYS_futex, addr, FUTEX_WAIT_PRIVATE, val, ns < 0 ? NULL : &ts);
}

static void futexwakeup(_Atomic uint32_t *addr, int n)
{
	SC3(SYS_futex, addr, FUTEX_WAKE_PRIVATE, n);
}

bool trylock(mutex *l)
{
	uint32_t free = 0;
	return atomic_compare_exchange_strong_explicit(&l->key, &free, 1, memory_order_acquire,
						       memory_order_relaxed);
}

void lock(mutex *l)
{
	if (likely(trylock(l)))
		return;
	for (int i = 0; i < SPINS; i++) {
		procyield(8);
		if (atomic_load_explicit(&l->key, memory_order_relaxed) == 0 && trylock(l))
			return;
	}
	/* From here it is taken as 2: whoever sleeps cannot know that it is the last sleeper. */
	while (atomic_exchange_explicit(&l->key, 2, memory_order_acquire) != 0)
		futexsleep(&l->key, 2, -1);
}

void lockshortslow(mutex *l)
{
	static const struct timespec nap = {0, 20000};
	static const uint32_t nobody = 0; /* wakes us */

	do {
		for (int i = 0; i < SPINS && atomic_load_explicit(&l->key, memory_order_relaxed); i++)
			procyield(8);
		if (atomic_load_explicit(&l->key, memory_order_relaxed))
			SC4(SYS_futex, &nobody, FUTEX_WAIT_PRIVATE, 0, &nap); /* no filter forbids it (filter.c) */
	} while (!trylock(l));
}

void unlock(mutex *l)
{
	uint32_t old = atomic_exchange_explicit(&l->key, 0, memory_order_release);
	if (unlikely(old == 2))
		futexwakeup(&l->key, 1);
	else if (unlikely(old == 0))
		throw("unlock of a free runtime lock");
}

void noteclear(note *n)
{
	atomic_store_explicit(&n->key, 0, memory_order_relaxed);
}

bool notetsleep(note *n, int64_t ns)
{
	if (ns < 0) {
		while (atomic_load_explicit(&n->key, memory_order_acquire) == 0)
			futexsleep(&n->key, 0, -1);
		return true;
	}
	if (atomic_load_explicit(&n->key, memory_order_acquire) == 0)
		futexsleep(&n->key, 0, ns);
	return atomic_load_explicit(&n->key, memory_order_acquire) != 0;
}

void notesleep(note *n)
{
	notetsleep(n, -1);
}

void notewakeup(note *n)
{
	/* Partner of notetsleep's acquire: what the waker wrote before is seen by the sleeper. */
	if (atomic_exchange_explicit(&n->key, 1, memory_order_release) == 0)
		futexwakeup(&n->key, 1);
}
