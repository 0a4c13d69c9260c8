/* SPDX-License-Identifier: MIT
 *
 * gs.h: for tests of the whole runtime without the shim: a pool of so many Ps, Gs that are started
 * and joined by the dozen, and Test() at 1, 2 and 8 Ps. Gs are full threads here, but what they
 * call in libc is libc's: it blocks their M.
 */
#ifndef GS_H
#define GS_H

#include "unit.h"

static __attribute__((unused)) void start(int procs)
{
	debug.procs = procs;
	must(schedinit() == 0 && getg() != NULL && gomaxprocs == procs, "%d Ps", gomaxprocs);
}

/* A G with the smallest stack there is. */
static __attribute__((unused)) struct g *gowith(bool detached, void *(*fn)(void *), void *arg)
{
	struct newattr attr = {.stacksize = 64 << 10, .guardsize = 4096, .detached = detached};
	uintptr_t thread;
	int err = newproc(&attr, fn, arg, &thread);

	must(err == 0, "newproc: %d", err);
	return (struct g *)gofthread(thread);
}

static __attribute__((unused)) struct g *go(void *(*fn)(void *), void *arg)
{
	return gowith(false, fn, arg);
}

static __attribute__((unused)) void *join(struct g *gp)
{
	void *ret = (void *)-1;
	int err = gojoin(gp, &ret, 0);

	must(err == 0, "gojoin of g%lu: %d", gp->goid, err);
	return ret;
}

enum { MAXGS = 1000 };

/* n Gs run fn((void *)0) to fn((void *)(n - 1)), until all have returned what they were given. */
static __attribute__((unused)) void ings(int n, void *(*fn)(void *))
{
	struct g *gs[MAXGS];

	must(n <= MAXGS, "%d", n);
	for (long i = 0; i < n; i++)
		gs[i] = go(fn, (void *)i);
	for (long i = 0; i < n; i++) {
		void *ret = join(gs[i]);
		must(ret == (void *)i, "g %ld of %d returned %p", i, n, ret);
	}
}

static __attribute__((unused)) uint64_t mydice(void)
{
	return ((uint64_t)cputicks() * 0x9E3779B97F4A7C15u ^ (uintptr_t)getg()) | 1;
}

/* In a process of its own for each number of Ps: the pool is never taken down. */
#define TestAtPs(suite, name)                                                                      \
	static void suite##_##name(void);                                                          \
	Test(suite, name##_1, .timeout = 100)                                                      \
	{                                                                                          \
		start(1);                                                                          \
		suite##_##name();                                                                  \
	}                                                                                          \
	Test(suite, name##_2, .timeout = 100)                                                      \
	{                                                                                          \
		start(2);                                                                          \
		suite##_##name();                                                                  \
	}                                                                                          \
	Test(suite, name##_8, .timeout = 100)                                                      \
	{                                                                                          \
		start(8);                                                                          \
		suite##_##name();                                                                  \
	}                                                                                          \
	static void suite##_##name(void)

#endif
