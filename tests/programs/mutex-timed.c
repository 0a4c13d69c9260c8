/* SPDX-License-Identifier: MIT */
/* pthread_mutex_timedlock and clocklock: time-outs on both clocks, times in the past, bad
 * nanoseconds, hand-over before the time, and exclusion among impatient threads.
 * pthread_mutex_timedlock(3p) */
#include "t.h"

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static long count, in;

static void *tries(void *arg)
{
	double begin = ms_now();
	struct timespec ts = in_ms(CLOCK_REALTIME, 40);

	RC(pthread_mutex_timedlock(&m, &ts));
	MUST(ms_now() - begin >= 39);
	begin = ms_now();
	ts = in_ms(CLOCK_MONOTONIC, 40);
	RC(pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &ts));
	MUST(ms_now() - begin >= 39.9);
	ts = in_ms(CLOCK_REALTIME, 10);
	RC(pthread_mutex_clocklock(&m, CLOCK_REALTIME, &ts));
	RC(pthread_mutex_clocklock(&m, CLOCK_PROCESS_CPUTIME_ID, &ts));
	ts = in_ms(CLOCK_REALTIME, -5000);
	RC(pthread_mutex_timedlock(&m, &ts));
	ts.tv_nsec = 1000000000;
	RC(pthread_mutex_timedlock(&m, &ts));
	ts.tv_nsec = -1;
	RC(pthread_mutex_timedlock(&m, &ts));
	return arg;
}

static void *waits(void *arg)
{
	struct timespec ts = in_ms(CLOCK_REALTIME, 30000);

	RC(pthread_mutex_timedlock(&m, &ts));
	OK(pthread_mutex_unlock(&m));
	return arg;
}

static void *impatient(void *arg)
{
	long got = 0;

	while (got < scaled(100)) {
		struct timespec ts = in_ms(CLOCK_MONOTONIC, got % 3);
		int r = pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &ts);
		MUST(r == 0 || r == ETIMEDOUT);
		if (r)
			continue;
		MUST(in++ == 0);
		count++;
		if (got % 10 == 0)
			usleep(300);
		MUST(--in == 0);
		OK(pthread_mutex_unlock(&m));
		got++;
	}
	return arg;
}

int main(void)
{
	pthread_t t[16];
	struct timespec bad = {0, 2000000000};
	pthread_mutexattr_t a;
	pthread_mutex_t rec, chk;

	RC(pthread_mutex_timedlock(&m, &bad)); /* free: the time is not looked at */
	finish(start(tries, NULL));
	t[0] = start(waits, NULL);
	settle();
	OK(pthread_mutex_unlock(&m));
	finish(t[0]);

	OK(pthread_mutexattr_init(&a));
	OK(pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE));
	OK(pthread_mutex_init(&rec, &a));
	OK(pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK));
	OK(pthread_mutex_init(&chk, &a));
	RC(pthread_mutex_timedlock(&rec, &bad));
	RC(pthread_mutex_timedlock(&rec, &bad));
	RC(pthread_mutex_timedlock(&chk, &bad));
	RC(pthread_mutex_timedlock(&chk, &bad));

	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(impatient, NULL);
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	say("counted right: %d", count == 16L * scaled(100));
	return 0;
}
