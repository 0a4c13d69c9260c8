/* SPDX-License-Identifier: MIT */
/* Spin locks with more threads than CPUs, also when the holder yields or sleeps.
 * pthread_spin_lock(3) */
#include "t.h"

static pthread_spinlock_t s;
static int in;
static long count;

static void *adder(void *arg)
{
	for (int i = 0; i < scaled(2000); i++) {
		OK(pthread_spin_lock(&s));
		MUST(in++ == 0);
		count++;
		if (i % 500 == 0)
			sched_yield();
		if (i % 1000 == 0)
			usleep(100);
		MUST(--in == 0);
		OK(pthread_spin_unlock(&s));
	}
	return arg;
}

static void *trier(void *arg)
{
	for (int got = 0; got < scaled(500);) {
		int r = pthread_spin_trylock(&s);
		MUST(r == 0 || r == EBUSY);
		if (r) {
			sched_yield();
			continue;
		}
		MUST(in++ == 0);
		count++;
		MUST(--in == 0);
		OK(pthread_spin_unlock(&s));
		got++;
	}
	return arg;
}

int main(void)
{
	pthread_t t[12];

	OK(pthread_spin_init(&s, PTHREAD_PROCESS_PRIVATE));
	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(i % 3 ? adder : trier, NULL);
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	say("counted right: %d", count == 8L * scaled(2000) + 4L * scaled(500));
	OK(pthread_spin_lock(&s));
	RC(pthread_spin_trylock(&s));
	RC(pthread_spin_unlock(&s));
	RC(pthread_spin_destroy(&s));
	return 0;
}
