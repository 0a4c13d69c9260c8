/* SPDX-License-Identifier: MIT */
/* Mutexes that inherit priorities, between threads which have some (SCHED_FIFO, all on one CPU):
 * they exclude and count, and time out; and who holds one is not kept from going on by a thread
 * that computes at a priority between the holder's and the waiter's, whether processes may share it
 * or not. pthread_mutexattr_setprotocol(3p) */
#include "prio.h"
#include <semaphore.h>

enum {
	LOW = 1,
	MIDDLE,
	HIGH,
	PATIENCE = 20 /* s: a computing thread of such a priority must not stay for ever */
};

static pthread_mutex_t m;
static sem_t held, go;
static _Atomic int through;
static long count;
static cpu_set_t cpu;

static void make(int type, int shared)
{
	pthread_mutexattr_t a;

	OK(pthread_mutexattr_init(&a));
	OK(pthread_mutexattr_settype(&a, type));
	OK(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
	OK(pthread_mutexattr_setpshared(&a, shared));
	OK(pthread_mutex_init(&m, &a));
	OK(pthread_mutexattr_destroy(&a));
}

static void *counts(void *arg)
{
	for (int i = 0; i < scaled(300); i++) {
		OK(pthread_mutex_lock(&m));
		long was = count;
		if (i % 50 == 0)
			usleep(10);
		count = was + 1;
		OK(pthread_mutex_unlock(&m));
	}
	return arg;
}

static void *lowest(void *arg)
{
	OK(pthread_mutex_lock(&m));
	MUST(sem_post(&held) == 0 && sem_wait(&go) == 0);
	OK(pthread_mutex_unlock(&m));
	return arg;
}

static void *highest(void *arg)
{
	struct timespec soon = in_ms(CLOCK_REALTIME, 5);

	MUST(pthread_mutex_timedlock(&m, &soon) == ETIMEDOUT);
	MUST(sem_post(&held) == 0);
	OK(pthread_mutex_lock(&m));
	through = 1;
	OK(pthread_mutex_unlock(&m));
	return arg;
}

/* It runs once the highest one waits, for it is on the same CPU; and from then on until that one is
 * through. */
static void *middle(void *arg)
{
	struct timespec end = in_ms(CLOCK_MONOTONIC, PATIENCE * 1000L), now = {0};

	MUST(sem_post(&go) == 0);
	while (!through && now.tv_sec < end.tv_sec)
		clock_gettime(CLOCK_MONOTONIC, &now);
	say("the highest one is through: %d", through);
	return arg;
}

static void exclude(int type, int shared)
{
	pthread_t t[6];

	make(type, shared);
	count = 0;
	for (int i = 0; i < NELEM(t); i++)
		OK(begin(&t[i], 1 + i % 3, &cpu, counts, NULL));
	for (int i = 0; i < NELEM(t); i++)
		OK(pthread_join(t[i], NULL));
	say("type %d, shared %d: counted right: %d", type, shared, count == 6L * scaled(300));
	OK(pthread_mutex_destroy(&m));
}

/* Two threads of low and high priority and one between them. */
static void boost(int type, int shared)
{
	pthread_t low, mid, high;

	through = 0;
	make(type, shared);
	OK(begin(&low, LOW, &cpu, lowest, NULL));
	sem_wait(&held);
	OK(begin(&high, HIGH, &cpu, highest, NULL));
	sem_wait(&held);
	OK(begin(&mid, MIDDLE, &cpu, middle, NULL));
	OK(pthread_join(mid, NULL));
	OK(pthread_join(high, NULL));
	OK(pthread_join(low, NULL));
	OK(pthread_mutex_destroy(&m));
}

static void *nothing(void *arg)
{
	return arg;
}

int main(void)
{
	pthread_t t;
	cpu_set_t all;

	MUST(sched_getaffinity(0, sizeof all, &all) == 0);
	for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&cpu) == 0; i++)
		if (CPU_ISSET(i, &all))
			CPU_SET(i, &cpu);
	MUST(sem_init(&held, 0, 0) == 0 && sem_init(&go, 0, 0) == 0);
	int err = begin(&t, LOW, &cpu, nothing, NULL);
	if (err != 0) {
		say("no right to real-time policies: %s", errname(err));
		return 0;
	}
	OK(pthread_join(t, NULL));
	for (int shared = 0; shared < 2; shared++) {
		boost(PTHREAD_MUTEX_NORMAL, shared);
		boost(PTHREAD_MUTEX_RECURSIVE, shared);
		boost(PTHREAD_MUTEX_ERRORCHECK, shared);
	}
	for (int shared = 0; shared < 2; shared++) {
		exclude(PTHREAD_MUTEX_NORMAL, shared);
		exclude(PTHREAD_MUTEX_RECURSIVE, shared);
		exclude(PTHREAD_MUTEX_ERRORCHECK, shared);
	}
	return 0;
}
