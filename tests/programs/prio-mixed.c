/* SPDX-License-Identifier: MIT */
/* Mutexes that inherit priorities, between threads of which some get a real-time one while others
 * hold the mutex and wait for it: locked, tried, with a time-out, around condition waits, nested;
 * by a holder that makes a process, or ends. Nobody is left waiting and all count right. Each kind
 * in a process of its own, for what a process does with such mutexes may depend on whether it has
 * ever had such a thread. pthread_mutexattr_setprotocol(3p), pthread_setschedparam(3) */
#include "prio.h"
#include <sys/wait.h>

enum { WORKERS = 6, PAIRS = 2, FIFO = 3 };

static pthread_mutex_t m;
static pthread_cond_t turns[2 * PAIRS];
static int turn[PAIRS], type;
static long count, rounds;
static _Atomic long locks;

static void locked(int i)
{
	long was = count;

	if (type == PTHREAD_MUTEX_RECURSIVE && i % 3 == 0) {
		OK(pthread_mutex_lock(&m));
		OK(pthread_mutex_trylock(&m));
		OK(pthread_mutex_unlock(&m));
		OK(pthread_mutex_unlock(&m));
	}
	if (type == PTHREAD_MUTEX_ERRORCHECK)
		MUST(pthread_mutex_lock(&m) == EDEADLK);
	if (i % 40 == 0)
		usleep(50);
	if (i % 7 == 0)
		sched_yield();
	count = was + 1;
	locks++;
}

static void lock(int i)
{
	struct timespec soon;
	int err;

	switch (i % 5) {
	case 0:
		while ((err = pthread_mutex_trylock(&m)) == EBUSY)
			usleep(20);
		OK(err);
		return;
	case 1:
		do {
			soon = in_ms(CLOCK_REALTIME, i % 3);
			err = pthread_mutex_timedlock(&m, &soon);
		} while (err == ETIMEDOUT);
		OK(err);
		return;
	case 2:
		do {
			soon = in_ms(CLOCK_MONOTONIC, i % 3);
			err = pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &soon);
		} while (err == ETIMEDOUT);
		OK(err);
		return;
	default:
		OK(pthread_mutex_lock(&m));
	}
}

static void *works(void *arg)
{
	for (int i = (int)(intptr_t)arg; i < (int)(intptr_t)arg + rounds; i++) {
		lock(i);
		locked(i);
		OK(pthread_mutex_unlock(&m));
	}
	return NULL;
}

/* Takes turns with its partner, half of the waits with a time-out. */
static void *partner(void *arg)
{
	int i = (int)(intptr_t)arg, pair = i / 2, side = i % 2;

	OK(pthread_mutex_lock(&m));
	for (int r = 0; r < rounds; r++) {
		while (turn[pair] != side) {
			struct timespec soon = in_ms(CLOCK_REALTIME, 3);
			int err = r % 2 ? pthread_cond_wait(&turns[i], &m)
					: pthread_cond_timedwait(&turns[i], &m, &soon);
			MUST(err == 0 || err == ETIMEDOUT);
		}
		locked(r);
		turn[pair] = !side;
		OK(r % 3 ? pthread_cond_signal(&turns[i ^ 1])
			 : pthread_cond_broadcast(&turns[i ^ 1]));
	}
	OK(pthread_mutex_unlock(&m));
	return NULL;
}

static void init(int robust)
{
	pthread_mutexattr_t a;

	OK(pthread_mutexattr_init(&a));
	OK(pthread_mutexattr_settype(&a, type));
	OK(pthread_mutexattr_setrobust(&a, robust));
	OK(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
	OK(pthread_mutex_init(&m, &a));
	OK(pthread_mutexattr_destroy(&a));
}

static void *forks(void *arg)
{
	OK(pthread_mutex_lock(&m));
	pid_t pid = fork();
	if (pid == 0) {
		say("child of the holder: trylock %s, unlock %s",
		    errname(pthread_mutex_trylock(&m)), errname(pthread_mutex_unlock(&m)));
		_exit(0);
	}
	MUST(pid > 0 && waitpid(pid, NULL, 0) == pid);
	OK(pthread_mutex_unlock(&m));
	return arg;
}

static void *ends(void *arg)
{
	OK(pthread_mutex_lock(&m));
	return arg;
}

/* The holder makes a process, or ends. */
static void holders(void)
{
	init(0);
	forks(NULL);
	finish(start(forks, NULL));
	finish(start(ends, NULL));
	int try = pthread_mutex_trylock(&m);
	struct timespec soon = in_ms(CLOCK_REALTIME, 20);
	int timed = pthread_mutex_timedlock(&m, &soon);
	soon = in_ms(CLOCK_MONOTONIC, 20);
	int clock = pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &soon),
	    unlock = pthread_mutex_unlock(&m);
	say("the holder has ended: trylock %s, timedlock %s, clocklock %s, unlock %s, destroy %s",
	    errname(try), errname(timed), errname(clock), errname(unlock),
	    errname(pthread_mutex_destroy(&m)));
	say("count %u, users %u", m.__data.__count, m.__data.__nusers);
}

static void contend(int robust)
{
	pthread_t w[WORKERS], p[2 * PAIRS], f[FIFO];
	struct sched_param low = {1};
	int nfifo = 0;

	rounds = scaled(200);
	init(robust);
	for (int i = 0; i < NELEM(turns); i++)
		OK(pthread_cond_init(&turns[i], NULL));
	for (int i = 0; i < NELEM(p); i++)
		p[i] = start(partner, (void *)(intptr_t)i);
	for (int i = 0; i < WORKERS; i++)
		w[i] = start(works, (void *)(intptr_t)i);
	while (locks < (WORKERS + 2 * PAIRS) * rounds / 8)
		usleep(100);
	/* Now while some of them hold it and wait: two get such a priority, and new ones come. */
	OK(pthread_mutex_lock(&m));
	int err = pthread_setschedparam(w[0], SCHED_FIFO, &low),
	    err2 = pthread_setschedparam(p[0], SCHED_FIFO, &low);
	OK(pthread_mutex_unlock(&m));
	MUST(err == 0 || err == EPERM || err == ESRCH); /* it may have ended */
	MUST(err2 == 0 || err2 == EPERM || err2 == ESRCH);
	while (nfifo < FIFO && begin(&f[nfifo], 1 + nfifo, NULL, works, NULL) == 0)
		nfifo++;
	for (int i = 0; i < WORKERS; i++)
		finish(w[i]);
	for (int i = 0; i < NELEM(p); i++)
		finish(p[i]);
	for (int i = 0; i < nfifo; i++)
		finish(f[i]);
	say("type %d%s, %d with such a priority from the start: counted right: %d", type,
	    robust ? " robust" : "", nfifo, count == (WORKERS + 2 * PAIRS + nfifo) * rounds);
	OK(pthread_mutex_destroy(&m));
}

int main(void)
{
	for (int robust = 0; robust < 2; robust++)
		for (type = PTHREAD_MUTEX_NORMAL; type <= PTHREAD_MUTEX_ERRORCHECK; type++) {
			pid_t pid = fork();
			int status;

			MUST(pid >= 0);
			if (pid == 0) {
				if (!robust)
					holders();
				contend(robust);
				if (!robust)
					holders();
				return 0;
			}
			MUST(waitpid(pid, &status, 0) == pid && status == 0);
		}
	return 0;
}
