/* SPDX-License-Identifier: MIT
 *
 * test_sched.c: the whole scheduler without the shim, at 1, 2 and 8 Ps: Gs by the thousand,
 * fairness, sleeping, marked system calls and those that nobody marked. Starts and ends of Gs are
 * test_newproc.c's matter, waiting on addresses test_sema.c's.
 */
#include "gs.h"

#include <fcntl.h>
#include <sys/wait.h>

/* ---- many ----------------------------------------------------------------------------------- */

static _Atomic long counter;

static void *yielder(void *arg)
{
	for (int i = 0; i < 5; i++) {
		atomic_fetch_add(&counter, 1);
		gosched();
	}
	return arg;
}

TestAtPs(sched, ten_thousand)
{
	enum { N = 10000 };
	static struct g *gs[N];

	for (long i = 0; i < N; i++)
		gs[i] = go(yielder, (void *)i);
	for (long i = 0; i < N; i++)
		cr_assert_eq(join(gs[i]), (void *)i);
	cr_assert_eq(counter, 5L * N, "%ld", counter);
	/* And again, on the shells of the dead. */
	uint64_t made = sched.goidgen;
	for (long i = 0; i < N; i++)
		gs[i] = go(yielder, (void *)i);
	for (long i = 0; i < N; i++)
		cr_assert_eq(join(gs[i]), (void *)i);
	cr_assert_leq(sched.goidgen, made + 1000, "%lu new Gs", sched.goidgen - made);
	cr_assert_eq(sched.ngs, 1);
}

static void *maker(void *arg)
{
	long depth = (long)arg;

	atomic_fetch_add(&counter, 1);
	if (depth > 0) {
		struct g *a = go(maker, (void *)(depth - 1)), *b = go(maker, (void *)(depth - 1));
		must(join(b) == (void *)(depth - 1) && join(a) == (void *)(depth - 1), "%ld",
		     depth);
	}
	return arg;
}

TestAtPs(sched, tree)
{
	for (long i = times(4); i > 0; i--) {
		counter = 0;
		cr_assert_eq(join(go(maker, (void *)9)), (void *)9);
		cr_assert_eq(counter, 1023, "%ld", counter);
	}
}

/* ---- fairness ------------------------------------------------------------------------------- */

enum { NFAIR = 20 };
static _Atomic long turns[NFAIR];
static _Atomic bool stop;

static void *fair(void *arg)
{
	while (!atomic_load(&stop)) {
		atomic_fetch_add(&turns[(long)arg], 1);
		gosched();
	}
	return arg;
}

static bool allran(void)
{
	for (int i = 0; i < NFAIR; i++)
		if (atomic_load(&turns[i]) == 0)
			return false;
	return true;
}

/* With more Ps than CPUs the kernel may keep an M from its CPU for far longer than 20,000 turns take. */
static void *stopper(void *arg)
{
	uint64_t end = nanotime() + 10000000000u;

	(void)arg;
	while (atomic_load(&turns[0]) < 20000 || (!allran() && nanotime() < end))
		gosched();
	atomic_store(&stop, true);
	return arg;
}

/*
 * Whether the M was kept from its CPU for so long that sysmon took a G for one that computes: its P has gone to another M, and it
 * queued anew; or it was told to give way, and stood behind those who were not.
 */
static bool disturbed(void)
{
	return counted(CountRetakeBusy) + counted(CountRetakeBlocked) + counted(CountRetakeSyscall) + counted(CountPreemptAsk) != 0;
}

/* gosched() goes behind all others: on one P they take turns exactly. */
TestAtPs(sched, gosched_is_fair)
{
	struct g *gs[NFAIR], *last;
	long least = INT64_MAX, most = 0;

	for (long i = 0; i < NFAIR; i++)
		gs[i] = go(fair, (void *)i);
	last = go(stopper, NULL);
	join(last);
	for (int i = 0; i < NFAIR; i++) {
		join(gs[i]);
		if (turns[i] < least)
			least = turns[i];
		if (turns[i] > most)
			most = turns[i];
	}
	if (gomaxprocs == 1 && !disturbed())
		cr_assert_leq(most - least, 400, "%ld to %ld turns", least, most);
	cr_assert_gt(least, 0);
}

static _Atomic uint32_t ping;

static void *pingpong(void *arg)
{
	uint32_t me = (uint32_t)(long)arg;

	while (!atomic_load(&stop)) {
		uint32_t v = atomic_load(&ping);
		if (v % 2 == me) {
			atomic_store(&ping, v + 1);
			futexwake(&ping, 1);
		} else {
			futexwait(&ping, v, reldeadline(10000000), 0);
		}
	}
	return arg;
}

/* A pair that readies each other for ever, which runnext favours, does not starve a third. */
TestAtPs(sched, pair_starves_nobody)
{
	struct g *a = go(pingpong, (void *)0), *b = go(pingpong, (void *)1);

	while (atomic_load(&ping) < 1000)
		gosched();
	for (int i = 0; i < 1000; i++)
		gosched();
	cr_assert_eq(gosleep(reldeadline(1000000)), 0);
	atomic_store(&stop, true);
	join(a);
	join(b);
}

/* ---- a P that is not given back ------------------------------------------------------------- */

static void *spinner(void *arg)
{
	while (!atomic_load(&stop))
		procyield(10);
	return arg;
}

static void *stopafter(void *arg)
{
	gosleep(reldeadline(1000000));
	for (int i = 0; i < 100; i++)
		gosched();
	atomic_store(&stop, true);
	return arg;
}

/* As many Gs that compute and never call the runtime as there are Ps, and more. */
TestAtPs(sched, computing_gs_lose_their_p)
{
	struct g *gs[10];
	int n = gomaxprocs + 2;

	for (long i = 0; i < n; i++)
		gs[i] = go(spinner, (void *)i);
	struct g *last = go(stopafter, NULL);
	join(last);
	for (long i = 0; i < n; i++)
		cr_assert_eq(join(gs[i]), (void *)i);
	cr_assert_gt(counted(CountRetakeSyscall) + counted(CountRetakeBlocked) + counted(CountRetakeBusy), 0);
}

static int fds[2];
enum how { UNMARKED, MARKED, MARKEDLONG };
static enum how how;

static void *reader(void *arg)
{
	char c = 0;

	if (how == MARKED)
		entersyscall();
	else if (how == MARKEDLONG)
		entersyscallblock();
	ssize_t n = read(fds[0], &c, 1);
	if (how != UNMARKED)
		exitsyscall();
	must(n == 1 && c == 'x', "%zd %c", n, c);
	/* Whole again: parks, runs on. */
	gosched();
	gosleep(reldeadline(1000));
	return arg;
}

static _Atomic long ran;

static void *runs(void *arg)
{
	atomic_fetch_add(&ran, 1);
	gosched();
	return arg;
}

static void *writer(void *arg)
{
	long n = (long)arg;

	/* The readers sit in read() by now, or will: the others run all the same. */
	for (int i = 0; i < 20; i++)
		join(go(runs, NULL));
	for (int i = 0; i < n; i++)
		must(write(fds[1], "x", 1) == 1, "write");
	return arg;
}

static void blocking(enum how h, int64_t limit)
{
	struct g *gs[40];
	int n = 2 * gomaxprocs + 4;

	how = h;
	cr_assert_eq(pipe(fds), 0);
	for (long round = times(3); round > 0; round--) {
		uint64_t begin = nanotime();
		for (long i = 0; i < n; i++)
			gs[i] = go(reader, (void *)i);
		struct g *w = go(writer, (void *)(long)n);
		for (long i = 0; i < n; i++)
			cr_assert_eq(join(gs[i]), (void *)i);
		join(w);
		int64_t took = (int64_t)(nanotime() - begin);
		cr_assert_lt(took, limit, "%ld ms", took / 1000000);
	}
	cr_assert_geq(ran, 20);
}

/* More blocking reads than Ps, while those who will end them want to run. */
TestAtPs(sched, marked_system_calls)
{
	blocking(MARKED, 60000000000);
}

TestAtPs(sched, system_calls_that_block_long)
{
	blocking(MARKEDLONG, 60000000000);
	cr_assert_geq(counted(CountHandover), 1);
}

TestAtPs(sched, unmarked_system_calls)
{
	blocking(UNMARKED, 60000000000);
}

/* Short calls: the P is mostly still there, and sysmon takes it at times in the middle. */
static void *shortcalls(void *arg)
{
	uint64_t dice = mydice();

	for (int i = 0; i < 2000; i++) {
		uint32_t r = roll(&dice);
		bool longcall = r % 64 == 0;
		(longcall ? entersyscallblock : entersyscall)();
		must(getg()->status == Gsyscall, "status %u", getg()->status);
		if (r % 128 < 4)
			usleep(r >> 8 & 127);
		else
			SC0(SYS_sched_yield);
		exitsyscall();
		must(getg()->status == Grunning, "status %u", getg()->status);
		if (r % 16 == 1)
			gosched();
		atomic_fetch_add(&counter, 1);
	}
	return arg;
}

TestAtPs(sched, short_system_calls)
{
	for (long i = times(1); i > 0; i--) {
		counter = 0;
		ings(12, shortcalls);
		cr_assert_eq(counter, 12 * 2000);
	}
}

/* ---- sleeping ------------------------------------------------------------------------------- */

static _Atomic long worst;

static void *sleeper(void *arg)
{
	uint64_t dice = mydice();

	for (int i = 0; i < 20; i++) {
		uint64_t until = reldeadline(roll(&dice) % 3000000);
		int r = gosleep(until);
		uint64_t now = nanotime();
		must(r == 0 && now >= until, "%d, %lu ns early", r, until - now);
		if ((long)(now - until) > atomic_load(&worst))
			atomic_store(&worst, (long)(now - until));
	}
	return arg;
}

TestAtPs(sched, sleepers)
{
	for (long i = times(1); i > 0; i--)
		ings(500, sleeper);
	cr_assert_lt(worst, 10000000000, "%ld ms late", worst / 1000000);
	cr_assert_eq(gosleep(1), 0, "a time that has passed");
}

/* The only G sleeps, nobody else is there to look: every wake-up hangs on the last M's poll. */
TestAtPs(sched, alone)
{
	for (int i = 0; i < 200; i++) {
		uint64_t until = reldeadline((uint64_t)i * 10000);
		cr_assert_eq(gosleep(until), 0);
		cr_assert_geq(nanotime(), until);
	}
}

static _Atomic uint64_t order[50], norder;

static void *ordered(void *arg)
{
	uint64_t until = *(uint64_t *)arg;

	gosleep(until);
	order[atomic_fetch_add(&norder, 1)] = until;
	return NULL;
}

/* On one P they wake up in the order of their times. */
Test(sched, sleepers_in_order, .timeout = 100)
{
	struct g *gs[50];
	uint64_t until[50], dice = 5;

	start(1);
	uint64_t base = reldeadline(50000000);
	for (int i = 0; i < 50; i++) {
		until[i] = base + (roll(&dice) % 1000) * 10000;
		gs[i] = go(ordered, &until[i]);
	}
	for (int i = 0; i < 50; i++)
		join(gs[i]);
	for (int i = 1; i < 50 && !disturbed(); i++)
		cr_assert_leq(order[i - 1], order[i], "%d: %lu, then %lu", i, order[i - 1],
			      order[i]);
}
