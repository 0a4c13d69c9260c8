/* SPDX-License-Identifier: MIT */
/* pthread_once: the function runs once, and no caller returns before it has. pthread_once(3) */
#include "t.h"

#define N 64

static pthread_once_t slow_once = PTHREAD_ONCE_INIT, inner_once = PTHREAD_ONCE_INIT;
static pthread_barrier_t go;
static int slow_runs, inner_runs;

static void inner(void)
{
	inner_runs++;
}

static void slow(void)
{
	usleep(50000); /* the others are waiting by now */
	OK(pthread_once(&inner_once, inner));
	slow_runs++;
}

static void *call(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&go);
	OK(pthread_once(&slow_once, slow));
	MUST(slow_runs == 1 && inner_runs == 1);
	return NULL;
}

static pthread_once_t many[200];
static int runs[200];
static __thread int which;

static void count(void)
{
	runs[which]++;
	sched_yield();
}

static void *all(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&go);
	for (which = 0; which < NELEM(many); which++) {
		OK(pthread_once(&many[which], count));
		MUST(runs[which] == 1);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[N];

	OK(pthread_barrier_init(&go, NULL, N));
	for (int i = 0; i < N; i++)
		t[i] = start(call, NULL);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	say("slow %d, inner %d", slow_runs, inner_runs);
	for (int i = 0; i < N; i++)
		t[i] = start(all, NULL);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	say("each of %d once", NELEM(many));
	return 0;
}
