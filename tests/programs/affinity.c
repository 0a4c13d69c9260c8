/* SPDX-License-Identifier: MIT */
/* Threads bound to CPUs: by themselves, by others, by attribute, before and while they run, wait and compute. */
#include "t.h"
#include <sched.h>
#include <semaphore.h>

static sem_t go, done;

static cpu_set_t one(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return set;
}

static int cpu_of(int i)
{
	cpu_set_t all;
	int n = 0;

	CPU_ZERO(&all);
	MUST(sched_getaffinity(getpid(), sizeof all, &all) == 0);
	for (int c = 0; c < CPU_SETSIZE; c++)
		if (CPU_ISSET(c, &all) && n++ == i % CPU_COUNT(&all))
			return c;
	return 0;
}

/* It is there, now and after it has waited in every way. */
static void stays(int cpu)
{
	cpu_set_t set, want = one(cpu);

	for (int i = 0; i < 20; i++) {
		MUST(sched_getcpu() == cpu);
		OK(pthread_getaffinity_np(pthread_self(), sizeof set, &set));
		MUST(CPU_EQUAL(&set, &want));
		CPU_ZERO(&set);
		MUST(sched_getaffinity(0, sizeof set, &set) == 0 && CPU_EQUAL(&set, &want));
		if (i % 2)
			usleep(100);
		else
			sched_yield();
	}
}

static void *self(void *arg)
{
	int cpu = cpu_of((intptr_t)arg);
	cpu_set_t set = one(cpu);

	if ((intptr_t)arg % 2)
		OK(pthread_setaffinity_np(pthread_self(), sizeof set, &set));
	else
		MUST(sched_setaffinity(0, sizeof set, &set) == 0);
	stays(cpu);
	return arg;
}

static void *waits(void *arg)
{
	MUST(sem_wait(&go) == 0);
	stays(*(int *)arg);
	return arg;
}

static void *computes(void *arg)
{
	int cpu = *(int *)arg;

	cpu_set_t set, want = one(cpu);

	do {
		OK(pthread_getaffinity_np(pthread_self(), sizeof set, &set));
	} while (!CPU_EQUAL(&set, &want) || sched_getcpu() != cpu); /* the mask is set first, then the thread moved */
	for (int i = 0; i < 200000; i++)
		MUST(sched_getcpu() == cpu);
	sem_post(&done);
	stays(cpu);
	return arg;
}

int main(void)
{
	pthread_t t[8];
	cpu_set_t set, got;
	pthread_attr_t attr;
	int cpu[2] = {cpu_of(0), cpu_of(1)};

	MUST(sem_init(&go, 0, 0) == 0 && sem_init(&done, 0, 0) == 0);
	for (int i = 0; i < 8; i++)
		t[i] = start(self, (void *)(intptr_t)i);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	say("by themselves");

	for (int i = 0; i < 8; i++) {
		t[i] = start(waits, &cpu[i % 2]);
		set = one(cpu[i % 2]);
		OK(pthread_setaffinity_np(t[i], sizeof set, &set));
		OK(pthread_getaffinity_np(t[i], sizeof got, &got));
		MUST(CPU_EQUAL(&set, &got));
	}
	for (int i = 0; i < 8; i++)
		sem_post(&go);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	say("by another, waiting");

	for (int i = 0; i < 2; i++)
		t[i] = start(computes, &cpu[i]);
	for (int i = 0; i < 2; i++) {
		set = one(cpu[i]);
		OK(pthread_setaffinity_np(t[i], sizeof set, &set));
	}
	for (int i = 0; i < 2; i++)
		MUST(sem_wait(&done) == 0);
	for (int i = 0; i < 2; i++)
		finish(t[i]);
	say("by another, computing");

	OK(pthread_attr_init(&attr));
	set = one(cpu[1]);
	OK(pthread_attr_setaffinity_np(&attr, sizeof set, &set));
	OK(pthread_create(&t[0], &attr, waits, &cpu[1]));
	sem_post(&go);
	finish(t[0]);
	say("by attribute");

	CPU_ZERO(&set);
	RC(pthread_setaffinity_np(pthread_self(), sizeof set, &set));
	t[0] = start(waits, &cpu[0]);
	RC(pthread_setaffinity_np(t[0], sizeof set, &set));
	CPU_SET(CPU_SETSIZE - 1, &set);
	RC(pthread_setaffinity_np(t[0], sizeof set, &set));
	OK(pthread_getaffinity_np(t[0], sizeof set, &set));
	say("the thread may run on more than one: %d", CPU_COUNT(&set) == CPU_COUNT(&got) || CPU_COUNT(&set) > 0);
	RC(pthread_getaffinity_np(t[0], 4, &got));
	set = one(cpu[0]);
	OK(pthread_setaffinity_np(t[0], sizeof set, &set));
	sem_post(&go);
	finish(t[0]);
	/* main last: what it creates inherits it. */
	set = one(cpu[0]);
	OK(pthread_setaffinity_np(pthread_self(), sizeof set, &set));
	stays(cpu[0]);
	t[0] = start(waits, &cpu[0]);
	sem_post(&go);
	finish(t[0]);
	say("main, and a thread of its");
	return 0;
}
