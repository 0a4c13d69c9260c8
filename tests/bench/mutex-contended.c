/* SPDX-License-Identifier: MIT */
/*
 * mutex-contended: 2, 8 and 100 threads on one mutex, a few writes under it, a little work outside.
 * The counter under the mutex must come to the sum of the threads' own counters.
 */
#include "bench.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t shared[8]; /* lock */
static _Thread_local uint64_t mine = 1;

static void op(void)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < 8; i++)
		shared[i]++;
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < 20; i++)
		mine = mine * 6364136223846793005u + 1442695040888963407u;
}

static void contend(long threads)
{
	uint64_t total = 0;
	char name[40];

	memset(shared, 0, sizeof shared);
	double rate = opspersec(threads, op, &total);
	for (int i = 0; i < 8; i++)
		if (shared[i] != total)
			die("%ld threads locked %llu times, but counted %llu", threads,
			    (unsigned long long)total, (unsigned long long)shared[i]);
	snprintf(name, sizeof name, "mutex-contended.%ld", threads);
	report(name, rate, "ops/s");
}

int main(int argc, char **argv)
{
	options(argc, argv, NULL);
	contend(2);
	contend(8);
	contend(100);
	return 0;
}
