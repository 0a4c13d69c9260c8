/* SPDX-License-Identifier: MIT
 *
 * unit.h: what the tests of the runtime share: a check that any thread and any G may make
 * (criterion's are the main thread's only), repetitions by GMP_STRESS, dice, and kernel threads by
 * the dozen.
 */
#ifndef UNIT_H
#define UNIT_H

#include "runtime.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* must(condition, "facts %d", ...): says file, line, condition and facts, and aborts. */
#define must(cond, ...) ((cond) ? (void)0 : wrong(__FILE__, __LINE__, #cond, __VA_ARGS__))

static __attribute__((noinline, unused, cold, format(printf, 4, 5))) void
wrong(const char *file, int line, const char *cond, const char *fmt, ...)
{
	char buf[1000];
	int n = snprintf(buf, sizeof buf, "%s:%d: not true: %s: ", file, line, cond);
	va_list ap;

	va_start(ap, fmt);
	n += vsnprintf(buf + n, sizeof buf - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof buf - 2)
		n = sizeof buf - 2;
	buf[n++] = '\n';
	SC3(SYS_write, 2, buf, n);
	abort();
}

/* n, or n times GMP_STRESS if that is set. */
static __attribute__((unused)) long times(long n)
{
	const char *s = getenv("GMP_STRESS");
	long by = s ? atol(s) : 1;

	return by > 0 ? n * by : n;
}

/* xorshift64*: the state is the caller's, never 0. */
static __attribute__((unused)) uint32_t roll(uint64_t *dice)
{
	*dice ^= *dice >> 12;
	*dice ^= *dice << 25;
	*dice ^= *dice >> 27;
	return (uint32_t)(*dice * 0x2545F4914F6CDD1Du >> 32);
}

/* Mostly nothing, now and then some spinning, rarely the CPU to somebody else. */
static __attribute__((unused)) void dawdle(uint64_t *dice)
{
	uint32_t r = roll(dice);

	if (r % 16 == 0)
		procyield(r >> 4 & 63);
	else if (r % 512 == 1)
		SC0(SYS_sched_yield);
}

enum { MAXTHREADS = 32 };

/* n kernel threads run fn((void *)0) to fn((void *)(n - 1)), until all have returned. */
static __attribute__((unused)) void inthreads(int n, void *(*fn)(void *))
{
	pthread_t t[MAXTHREADS];

	for (long i = 0; i < n; i++)
		must(pthread_create(&t[i], NULL, fn, (void *)i) == 0, "thread %ld", i);
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

#endif
