/* SPDX-License-Identifier: MIT */
/* set*id() comes back, whatever the other threads do, when the queue of signals is full
 * (RLIMIT_SIGPENDING): libc tells them by a signal. Whom libc could not tell is not asked here. setrlimit(2), nptl(7) */
#include "t.h"
#include <grp.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

enum { EACH = 4 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static atomic_int quit;
static int quiet[2];
static sem_t begun;

static void *waits(void *arg)
{
	sem_post(&begun);
	pthread_mutex_lock(&lock);
	while (!quit)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
	return arg;
}

static void *reads(void *arg)
{
	char c;

	sem_post(&begun);
	MUST(read(quiet[0], &c, 1) == 0);
	return arg;
}

static void *computes(void *arg)
{
	sem_post(&begun);
	while (!quit)
		;
	return arg;
}

static void *blocks(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	OK(pthread_sigmask(SIG_SETMASK, &all, NULL));
	sem_post(&begun);
	while (!quit)
		usleep(1000);
	return arg;
}

static void *nothing(void *arg)
{
	return arg;
}

static void *sets(void *arg)
{
	SYS(setgid(getgid()));
	SYS(setresgid(-1, getegid(), -1));
	return arg;
}

static void ids(void)
{
	SYS(setuid(getuid()));
	SYS(seteuid(geteuid()));
	finish(start(sets, NULL));
	finish(start(nothing, NULL));
}

int main(void)
{
	pthread_t t[2 * EACH + 4];
	int n = 0;

	MUST(pipe(quiet) == 0 && sem_init(&begun, 0, 0) == 0);
	for (int i = 0; i < EACH; i++) {
		t[n++] = start(waits, NULL);
		t[n++] = start(reads, NULL);
	}
	for (int i = 0; i < 2; i++) {
		t[n++] = start(computes, NULL);
		t[n++] = start(blocks, NULL);
	}
	for (int i = 0; i < n; i++)
		sem_wait(&begun);
	ids();
	SYS(setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){0, 0}));
	for (int i = 0; i < scaled(20); i++)
		ids();
	if (geteuid() == 0) {
		SYS(setgroups(0, NULL));
		SYS(setresgid(65534, 65534, 65534));
		SYS(setuid(65534));
		SYS(setuid(0));
	} else {
		say("setgroups(0, NULL): 0\nsetresgid(65534, 65534, 65534): 0\nsetuid(65534): 0\nsetuid(0): EPERM");
	}
	say("ids %s", geteuid() == 0 ? "of root" : "of another");
	quit = 1;
	pthread_mutex_lock(&lock);
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
	close(quiet[1]);
	for (int i = 0; i < n; i++)
		finish(t[i]);
	say("ended");
	return 0;
}
