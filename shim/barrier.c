/* SPDX-License-Identifier: MIT
 *
 * barrier.c: barriers and spin locks.
 *
 * Barrier: one 64-bit word, the number of arrivals below, the round above; both change together.
 * Who makes the count full starts the next round and wakes the waiters of the old one, the others
 * wait while the round is theirs. No lost wake-up: futexwait looks at the round under the queue's
 * lock, and the last arrival changes it before it wakes. Threads of the next round may arrive, and
 * be woken by mistake, before the old ones have left: they look at the round again.
 *
 * `inside` counts who is in pthread_barrier_wait: a barrier may be destroyed as soon as one thread
 * has returned from it, so pthread_barrier_destroy waits for the rest. The one that makes it 0 does
 * not touch the barrier again. (In a child after fork that number may include threads which are not
 * there; so may libc's.)
 *
 * Spin lock: libc's own word and trylock. After a while the holder is likely to be a G on our run
 * queue: give it the P.
 *
 * Rejected for the barrier: futexwaitunlock with the arrival in its call-back (it would have to
 * wake exactly its own round out of a queue that holds two).
 */
#include "sync.h"

struct barrier {
	union {
		_Atomic uint64_t word;
		struct {
			uint32_t arrived;
			_Atomic uint32_t round; /* the high half: what futexwait() looks at */
		};
	};
	uint32_t count; /* written by init, as shared */
	uint32_t shared;
	_Atomic uint32_t inside; /* libc's init makes it 0, too */
};

_Static_assert(sizeof(struct barrier) <= sizeof(pthread_barrier_t) &&
		   sizeof(pthread_barrier_t) == 32,
	       "size");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "round is the high half");

static void leave(struct barrier *b)
{
	if (atomic_fetch_sub_explicit(&b->inside, 1, memory_order_release) == 1)
		futexwake(&b->inside, 1);
}

EXPORT int pthread_barrier_wait(pthread_barrier_t *barrier)
{
	struct barrier *b = (struct barrier *)barrier;

	if (unlikely(b->shared)) {
		entersyscallblock();
		int r = REAL(pthread_barrier_wait)(barrier);
		exitsyscall();
		return r;
	}
	atomic_fetch_add_explicit(&b->inside, 1, memory_order_relaxed);
	uint64_t w = atomic_load_explicit(&b->word, memory_order_relaxed), new;
	uint32_t round;
	bool last;
	do {
		round = (uint32_t)(w >> 32);
		last = (uint32_t)w + 1 == b->count;
		new = last ? (uint64_t)(round + 1) << 32 : w + 1;
		/* Everybody releases what it did before, and acquires what the others did. */
	} while (!atomic_compare_exchange_weak_explicit(&b->word, &w, new, memory_order_acq_rel,
							memory_order_relaxed));
	if (last)
		futexwake(&b->round, INT32_MAX);
	else
		while (atomic_load_explicit(&b->round, memory_order_acquire) == round) {
			int err = futexwait(&b->round, round, 0,
					    FUTEX_WHY(WaitBarrier, offsetof(struct barrier, round)));
			if (unlikely(err == -EINTR && goasync())) {
				leave(b); /* it has arrived all the same, as in libc */
				testasync(err);
			}
		}
	leave(b);
	return last ? PTHREAD_BARRIER_SERIAL_THREAD : 0;
}

EXPORT int pthread_barrier_destroy(pthread_barrier_t *barrier)
{
	struct barrier *b = (struct barrier *)barrier;
	uint32_t n;

	if (unlikely(b->shared)) {
		entersyscallblock();
		int err = REAL(pthread_barrier_destroy)(barrier);
		exitsyscall();
		return err;
	}
	while ((n = atomic_load_explicit(&b->inside, memory_order_acquire)) != 0)
		testasync(futexwait(&b->inside, n, 0, FUTEX_WHY(WaitBarrier, offsetof(struct barrier, inside))));
	return 0;
}

/* ---- spin lock ------------------------------------------------------------------------------ */

static __attribute__((noinline)) int spinslow(pthread_spinlock_t *lock)
{
	for (;;) {
		for (int i = 0; i < 100 && spinnable(); i++) {
			spinpause();
			if (i % 4 == 3 && REAL(pthread_spin_trylock)(lock) == 0)
				return 0;
		}
		sched_yield();
		if (REAL(pthread_spin_trylock)(lock) == 0)
			return 0;
	}
}

EXPORT int pthread_spin_lock(pthread_spinlock_t *lock)
{
	return likely(REAL(pthread_spin_trylock)(lock) == 0) ? 0 : spinslow(lock);
}
