/* SPDX-License-Identifier: MIT */
/* Threads which libc makes for itself and the program's threads wait for each other at every
 * object: mutex, condition variable, semaphore, rwlock, barrier, once, spin lock, futex. */
#include "foreign.h"
#include "futex.h"

enum { ROUNDS = 300 };

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER, recursive, errorcheck;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t b;
static pthread_spinlock_t spin;
static sem_t ping, pong;
static uint32_t word;
static long n, turn, once_runs, serial;

static void relax(int i)
{
	if (i % 50 == 0)
		usleep(100);
}

/* Each runs in two threads at once, as 0 and as 1. */

static void locks(int me)
{
	pthread_mutex_t *all[] = {&m, &recursive, &errorcheck};

	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_t *l = all[i % 3];
		OK(pthread_mutex_lock(l));
		if (i % 3 == 1)
			OK(pthread_mutex_lock(l));
		else if (i % 3 == 2)
			MUST(pthread_mutex_lock(l) == EDEADLK);
		if (i % 3 == 0)
			n++;
		relax(i + me);
		OK(pthread_mutex_unlock(l));
		if (i % 3 == 1)
			OK(pthread_mutex_unlock(l));
	}
}

static void conds(int me)
{
	OK(pthread_mutex_lock(&m));
	for (int i = 0; i < ROUNDS; i++) {
		while (turn % 2 != me) {
			if (i % 2) {
				struct timespec ts = in_ms(CLOCK_REALTIME, 5);
				int err = pthread_cond_timedwait(&c, &m, &ts);
				MUST(err == 0 || err == ETIMEDOUT);
			} else {
				OK(pthread_cond_wait(&c, &m));
			}
		}
		turn++;
		if (i % 3)
			OK(pthread_cond_signal(&c));
		else
			OK(pthread_cond_broadcast(&c));
	}
	OK(pthread_mutex_unlock(&m));
}

static void sems(int me)
{
	for (int i = 0; i < ROUNDS; i++) {
		if (me == 0) {
			MUST(sem_post(&ping) == 0);
			MUST(sem_wait(&pong) == 0);
		} else {
			struct timespec ts = in_ms(CLOCK_REALTIME, 100000);
			MUST(sem_timedwait(&ping, &ts) == 0);
			MUST(sem_post(&pong) == 0);
		}
	}
}

static void rwlocks(int me)
{
	for (int i = 0; i < ROUNDS; i++) {
		if ((i + me) % 3 == 0) {
			OK(pthread_rwlock_wrlock(&rw));
			n++;
		} else {
			OK(pthread_rwlock_rdlock(&rw));
		}
		relax(i);
		OK(pthread_rwlock_unlock(&rw));
	}
}

static void barriers(int me)
{
	(void)me;
	for (int i = 0; i < ROUNDS; i++) {
		int r = pthread_barrier_wait(&b);
		MUST(r == 0 || r == PTHREAD_BARRIER_SERIAL_THREAD);
		if (r != 0)
			__atomic_fetch_add(&serial, 1, __ATOMIC_SEQ_CST);
	}
}

static pthread_once_t onces[ROUNDS];

static void once(void)
{
	usleep(20);
	__atomic_fetch_add(&once_runs, 1, __ATOMIC_SEQ_CST);
}

static void oncers(int me)
{
	(void)me;
	for (int i = 0; i < ROUNDS; i++) {
		OK(pthread_once(&onces[i], once));
		MUST(__atomic_load_n(&once_runs, __ATOMIC_SEQ_CST) >= i + 1);
	}
}

static void spins(int me)
{
	(void)me;
	for (int i = 0; i < ROUNDS; i++) {
		OK(pthread_spin_lock(&spin));
		n++;
		OK(pthread_spin_unlock(&spin));
	}
}

static void futexes(int me)
{
	for (uint32_t v; (v = __atomic_load_n(&word, __ATOMIC_SEQ_CST)) < 2 * ROUNDS;) {
		if ((int)v % 2 != me) {
			wait_on(&word, v, NULL);
			continue;
		}
		__atomic_store_n(&word, v + 1, __ATOMIC_SEQ_CST);
		wake(&word, INT_MAX);
	}
}

static const struct {
	const char *name;
	void (*fn)(int me);
} tests[] = {
    {"mutex", locks},	   {"cond", conds},  {"sem", sems},   {"rwlock", rwlocks},
    {"barrier", barriers}, {"once", oncers}, {"spin", spins}, {"futex", futexes},
};

static void *in_thread(void *arg)
{
	((void (*)(int))arg)(0);
	return NULL;
}

static void *in_thread_1(void *arg)
{
	((void (*)(int))arg)(1);
	return NULL;
}

static void here(void *arg)
{
	((void (*)(int))arg)(1);
}

static void run(enum kind k, int early)
{
	say("%s%s", kindname[k], early ? ", before there are threads" : "");
	for (int i = 0; i < NELEM(tests); i++) {
		struct foreign f;
		pthread_t t;
		n = turn = once_runs = serial = word = 0;
		memset(onces, 0, sizeof onces);
		void *fn = (void *)(uintptr_t)tests[i].fn;
		foreign(&f, k, here, fn);
		if (early == 0) {
			t = start(in_thread, fn);
			finish(t);
		} else {
			tests[i].fn(0); /* main */
		}
		foreign_ends(&f, k);
		say("  %s: %ld %ld %ld", tests[i].name, n, once_runs, serial);
	}
}

int main(void)
{
	pthread_mutexattr_t a;

	OK(pthread_mutexattr_init(&a));
	OK(pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE));
	OK(pthread_mutex_init(&recursive, &a));
	OK(pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK));
	OK(pthread_mutex_init(&errorcheck, &a));
	OK(pthread_barrier_init(&b, NULL, 2));
	OK(pthread_spin_init(&spin, 0));
	MUST(sem_init(&ping, 0, 0) == 0 && sem_init(&pong, 0, 0) == 0);
	for (enum kind k = 0; k < KINDS; k++)
		run(k, 1);
	finish(start(in_thread_1, (void *)(uintptr_t)spins)); /* from here on there are */
	for (enum kind k = 0; k < KINDS; k++)
		run(k, 0);
	return 0;
}
