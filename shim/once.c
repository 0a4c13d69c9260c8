/* SPDX-License-Identifier: MIT
 *
 * once.c: pthread_once and call_once.
 *
 * The control word: 0 not run; forks << 3 | 1 in progress, + 4 somebody waits; 2 done. The count of forks
 * makes a child run the function again if the thread that was running it did not come along (as libc's own does).
 *
 * No lost wake-up: a waiter sets the bit 4 and waits only if the word is still that when it is queued;
 * whoever ends the run exchanges the word and wakes if the bit was set.
 *
 * A function that does not return (exception, cancellation, pthread_exit) leaves the word 0: see
 * the personality routine below. Compile with -fexceptions.
 *
 * Rejected: libgcc's personality routine and a landing pad. They would make libgcc_s.so a needed
 * library of every process that inherits LD_PRELOAD; linked statically, they would read the private
 * structures of another version's unwinder. Nor does pthread_cleanup_push see C++ exceptions.
 */
#include "sync.h"

enum { ONCE_BUSY = 1, ONCE_DONE = 2, ONCE_WAIT = 4, ONCE_FORK = 8 };

static uint32_t forks; /* x ONCE_FORK; changed in a fork's child, when it is alone */

static void forked(void)
{
	forks += ONCE_FORK;
}

__attribute__((constructor)) static void init(void)
{
	pthread_atfork(NULL, NULL, forked);
}

_Static_assert(sizeof(pthread_once_t) == 4 && sizeof(once_flag) == 4, "size");

/* A function on its way, on the stack of callonce(). They nest. */
struct run {
	_Atomic uint32_t *word;
	struct run *outer;
	uint32_t result;
};

static __thread struct run *running;

static void end(struct run *r)
{
	running = r->outer;
	/* Partner of the acquiring loads below. */
	uint32_t old = atomic_exchange_explicit(r->word, r->result, memory_order_acq_rel);
	if (unlikely((old & ONCE_WAIT) != 0))
		futexwake(r->word, INT32_MAX);
}

static __attribute__((noinline)) void callonce(_Atomic uint32_t *word, void (*fn)(void))
{
	/* The cleanup is for the return, and for the compiler to give this frame a personality. */
	__attribute__((cleanup(end))) struct run r = {word, running, 0};

	running = &r;
	fn();
	r.result = ONCE_DONE;
}

/*
 * What an unwinder calls for the frame of callonce(), the only one in this library that has
 * cleanups. When the frame is really left (not in the search for a handler), end the innermost
 * run; we have no landing pad for it to enter, so _Unwind_Resume is never called. Both are hidden:
 * nobody else gets these.
 */
enum { UA_CLEANUP_PHASE = 2, URC_CONTINUE_UNWIND = 8 };
int __gcc_personality_v0(int version, int actions, uint64_t class, void *exc, void *context);
_Noreturn void _Unwind_Resume(void *exc);

int __gcc_personality_v0(int version, int actions, uint64_t class, void *exc, void *context)
{
	if ((actions & UA_CLEANUP_PHASE) != 0 && running != NULL)
		end(running);
	return URC_CONTINUE_UNWIND;
}

void _Unwind_Resume(void *exc)
{
	__builtin_trap();
}

static __attribute__((noinline)) void onceslow(_Atomic uint32_t *word, void (*fn)(void))
{
	uint32_t busy = forks | ONCE_BUSY;
	uint32_t w = atomic_load_explicit(word, memory_order_acquire);

	while ((w & ONCE_DONE) == 0) {
		if (w == busy) {
			/* A failure leaves the present value in w. */
			if (atomic_compare_exchange_weak_explicit(word, &w, busy | ONCE_WAIT,
								  memory_order_acquire, memory_order_acquire))
				w = busy | ONCE_WAIT;
		} else if (w == (busy | ONCE_WAIT)) {
			testasync(futexwait(word, w, 0, FUTEX_WHY(WaitOnce, 0)));
			w = atomic_load_explicit(word, memory_order_acquire);
		} else if (atomic_compare_exchange_weak_explicit(
			       word, &w, busy, memory_order_acquire, memory_order_acquire)) {
			callonce(word, fn);
			return;
		}
	}
}

EXPORT int pthread_once(pthread_once_t *once, void (*fn)(void))
{
	_Atomic uint32_t *word = (_Atomic uint32_t *)once;

	if (unlikely((atomic_load_explicit(word, memory_order_acquire) & ONCE_DONE) == 0))
		onceslow(word, fn);
	return 0;
}

EXPORT void call_once(once_flag *flag, void (*fn)(void))
{
	pthread_once((pthread_once_t *)flag, fn);
}

ALIAS(__pthread_once, pthread_once);
