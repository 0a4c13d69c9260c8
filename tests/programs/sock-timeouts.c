/* SPDX-License-Identifier: MIT */
/* SO_RCVTIMEO and SO_SNDTIMEO: EAGAIN after the time, in every receiving and sending call and in
 * accept; partial counts; 0 is for ever. socket(7)
 *
 * With a time-out such a call ends with EINTR when the process is stopped or frozen and goes on, without any handler (signal(7)):
 * it is made again then. */
#include "net.h"
#include <sys/uio.h>

static void set(int fd, int what, long ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	MUST(setsockopt(fd, SOL_SOCKET, what, &tv, sizeof tv) == 0);
}

#define TIMED(ms, call)                                                                            \
	do {                                                                                       \
		double begin_ = ms_now();                                                          \
		long r_;                                                                           \
		do                                                                                 \
			r_ = (call);                                                               \
		while (r_ == -1 && errno == EINTR);                                                \
		t_sys(#call, r_);                                                                  \
		MUST(ms_now() - begin_ >= (ms)-11);                                                 \
	} while (0)

#define FULL(call)                                                                                 \
	do {                                                                                       \
		double begin_;                                                                     \
		do                                                                                 \
			begin_ = ms_now();                                                         \
		while ((call) > 0 || errno == EINTR);                                              \
		say("%s: %s", #call, errname(errno));                                              \
		MUST(ms_now() - begin_ >= 25);                                                     \
	} while (0)

static void *write_later(void *arg)
{
	settle();
	MUST(write((int)(intptr_t)arg, "late", 4) == 4);
	return NULL;
}

static void receive(const char *name, int fd[2])
{
	char buf[100];
	struct iovec v = {buf, sizeof buf};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	struct mmsghdr mm = {m, 0};
	struct pollfd p = {fd[0], POLLIN, 0};

	say("%s", name);
	set(fd[0], SO_RCVTIMEO, 40);
	TIMED(40, read(fd[0], buf, sizeof buf));
	TIMED(40, recv(fd[0], buf, sizeof buf, 0));
	TIMED(40, recvfrom(fd[0], buf, sizeof buf, 0, NULL, NULL));
	TIMED(40, readv(fd[0], &v, 1));
	TIMED(40, recvmsg(fd[0], &m, 0));
	TIMED(40, recvmmsg(fd[0], &mm, 1, 0, NULL));
	MUST(write(fd[1], "abc", 3) == 3);
	TIMED(40, recv(fd[0], buf, sizeof buf, MSG_WAITALL)); /* what there is, after the time */
	TIMED(60, poll(&p, 1, 60));			      /* has nothing to do with it */
	set(fd[0], SO_RCVTIMEO, 20000);
	pthread_t t = start(write_later, (void *)(intptr_t)fd[1]);
	SYS(read(fd[0], buf, sizeof buf));
	finish(t);
	set(fd[0], SO_RCVTIMEO, 0);
	t = start(write_later, (void *)(intptr_t)fd[1]);
	SYS(read(fd[0], buf, sizeof buf));
	finish(t);
	struct timeval bad = {0, 1000000};
	SYS(setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &bad, sizeof bad));
}

static void send_full(const char *name, int fd[2])
{
	static char big[16 << 20];
	int n = 4096;

	MUST(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &n, sizeof n) == 0);
	set(fd[0], SO_SNDTIMEO, 50);
	double begin = ms_now();
	ssize_t sent = send(fd[0], big, sizeof big, 0);
	say("%s: a part was sent: %d", name, sent > 0 && sent < (ssize_t)sizeof big);
	MUST(ms_now() - begin >= 25); /* the kernel counts in ticks, anew after each part */
	/* The kernel may find a little more room, at any time. */
	FULL(send(fd[0], big, sizeof big, 0));
	FULL(write(fd[0], big, sizeof big));
}

static void *all(void *arg)
{
	int fd[2];
	struct sockaddr_in a;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	receive("socketpair", fd);
	send_full("socketpair", fd);
	tcp_pair(fd);
	receive("tcp", fd);
	send_full("tcp", fd);

	int l = tcp_listen(&a, 5);
	set(l, SO_RCVTIMEO, 40);
	TIMED(40, accept(l, NULL, NULL));
	TIMED(40, accept4(l, NULL, NULL, SOCK_CLOEXEC));
	tcp_connect(&a);
	say("accept: %d", accept(l, NULL, NULL) >= 0);

	/* A full backlog of a unix socket makes connect wait, for SO_SNDTIMEO at most. */
	struct sockaddr_un u = unix_name("timeout.sock");
	l = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST(bind(l, (struct sockaddr *)&u, sizeof u) == 0 && listen(l, 0) == 0);
	fd[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	fd[1] = socket(AF_UNIX, SOCK_STREAM, 0);
	SYS(connect(fd[0], (struct sockaddr *)&u, sizeof u));
	set(fd[1], SO_SNDTIMEO, 40);
	TIMED(40, connect(fd[1], (struct sockaddr *)&u, sizeof u));
	MUST(unlink("timeout.sock") == 0);
	return arg;
}

int main(void)
{
	all(NULL);
	finish(start(all, NULL));
	return 0;
}
