/* SPDX-License-Identifier: MIT */
/* Ten generations, each forked by a thread of the one before while others run, wait and hold locks;
 * the last executes this program anew. And 1,000 children of eight threads, each of which makes
 * threads. fork(2) */
#include "t.h"
#include <sys/syscall.h>
#include <sys/wait.h>

enum { DEPTH = 10 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn, quit;
static __thread int mine;
static const char *self;

static void *busy(void *arg)
{
	for (int i = 0; !__atomic_load_n(&quit, __ATOMIC_RELAXED); i++) {
		free(malloc(100 + i % 1000));
		if (i % 100 == 0)
			usleep(100);
	}
	return arg;
}

static void *waits(void *arg)
{
	for (;;) {
		pthread_mutex_lock(&lock);
		while (!quit)
			pthread_cond_wait(&cond, &lock);
		pthread_mutex_unlock(&lock);
		return arg;
	}
}

/* Two threads hand a number to and fro. */
static pthread_mutex_t ball = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t thrown = PTHREAD_COND_INITIALIZER;

static void *plays(void *arg)
{
	int me = (int)(intptr_t)arg;

	for (int i = 0; i < 50; i++) {
		pthread_mutex_lock(&ball);
		while (turn % 2 != me)
			pthread_cond_wait(&thrown, &ball);
		turn++;
		pthread_cond_broadcast(&thrown);
		pthread_mutex_unlock(&ball);
	}
	return arg;
}

static void play(void)
{
	pthread_t a = start(plays, (void *)0), b = start(plays, (void *)1);

	finish(a);
	finish(b);
	MUST(turn % 100 == 0);
}

static int status_of(pid_t pid)
{
	int st;

	MUST(pid > 0 && waitpid(pid, &st, 0) == pid);
	MUST(WIFEXITED(st));
	return WEXITSTATUS(st);
}

/* The lock is free when a child is made, and nobody waits in the child: who waited was not copied. */
static void before_fork(void)
{
	OK(pthread_mutex_lock(&lock));
}

static void in_parent(void)
{
	OK(pthread_mutex_unlock(&lock));
}

static void in_child(void)
{
	OK(pthread_mutex_unlock(&lock));
	OK(pthread_cond_init(&cond, NULL));
}

static int generation(int depth);

static void *forks(void *arg)
{
	int depth = (int)(intptr_t)arg;

	mine = depth;
	pid_t pid = fork();
	if (pid == 0) {
		MUST(mine == depth);
		MUST(getpid() == (pid_t)syscall(SYS_gettid) && gettid() == getpid());
		if (depth == DEPTH) {
			execl("/proc/self/exe", self, "leaf", NULL);
			_exit(99);
		}
		exit(generation(depth + 1));
	}
	MUST(mine == depth);
	return (void *)(intptr_t)(status_of(pid) + 1);
}

static int generation(int depth)
{
	pthread_t t[6];

	quit = 0;
	for (int i = 0; i < 6; i++)
		t[i] = start(i % 2 ? busy : waits, NULL);
	play();
	/* From an even generation main forks, which was a thread of its parent. */
	intptr_t n = depth % 2 ? (intptr_t)finish(start(forks, (void *)(intptr_t)depth))
			       : (intptr_t)forks((void *)(intptr_t)depth);
	play();
	pthread_mutex_lock(&lock);
	quit = 1;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < 6; i++)
		finish(t[i]);
	return (int)n;
}

static void *many(void *arg)
{
	int n = scaled(1000) / 8;

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			turn = 0;
			/* Another may have played when we forked. */
			pthread_mutex_init(&ball, NULL);
			pthread_cond_init(&thrown, NULL);
			play();
			_exit(5);
		}
		MUST(status_of(pid) == 5);
		if (i % 8 == 0)
			free(malloc(50000));
	}
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t[8];

	self = argv[0];
	if (argc > 1) {
		play();
		return 7;
	}
	OK(pthread_atfork(before_fork, in_parent, in_child));
	say("ten generations: %d", generation(1));
	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(many, NULL);
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	say("and many children");
	return 0;
}
