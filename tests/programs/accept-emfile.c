/* SPDX-License-Identifier: MIT */
/* No number is left for another descriptor: accept says so at once, whether a connection waits or
 * not, and so does all else that makes one. The connection is taken when a number is free again.
 * accept(2), getrlimit(2) */
#include "net.h"
#include <sys/epoll.h>
#include <sys/resource.h>

enum { MOST = 40 };
static int l;
static struct sockaddr_in addr;

static void *accepts(void *arg)
{
	struct sockaddr_in a;
	socklen_t len = sizeof a;
	int s = accept(l, (struct sockaddr *)&a, &len);

	say("%s: %s", (char *)arg, s >= 0 ? "accepted" : errname(errno));
	if (s >= 0)
		MUST(close(s) == 0);
	return arg;
}

static void *waits(void *arg)
{
	pause();
	return arg;
}

static void fills(void)
{
	while (dup(0) >= 0)
		;
	say("all taken: %s", errname(errno));
}

static void others(void)
{
	int p[2];

	SYS(accept4(l, NULL, NULL, SOCK_CLOEXEC));
	SYS(socket(AF_INET, SOCK_STREAM, 0));
	SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	SYS(pipe(p));
	SYS(open("/dev/null", O_RDONLY));
	SYS(epoll_create1(0));
	SYS(fcntl(0, F_DUPFD, 3));
	SYS(fcntl(0, F_DUPFD, MOST));
	SYS(dup2(0, MOST));
	SYS(dup3(0, MOST - 1, 0) >= 0);
	FILE *f = fopen("/dev/null", "r");
	say("fopen: %s", f ? "opened" : errname(errno));
	f = popen("true", "r");
	say("popen: %s", f ? "opened" : errname(errno));
}

int main(void)
{
	struct rlimit r = {MOST, MOST};
	int s;

	l = tcp_listen(&addr, 5);
	start(waits, NULL);
	MUST(setrlimit(RLIMIT_NOFILE, &r) == 0);
	fills();
	finish(start(accepts, "a thread, nobody connects"));
	accepts("main, nobody connects");
	others();
	MUST(close(MOST - 1) == 0);
	s = tcp_connect(&addr);
	finish(start(accepts, "a thread, one waits"));
	accepts("main, one waits");
	MUST(close(s) == 0);
	finish(start(accepts, "a thread, a number is free"));
	MUST(close(MOST - 2) == 0);
	pthread_t t = start(accepts, "a thread that waits");
	settle();
	s = tcp_connect(&addr);
	finish(t);
	start(waits, NULL); /* needs none */
	return 0;
}
