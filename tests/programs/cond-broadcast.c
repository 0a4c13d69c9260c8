/* SPDX-License-Identifier: MIT */
/* A broadcast wakes all of 500 waiters, every round; the condition variable may be destroyed right
 * after it. pthread_cond_broadcast(3p), pthread_cond_destroy(3p) */
#include "t.h"

#define N 500

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t go = PTHREAD_COND_INITIALIZER, all_in = PTHREAD_COND_INITIALIZER;
static int generation, waiting, woken;

static void *waiter(void *arg)
{
	for (int round = 0; round < scaled(10); round++) {
		OK(pthread_mutex_lock(&m));
		int my = generation;
		if (++waiting == N)
			OK(pthread_cond_signal(&all_in));
		while (generation == my)
			OK(pthread_cond_wait(&go, &m));
		woken++;
		OK(pthread_mutex_unlock(&m));
	}
	return arg;
}

struct once {
	pthread_mutex_t m;
	pthread_cond_t c;
	int ready, waiting;
};

static void *short_lived(void *arg)
{
	struct once *o = arg;

	OK(pthread_mutex_lock(&o->m));
	o->waiting++;
	while (!o->ready)
		OK(pthread_cond_wait(&o->c, &o->m));
	OK(pthread_mutex_unlock(&o->m));
	return NULL;
}

int main(void)
{
	static pthread_t t[N];

	for (int i = 0; i < N; i++)
		t[i] = start_small(waiter, NULL);
	for (int round = 0; round < scaled(10); round++) {
		OK(pthread_mutex_lock(&m));
		while (waiting < N)
			OK(pthread_cond_wait(&all_in, &m));
		waiting = 0;
		generation++;
		OK(pthread_cond_broadcast(&go));
		OK(pthread_mutex_unlock(&m));
	}
	for (int i = 0; i < N; i++)
		finish(t[i]);
	say("woken: %d times %d", woken / scaled(10), scaled(10));

	for (int round = 0; round < scaled(100); round++) {
		struct once *o = malloc(sizeof *o);
		*o = (struct once){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
		for (int i = 0; i < 8; i++)
			t[i] = start(short_lived, o);
		OK(pthread_mutex_lock(&o->m));
		while (o->waiting < 8) {
			OK(pthread_mutex_unlock(&o->m));
			sched_yield();
			OK(pthread_mutex_lock(&o->m));
		}
		o->ready = 1;
		OK(pthread_cond_broadcast(&o->c));
		OK(pthread_cond_destroy(&o->c)); /* returns when no waiter uses it any more */
		memset(&o->c, 0xff, sizeof o->c);
		OK(pthread_mutex_unlock(&o->m));
		for (int i = 0; i < 8; i++)
			finish(t[i]);
		free(o);
	}
	say("destroyed after broadcast");
	return 0;
}
