/* SPDX-License-Identifier: MIT */
/* Threads that compute without ever calling anything, more of them than CPUs, beside threads that
 * do I/O, sleep and use locks: all make progress. sched(7) */
#include "t.h"

static volatile int stop;
static struct heat {
	volatile double x;
	volatile long n;
	long other[6]; /* a cache line each */
} heat[4];

static void *computes(void *arg)
{
	struct heat *mine = arg;
	double x = 1.0001;

	while (!stop) {
		for (int i = 0; i < 1000; i++)
			x = x * 1.0000001 + 1e-9;
		mine->n++;
	}
	mine->x = x;
	return NULL;
}

static void *pingpong(void *arg)
{
	int *fd = arg;
	char c;

	for (int i = 0; i < scaled(30); i++)
		MUST(read(fd[0], &c, 1) == 1 && write(fd[1], &c, 1) == 1);
	return NULL;
}

static void *sleeps(void *arg)
{
	for (int i = 0; i < scaled(10); i++)
		usleep(2000);
	return arg;
}

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static int turn;

static void *turns(void *arg)
{
	int me = (int)(intptr_t)arg;

	OK(pthread_mutex_lock(&m));
	for (int i = 0; i < scaled(15); i++) {
		while (turn % 2 != me)
			OK(pthread_cond_wait(&c, &m));
		turn++;
		OK(pthread_cond_signal(&c));
	}
	OK(pthread_mutex_unlock(&m));
	return NULL;
}

int main(void)
{
	pthread_t cpu[4], t[8];
	int a[2], b[2], ends[2][2];

	for (int i = 0; i < 4; i++)
		cpu[i] = start(computes, &heat[i]);
	MUST(pipe(a) == 0 && pipe(b) == 0);
	ends[0][0] = a[0], ends[0][1] = b[1];
	ends[1][0] = b[0], ends[1][1] = a[1];
	for (int i = 0; i < 2; i++) {
		t[i] = start(pingpong, ends[i]);
		t[2 + i] = start(sleeps, NULL);
		t[4 + i] = start(turns, (void *)(intptr_t)i);
	}
	MUST(write(a[1], "x", 1) == 1);
	for (int i = 0; i < 6; i++)
		finish(t[i]);
	say("I/O, sleeps and turns came to their end");
	for (int i = 0; i < 4; i++)
		while (heat[i].n == 0)
			usleep(1000);
	say("and each of the others had its share");
	stop = 1;
	for (int i = 0; i < 4; i++)
		finish(cpu[i]);
	return 0;
}
