/* SPDX-License-Identifier: MIT */
/*
 * create-join: what a thread costs from pthread_create to the end of pthread_join.
 *
 *	create-join		one after another
 *	create-join.batch	1,000 are created, then all are joined
 */
#include "bench.h"

enum { BATCH = 1000 };

static void *nothing(void *arg)
{
	return arg;
}

static uint64_t one(uint64_t n)
{
	uint64_t t = nanotime();

	for (uint64_t i = 0; i < n; i++) {
		pthread_t th;
		must(pthread_create(&th, NULL, nothing, NULL), "pthread_create");
		must(pthread_join(th, NULL), "pthread_join");
	}
	return nanotime() - t;
}

/* n counts batches. */
static uint64_t batch(uint64_t n)
{
	static pthread_t th[BATCH];
	uint64_t t = nanotime();

	for (uint64_t i = 0; i < n; i++) {
		for (int j = 0; j < BATCH; j++)
			must(pthread_create(&th[j], NULL, nothing, NULL), "pthread_create");
		for (int j = 0; j < BATCH; j++)
			must(pthread_join(th[j], NULL), "pthread_join");
	}
	return nanotime() - t;
}

int main(int argc, char **argv)
{
	options(argc, argv, NULL);
	report("create-join", nsperop(one), "ns");
	report("create-join.batch", nsperop(batch) / BATCH, "ns");
	return 0;
}
