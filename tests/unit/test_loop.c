/* SPDX-License-Identifier: MIT
 *
 * test_loop.c: Gs that wait in epoll sets of their own, parked and in the kernel in turn, in the
 * shim's manner. A lost event hangs the test.
 */
#include "netgs.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

enum { NLOOPS = 6, HEAT = 20, MS = 1000000 };

static struct loop {
	int ep, ev;
	struct polldesc *pd;
	uint32_t gen;
	long inkernel; /* waits that loopwait() ended with events */
	_Atomic uint64_t got;
} loops[NLOOPS];

static void newloop(struct loop *l)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = l};

	l->ep = epoll_create1(0);
	l->ev = eventfd(0, EFD_NONBLOCK);
	must(l->ep >= 0 && l->ev >= 0 && epoll_ctl(l->ep, EPOLL_CTL_ADD, l->ev, &e) == 0,
	     "errno %d", errno);
	l->pd = fdlook(l->ep);
	l->gen = atomic_load(&l->pd->gen);
}

static void endloop(struct loop *l)
{
	goclose(l->ep);
	goclose(l->ev);
}

/* As if it had been busy. */
static void heat(struct loop *l)
{
	for (int i = 0; i < HEAT; i++)
		loopwaited(l->pd, 1);
}

static void post(struct loop *l)
{
	uint64_t one = 1;

	must(SC3(SYS_write, l->ev, &one, 8) == 8, "write");
}

static void take(struct loop *l)
{
	uint64_t n = 0;

	if (SC3(SYS_read, l->ev, &n, 8) == 8)
		atomic_fetch_add(&l->got, n);
}

/* epoll_wait as the shim has it; kernel: it may wait there. */
static int gepoll(struct loop *l, bool kernel, uint64_t deadline)
{
	struct epoll_event e[4];

	for (;;) {
		int r = kernel ? loopwait(l->pd, l->gen, e, 4, deadline) : 0;
		if (r > 0)
			l->inkernel++;
		if (r == 0 && pdtry(l->pd, PD_READ))
			r = (int)SC4(SYS_epoll_wait, l->ep, e, 4, 0);
		if (r != 0) {
			pdleft(l->pd, PD_READ);
			must(r == 1 && e[0].data.ptr == l, "%d", r);
			return r;
		}
		int err = pdwait(l->pd, l->gen, PD_READ, deadline);
		if (err != 0)
			return err;
	}
}

/* Waits in the kernel until an event comes, hot again whenever loopwait() gave up. */
static void *stubborn(void *arg)
{
	struct loop *l = arg;
	struct epoll_event e;
	int r;

	do {
		heat(l);
		r = loopwait(l->pd, l->gen, &e, 1, 0);
		if (r == 0)
			gosleep(reldeadline(MS / 10)); /* somebody else had to run */
	} while (r == 0);
	must(r == 1 && e.data.ptr == l, "%d", r);
	return arg;
}

TestAtPs(loop, only_hot_ones_wait_in_the_kernel)
{
	struct loop *l = &loops[0];
	struct epoll_event e;

	newloop(l);
	post(l);
	cr_assert_eq(loopwait(l->pd, l->gen, &e, 1, 0), 0, "it has not waited yet");
	loopwaited(l->pd, 1);
	cr_assert_eq(loopwait(l->pd, l->gen, &e, 1, 0), 0, "once is not busy");
	heat(l);
	cr_assert_eq(loopwait(l->pd, l->gen, &e, 1, nanotime() - 1), 0, "it is too late");
	loopwaited(l->pd, INT64_MAX);
	cr_assert_eq(loopwait(l->pd, l->gen, &e, 1, 0), 0, "a long wait cools it");
	stubborn(l);
	take(l);
	heat(l);
	cr_assert_eq(loopwait(l->pd, l->gen, &e, 1, nanotime() + MS), 0, "nothing came");
	cr_assert_eq(sched.nloops, 0);
	cr_assert_eq(sched.nblocking, 0);
	endloop(l);
}

/* At one P: were it kept, nobody could look. */
TestAtPs(loop, its_p_is_for_others)
{
	struct loop *l = &loops[0];

	newloop(l);
	for (long round = times(20); round > 0; round--) {
		struct g *gp = go(stubborn, l);
		while (atomic_load(&sched.nloops) == 0)
			gosleep(reldeadline(MS / 5));
		post(l);
		cr_assert_eq(join(gp), l);
		cr_assert_eq(sched.nloops, 0);
		take(l);
	}
	endloop(l);
}

static void *parked(void *arg)
{
	struct loop *l = arg;

	must(gepoll(l, false, 0) == 1, "parked");
	return arg;
}

/* Who is parked for the set would not be told if it were taken out of the netpoller's. */
TestAtPs(loop, not_beside_one_that_is_parked)
{
	struct loop *l = &loops[0];
	struct epoll_event e;

	newloop(l);
	for (long round = times(20); round > 0; round--) {
		struct g *gp = go(parked, l);
		while (atomic_load(&l->pd->nwait[PD_READ]) == 0)
			gosleep(reldeadline(MS / 5));
		heat(l);
		cr_assert_eq(loopwait(l->pd, l->gen, &e, 1, 0), 0);
		cr_assert_eq(l->pd->registered, 1);
		post(l);
		cr_assert_eq(join(gp), l);
		take(l);
	}
	endloop(l);
}

static long total;

/* Parks, or waits in the kernel, as the dice have it. */
static void *serve(void *arg)
{
	struct loop *l = &loops[(long)arg];
	uint64_t dice = mydice();

	while (atomic_load(&l->got) < (uint64_t)total) {
		bool kernel = roll(&dice) % 4 != 0;
		if (kernel)
			heat(l);
		int r = gepoll(l, kernel, roll(&dice) % 8 == 0 ? nanotime() + roll(&dice) % MS : 0);
		must(r == 1 || r == -ETIMEDOUT, "%d", r);
		if (r == 1)
			take(l);
	}
	return arg;
}

/* A kernel thread: the runtime does not know of what it writes. Now and then it waits until all is
 * taken. */
static void *feed(void *arg)
{
	uint64_t dice = (uintptr_t)&dice | 1;
	int n = (int)(long)arg;

	for (long i = 1; i <= total; i++) {
		for (int k = 0; k < n; k++)
			post(&loops[k]);
		if (roll(&dice) % 2)
			for (int k = 0; k < n; k++)
				while (atomic_load(&loops[k].got) < (uint64_t)i)
					SC0(SYS_sched_yield);
	}
	return arg;
}

static void feedloops(int n)
{
	pthread_t t;
	long inkernel = 0;

	total = times(1000);
	for (int i = 0; i < n; i++)
		newloop(&loops[i]);
	must(pthread_create(&t, NULL, feed, (void *)(long)n) == 0, "pthread_create");
	ings(n, serve);
	pthread_join(t, NULL);
	for (int i = 0; i < n; i++) {
		cr_assert_eq(loops[i].got, (uint64_t)total);
		inkernel += loops[i].inkernel;
		endloop(&loops[i]);
	}
	cr_assert(inkernel > 0 || n > 1, "none waited in the kernel");
	cr_assert_eq(sched.nloops, 0);
	cr_assert_eq(sched.nblocking, 0);
	cr_assert_not(netpollany());
}

TestAtPs(loop, no_event_is_lost)
{
	feedloops(1);
}

TestAtPs(loop, nor_with_several_loops)
{
	feedloops(NLOOPS);
}
