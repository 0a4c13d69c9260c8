/* SPDX-License-Identifier: MIT
 *
 * jitter.h: atomic accesses that dawdle. A test that includes this and then a file of the runtime
 * (in place of the one in the library) makes every step between two accesses to shared memory take
 * a random time, so that rare interleavings become common, also on one CPU.
 *
 * The dice are the time stamp counter: no state, no TLS, good on any stack.
 */
#ifndef JITTER_H
#define JITTER_H

#include "runtime.h"
#include <sys/syscall.h>

static inline void jitter(void)
{
	uint64_t r = (uint64_t)cputicks() * 0x9E3779B97F4A7C15u >> 40;

	if (__builtin_expect(r % 64 == 0, 0)) {
		if (r % (64 * 16) == 0)
			SC0(SYS_sched_yield);
		else
			procyield((uint32_t)(r >> 6) & 63);
	}
}

#undef atomic_load
#undef atomic_store
#undef atomic_exchange
#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak
#undef atomic_compare_exchange_weak_explicit
#undef atomic_fetch_add
#undef atomic_fetch_sub
#undef atomic_fetch_or
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and
#undef atomic_fetch_and_explicit

#ifdef __clang__
#define ATOMIC_N(op) __c11_atomic_##op
#define ATOMIC_OP(op) __c11_atomic_##op
#define ATOMIC_CAS(p, e, d, weak, s, f) __c11_atomic_compare_exchange_strong(p, e, d, s, f)
#else
#define ATOMIC_N(op) __atomic_##op##_n
#define ATOMIC_OP(op) __atomic_##op
#define ATOMIC_CAS(p, e, d, weak, s, f) __atomic_compare_exchange_n(p, e, d, weak, s, f)
#endif

#define SC memory_order_seq_cst
#define atomic_load_explicit(p, o) (jitter(), ATOMIC_N(load)(p, o))
#define atomic_store_explicit(p, v, o) (jitter(), ATOMIC_N(store)(p, v, o))
#define atomic_exchange_explicit(p, v, o) (jitter(), ATOMIC_N(exchange)(p, v, o))
#define atomic_compare_exchange_strong_explicit(p, e, d, s, f)                                     \
	(jitter(), ATOMIC_CAS(p, e, d, false, s, f))
#define atomic_compare_exchange_weak_explicit(p, e, d, s, f)                                       \
	(jitter(), ATOMIC_CAS(p, e, d, true, s, f))
#define atomic_fetch_add_explicit(p, v, o) (jitter(), ATOMIC_OP(fetch_add)(p, v, o))
#define atomic_fetch_sub_explicit(p, v, o) (jitter(), ATOMIC_OP(fetch_sub)(p, v, o))
#define atomic_fetch_or_explicit(p, v, o) (jitter(), ATOMIC_OP(fetch_or)(p, v, o))
#define atomic_fetch_and_explicit(p, v, o) (jitter(), ATOMIC_OP(fetch_and)(p, v, o))
#define atomic_load(p) atomic_load_explicit(p, SC)
#define atomic_store(p, v) atomic_store_explicit(p, v, SC)
#define atomic_exchange(p, v) atomic_exchange_explicit(p, v, SC)
#define atomic_compare_exchange_strong(p, e, d)                                                    \
	atomic_compare_exchange_strong_explicit(p, e, d, SC, SC)
#define atomic_compare_exchange_weak(p, e, d) atomic_compare_exchange_weak_explicit(p, e, d, SC, SC)
#define atomic_fetch_add(p, v) atomic_fetch_add_explicit(p, v, SC)
#define atomic_fetch_sub(p, v) atomic_fetch_sub_explicit(p, v, SC)
#define atomic_fetch_or(p, v) atomic_fetch_or_explicit(p, v, SC)
#define atomic_fetch_and(p, v) atomic_fetch_and_explicit(p, v, SC)

#endif
