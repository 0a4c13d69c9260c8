/* SPDX-License-Identifier: MIT */
/*
 * A great many threads, half of them blocked in read on one pipe, half asleep. Says "begin", then
 * "ready" when all are there, and waits for a byte on stdin after each; then lets the readers go,
 * joins them, and ends with the sleepers asleep. usage: idle-threads NUMBER STACKSIZE
 */
#include "../programs/t.h"

static int p[2];
static long there;

static void *reads(void *arg)
{
	char c;

	__atomic_add_fetch(&there, 1, __ATOMIC_RELAXED);
	MUST(read(p[0], &c, 1) == 1);
	return arg;
}

static void *sleeps(void *arg)
{
	__atomic_add_fetch(&there, 1, __ATOMIC_RELAXED);
	sleep(100000);
	return arg;
}

static void stage(const char *name)
{
	char c;

	say("%s", name);
	MUST(read(0, &c, 1) == 1);
}

int main(int argc, char **argv)
{
	long n = argc == 3 ? atol(argv[1]) : 0;
	pthread_attr_t a;
	pthread_t *t = calloc(n, sizeof *t);

	MUST(n > 0 && t && pipe(p) == 0);
	OK(pthread_attr_init(&a));
	OK(pthread_attr_setstacksize(&a, atol(argv[2])));
	stage("begin");
	for (long i = 0; i < n; i++)
		OK(pthread_create(&t[i], &a, i % 2 ? reads : sleeps, (void *)i));
	while (__atomic_load_n(&there, __ATOMIC_RELAXED) < n)
		usleep(1000);
	stage("ready");
	for (long i = 1; i < n; i += 2)
		MUST(write(p[1], "x", 1) == 1);
	for (long i = 1; i < n; i += 2)
		MUST(finish(t[i]) == (void *)i);
	stage("joined");
	return 0;
}
