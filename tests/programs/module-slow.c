/* SPDX-License-Identifier: MIT */
/* A module whose constructor takes its time, and makes and joins a thread. */
#include <pthread.h>
#include <unistd.h>

int state = 1; /* the program's own `state`, if that has one, comes first */
int ready(void);

static void *worker(void *arg)
{
	usleep(500);
	*(int *)arg = 3;
	return arg;
}

__attribute__((constructor)) static void up(void)
{
	pthread_t t;
	void *r;

	usleep(3000);
	if (pthread_create(&t, NULL, worker, &state) == 0 && pthread_join(t, &r) == 0)
		state *= r == &state ? 14 : 0;
}

int ready(void)
{
	return state;
}
