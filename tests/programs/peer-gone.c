/* SPDX-License-Identifier: MIT */
/* The other side goes: half-closes, a reset (SO_LINGER 0, unread data), a process that is killed, a listener with connections
 * waiting. Who reads, writes, polls, selects or sits in epoll_wait then is told, each in its way. tcp(7), socket(7), unix(7), pipe(7) */
#include "net.h"
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>

enum { READ, RECVMSG, WRITE, POLL, SELECT, EPOLL, KINDS };
static const char *const name[] = {"read", "recvmsg", "write", "poll", "select", "epoll"};
static int fd[2], waiting;

struct saw {
	int kind;
	long r;
	int err, events, then;
};

static void *watches(void *arg)
{
	static char big[4 << 20];
	struct saw *w = arg;
	struct pollfd p = {fd[0], POLLIN | POLLRDHUP, 0};
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP};
	char b[16];
	struct iovec v = {b, sizeof b};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	fd_set set;
	int ep;

	__atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
	switch (w->kind) {
	case READ:
		w->r = read(fd[0], b, sizeof b);
		break;
	case RECVMSG:
		w->r = recvmsg(fd[0], &m, 0);
		break;
	case WRITE:
		do
			w->r = write(fd[0], big, sizeof big);
		while (w->r > 0);
		break;
	case POLL:
		w->r = poll(&p, 1, -1);
		w->events = p.revents;
		break;
	case SELECT:
		FD_ZERO(&set);
		FD_SET(fd[0], &set);
		w->r = select(fd[0] + 1, &set, NULL, NULL, NULL);
		break;
	default:
		ep = epoll_create1(0);
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &ev) == 0);
		w->r = epoll_wait(ep, &ev, 1, -1);
		w->events = (int)ev.events;
		close(ep);
	}
	w->err = w->r < 0 ? errno : 0;
	return NULL;
}

enum { TCP, UNIX, SEQ, PIPE };
static const char *const types[] = {"tcp", "unix", "seqpacket", "pipe"};

static void open_pair(int type, int kind)
{
	int t;

	if (type == TCP)
		tcp_pair(fd);
	else if (type != PIPE)
		MUST(socketpair(AF_UNIX, type == SEQ ? SOCK_SEQPACKET : SOCK_STREAM, 0, fd) == 0);
	else if (pipe(fd) == 0 && kind == WRITE)
		t = fd[0], fd[0] = fd[1], fd[1] = t;
}

static void reset(void)
{
	struct linger hard = {1, 0};

	MUST(setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &hard, sizeof hard) == 0);
	MUST(close(fd[1]) == 0);
}

static void unread(void) /* closed with data that nobody has read: a reset too */
{
	MUST(close(fd[1]) == 0);
}

static void half(void)
{
	MUST(shutdown(fd[1], SHUT_WR) == 0);
}

static pid_t holder;

static void killed(void)
{
	int st;

	MUST(close(fd[1]) == 0);
	MUST(kill(holder, SIGKILL) == 0 && waitpid(holder, &st, 0) == holder);
}

static void try(const char *what, int type, int kind, void (*end)(void))
{
	struct saw w = {kind, 0, 0, 0, 0};
	char c;

	open_pair(type, kind);
	if (end == killed && (holder = fork()) == 0)
		for (close(fd[0]);;)
			pause();
	if (end == unread)
		MUST(write(fd[0], "unread", 6) == 6);
	waiting = 0;
	pthread_t t = start(watches, &w);
	while (!__atomic_load_n(&waiting, __ATOMIC_RELAXED))
		usleep(500);
	usleep(3000);
	end();
	finish(t);
	/* What comes first to a writer whose peer died with data on the way is not said. */
	bool either = kind == WRITE && (w.err == EPIPE || w.err == ECONNRESET);
	say("%s, %s, %s: %ld %s %x", types[type], what, name[kind], w.r, either ? "broken" : errname(w.err), w.events);
	if (end == half)
		MUST(write(fd[0], "x", 1) == 1 && read(fd[1], &c, 1) == 1 && c == 'x' && close(fd[1]) == 0);
	close(fd[0]);
}

static void *rests(void *arg)
{
	for (;;)
		pause();
	return arg;
}

int main(void)
{
	struct sockaddr_in a;
	char c;

	signal(SIGPIPE, SIG_IGN);
	start(rests, NULL);
	for (int k = 0; k < KINDS; k++) {
		try("reset", TCP, k, reset);
		if (k != WRITE) {
			try("unread", TCP, k, unread);
			try("half", TCP, k, half);
			try("unread", UNIX, k, unread);
			try("half", UNIX, k, half);
			try("half", SEQ, k, half);
		}
		for (int type = TCP; type <= PIPE; type++)
			if (!(type == PIPE && k == RECVMSG))
				try("killed", type, k, killed);
	}
	/* Reset twice: told once, then the end. */
	tcp_pair(fd);
	reset();
	usleep(1000);
	SYS(read(fd[0], &c, 1));
	SYS(read(fd[0], &c, 1));
	SYS(send(fd[0], "x", 1, MSG_NOSIGNAL));
	close(fd[0]);
	/* The listener goes while a connection waits to be accepted. */
	int l = tcp_listen(&a, 5);
	fd[0] = tcp_connect(&a);
	close(l);
	SYS(read(fd[0], &c, 1));
	close(fd[0]);
	/* SO_LINGER: close waits until the data are taken, and no longer than it was told. */
	for (int i = 0; i < 2; i++) {
		struct linger soft = {1, i ? 1 : 30};
		tcp_pair(fd);
		MUST(setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &soft, sizeof soft) == 0);
		write_all(fd[0], "linger", 6);
		SYS(close(fd[0]));
		char b[8];
		SYS(read(fd[1], b, sizeof b));
		SYS(read(fd[1], b, sizeof b));
		close(fd[1]);
	}
	return 0;
}
