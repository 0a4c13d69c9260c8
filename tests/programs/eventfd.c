/* SPDX-License-Identifier: MIT */
/* eventfds: read blocks at 0, write blocks at the maximum, semaphore mode, non-blocking, errors.
 * eventfd(2) */
#include "t.h"
#include <sys/eventfd.h>

static int a, b, sem;

static void *ponger(void *arg)
{
	uint64_t v;

	for (int i = 0; i < scaled(2000); i++) {
		MUST(read(a, &v, 8) == 8 && v == (uint64_t)i + 1);
		MUST(write(b, &v, 8) == 8);
	}
	return arg;
}

static void *writer(void *arg)
{
	uint64_t v = 5;

	MUST(write(a, &v, 8) == 8); /* blocks until main has read */
	return arg;
}

static void *taker(void *arg)
{
	uint64_t v;

	MUST(read(sem, &v, 8) == 8 && v == 1);
	return arg;
}

int main(void)
{
	uint64_t v;
	pthread_t t[20];

	MUST((a = eventfd(0, 0)) >= 0 && (b = eventfd(0, 0)) >= 0 &&
	     (sem = eventfd(0, EFD_SEMAPHORE)) >= 0);
	t[0] = start(ponger, NULL);
	for (int i = 0; i < scaled(2000); i++) {
		v = i + 1;
		MUST(write(a, &v, 8) == 8);
		MUST(read(b, &v, 8) == 8 && v == (uint64_t)i + 1);
	}
	finish(t[0]);
	say("ping-pong");

	v = UINT64_MAX - 1;
	SYS(write(a, &v, 8));
	t[0] = start(writer, NULL);
	settle();
	SYS(read(a, &v, 8));
	say("value %llx", (unsigned long long)v);
	finish(t[0]);
	say("the blocked write went through");
	SYS(read(a, &v, 8));
	say("value %llu", (unsigned long long)v);

	for (int i = 0; i < 20; i++)
		t[i] = start(taker, NULL);
	v = 15;
	MUST(write(sem, &v, 8) == 8);
	v = 5;
	MUST(write(sem, &v, 8) == 8);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	say("20 took one each");

	v = UINT64_MAX;
	SYS(write(a, &v, 8));
	SYS(write(a, &v, 4));
	SYS(read(a, &v, 4));
	MUST(fcntl(a, F_SETFL, O_NONBLOCK) == 0);
	SYS(read(a, &v, 8));
	v = UINT64_MAX - 1;
	SYS(write(a, &v, 8));
	v = 1;
	SYS(write(a, &v, 8));
	return 0;
}
