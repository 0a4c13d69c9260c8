/* SPDX-License-Identifier: MIT */
/* What a thread has freed is free once it has ended, not kept for whoever comes next: malloc's
 * cache of the thread goes back to the arena, in what way ever it ends. mallinfo(3) */
#include "t.h"
#include <malloc.h>

enum { THREADS = 100, CHUNKS = 300 };

static pthread_barrier_t all;
static pthread_key_t key;

/* Sizes that the cache takes, up to 7 of each. */
static void fill_cache(void)
{
	static const int times = 2;
	void *p[CHUNKS];

	for (int k = 0; k < times; k++) {
		for (int i = 0; i < CHUNKS; i++) {
			MUST((p[i] = malloc(16 + i * 3)) != NULL);
			memset(p[i], i, 16 + i * 3);
		}
		for (int i = 0; i < CHUNKS; i++)
			free(p[i]);
	}
}

static void cleanup(void *arg)
{
	free(arg);
}

static void *thread(void *arg)
{
	int how = (int)(intptr_t)arg % 4;

	fill_cache();
	pthread_barrier_wait(&all);
	OK(pthread_setspecific(key, malloc(100)));
	pthread_cleanup_push(cleanup, malloc(200));
	if (how == 0)
		pthread_exit(arg);
	if (how == 1) {
		OK(pthread_cancel(pthread_self()));
		pthread_testcancel();
	}
	pthread_cleanup_pop(1);
	return arg;
}

int main(void)
{
	pthread_t t[THREADS];

	OK(pthread_barrier_init(&all, NULL, THREADS));
	OK(pthread_key_create(&key, cleanup));
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < THREADS; i++)
			t[i] = start(thread, (void *)(intptr_t)i);
		for (int i = 0; i < THREADS; i++)
			finish(t[i]);
		/* Their caches held some 200 KB each. */
		struct mallinfo2 m = mallinfo2();
		say("%d threads have ended: %s", THREADS,
		    m.uordblks < THREADS * 10000 ? "nothing is kept" : "much is kept");
	}
	fill_cache();
	say("malloc works");
	return 0;
}
