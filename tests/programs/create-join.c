/* SPDX-License-Identifier: MIT */
/* pthread_create, join, detach, equal, self; tryjoin_np, timedjoin_np, clockjoin_np: values and
 * errors. pthread_join(3) */
#include "t.h"

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *twice(void *arg)
{
	return (void *)((intptr_t)arg * 2);
}

static void *through_gate(void *arg)
{
	OK(pthread_mutex_lock(&gate));
	OK(pthread_mutex_unlock(&gate));
	return arg;
}

static void *join_self(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)pthread_join(pthread_self(), NULL);
}

static void *is_self(void *arg)
{
	pthread_t *t = arg;
	OK(pthread_mutex_lock(&gate));
	OK(pthread_mutex_unlock(&gate));
	return (void *)(intptr_t)pthread_equal(*t, pthread_self());
}

static void *raise_done(void *arg)
{
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_RELEASE);
	return NULL;
}

int main(void)
{
	pthread_t t[100], t1;
	struct timespec ts;
	void *r = NULL;
	long sum = 0;

	for (int i = 0; i < 100; i++)
		t[i] = start(twice, (void *)(intptr_t)i);
	for (int i = 99; i >= 0; i--)
		sum += (intptr_t)finish(t[i]);
	say("sum of 100 values: %ld", sum);
	for (int i = 0; i < scaled(2000); i++)
		MUST(finish(start(twice, (void *)(intptr_t)i)) == (void *)(intptr_t)(2 * i));

	say("join of self: %s", errname((intptr_t)finish(start(join_self, NULL))));
	RC(pthread_join(pthread_self(), NULL));

	/* A thread that cannot have ended. */
	OK(pthread_mutex_lock(&gate));
	t1 = start(through_gate, "value");
	RC(pthread_tryjoin_np(t1, &r));
	ts = in_ms(CLOCK_REALTIME, 30);
	RC(pthread_timedjoin_np(t1, &r, &ts));
	ts = in_ms(CLOCK_REALTIME, -1000);
	RC(pthread_timedjoin_np(t1, &r, &ts));
	ts = in_ms(CLOCK_MONOTONIC, 30);
	RC(pthread_clockjoin_np(t1, &r, CLOCK_MONOTONIC, &ts));
	ts = in_ms(CLOCK_REALTIME, 30);
	RC(pthread_clockjoin_np(t1, &r, CLOCK_REALTIME, &ts));
	RC(pthread_clockjoin_np(t1, &r, CLOCK_PROCESS_CPUTIME_ID, &ts));
	OK(pthread_mutex_unlock(&gate));
	ts = in_ms(CLOCK_MONOTONIC, 30000);
	RC(pthread_clockjoin_np(t1, &r, CLOCK_MONOTONIC, &ts));
	say("joined: %s", (char *)r);

	t1 = start(twice, (void *)21);
	while (pthread_tryjoin_np(t1, &r) == EBUSY)
		sched_yield();
	say("tryjoin in the end: %ld", (long)(intptr_t)r);

	/* Detached: by attribute, by itself, by another; and the errors. */
	int done = 0;
	pthread_attr_t a;
	OK(pthread_attr_init(&a));
	OK(pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED));
	OK(pthread_create(&t1, &a, raise_done, &done));
	OK(pthread_detach(start(raise_done, &done)));
	while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) < 2)
		sched_yield();
	OK(pthread_mutex_lock(&gate));
	t1 = start(through_gate, NULL);
	RC(pthread_detach(t1));
	RC(pthread_detach(t1));
	RC(pthread_join(t1, &r));
	RC(pthread_tryjoin_np(t1, &r));
	OK(pthread_mutex_unlock(&gate));

	OK(pthread_mutex_lock(&gate));
	t1 = start(is_self, &t1);
	OK(pthread_mutex_unlock(&gate));
	say("equal to itself: %d", (intptr_t)finish(t1) != 0);
	say("equal to main: %d", pthread_equal(t1, pthread_self()) != 0);
	return 0;
}
