/* SPDX-License-Identifier: MIT
 *
 * fakesched.h: one M and a first-in first-out queue, in place of proc.c, so that stack.c, tls*.c,
 * gexit.c and arch/ can be tested alone. Included by one file per test program.
 */
#ifndef FAKESCHED_H
#define FAKESCHED_H

#include "runtime.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct debug debug = {.verbose = true};
static struct m fakem;
static struct g fakemain, *qhead, *qtail, *fakefree, *fakeall;

void throw(const char *what)
{
	fprintf(stderr, "throw: %s\n", what);
	abort();
}

void gprintf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
}

struct m *exitforeign(void)
{
	return &fakem;
}

int enterforeign(void)
{
	return 0;
}

void gosigends(void)
{
}

void foreachg(void (*fn)(struct g *, void *), void *arg)
{
	for (struct g *gp = fakeall; gp; gp = gp->alllink)
		fn(gp, arg);
}

static void put(struct g *gp)
{
	gp->schedlink = NULL;
	*(qhead ? &qtail->schedlink : &qhead) = gp;
	qtail = gp;
}

static struct g *next(struct g *gp)
{
	(void)gp;
	struct g *to = qhead;
	if (!to)
		throw("deadlock");
	qhead = to->schedlink;
	fakem.curg = to;
	return to;
}

static struct g *yield0(struct g *gp)
{
	put(gp);
	return next(gp);
}

static void goyield(void)
{
	mcall(fakem.curg, &fakem.g0, yield0);
}

/* waitobj: who joins gp. */
static struct g *exit0(struct g *gp)
{
	atomic_store(&gp->status, Gdead);
	if (gp->waitobj)
		put((struct g *)gp->waitobj);
	return next(gp);
}

noreturn void goexit(struct g *gp)
{
	mcall(gp, &fakem.g0, exit0);
	__builtin_unreachable();
}

static void *join(struct g *gp)
{
	if (atomic_load(&gp->status) != Gdead) {
		gp->waitobj = (uintptr_t)fakem.curg;
		mcall(fakem.curg, &fakem.g0, next);
	}
	gp->schedlink = fakefree;
	fakefree = gp;
	return gp->retval;
}

static struct g *gowith(void *(*fn)(void *), void *arg, size_t stack, size_t guard, void *userstack)
{
	struct g *gp = fakefree;

	if (gp && stackfits(gp, stack, guard, userstack)) {
		fakefree = gp->schedlink;
		stackset(gp, stack, guard, userstack);
		tlsreset(gp);
	} else {
		gp = calloc(1, sizeof *gp);
		gp->alllink = fakeall;
		fakeall = gp;
		if (stackalloc(gp, stack, guard, userstack) != 0 || tlsnew(gp) != 0)
			throw("no memory for a thread");
	}
	gp->fn = fn;
	gp->arg = arg;
	gp->waitobj = 0;
	atomic_store(&gp->status, Grunnable);
	gostartcall(gp, gp->stack.hi);
	put(gp);
	return gp;
}

static struct g *go(void *(*fn)(void *), void *arg)
{
	return gowith(fn, arg, 0, 4096, NULL);
}

static int fakestart(enum fsbase how)
{
	if (!archinit(how))
		return -ENOSYS;
	int err = tlsinit();
	if (!err)
		err = stackalloc(&fakem.g0, 64 << 10, 4096, NULL);
	if (!err)
		err = tlsnew(&fakem.g0);
	fakem.g0.sched.sp = fakem.g0.stack.hi;
	fakemain.ismain = true;
	if (!err)
		tlsmain(&fakemain, false);
	fakem.curg = &fakemain;
	return err;
}

#endif
