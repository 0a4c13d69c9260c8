/* SPDX-License-Identifier: MIT
 *
 * test_hand.c: futexhand and futexbroadcast among Gs and kernel threads: who gets it, when it is
 * free for all, what a time-out does to it; that a broadcast moves all but one, reaches those only
 * who waited when it began, and loses nobody to an unlock, a time-out or another broadcast.
 */
#include "gs.h"

#include "jitter.h"
#include "sema.c"

#include <limits.h>

static _Atomic uint32_t word;
static _Atomic long n, given, timedout;
static long order[200];

static void setone(void *arg)
{
	atomic_store((_Atomic uint32_t *)arg, 1);
}

/* ---- handing over --------------------------------------------------------------------------- */

/* Waits until the word is not 0, as one that began at `since`. */
static void *hander(void *arg)
{
	long i = (long)arg;
	int r =
	    futexwaithand(&word, 0, (uint32_t)(100 + i), nanotime(), 0, FUTEX_WHY(WaitMutex, 0));

	must(r == 0 || r == 1, "%d", r);
	if (r == 1) {
		must(atomic_load(&word) == (uint32_t)(100 + i), "%u for %ld", atomic_load(&word),
		     i);
		atomic_fetch_add(&given, 1);
	}
	order[atomic_fetch_add(&n, 1)] = i;
	return arg;
}

static void waits(struct g *gp)
{
	while (gp->status != Gwaiting)
		gosched();
}

TestAtPs(hand, free_or_given)
{
	struct g *gs[6];

	cr_assert_eq(futexhand(&word, 0, setone, &word), 0, "nobody waits");
	cr_assert_eq(word, 1, "so it is free");
	cr_assert_eq(futexwaithand(&word, 0, 7, 0, 0, 0), -EAGAIN);
	word = 0;
	cr_assert_eq(futexwaithand(&word, 0, 7, 0, 1, 0), -ETIMEDOUT);
	cr_assert_eq(word, 0);
	for (long i = 0; i < 6; i++) {
		gs[i] = go(hander, (void *)i);
		waits(gs[i]);
	}
	for (int i = 0; i < 3; i++) { /* to the oldest, whatever its age */
		cr_assert_eq(futexhand(&word, 0, setone, &word), 1);
		cr_assert_eq(word, (uint32_t)(100 + i));
		join(gs[i]);
		word = 0;
	}
	cr_assert_eq(given, 3);
	/* Too young: woken, not given. */
	cr_assert_eq(futexhand(&word, 3600000000000, setone, &word), 0);
	cr_assert_eq(word, 1);
	join(gs[3]);
	cr_assert_eq(given, 3);
	word = 0;
	gosleep(reldeadline(3000000));
	cr_assert_eq(futexhand(&word, 1000000, setone, &word), 1, "older than 1 ms");
	join(gs[4]);
	word = 0;
	cr_assert_eq(futexwake(&word, INT_MAX), 1);
	join(gs[5]);
	for (long i = 0; i < 6; i++)
		cr_assert_eq(order[i], i);
}

/*
 * A lock by hand-over alone. Each holder is alone; who times out has nothing; nothing is given to
 * nobody. Kernel threads too.
 */
static _Atomic uint32_t held;
static long in, count;

static void makefree(void *arg)
{
	atomic_store((_Atomic uint32_t *)arg, 0);
}

static void *holder(void *arg)
{
	uint64_t dice = mydice();
	uint32_t me = (uint32_t)(1 + (long)arg);

	for (long i = 0, end = times(2000); i < end; i++) {
		uint64_t since = nanotime(),
			 deadline = roll(&dice) % 4 ? 0 : reldeadline(roll(&dice) % 100000);
		uint32_t v = 0;
		int r = 0;
		while (!atomic_compare_exchange_strong(&held, &v, me)) {
			r = futexwaithand(&held, v, me, since, deadline, 0);
			if (r == 1 || r == -ETIMEDOUT)
				break;
			v = 0;
		}
		if (r == -ETIMEDOUT) {
			atomic_fetch_add(&timedout, 1);
			continue;
		}
		must(atomic_load(&held) == me && in++ == 0, "%u has it, not %u", atomic_load(&held),
		     me);
		count++;
		dawdle(&dice);
		if (roll(&dice) % 16 == 0)
			getg() != NULL ? gosched() : (void)SC0(SYS_sched_yield);
		in--;
		/* Zero never waits there, but holders differ: those who saw another holder look
		 * again. */
		futexhand(&held, roll(&dice) % 2 ? 0 : 20000, makefree, &held);
	}
	return arg;
}

TestAtPs(hand, excludes)
{
	pthread_t t[3];

	for (long i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, holder, (void *)(100 + i));
	ings(12, holder);
	entersyscallblock();
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	exitsyscall();
	cr_assert_eq(count + timedout, 15 * times(2000));
	cr_assert_eq(held, 0);
	cr_assert_eq(futexwake(&held, INT_MAX), 0);
}

/* ---- broadcast ------------------------------------------------------------------------------ */

/* A condition variable and a mutex, as small as they can be: lock is 0, 1, or 2 if others may wait.
 */
static _Atomic uint32_t lockword, nwait;
static uint32_t cond, generation;
static _Atomic long woken;

static bool heldfn(void *to)
{
	_Atomic uint32_t *l = to;
	uint32_t v = 1;

	return atomic_compare_exchange_strong(l, &v, 2) || v != 0;
}

static void locks(uint32_t as)
{
	for (;;) {
		uint32_t v = 0;
		if (atomic_compare_exchange_strong(&lockword, &v, as))
			return;
		if (v == 1 && !atomic_compare_exchange_strong(&lockword, &v, 2))
			continue;
		if (futexwait(&lockword, 2, 0, 0) == 0)
			as = 2;
	}
}

static void unlocks(void *arg)
{
	if (atomic_exchange(&lockword, 0) == 2)
		futexwake(&lockword, 1);
}

/* 0, or -ETIMEDOUT. */
static int condwaits(uint64_t deadline)
{
	int r = futexcondwait(&cond, &nwait, &lockword, unlocks, NULL, deadline,
			      FUTEX_WHY(WaitCond, 0));

	must(r == 0 || r == 1 || r == -ETIMEDOUT, "%d", r);
	locks(r == 1 ? 2 : 1);
	return r == 1 ? 0 : r;
}

static void *onewait(void *arg)
{
	locks(1);
	must(condwaits(0) == 0, "woken");
	woken++;
	unlocks(NULL);
	return arg;
}

static int queuedon(void *addr)
{
	struct bucket *b = bucketof((uintptr_t)addr);
	int k = 0;

	exitforeign();
	lockshort(&b->lock);
	for (struct waiter *w = *findaddr(b, (uintptr_t)addr); w != NULL; w = w->next)
		k++;
	unlockshort(&b->lock);
	enterforeign();
	return k;
}

static void startwaits(struct g **gs, int k)
{
	for (long i = 0; i < k; i++)
		gs[i] = go(onewait, (void *)i);
	while (atomic_load(&nwait) != (uint32_t)k || atomic_load(&lockword) != 0)
		gosched();
}

/* The mutex is held: all are moved, none woken; each unlock wakes one. */
TestAtPs(broadcast, moves_all)
{
	enum { N = 700 };
	static struct g *gs[N];

	startwaits(gs, N);
	locks(1);
	futexbroadcast(&cond, heldfn);
	cr_assert_eq(nwait, 0);
	cr_assert_eq(queuedon(&cond), 0);
	cr_assert_eq(queuedon(&lockword), N);
	cr_assert_eq(lockword, 2);
	unlocks(NULL);
	for (int i = 0; i < N; i++)
		join(gs[i]);
	cr_assert_eq(woken, N);
	cr_assert_eq(queuedon(&lockword), 0);
}

/* It is free: one is woken, to take it as one that others wait for. */
TestAtPs(broadcast, wakes_one)
{
	enum { N = 300 };
	static struct g *gs[N];

	startwaits(gs, N);
	exitforeign(); /* nobody else runs here meanwhile, at 1 P */
	futexbroadcast(&cond, heldfn);
	if (gomaxprocs == 1)
		must(queuedon(&lockword) == N - 1, "%d", queuedon(&lockword));
	enterforeign();
	for (int i = 0; i < N; i++)
		join(gs[i]);
	cr_assert_eq(woken, N);
	cr_assert_eq(lockword, 0);
}

/*
 * Generations: who waits for the present one must see the next, whether by broadcast or time-out,
 * and nobody is left behind. Waiters wait again at once, while the broadcast is still at it.
 */
enum { NG = 40 };
static uint32_t lastgen;

static void *generations(void *arg)
{
	uint64_t dice = mydice();

	locks(1);
	while (generation < lastgen) {
		uint32_t g = generation;
		while (generation == g) {
			if (roll(&dice) % 64 == 0) {
				generation++;
				bool early = roll(&dice) % 2;
				if (early)
					futexbroadcast(&cond, heldfn);
				unlocks(NULL);
				if (!early)
					futexbroadcast(&cond, heldfn);
				dawdle(&dice);
				locks(1);
			} else {
				condwaits(roll(&dice) % 4 ? reldeadline(2000000)
							  : reldeadline(roll(&dice) % 50000));
			}
		}
	}
	futexbroadcast(&cond, heldfn);
	unlocks(NULL);
	return arg;
}

TestAtPs(broadcast, loses_nobody)
{
	pthread_t t[3];

	lastgen = (uint32_t)times(2000);
	for (long i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, generations, NULL);
	ings(NG, generations);
	entersyscallblock();
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	exitsyscall();
	cr_assert_eq(nwait, 0);
	cr_assert_eq(queuedon(&cond) + queuedon(&lockword), 0);
	cr_assert_eq(lockword, 0);
}

/* Those who come while it runs are not its business: it ends. */
static _Atomic bool stop;

static void *again(void *arg)
{
	while (!atomic_load(&stop)) {
		locks(1);
		condwaits(0);
		unlocks(NULL);
	}
	return arg;
}

TestAtPs(broadcast, ends)
{
	struct g *gs[200];

	for (int i = 0; i < 200; i++)
		gs[i] = go(again, NULL);
	for (int i = 0; i < 300; i++)
		futexbroadcast(&cond, heldfn);
	atomic_store(&stop, true);
	for (int i = 0; i < 200; i++)
		while (gs[i]->status != Gdead) {
			futexbroadcast(&cond, heldfn);
			gosched();
		}
	for (int i = 0; i < 200; i++)
		join(gs[i]);
}

/* ---- a handler in the middle of a wait for a condition --------------------------------------- */

/* As a kernel thread's, which may be woken though it does not sleep. */
static void queue(struct waiter *w)
{
	waiterinit(w, &cond, ~0u, &nwait);
	w->gp = NULL;
	w->comesback = true;
	enqueue(bucketof((uintptr_t)&cond), w);
}

static bool iswoken(struct waiter *w)
{
	return (atomic_load(&w->word) & THREADWOKEN) != 0;
}

/* By one thread, step by step; nobody else knows of the address. */
Test(away, structure)
{
	struct bucket *b = bucketof((uintptr_t)&cond);
	struct waiter w[4];
	int err = 99;

	/* Back in the middle, at the front, at the end. */
	for (int k = 0; k < 4; k++)
		queue(&w[k]);
	int order[] = {1, 0, 3};
	for (int k = 0; k < 3; k++) {
		struct waiter *x = &w[order[k]];
		cr_assert(dequeue(x, true));
		cr_assert_eq(nwait, 4, "one who is away is counted");
		cr_assert(comeback(b, x, false, &err));
		cr_assert_eq(nwait, 4);
	}
	for (int k = 0; k < 4; k++) {
		cr_assert_eq(futexsignal(&cond, &nwait), 1);
		cr_assert(iswoken(&w[k]), "%d is not the next", k);
	}
	cr_assert_eq(nwait, 0);

	/* All four away, back in any order, into an empty queue. */
	for (int k = 0; k < 4; k++)
		queue(&w[k]);
	for (int k = 0; k < 4; k++)
		cr_assert(dequeue(&w[k], true));
	for (int k = 3; k >= 0; k--)
		cr_assert(comeback(b, &w[k ^ 1], false, &err));
	for (int k = 0; k < 4; k++) {
		futexsignal(&cond, &nwait);
		cr_assert(iswoken(&w[k]), "%d is not the next", k);
	}

	/* A wake-up that finds nobody is for those away; they do not touch the count again. */
	queue(&w[0]);
	queue(&w[1]);
	cr_assert(dequeue(&w[0], true));
	cr_assert_eq(futexsignal(&cond, &nwait), 1);
	cr_assert(iswoken(&w[1]));
	cr_assert(comeback(b, &w[0], false, &err), "that one was another's");
	cr_assert(dequeue(&w[0], true));
	cr_assert_eq(nwait, 1);
	cr_assert_eq(futexsignal(&cond, &nwait), 0);
	cr_assert_eq(nwait, 0);
	cr_assert(!comeback(b, &w[0], false, &err) && err == 0);
	cr_assert_eq(nwait, 0);

	/* Woken before it could leave; cancelled; its handler never returned. */
	queue(&w[0]);
	futexsignal(&cond, &nwait);
	cr_assert(!dequeue(&w[0], true));
	queue(&w[0]);
	cr_assert(dequeue(&w[0], true));
	cr_assert(!comeback(b, &w[0], true, &err) && err == -EINTR);
	cr_assert_eq(nwait, 0);
	queue(&w[0]);
	cr_assert(dequeue(&w[0], true));
	memset(&w[0], 0xff, sizeof(w[0]));
	queue(&w[1]);
	cr_assert_eq(futexsignal(&cond, &nwait), 1);
	cr_assert_eq(futexsignal(&cond, &nwait), 0);
	cr_assert_eq(nwait, 0, "%u", nwait);

	/* A broadcast comes to all who waited when it began. */
	queue(&w[0]);
	queue(&w[1]);
	cr_assert(dequeue(&w[0], true));
	futexbroadcast(&cond, heldfn);
	cr_assert(iswoken(&w[1]));
	cr_assert(!comeback(b, &w[0], false, &err) && err == 0);
	cr_assert_null(*findaddr(b, (uintptr_t)&cond));
}

/*
 * One wake-up for each token, none to spare, and waits that are disturbed as by handlers all the time: nobody
 * waits for ever.
 */
static long tokens, eaten;
static _Atomic long disturbed;
static _Atomic bool fed;

static void *eats(void *arg)
{
	for (uint32_t i = 0; i < lastgen; i++) {
		locks(1);
		while (tokens == 0)
			must(condwaits(0) == 0, "woken");
		tokens--;
		eaten++;
		unlocks(NULL);
	}
	return arg;
}

static struct g *eaters[NG];

/* As a signal does. */
static void disturb(uint64_t *dice)
{
	struct g *gp = eaters[roll(dice) % NG];
	uint64_t park = atomic_load(&gp->park);

	exitforeign();
	if (gp->waitreason == WaitCond)
		atomic_fetch_add(&disturbed, gowake(gp, park >> 8, WakeSignal));
	enterforeign();
}

static void *disturbs(void *arg)
{
	uint64_t dice = mydice();

	while (!atomic_load(&fed)) {
		disturb(&dice);
		dawdle(&dice);
		gosched();
	}
	return arg;
}

TestAtPs(away, loses_nobody)
{
	uint64_t dice = mydice();

	lastgen = (uint32_t)times(300);
	for (long i = 0; i < NG; i++)
		eaters[i] = go(eats, (void *)i);
	struct g *d = go(disturbs, NULL);
	for (uint32_t i = 0; i < lastgen * NG; i++) {
		disturb(&dice);
		locks(1);
		while (tokens > 3) { /* else nobody waits */
			unlocks(NULL);
			gosched();
			locks(1);
		}
		tokens++;
		if (atomic_load(&nwait) != 0)
			futexsignal(&cond, &nwait);
		unlocks(NULL);
		dawdle(&dice);
	}
	for (int i = 0; i < NG; i++)
		join(eaters[i]);
	atomic_store(&fed, true);
	join(d);
	cr_assert_eq(eaten, (long)lastgen * NG);
	cr_assert_eq(queuedon(&cond) + queuedon(&lockword), 0);
	cr_assert_gt(disturbed, 0);
	futexsignal(&cond, &nwait);
	cr_assert_eq(nwait, 0);
}
