/* SPDX-License-Identifier: MIT */
/* What -D_FORTIFY_SOURCE turns calls into (__read_chk, __recv_chk, __poll_chk, ...) blocks and
 * wakes like the plain calls. feature_test_macros(7) */
#ifdef __OPTIMIZE__
#undef _FORTIFY_SOURCE
#define _FORTIFY_SOURCE 2
#endif
#include "net.h"
#include <sys/select.h>

/* Not known to the compiler: the checks stay. */
static volatile size_t len = 1, room = 10;

static void *sends(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 6; i++) {
		usleep(1000);
		MUST(write(fd, "x", 1) == 1);
	}
	MUST(write(fd, "a line\n", 7) == 7);
	return NULL;
}

static void all(const char *name, int fd[2])
{
	char buf[10];
	struct pollfd p[1] = {{fd[0], POLLIN, 0}};
	volatile nfds_t n = 1;
	socklen_t alen = 0;
	fd_set r;
	bool sock = strcmp(name, "pipe");
	pthread_t t = start(sends, &fd[1]);

	FD_ZERO(&r);
	FD_SET(p[len - 1].fd, &r);
	MUST(read(fd[0], buf, len) == 1);
	MUST(poll(p, n, -1) == 1);
	MUST((sock ? recv(fd[0], buf, len, 0) : read(fd[0], buf, len)) == 1);
	MUST(ppoll(p, n, NULL, NULL) == 1);
	MUST((sock ? recvfrom(fd[0], buf, len, 0, NULL, &alen) : read(fd[0], buf, len)) == 1);
	MUST(select(fd[0] + 1, &r, NULL, NULL, NULL) == 1 && FD_ISSET(p[len - 1].fd, &r));
	for (int i = 0; i < 3; i++)
		MUST(read(fd[0], buf, 1) == 1);
	FILE *f = fdopen(fd[0], "r");
	MUST(fgets(buf, (int)room, f) && !strcmp(buf, "a line\n"));
	finish(t);
	fclose(f);
	close(fd[1]);
	say("%s", name);
}

int main(void)
{
	int fd[2];

	MUST(pipe(fd) == 0);
	all("pipe", fd);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	all("socketpair", fd);
	tcp_pair(fd);
	all("tcp", fd);
	return 0;
}
