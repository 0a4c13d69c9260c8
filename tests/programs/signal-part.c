/* SPDX-License-Identifier: MIT */
/* A handler runs when some of a transfer is done, and the rest must be waited for: the call returns
 * what was done, with SA_RESTART as without. write(2), recv(2), signal(7) */
#include "net.h"
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static _Atomic bool done;
static pthread_t self;
static char big[64 << 20]; /* more than any buffer grows to */

static void on_usr1(int sig)
{
	(void)sig;
}

static void *signals(void *arg)
{
	settle();
	for (; !done; usleep(3000))
		OK(pthread_kill(self, SIGUSR1));
	return arg;
}

#define TRY(call)                                                                                  \
	do {                                                                                       \
		done = false;                                                                      \
		pthread_t t_ = start(signals, NULL);                                               \
		long r_ = (long)(call);                                                            \
		int e_ = errno;                                                                    \
		done = true;                                                                       \
		finish(t_);                                                                        \
		say("  %s: %ld %s", #call, r_, r_ == -1 ? errname(e_) : "");                       \
	} while (0)

/* Between nothing and everything. */
static bool some(ssize_t n)
{
	return n > 0 && n < (ssize_t)sizeof big;
}

static void both(void (*pair)(int s[2]))
{
	struct iovec v[2] = {{big, 1000}, {big, sizeof big - 1000}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
	int s[2], fd;

	for (int i = 0; i < 5; i++) {
		pair(s);
		if (i == 0)
			TRY(some(write(s[1], big, sizeof big)));
		else if (i == 1)
			TRY(some(send(s[1], big, sizeof big, 0)));
		else if (i == 2)
			TRY(some(writev(s[1], v, 2)));
		else if (i == 3)
			TRY(some(sendmsg(s[1], &m, 0)));
		else {
			MUST((fd = open("file", O_RDWR | O_CREAT, 0600)) >= 0 &&
			     ftruncate(fd, sizeof big) == 0);
			TRY(some(sendfile(s[1], fd, NULL, sizeof big)));
			close(fd);
		}
		MUST(write(s[0], "abc", 3) == 3);
		struct pollfd p = {s[1], POLLIN, 0};
		MUST(poll(&p, 1, -1) == 1);
		if (i % 2)
			TRY(recv(s[1], big, 10, MSG_WAITALL));
		else
			TRY(recvmsg(s[1], &m, MSG_WAITALL));
		MUST(close(s[0]) == 0 && close(s[1]) == 0);
	}
}

static void unix_pair(int s[2])
{
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
}

static void *all(void *arg)
{
	struct iovec v[2] = {{big, 40000}, {big, 100000}};
	int p[2];

	self = pthread_self();
	for (int restart = 0; restart < 2; restart++) {
		struct sigaction sa = {.sa_handler = on_usr1, .sa_flags = restart ? SA_RESTART : 0};
		MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
		say("%s, %s", (char *)arg, restart ? "SA_RESTART" : "plain");
		MUST(pipe(p) == 0);
		TRY(write(p[1], big, 200000));
		MUST(close(p[0]) == 0 && close(p[1]) == 0 && pipe(p) == 0);
		TRY(writev(p[1], v, 2));
		MUST(close(p[0]) == 0 && close(p[1]) == 0);
		both(tcp_pair);
		both(unix_pair);
	}
	return arg;
}

int main(void)
{
	all("main");
	finish(start(all, "thread"));
	all("main again");
	return 0;
}
