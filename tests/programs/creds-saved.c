/* SPDX-License-Identifier: MIT */
/* setuid() to the saved id and back, while threads begin and end: it changes the effective id only, once for each
 * thread, though as root it would change all three. Without root it only makes the calls that change nothing. setuid(2) */
#include "t.h"
#include <semaphore.h>

enum { THREADS = 12, ROUNDS = 40, OTHER = 65534 };

static volatile bool quit;
static pthread_barrier_t gate;

static void ids(uid_t euid)
{
	uid_t r, e, s;

	MUST(getresuid(&r, &e, &s) == 0);
	if (r != OTHER || e != euid || s != 0) {
		say("ids %d %d %d, wanted %d %d 0", (int)r, (int)e, (int)s, OTHER, (int)euid);
		_exit(1);
	}
}

static void *looks(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&gate);
		ids(i % 2 ? OTHER : 0);
		pthread_barrier_wait(&gate);
	}
	return NULL;
}

static void *nap(void *arg)
{
	usleep(50); /* in the kernel: makes kernel threads come and go */
	return arg;
}

static void *makes(void *arg)
{
	while (!quit)
		OK(pthread_join(start(nap, arg), NULL));
	return NULL;
}

int main(void)
{
	pthread_t t[THREADS], m;

	if (geteuid() != 0) {
		m = start(nap, NULL);
		MUST(setuid(getuid()) == 0 && setresuid(-1, -1, -1) == 0);
		OK(pthread_join(m, NULL));
		say("as it should be");
		return 0;
	}
	pthread_barrier_init(&gate, NULL, THREADS + 1);
	MUST(setresuid(OTHER, OTHER, 0) == 0);
	m = start(makes, NULL);
	for (int i = 0; i < THREADS; i++)
		t[i] = start(looks, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		MUST(i % 2 ? setresuid(-1, OTHER, -1) == 0 : setuid(0) == 0);
		ids(i % 2 ? OTHER : 0);
		pthread_barrier_wait(&gate);
		pthread_barrier_wait(&gate);
	}
	quit = true;
	OK(pthread_join(m, NULL));
	for (int i = 0; i < THREADS; i++)
		OK(pthread_join(t[i], NULL));
	say("as it should be");
	return 0;
}
