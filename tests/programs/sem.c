/* SPDX-License-Identifier: MIT */
/* Unnamed semaphores: wait, trywait, timedwait, clockwait, getvalue, and their errors. sem_wait(3),
 * sem_init(3) */
#include "t.h"
#include <limits.h>
#include <semaphore.h>

static sem_t ping, pong, pool;
static int in, rounds;

static void *ponger(void *arg)
{
	for (int i = 0; i < rounds; i++) {
		MUST(sem_wait(&ping) == 0);
		MUST(sem_post(&pong) == 0);
	}
	return arg;
}

static void *limited(void *arg)
{
	for (int i = 0; i < scaled(200); i++) {
		MUST(sem_wait(&pool) == 0);
		int now_in = __atomic_add_fetch(&in, 1, __ATOMIC_SEQ_CST);
		MUST(now_in <= 5);
		if (i % 20 == 0)
			usleep(100);
		else
			sched_yield();
		__atomic_sub_fetch(&in, 1, __ATOMIC_SEQ_CST);
		MUST(sem_post(&pool) == 0);
	}
	return arg;
}

static void *poster(void *arg)
{
	settle();
	MUST(sem_post(arg) == 0);
	return NULL;
}

int main(void)
{
	sem_t s;
	int v;
	struct timespec ts;
	pthread_t t[40];

	rounds = scaled(5000);
	MUST(sem_init(&ping, 0, 0) == 0 && sem_init(&pong, 0, 0) == 0 &&
	     sem_init(&pool, 0, 5) == 0);
	t[0] = start(ponger, NULL);
	for (int i = 0; i < rounds; i++) {
		MUST(sem_post(&ping) == 0);
		MUST(sem_wait(&pong) == 0);
	}
	finish(t[0]);
	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(limited, NULL);
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	MUST(sem_getvalue(&pool, &v) == 0);
	say("at most 5 at once; value %d", v);

	SYS(sem_init(&s, 0, (unsigned)SEM_VALUE_MAX + 1));
	SYS(sem_init(&s, 0, SEM_VALUE_MAX));
	SYS(sem_post(&s));
	SYS(sem_init(&s, 0, 2));
	SYS(sem_trywait(&s));
	SYS(sem_wait(&s));
	SYS(sem_trywait(&s));
	double begin = ms_now();
	ts = in_ms(CLOCK_REALTIME, 40);
	SYS(sem_timedwait(&s, &ts));
	MUST(ms_now() - begin >= 39.5);
	ts = in_ms(CLOCK_REALTIME, -40);
	SYS(sem_timedwait(&s, &ts));
	ts.tv_nsec = 1000000000;
	SYS(sem_timedwait(&s, &ts));
	begin = ms_now();
	ts = in_ms(CLOCK_MONOTONIC, 40);
	SYS(sem_clockwait(&s, CLOCK_MONOTONIC, &ts));
	MUST(ms_now() - begin >= 39.5);
	SYS(sem_clockwait(&s, CLOCK_PROCESS_CPUTIME_ID, &ts));
	ts = in_ms(CLOCK_REALTIME, 30000);
	t[0] = start(poster, &s);
	SYS(sem_timedwait(&s, &ts));
	finish(t[0]);
	MUST(sem_post(&s) == 0);
	ts.tv_nsec = 1000000000; /* not looked at when there is no need to wait */
	SYS(sem_timedwait(&s, &ts));
	SYS(sem_getvalue(&s, &v));
	say("value %d", v);
	SYS(sem_destroy(&s));
	return 0;
}
