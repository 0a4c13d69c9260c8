/* SPDX-License-Identifier: MIT */
/* Who cancels a thread and then takes away what it waits for, joins a cancelled thread: also if the
 * request finds it on its way into the call. pthread_cancel(3), pthreads(7) */
#include "t.h"
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>

static int fd[2];
static pthread_barrier_t ready;

static void *reads(void *arg)
{
	char c;

	pthread_barrier_wait(&ready);
	while (read(fd[0], &c, 1) > 0)
		;
	return arg;
}

static void *receives(void *arg)
{
	char c;

	pthread_barrier_wait(&ready);
	while (recv(fd[0], &c, 1, 0) > 0)
		;
	return arg;
}

static void *accepts(void *arg)
{
	pthread_barrier_wait(&ready);
	while (accept(fd[0], NULL, NULL) >= 0)
		;
	return arg;
}

static void *polls(void *arg)
{
	struct pollfd p = {.fd = fd[0], .events = POLLIN};

	pthread_barrier_wait(&ready);
	poll(&p, 1, -1);
	return arg;
}

static void *selects(void *arg)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd[0], &set);
	pthread_barrier_wait(&ready);
	select(fd[0] + 1, &set, NULL, NULL, NULL);
	return arg;
}

static void apipe(void)
{
	MUST(pipe(fd) == 0);
}

static void apair(void)
{
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
}

static void alistener(void)
{
	MUST((fd[0] = socket(AF_INET, SOCK_STREAM, 0)) >= 0 && listen(fd[0], 5) == 0);
	MUST((fd[1] = dup(0)) >= 0);
}

static void shut(void)
{
	MUST(shutdown(fd[0], SHUT_RDWR) == 0);
}

static void hangup(void)
{
	MUST(close(fd[1]) == 0);
	fd[1] = -1;
}

static void try(const char *what, void *(*fn)(void *), void (*make)(void), void (*take)(void))
{
	int n = scaled(300), cancelled = 0;

	for (int i = 0; i < n; i++) {
		pthread_t t;
		void *r;
		make();
		OK(pthread_create(&t, NULL, fn, NULL));
		pthread_barrier_wait(&ready);
		for (int k = 0; k < i % 20; k++)
			sched_yield();
		OK(pthread_cancel(t));
		take();
		OK(pthread_join(t, &r));
		cancelled += r == PTHREAD_CANCELED;
		close(fd[0]);
		if (fd[1] >= 0)
			close(fd[1]);
	}
	say("%s: %s", what, cancelled == n ? "cancelled" : "not always cancelled");
}

int main(void)
{
	OK(pthread_barrier_init(&ready, NULL, 2));
	try("read, end of file", reads, apipe, hangup);
	try("read, shutdown", reads, apair, shut);
	try("recv, shutdown", receives, apair, shut);
	try("recv, end of file", receives, apair, hangup);
	try("accept, shutdown", accepts, alistener, shut);
	try("poll, end of file", polls, apipe, hangup);
	try("poll, shutdown", polls, apair, shut);
	try("select, end of file", selects, apair, hangup);
	return 0;
}
