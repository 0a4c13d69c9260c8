/* SPDX-License-Identifier: MIT */
/* The programs about futex(2): the calls as functions, and how to know that somebody waits. */
#ifndef FUTEX_H
#define FUTEX_H

#include "t.h"
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>

T_INLINE long futex(void *addr, int op, uint32_t val, const struct timespec *ts, void *addr2,
		    uint32_t val3)
{
	return syscall(SYS_futex, addr, op, val, ts, addr2, val3);
}

/* The same with a number in the time-out's place. */
T_INLINE long futexn(void *addr, int op, uint32_t val, long n, void *addr2, uint32_t val3)
{
	return syscall(SYS_futex, addr, op, val, n, addr2, val3);
}

T_INLINE long wait_on(uint32_t *addr, uint32_t val, const struct timespec *ts)
{
	return futex(addr, FUTEX_WAIT_PRIVATE, val, ts, NULL, 0);
}

T_INLINE long wait_bits(uint32_t *addr, uint32_t val, const struct timespec *ts, uint32_t bits)
{
	return futex(addr, FUTEX_WAIT_BITSET_PRIVATE, val, ts, NULL, bits);
}

T_INLINE long wake(uint32_t *addr, int n)
{
	return futex(addr, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

T_INLINE long wake_bits(uint32_t *addr, int n, uint32_t bits)
{
	return futex(addr, FUTEX_WAKE_BITSET_PRIVATE, n, NULL, NULL, bits);
}

T_INLINE long requeue(uint32_t *addr, int nwake, uint32_t *to, int nmove)
{
	return futexn(addr, FUTEX_REQUEUE_PRIVATE, nwake, nmove, to, 0);
}

/* How many wait on addr: all of them are moved to where they are. */
T_INLINE long waiting(uint32_t *addr)
{
	return requeue(addr, 0, addr, INT_MAX);
}

T_INLINE void until_waiting(uint32_t *addr, long n)
{
	while (waiting(addr) != n)
		usleep(200);
}

/* What a call gave, as a word. */
T_INLINE const char *outcome(long r)
{
	static __thread char n[24];

	if (r == -1)
		return errname(errno);
	snprintf(n, sizeof n, "%ld", r);
	return n;
}

#endif
