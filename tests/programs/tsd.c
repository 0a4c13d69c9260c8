/* SPDX-License-Identifier: MIT */
/* Thread-specific data: values stay with their thread; each destructor runs once per value, in up
 * to PTHREAD_DESTRUCTOR_ITERATIONS rounds. pthread_key_create(3) */
#include "t.h"
#include <limits.h>

static pthread_key_t key[8], again, never;
static int freed, rounds;

static void drop(void *p)
{
	free(p);
	__atomic_add_fetch(&freed, 1, __ATOMIC_RELAXED);
}

static void set_again(void *p)
{
	int n = ++*(int *)p;

	rounds = n;
	if (n < 3)
		OK(pthread_setspecific(again, p));
	usleep(100); /* a destructor may block */
}

static void *keeper(void *arg)
{
	for (int k = 0; k < NELEM(key); k++) {
		MUST(pthread_getspecific(key[k]) == NULL);
		int *p = malloc(sizeof *p);
		*p = (int)(intptr_t)arg + k;
		OK(pthread_setspecific(key[k], p));
	}
	for (int i = 0; i < 20; i++) {
		if (i % 4 == 0)
			usleep(100);
		else
			sched_yield();
		for (int k = 0; k < NELEM(key); k++)
			MUST(*(int *)pthread_getspecific(key[k]) == (int)(intptr_t)arg + k);
	}
	return NULL;
}

static void *several_rounds(void *arg)
{
	OK(pthread_setspecific(again, arg));
	return NULL;
}

static void for_ever(void *p)
{
	++*(int *)p;
	OK(pthread_setspecific(never, p));
}

static void *endless(void *arg)
{
	OK(pthread_setspecific(never, arg));
	return NULL;
}

int main(void)
{
	pthread_t t[200];
	int n = 0, stubborn = 0;

	for (int k = 0; k < NELEM(key); k++)
		OK(pthread_key_create(&key[k], drop));
	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(keeper, (void *)(intptr_t)(i * 1000));
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	say("destructors: %d", freed);

	OK(pthread_key_create(&again, set_again));
	finish(start(several_rounds, &n));
	say("rounds: %d, calls: %d", rounds, n);
	OK(pthread_key_create(&never, for_ever));
	finish(start(endless, &stubborn));
	say("a value set again in every round: %d, limit %d", stubborn,
	    PTHREAD_DESTRUCTOR_ITERATIONS);

	/* A key made anew starts empty in every thread, main included. */
	OK(pthread_setspecific(key[0], malloc(1)));
	free(pthread_getspecific(key[0]));
	RC(pthread_key_delete(key[0]));
	RC(pthread_key_delete(key[0]));
	RC(pthread_setspecific(key[0], &n));
	OK(pthread_key_create(&key[0], drop));
	say("new key is empty: %d", pthread_getspecific(key[0]) == NULL);
	RC(pthread_setspecific(100000, &n));

	pthread_key_t k;
	int made = 0, r;
	while ((r = pthread_key_create(&k, NULL)) == 0)
		made++;
	say("more than 1000 keys: %d, then %s", made > 1000, errname(r));
	return 0;
}
