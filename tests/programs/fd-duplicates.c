/* SPDX-License-Identifier: MIT */
/* Threads wait on one number while others of the same file, or of other files, come and go: dup, dup2, dup3, F_DUPFD,
 * close_range, closefrom. The waiting ones get what is sent, once each. dup(2), fcntl(2) */
#include "net.h"
#include <linux/close_range.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>

enum { READ, RECV, POLL, SELECT, EPOLL, KINDS };
static int waiting;

struct job {
	int fd, kind, got;
};

static void *waits(void *arg)
{
	struct job *j = arg;
	struct pollfd p = {j->fd, POLLIN, 0};
	struct epoll_event ev = {.events = EPOLLIN};
	fd_set set;
	int ep = j->kind == EPOLL ? epoll_create1(0) : -1; /* before anybody counts on numbers */
	char c;

	__atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
	switch (j->kind) {
	case RECV:
		MUST(recv(j->fd, &c, 1, 0) == 1);
		j->got = c;
		return NULL;
	case POLL:
		MUST(poll(&p, 1, -1) == 1 && p.revents == POLLIN);
		break;
	case SELECT:
		FD_ZERO(&set);
		FD_SET(j->fd, &set);
		MUST(select(j->fd + 1, &set, NULL, NULL, NULL) == 1);
		break;
	case EPOLL:
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, j->fd, &ev) == 0);
		MUST(epoll_wait(ep, &ev, 1, -1) == 1);
		MUST(close(ep) == 0);
		break;
	default:
		break;
	}
	MUST(read(j->fd, &c, 1) == 1);
	j->got = c;
	return NULL;
}

/* One of each kind waits on its own pair; the others are made and closed around them. */
static void around(int type, int round)
{
	int s[KINDS][2], d[KINDS], low;
	struct job job[KINDS];
	pthread_t t[KINDS];

	for (int k = 0; k < KINDS; k++) {
		MUST(type ? socketpair(AF_UNIX, type, 0, s[k]) == 0 : (tcp_pair(s[k]), true));
		job[k] = (struct job){s[k][0], k, 0};
	}
	waiting = 0;
	for (int k = 0; k < KINDS; k++)
		t[k] = start(waits, &job[k]);
	while (__atomic_load_n(&waiting, __ATOMIC_RELAXED) < KINDS)
		usleep(1000);
	usleep(2000);
	for (int k = 0; k < KINDS; k++) {
		d[k] = k % 2 ? dup(s[k][0]) : fcntl(s[k][0], F_DUPFD_CLOEXEC, 400 + k);
		MUST(d[k] >= 0);
	}
	low = fcntl(0, F_DUPFD, 500);
	MUST(low == 500 && dup3(0, 501, O_CLOEXEC) == 501 && dup2(501, 502) == 502);
	MUST(dup2(502, 502) == 502 && dup3(0, 0, 0) == -1 && errno == EINVAL);
	MUST(dup2(-1, 502) == -1 && errno == EBADF && fcntl(502, F_GETFD) == 0);
	MUST(dup2(0, 1 << 30) == -1 && errno == EBADF && fcntl(0, F_DUPFD, 1 << 30) == -1 && errno == EINVAL);
	MUST(close_range(500, 510, 0) == 0 && fcntl(500, F_GETFD) == -1 && fcntl(502, F_GETFD) == -1);
	for (int k = 0; k < KINDS; k++) /* over the duplicate: the waiting number is not meant */
		MUST(round % 2 ? close(d[k]) == 0 : dup2(0, d[k]) == d[k]);
	for (int k = 0; k < KINDS; k++)
		MUST(write(s[k][1], &"abcde"[k], 1) == 1);
	for (int k = 0; k < KINDS; k++) {
		finish(t[k]);
		MUST(job[k].got == 'a' + k);
		close(s[k][0]), close(s[k][1]);
		if (round % 2 == 0)
			close(d[k]);
	}
}

/* The first number is closed while its duplicate is waited for. */
static void first_closed(int type, int kind)
{
	int s[2], d;
	struct job job;

	MUST(type ? socketpair(AF_UNIX, type, 0, s) == 0 : (tcp_pair(s), true));
	job = (struct job){d = dup(s[0]), kind, 0};
	waiting = 0;
	pthread_t t = start(waits, &job);
	while (!__atomic_load_n(&waiting, __ATOMIC_RELAXED))
		usleep(1000);
	usleep(1000);
	MUST(close(s[0]) == 0);
	MUST(open("/dev/null", O_RDONLY) == s[0]);
	MUST(write(s[1], "f", 1) == 1);
	finish(t);
	MUST(job.got == 'f');
	close(s[0]), close(s[1]), close(d);
}

int main(void)
{
	int type[] = {0, SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};

	for (int i = 0; i < NELEM(type); i++) {
		for (int r = 0; r < scaled(10); r++)
			around(type[i], r);
		for (int k = 0; k < KINDS; k++)
			first_closed(type[i], k);
		say("type %d", type[i]);
	}
	int s[2], p[2], high;
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	struct job job = {s[0], RECV, 0};
	pthread_t t = start(waits, &job);
	settle();
	MUST(pipe(p) == 0 && (high = fcntl(p[0], F_DUPFD, 100)) >= 100);
	MUST(close_range(s[1] + 1, ~0u, CLOSE_RANGE_CLOEXEC) == 0 && fcntl(high, F_GETFD) == FD_CLOEXEC);
	closefrom(s[1] + 1);
	SYS(fcntl(high, F_GETFD));
	MUST(write(s[1], "r", 1) == 1);
	finish(t);
	say("range: %c", job.got);
	return 0;
}
