/* SPDX-License-Identifier: MIT */
/* Every mutex that attributes can make (type, protocol, shared, robust): what each call says, to
 * the owner and to another thread, while it is locked, free, destroyed. pthread_mutex_lock(3p),
 * pthread_mutexattr_settype(3p), pthread_mutexattr_setprotocol(3p), pthread_mutexattr_setrobust(3)
 */
#include "t.h"
#include <sched.h>

static const char *types[] = {"normal", "recursive", "errorcheck", "adaptive"};
static const char *protocols[] = {"", " inherit", " protect"};

struct mutex {
	pthread_mutex_t m;
	int type, protocol, shared, robust;
};

/* With a time-out each: some would wait for ever. */
static void timed(struct mutex *mu, const char *who)
{
	struct timespec ts = in_ms(CLOCK_REALTIME, -100);
	int past, soon, mono, low, high, clock;

	past = pthread_mutex_timedlock(&mu->m, &ts);
	ts = in_ms(CLOCK_REALTIME, 2);
	soon = pthread_mutex_timedlock(&mu->m, &ts);
	ts = in_ms(CLOCK_MONOTONIC, 2);
	mono = pthread_mutex_clocklock(&mu->m, CLOCK_MONOTONIC, &ts);
	clock = pthread_mutex_clocklock(&mu->m, CLOCK_PROCESS_CPUTIME_ID, &ts);
	ts.tv_nsec = -1;
	low = pthread_mutex_timedlock(&mu->m, &ts);
	ts.tv_nsec = 1000000000;
	high = pthread_mutex_timedlock(&mu->m, &ts);
	say("  %s: past %s, soon %s, monotonic %s, cpu clock %s, nsec -1 %s, nsec 1e9 %s", who,
	    errname(past), errname(soon), errname(mono), errname(clock), errname(low),
	    errname(high));
}

static void *other(void *arg)
{
	struct mutex *mu = arg;

	say("  other: trylock %s", errname(pthread_mutex_trylock(&mu->m)));
	timed(mu, "other");
	/* A normal one would be unlocked. */
	if (mu->robust || mu->protocol == PTHREAD_PRIO_INHERIT ||
	    mu->type == PTHREAD_MUTEX_RECURSIVE || mu->type == PTHREAD_MUTEX_ERRORCHECK)
		say("  other: unlock %s", errname(pthread_mutex_unlock(&mu->m)));
	if (mu->protocol == PTHREAD_PRIO_PROTECT) {
		int was = -1, err = pthread_mutex_getprioceiling(&mu->m, &was);
		say("  other: getprioceiling %s %d", errname(err), was);
	}
	return NULL;
}

/* Until it says that there is nothing to unlock. A normal one must not be asked. */
static void unlock_all(struct mutex *mu)
{
	for (int i = 0; i < 8; i++) {
		int err = pthread_mutex_unlock(&mu->m);
		say("  owner: unlock %s", errname(err));
		if (err != 0 ||
		    (mu->type != PTHREAD_MUTEX_RECURSIVE && mu->type != PTHREAD_MUTEX_ERRORCHECK &&
		     !mu->robust && mu->protocol != PTHREAD_PRIO_INHERIT))
			break;
	}
}

static void try_all(struct mutex *mu)
{
	pthread_mutexattr_t a;

	say("%s%s%s%s", types[mu->type], protocols[mu->protocol], mu->shared ? " shared" : "",
	    mu->robust ? " robust" : "");
	OK(pthread_mutexattr_init(&a));
	OK(pthread_mutexattr_settype(&a, mu->type));
	OK(pthread_mutexattr_setprotocol(&a, mu->protocol));
	OK(pthread_mutexattr_setpshared(&a, mu->shared));
	OK(pthread_mutexattr_setrobust(&a, mu->robust));
	int err = pthread_mutex_init(&mu->m, &a);
	OK(pthread_mutexattr_destroy(&a));
	if (err != 0) {
		say("  init: %s", errname(err));
		return;
	}
	err = pthread_mutex_lock(&mu->m);
	say("  lock %s", errname(err));
	if (err == 0) {
		finish(start(other, mu));
		say("  owner: trylock %s", errname(pthread_mutex_trylock(&mu->m)));
		timed(mu, "owner");
		if (mu->type == PTHREAD_MUTEX_RECURSIVE || mu->type == PTHREAD_MUTEX_ERRORCHECK)
			say("  owner: lock %s", errname(pthread_mutex_lock(&mu->m)));
		say("  owner: consistent %s", errname(pthread_mutex_consistent(&mu->m)));
		if (!mu->robust)
			say("  owner: destroy %s", errname(pthread_mutex_destroy(&mu->m)));
		unlock_all(mu);
		say("  free: trylock %s", errname(pthread_mutex_trylock(&mu->m)));
		finish(start(other, mu));
		unlock_all(mu);
	}
	say("  free: consistent %s", errname(pthread_mutex_consistent(&mu->m)));
	err = pthread_mutex_destroy(&mu->m);
	say("  free: destroy %s", errname(err));
	if (err == 0)
		say("  destroyed: lock %s, trylock %s, unlock %s",
		    errname(pthread_mutex_lock(&mu->m)), errname(pthread_mutex_trylock(&mu->m)),
		    errname(pthread_mutex_unlock(&mu->m)));
}

static void *worker(void *arg)
{
	struct mutex mu;

	for (mu.protocol = 0; mu.protocol < 3; mu.protocol++)
		for (mu.robust = 0; mu.robust < 2; mu.robust++)
			for (mu.shared = 0; mu.shared < 2; mu.shared++)
				for (mu.type = 0; mu.type < 4; mu.type++)
					try_all(&mu);
	return arg;
}

/* The same by one of real-time priority, if that is allowed. */
static void *urgent(void *arg)
{
	struct sched_param p = {1};

	say("real-time: %s", errname(pthread_setschedparam(pthread_self(), SCHED_FIFO, &p)));
	return worker(arg);
}

static void *nothing(void *arg)
{
	return arg;
}

int main(void)
{
	finish(start(nothing, NULL));
	worker(NULL); /* main */
	finish(start(worker, NULL));
	finish(start(urgent, NULL));
	return 0;
}
