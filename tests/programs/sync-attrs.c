/* SPDX-License-Identifier: MIT */
/* Attribute objects of mutexes, condition variables, read-write locks, barriers, and what the init,
 * destroy and ceiling functions say: defaults, what is set, what is refused.
 * pthread_mutexattr_init(3), pthread_condattr_init(3), pthread_barrierattr_init(3p),
 * pthread_mutexattr_getprioceiling(3p) */
#include "t.h"
#include <limits.h>
#include <semaphore.h>

#define GET(fn, a)                                                                                 \
	do {                                                                                       \
		int value_ = -99, err_ = fn(a, &value_);                                           \
		say("%s: %s %d", #fn, errname(err_), value_);                                      \
	} while (0)

static void mutexes(void)
{
	pthread_mutexattr_t a;
	pthread_mutex_t m;
	int old;

	OK(pthread_mutexattr_init(&a));
	GET(pthread_mutexattr_gettype, &a);
	GET(pthread_mutexattr_getprotocol, &a);
	GET(pthread_mutexattr_getpshared, &a);
	GET(pthread_mutexattr_getrobust, &a);
	GET(pthread_mutexattr_getprioceiling, &a);
	for (int i = -1; i <= 4; i++) {
		say("settype %d: %s", i, errname(pthread_mutexattr_settype(&a, i)));
		say("setprotocol %d: %s", i, errname(pthread_mutexattr_setprotocol(&a, i)));
		say("setpshared %d: %s", i, errname(pthread_mutexattr_setpshared(&a, i)));
		say("setrobust %d: %s", i, errname(pthread_mutexattr_setrobust(&a, i)));
	}
	GET(pthread_mutexattr_gettype, &a);
	GET(pthread_mutexattr_getprotocol, &a);
	GET(pthread_mutexattr_getpshared, &a);
	GET(pthread_mutexattr_getrobust, &a);
	RC(pthread_mutex_init(&m, &a)); /* robust and protecting */
	RC(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_STALLED));
	RC(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_PROTECT));
	for (int i = -1; i <= 100; i++)
		if (i < 3 || i > 97)
			say("setprioceiling %d: %s", i,
			    errname(pthread_mutexattr_setprioceiling(&a, i)));
	RC(pthread_mutexattr_setprioceiling(&a, 20));
	GET(pthread_mutexattr_getprioceiling, &a);
	RC(pthread_mutex_init(&m, &a));
	GET(pthread_mutex_getprioceiling, &m);
	old = -7;
	say("setprioceiling 30: %s %d", errname(pthread_mutex_setprioceiling(&m, 30, &old)), old);
	GET(pthread_mutex_getprioceiling, &m);
	RC(pthread_mutex_setprioceiling(&m, 1000, &old));
	RC(pthread_mutex_setprioceiling(&m, -1, &old));
	RC(pthread_mutex_destroy(&m));
	RC(pthread_mutexattr_destroy(&a));
	OK(pthread_mutex_init(&m, NULL));
	RC(pthread_mutex_getprioceiling(&m, &old));
	RC(pthread_mutex_setprioceiling(&m, 5, &old));
	RC(pthread_mutex_consistent(&m));
	RC(pthread_mutex_destroy(&m));
}

static void conds(void)
{
	pthread_condattr_t a;
	pthread_cond_t c;
	clockid_t clock = 99;

	OK(pthread_condattr_init(&a));
	GET(pthread_condattr_getpshared, &a);
	RC(pthread_condattr_getclock(&a, &clock));
	say("clock %d", (int)clock);
	for (int i = -1; i <= 8; i++)
		say("setclock %d: %s", i, errname(pthread_condattr_setclock(&a, i)));
	RC(pthread_condattr_getclock(&a, &clock));
	say("clock %d", (int)clock);
	RC(pthread_condattr_setpshared(&a, 2));
	RC(pthread_condattr_setpshared(&a, 1));
	GET(pthread_condattr_getpshared, &a);
	RC(pthread_cond_init(&c, &a));
	RC(pthread_cond_signal(&c));
	RC(pthread_cond_broadcast(&c));
	RC(pthread_cond_destroy(&c));
	RC(pthread_condattr_destroy(&a));
}

static void barriers(void)
{
	pthread_barrierattr_t a;
	pthread_barrier_t b;

	OK(pthread_barrierattr_init(&a));
	GET(pthread_barrierattr_getpshared, &a);
	RC(pthread_barrierattr_setpshared(&a, 2));
	RC(pthread_barrierattr_setpshared(&a, 1));
	GET(pthread_barrierattr_getpshared, &a);
	RC(pthread_barrier_init(&b, &a, 0));
	RC(pthread_barrier_init(&b, &a, UINT_MAX));
	RC(pthread_barrier_init(&b, &a, INT_MAX));
	RC(pthread_barrier_init(&b, &a, 1));
	say("alone: %d", pthread_barrier_wait(&b) == PTHREAD_BARRIER_SERIAL_THREAD);
	RC(pthread_barrier_destroy(&b));
	RC(pthread_barrierattr_destroy(&a));
}

static void spins(void)
{
	pthread_spinlock_t s;

	for (int shared = 0; shared < 2; shared++) {
		RC(pthread_spin_init(&s, shared));
		RC(pthread_spin_lock(&s));
		RC(pthread_spin_trylock(&s));
		RC(pthread_spin_unlock(&s));
		RC(pthread_spin_trylock(&s));
		RC(pthread_spin_unlock(&s));
		RC(pthread_spin_destroy(&s));
	}
}

static void *all(void *arg)
{
	mutexes();
	conds();
	barriers();
	spins();
	return arg;
}

int main(void)
{
	all(NULL);
	finish(start(all, NULL));
	return 0;
}
