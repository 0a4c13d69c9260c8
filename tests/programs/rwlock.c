/* SPDX-License-Identifier: MIT */
/* Read-write locks: readers together, writers alone, time-outs, trylocks, errors.
 * pthread_rwlock_rdlock(3p) */
#include "t.h"

static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t inside;
static int a, b, readers;

static void *reader(void *arg)
{
	for (int i = 0; i < scaled(400); i++) {
		OK(pthread_rwlock_rdlock(&rw));
		MUST(a == b);
		if (i % 50 == 0)
			sched_yield();
		MUST(a == b);
		OK(pthread_rwlock_unlock(&rw));
	}
	return arg;
}

static void *writer(void *arg)
{
	for (int i = 0; i < scaled(200); i++) {
		OK(pthread_rwlock_wrlock(&rw));
		a++;
		if (i % 20 == 0)
			usleep(50);
		b++;
		OK(pthread_rwlock_unlock(&rw));
	}
	return arg;
}

static void *together(void *arg)
{
	OK(pthread_rwlock_rdlock(&rw));
	pthread_barrier_wait(&inside); /* passes only if all are inside */
	__atomic_add_fetch(&readers, 1, __ATOMIC_RELAXED);
	OK(pthread_rwlock_unlock(&rw));
	return arg;
}

static void *tries(void *arg)
{
	struct timespec ts;

	say(" held for %s", (char *)arg);
	say("  tryrdlock: %s", errname(pthread_rwlock_tryrdlock(&rw)));
	say("  trywrlock: %s", errname(pthread_rwlock_trywrlock(&rw)));
	double begin = ms_now();
	ts = in_ms(CLOCK_REALTIME, 30);
	say("  timedwrlock: %s", errname(pthread_rwlock_timedwrlock(&rw, &ts)));
	ts = in_ms(CLOCK_MONOTONIC, 30);
	say("  clockwrlock: %s", errname(pthread_rwlock_clockwrlock(&rw, CLOCK_MONOTONIC, &ts)));
	MUST(ms_now() - begin >= 59);
	ts = in_ms(CLOCK_REALTIME, -1);
	int r = pthread_rwlock_timedrdlock(&rw, &ts);
	say("  timedrdlock in the past: %s", errname(r));
	if (r == 0)
		OK(pthread_rwlock_unlock(&rw));
	ts.tv_nsec = 1000000000;
	say("  nsec 1e9: %s", errname(pthread_rwlock_timedwrlock(&rw, &ts)));
	say("  clockrdlock, cpu clock: %s",
	    errname(pthread_rwlock_clockrdlock(&rw, CLOCK_PROCESS_CPUTIME_ID, &ts)));
	return NULL;
}

int main(void)
{
	pthread_t t[24];

	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(i % 4 ? reader : writer, NULL);
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	say("writes: %d", a == b && a == 6 * scaled(200));

	OK(pthread_barrier_init(&inside, NULL, 20));
	for (int i = 0; i < 20; i++)
		t[i] = start(together, NULL);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	say("readers inside together: %d", readers);

	OK(pthread_rwlock_wrlock(&rw));
	say("wrlock again by the owner: %s", errname(pthread_rwlock_wrlock(&rw)));
	say("rdlock by the owner: %s", errname(pthread_rwlock_rdlock(&rw)));
	finish(start(tries, "writing"));
	OK(pthread_rwlock_unlock(&rw));
	OK(pthread_rwlock_rdlock(&rw));
	finish(start(tries, "reading"));
	OK(pthread_rwlock_unlock(&rw)); /* tries() left a read lock */
	OK(pthread_rwlock_unlock(&rw));
	RC(pthread_rwlock_trywrlock(&rw));
	return 0;
}
