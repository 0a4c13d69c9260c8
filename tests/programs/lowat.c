/* SPDX-License-Identifier: MIT */
/* SO_RCVLOWAT: a read waits until so many bytes are there, or the end or the time has come,
 * whenever and on whichever socket it was set: before the first thread, on a listener, on one that
 * has less already. socket(7) */
#include "net.h"
#include <sys/uio.h>

static void *sends(void *arg)
{
	int fd = (int)(intptr_t)arg;

	settle();
	MUST(write(fd, "01234567890123456789", 20) == 20);
	return NULL;
}

static void low(int fd)
{
	int n = 10;

	MUST(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &n, sizeof n) == 0);
}

/* Three bytes are there, the others come later. */
static void tries(const char *what, int fd[2], int how)
{
	char b[100];
	struct iovec v[2] = {{b, 2}, {b + 2, 98}};
	struct pollfd p = {fd[0], POLLIN, 0};
	ssize_t n = 0;

	MUST(write(fd[1], "abc", 3) == 3);
	pthread_t t = start(sends, (void *)(intptr_t)fd[1]);
	switch (how % 4) {
	case 0:
		n = recv(fd[0], b, sizeof b, 0);
		break;
	case 1:
		n = read(fd[0], b, sizeof b);
		break;
	case 2:
		n = readv(fd[0], v, 2);
		break;
	case 3:
		MUST(poll(&p, 1, -1) == 1);
		n = recv(fd[0], b, sizeof b, MSG_DONTWAIT);
	}
	finish(t);
	say("%s %d: %zd", what, how, n);
}

int main(void)
{
	struct timeval tv = {0, 30000};
	struct sockaddr_in a;
	int l = tcp_listen(&a, 3), tcp[2], un[2], conn[2];
	char b[100];

	tcp_pair(tcp);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, un) == 0);
	low(tcp[0]);
	low(un[0]);
	low(l);
	for (int how = 0; how < 4; how++) {
		tries("TCP", tcp, how);
		if (how != 3) /* poll knows no low-water mark there */
			tries("Unix", un, how);
		conn[1] = tcp_connect(&a);
		MUST((conn[0] = accept(l, NULL, NULL)) >= 0);
		tries("accepted", conn, how);
		MUST(setsockopt(conn[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
		MUST(write(conn[1], "abc", 3) == 3);
		say("in time: %zd", recv(conn[0], b, sizeof b, 0));
		SYS(recv(conn[0], b, sizeof b, 0));
		MUST(close(conn[0]) == 0 && close(conn[1]) == 0);
	}
	tcp_pair(tcp); /* with threads */
	low(tcp[0]);
	tries("TCP", tcp, 0);
	MUST(write(tcp[1], "abc", 3) == 3 && shutdown(tcp[1], SHUT_WR) == 0);
	say("at the end: %zd", recv(tcp[0], b, sizeof b, 0));
	return 0;
}
