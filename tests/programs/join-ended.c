/* SPDX-License-Identifier: MIT */
/* What ended threads are: joined once only, joined or detached, by whatever comes first.
 * pthread_join(3), pthread_detach(3)
 *
 * POSIX leaves the second time undefined; libc says what it was, as long as no new thread has taken
 * the place. */
#include "t.h"
#include <semaphore.h>

static sem_t over;

static void *nop(void *arg)
{
	return arg;
}

static void *post(void *arg)
{
	sem_post(&over);
	return arg;
}

static void *hold(void *arg)
{
	pthread_barrier_wait(arg);
	return NULL;
}

int main(void)
{
	void *ret;
	pthread_t t;

	t = start(nop, &ret);
	OK(pthread_join(t, &ret));
	say("join after join: %s", errname(pthread_join(t, NULL)));
	say("tryjoin after join: %s", errname(pthread_tryjoin_np(t, NULL)));
	say("detach after join: %s", errname(pthread_detach(t)));

	sem_init(&over, 0, 0);
	for (int i = 0; i < 200; i++) { /* the detach comes before the end, or after it */
		t = start(post, NULL);
		sem_wait(&over);
		if (i % 2)
			usleep(100);
		OK(pthread_detach(t));
		MUST(pthread_join(t, NULL) == EINVAL);
		MUST(pthread_detach(t) == EINVAL);
	}
	say("join and detach after detach: EINVAL");

	t = start(nop, NULL);
	usleep(20000); /* long enough for it to end */
	OK(pthread_detach(t));
	say("ended, detached: join %s, detach %s", errname(pthread_join(t, NULL)),
	    errname(pthread_detach(t)));

	/* None of that has given one thread's place to two. */
	pthread_barrier_t all;
	pthread_t many[64];
	pthread_barrier_init(&all, NULL, 65);
	for (int i = 0; i < 64; i++) {
		many[i] = start(hold, &all);
		for (int j = 0; j < i; j++)
			MUST(!pthread_equal(many[i], many[j]));
	}
	pthread_barrier_wait(&all);
	for (int i = 0; i < 64; i++)
		OK(pthread_join(many[i], NULL));
	say("64 threads are 64");
	return 0;
}
