/* SPDX-License-Identifier: MIT */
/* Barriers: every round has exactly one serial thread, and nobody is in the next round early.
 * pthread_barrier_wait(3p) */
#include "t.h"

#define N 12

static pthread_barrier_t b;
static int serial, arrived, rounds;

static void *worker(void *arg)
{
	for (int i = 0; i < rounds; i++) {
		__atomic_add_fetch(&arrived, 1, __ATOMIC_RELAXED);
		int r = pthread_barrier_wait(&b);
		MUST(r == 0 || r == PTHREAD_BARRIER_SERIAL_THREAD);
		MUST(__atomic_load_n(&arrived, __ATOMIC_RELAXED) >= (i + 1) * N);
		if (r)
			__atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
		pthread_barrier_wait(&b);
		MUST(__atomic_load_n(&serial, __ATOMIC_RELAXED) == i + 1);
		pthread_barrier_wait(&b);
	}
	return arg;
}

int main(void)
{
	pthread_t t[N];

	rounds = scaled(400);
	OK(pthread_barrier_init(&b, NULL, N));
	for (int i = 0; i < N; i++)
		t[i] = start(worker, NULL);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	say("one serial thread in each round: %d", serial == rounds);
	RC(pthread_barrier_destroy(&b));
	RC(pthread_barrier_init(&b, NULL, 0));
	OK(pthread_barrier_init(&b, NULL, 1));
	say("alone: serial %d", pthread_barrier_wait(&b) == PTHREAD_BARRIER_SERIAL_THREAD);
	return 0;
}
