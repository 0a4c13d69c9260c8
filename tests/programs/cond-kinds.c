/* SPDX-License-Identifier: MIT */
/* Condition variables, private and shared, of both clocks, with every kind of mutex: time-outs,
 * what is refused, one and many woken, the mutex held by who comes back. pthread_cond_wait(3p),
 * pthread_cond_clockwait(3) */
#include "t.h"

enum { WAITERS = 12 };

static pthread_mutex_t m;
static pthread_cond_t c;
static int tokens, waiting, woken, inside;
static int cshared, cclock;

static const char *types[] = {"normal", "recursive", "errorcheck", "adaptive"};

/* Owner kinds: the mutex says EPERM to who has not locked it, and so does a wait with it. */
static int owned(int type, int protocol, int robust)
{
	return type == PTHREAD_MUTEX_RECURSIVE || type == PTHREAD_MUTEX_ERRORCHECK || protocol ||
	       robust;
}

static void *waiter(void *arg)
{
	int n = (int)(intptr_t)arg;

	OK(pthread_mutex_lock(&m));
	waiting++;
	while (tokens == 0) {
		struct timespec ts = in_ms(n % 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME, 60000);
		if (n % 3 == 0)
			OK(pthread_cond_wait(&c, &m));
		else
			OK(pthread_cond_clockwait(&c, &m, n % 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME,
						  &ts));
		MUST(inside++ == 0);
		if (n % 4 == 0)
			sched_yield();
		MUST(--inside == 0);
	}
	tokens--;
	woken++;
	OK(pthread_mutex_unlock(&m));
	return NULL;
}

static void wake(const char *how, int broadcast, int locked)
{
	pthread_t t[WAITERS];

	waiting = woken = tokens = 0;
	for (int i = 0; i < WAITERS; i++)
		t[i] = start(waiter, (void *)(intptr_t)i);
	for (int left = 1; left;) {
		sched_yield();
		OK(pthread_mutex_lock(&m));
		left = waiting < WAITERS;
		OK(pthread_mutex_unlock(&m));
	}
	for (int i = 0; i < (broadcast ? 1 : WAITERS); i++) {
		OK(pthread_mutex_lock(&m));
		tokens += broadcast ? WAITERS : 1;
		if (locked)
			OK(broadcast ? pthread_cond_broadcast(&c) : pthread_cond_signal(&c));
		OK(pthread_mutex_unlock(&m));
		if (!locked)
			OK(broadcast ? pthread_cond_broadcast(&c) : pthread_cond_signal(&c));
	}
	for (int i = 0; i < WAITERS; i++)
		finish(t[i]);
	say("  %s%s: %d woken, %d left", how, locked ? ", locked" : "", woken, tokens);
}

static void *not_owner(void *arg)
{
	struct timespec ts = in_ms(CLOCK_REALTIME, 1000);

	say("  not the owner: wait %s, timedwait %s", errname(pthread_cond_wait(&c, &m)),
	    errname(pthread_cond_timedwait(&c, &m, &ts)));
	return arg;
}

static void times(void)
{
	static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME,
					   CLOCK_THREAD_CPUTIME_ID};
	struct timespec ts = in_ms(cclock, 3);

	say("  timedwait %s", errname(pthread_cond_timedwait(&c, &m, &ts)));
	for (int i = 0; i < NELEM(clocks); i++) {
		ts = in_ms(clocks[i], -3);
		say("  clock %d, past: %s", i,
		    errname(pthread_cond_clockwait(&c, &m, clocks[i], &ts)));
		ts = in_ms(clocks[i], 3);
		say("  clock %d, soon: %s", i,
		    errname(pthread_cond_clockwait(&c, &m, clocks[i], &ts)));
		ts.tv_nsec = i % 2 ? -1 : 1000000000;
		say("  clock %d, bad: %s", i,
		    errname(pthread_cond_clockwait(&c, &m, clocks[i], &ts)));
	}
	ts = (struct timespec){-1, 0};
	say("  before 1970: %s", errname(pthread_cond_timedwait(&c, &m, &ts)));
}

static void all(int type, int protocol, int robust, int shared)
{
	pthread_mutexattr_t a;
	pthread_condattr_t ca;

	say("%s, %s with %s%s%s%s", cshared ? "shared" : "private",
	    cclock == CLOCK_REALTIME ? "realtime" : "monotonic", types[type],
	    protocol ? " inherit" : "", robust ? " robust" : "", shared ? " shared" : "");
	OK(pthread_mutexattr_init(&a));
	OK(pthread_mutexattr_settype(&a, type));
	OK(pthread_mutexattr_setprotocol(&a, protocol));
	OK(pthread_mutexattr_setpshared(&a, shared));
	OK(pthread_mutexattr_setrobust(&a, robust));
	OK(pthread_mutex_init(&m, &a));
	OK(pthread_condattr_init(&ca));
	OK(pthread_condattr_setpshared(&ca, cshared));
	OK(pthread_condattr_setclock(&ca, cclock));
	OK(pthread_cond_init(&c, &ca));

	OK(pthread_cond_signal(&c));
	OK(pthread_cond_broadcast(&c));
	if (owned(type, protocol, robust))
		not_owner(NULL);
	OK(pthread_mutex_lock(&m));
	if (owned(type, protocol, robust))
		finish(start(not_owner, NULL));
	times();
	say("  still held: %s",
	    errname(type == PTHREAD_MUTEX_RECURSIVE ? EBUSY : pthread_mutex_trylock(&m)));
	OK(pthread_mutex_unlock(&m));
	for (int i = 0; i < 4; i++)
		wake(i & 1 ? "broadcast" : "signal", i & 1, i >> 1);
	OK(pthread_cond_destroy(&c));
	OK(pthread_mutex_destroy(&m));
}

static void *run(void *arg)
{
	for (cshared = 0; cshared < 2; cshared++)
		for (cclock = 0; cclock < 2; cclock++)
			for (int shared = 0; shared < 2; shared++)
				for (int robust = 0; robust < 2; robust++)
					for (int protocol = 0; protocol < 2; protocol++)
						for (int type = 0; type < 4; type++)
							all(type, protocol, robust, shared);
	return arg;
}

int main(void)
{
	finish(start(run, NULL));
	return 0;
}
