/* SPDX-License-Identifier: MIT */
/* O_NONBLOCK and FIONBIO set and taken away while others wait on the descriptor, or its duplicate: who waits goes on waiting
 * and gets what comes; who calls after the change is told EAGAIN, or waits. fcntl(2), ioctl(2) */
#include "net.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

enum { PIPE, UNIX, TCP, EVENT, LISTEN, KINDS };
static const char *const name[] = {"pipe", "unix", "tcp", "eventfd", "listener"};
static struct sockaddr_in addr;
static int waiting;

static void open_pair(int kind, int fd[2])
{
	switch (kind) {
	case PIPE:
		MUST(pipe(fd) == 0);
		break;
	case UNIX:
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
		break;
	case TCP:
		tcp_pair(fd);
		break;
	case EVENT:
		MUST((fd[0] = eventfd(0, EFD_SEMAPHORE)) >= 0 && (fd[1] = dup(fd[0])) >= 0);
		break;
	default:
		fd[0] = tcp_listen(&addr, 10);
		fd[1] = dup(fd[0]);
	}
}

static int take(int kind, int fd)
{
	char b[8];
	int s;

	if (kind != LISTEN)
		return read(fd, b, kind == EVENT ? 8 : 1) > 0 ? 0 : errno;
	if ((s = accept(fd, NULL, NULL)) < 0)
		return errno;
	MUST(fcntl(s, F_GETFL) == O_RDWR && close(s) == 0);
	return 0;
}

static void send_one(int kind, int fd)
{
	uint64_t one = 1;

	if (kind == LISTEN)
		MUST(close(tcp_connect(&addr)) == 0);
	else
		write_all(fd, &one, kind == EVENT ? 8 : 1);
}

struct waiter {
	int kind, fd;
};

static void *waits(void *arg)
{
	struct waiter *w = arg;

	__atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
	return (void *)(intptr_t)take(w->kind, w->fd);
}

static void *sends(void *arg)
{
	struct waiter *w = arg;

	usleep(3000);
	send_one(w->kind, w->fd);
	return NULL;
}

static void change(int fd, int how, bool on)
{
	int v = on, fl = fcntl(fd, F_GETFL);

	MUST(how == 0 ? fcntl(fd, F_SETFL, on ? fl | O_NONBLOCK : fl & ~O_NONBLOCK) == 0 : ioctl(fd, FIONBIO, &v) == 0);
	MUST(!(fcntl(fd, F_GETFL) & O_NONBLOCK) == !on);
}

/* False: who was to wait had not come to it when the flag was set, and was told EAGAIN. Not the machine's speed is asked. */
static bool while_two_wait(int kind, int round, int ms)
{
	int fd[2], how = round % 2;
	pthread_t t[2], s;
	bool in_time = true;

	open_pair(kind, fd);
	int other = dup(fd[0]);
	struct waiter w[2] = {{kind, fd[0]}, {kind, other}}, out = {kind, fd[1]};
	waiting = 0;
	for (int i = 0; i < 2; i++)
		t[i] = start(waits, &w[i]);
	while (__atomic_load_n(&waiting, __ATOMIC_RELAXED) < 2)
		usleep(500);
	usleep(ms * 1000);
	change(round & 2 ? other : fd[0], how, true);
	MUST(take(kind, fd[0]) == EAGAIN && take(kind, other) == EAGAIN);
	send_one(kind, fd[1]);
	send_one(kind, fd[1]);
	for (int i = 0; i < 2; i++) {
		int e = (int)(intptr_t)finish(t[i]);
		MUST(e == 0 || e == EAGAIN);
		in_time &= e == 0;
	}
	if (in_time) {
		change(round & 2 ? fd[0] : other, !how, false);
		s = start(sends, &out);
		MUST(take(kind, fd[0]) == 0); /* it blocks again */
		finish(s);
		s = start(sends, &out);
		MUST(take(kind, other) == 0);
		finish(s);
	}
	close(fd[0]), close(fd[1]), close(other);
	return in_time;
}

int main(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		for (int round = 0; round < scaled(8); round++) {
			int ms = 5;
			while (!while_two_wait(kind, round, ms))
				MUST((ms *= 2) < 10000);
		}
		say("%s", name[kind]);
	}
	return 0;
}
