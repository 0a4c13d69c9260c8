/* SPDX-License-Identifier: MIT */
/*
 * broadcast: one pthread_cond_broadcast to so many waiters, from the call until the last of them
 * has had the mutex; nanoseconds for each waiter, by the clock and of CPU time. If the latter is
 * the same for 1,000 and for 10,000, a broadcast is linear.
 */
#include "bench.h"

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t go = PTHREAD_COND_INITIALIZER, in = PTHREAD_COND_INITIALIZER;
static long waiting, wanted, generation;
static bool quit;

static uint64_t cputime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void *waits(void *arg)
{
	must(pthread_mutex_lock(&m), "pthread_mutex_lock");
	while (!quit) {
		long mine = generation;
		if (++waiting == wanted)
			must(pthread_cond_signal(&in), "pthread_cond_signal");
		while (generation == mine)
			must(pthread_cond_wait(&go, &m), "pthread_cond_wait");
	}
	must(pthread_mutex_unlock(&m), "pthread_mutex_unlock");
	return arg;
}

/* With the mutex: all wait again. */
static void all_in(void)
{
	while (waiting < wanted)
		must(pthread_cond_wait(&in, &m), "pthread_cond_wait");
	waiting = 0;
}

static void among(long threads)
{
	pthread_t *t = calloc((size_t)threads, sizeof(*t));
	double slices[9], cpu[9];
	pthread_attr_t a;
	char name[64];

	wanted = threads;
	waiting = 0;
	quit = false;
	must(pthread_attr_init(&a), "pthread_attr_init");
	must(pthread_attr_setstacksize(&a, 64 << 10), "pthread_attr_setstacksize");
	for (long i = 0; i < threads; i++)
		must(pthread_create(&t[i], &a, waits, NULL), "pthread_create");
	must(pthread_mutex_lock(&m), "pthread_mutex_lock");
	all_in();
	for (size_t s = 0; s < sizeof(slices) / sizeof(*slices); s++) {
		long rounds = 20000 / threads + 1;
		uint64_t begin = nanotime(), used = cputime();
		for (long r = 0; r < rounds; r++) {
			generation++;
			must(pthread_cond_broadcast(&go), "pthread_cond_broadcast");
			all_in();
		}
		slices[s] = (double)(nanotime() - begin) / (double)(rounds * threads);
		cpu[s] = (double)(cputime() - used) / (double)(rounds * threads);
	}
	quit = true;
	generation++;
	must(pthread_cond_broadcast(&go), "pthread_cond_broadcast");
	must(pthread_mutex_unlock(&m), "pthread_mutex_unlock");
	for (long i = 0; i < threads; i++)
		must(pthread_join(t[i], NULL), "pthread_join");
	free(t);
	snprintf(name, sizeof(name), "broadcast.%ld", threads);
	report(name, median(slices, sizeof(slices) / sizeof(*slices)), "ns");
	snprintf(name, sizeof(name), "broadcast.%ld, CPU", threads);
	report(name, median(cpu, sizeof(cpu) / sizeof(*cpu)), "ns");
}

int main(int argc, char **argv)
{
	long threads = 10000;
	const struct option own[] = {{"--threads", &threads, 100, 30000}, {0}};

	options(argc, argv, own);
	for (long n = 100; n < threads; n *= 10)
		among(n);
	among(threads);
	return 0;
}
