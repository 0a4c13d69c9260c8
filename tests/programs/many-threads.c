/* SPDX-License-Identifier: MIT */
/* 10,000 threads alive at once, all in one condition variable, then released together; twice. */
#include "t.h"

#define N 10000

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t go = PTHREAD_COND_INITIALIZER, all = PTHREAD_COND_INITIALIZER;
static int waiting, released;
static __thread int id;

static void *waiter(void *arg)
{
	id = (int)(intptr_t)arg;
	OK(pthread_mutex_lock(&m));
	if (++waiting == N)
		OK(pthread_cond_signal(&all));
	while (!released)
		OK(pthread_cond_wait(&go, &m));
	OK(pthread_mutex_unlock(&m));
	return (void *)(intptr_t)id;
}

int main(void)
{
	static pthread_t t[N];

	for (int round = 0; round < 2; round++) {
		waiting = released = 0;
		for (int i = 0; i < N; i++)
			t[i] = start_small(waiter, (void *)(intptr_t)i);
		OK(pthread_mutex_lock(&m));
		while (waiting < N)
			OK(pthread_cond_wait(&all, &m));
		say("waiting together: %d", waiting);
		released = 1;
		OK(pthread_cond_broadcast(&go));
		OK(pthread_mutex_unlock(&m));
		for (int i = 0; i < N; i++)
			MUST(finish(t[i]) == (void *)(intptr_t)i);
	}
	say("all came back with their own number");
	return 0;
}
