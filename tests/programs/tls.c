/* SPDX-License-Identifier: MIT */
/* __thread variables, initialised and zeroed, small and large, and errno: each thread has its own,
 * across blocking calls and yields, and a new thread never sees an old thread's values. */
#include "t.h"

static __thread int zero;
static __thread int set = 12345;
static __thread char big[9000] = "begins so";
static __thread struct {
	long v[8];
} wide __attribute__((aligned(64))) = {{1, 2, 3, 4, 5, 6, 7, 8}};

static void *user(void *arg)
{
	int id = (int)(intptr_t)arg;

	MUST(zero == 0 && set == 12345 && !strcmp(big, "begins so") && big[8999] == 0);
	MUST((uintptr_t)&wide % 64 == 0);
	for (int i = 0; i < 8; i++)
		MUST(wide.v[i] == i + 1);
	zero = id;
	set = -id;
	memset(big, id, sizeof big);
	wide.v[7] = id;
	int *const cached = &zero; /* the address stays, too */
	for (int i = 0; i < 50; i++) {
		errno = id;
		if (i % 10 == 0)
			usleep(200);
		else
			sched_yield();
		MUST(errno == id);
		MUST(&zero == cached && zero == id && set == -id && wide.v[7] == id);
		for (size_t k = 0; k < sizeof big; k += 500)
			MUST(big[k] == (char)id);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[150];

	zero = 77;
	for (int round = 0; round < scaled(4); round++) {
		for (int i = 0; i < NELEM(t); i++)
			t[i] = start(user, (void *)(intptr_t)(i + 1));
		for (int i = 0; i < NELEM(t); i++)
			finish(t[i]);
	}
	say("threads kept their own; main has %d and %d", zero, set);
	return 0;
}
