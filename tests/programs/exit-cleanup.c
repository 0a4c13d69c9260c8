/* SPDX-License-Identifier: MIT */
/* pthread_exit from nested frames runs the cleanup handlers, last pushed first;
 * pthread_cleanup_pop(1) runs one. pthread_exit(3), pthread_cleanup_push(3) */
#include "t.h"

static void note(void *arg)
{
	say("cleanup %s", (char *)arg);
}

static void unlock(void *arg)
{
	OK(pthread_mutex_unlock(arg));
	say("unlocked");
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static __attribute__((noinline)) void deep(int n)
{
	pthread_cleanup_push(note, n % 2 ? "odd" : "even");
	if (n == 0) {
		usleep(1000);
		pthread_exit("from the depth");
	}
	if (n > 0)
		deep(n - 1);
	pthread_cleanup_pop(0);
}

static void *nested(void *arg)
{
	pthread_cleanup_push(note, "outermost");
	OK(pthread_mutex_lock(&lock));
	pthread_cleanup_push(unlock, &lock);
	pthread_cleanup_push(note, "popped and run");
	pthread_cleanup_pop(1);
	pthread_cleanup_push(note, "popped, not run");
	pthread_cleanup_pop(0);
	deep(4);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return arg;
}

static void blocks(void *arg)
{
	char c;

	/* A handler may itself block. */
	usleep(2000);
	MUST(read(((int *)arg)[0], &c, 1) == 1);
	say("handler read '%c'", c);
}

static void *handler_blocks(void *arg)
{
	pthread_cleanup_push(blocks, arg);
	pthread_exit("after a handler that blocked");
	pthread_cleanup_pop(0);
	return NULL;
}

static void count(void *arg)
{
	++*(int *)arg;
}

static void *loop(void *arg)
{
	pthread_cleanup_push(count, arg);
	pthread_exit(arg);
	pthread_cleanup_pop(0);
	return NULL;
}

int main(void)
{
	int fd[2], n = 0;

	say("%s", (char *)finish(start(nested, NULL)));
	RC(pthread_mutex_trylock(&lock));

	MUST(pipe(fd) == 0);
	pthread_t t = start(handler_blocks, fd);
	settle();
	MUST(write(fd[1], "x", 1) == 1);
	say("%s", (char *)finish(t));

	for (int i = 0; i < scaled(2000); i++)
		MUST(finish(start(loop, &n)) == &n);
	say("each ran its handler: %d", n == scaled(2000));
	return 0;
}
