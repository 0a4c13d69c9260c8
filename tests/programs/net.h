/* SPDX-License-Identifier: MIT */
/* Loopback sockets on free ports, for the programs about them. */
#ifndef NET_H
#define NET_H

#include "t.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

static inline struct sockaddr_in loopback(int port)
{
	struct sockaddr_in a;

	memset(&a, 0, sizeof a);
	a.sin_family = AF_INET;
	a.sin_port = htons(port);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

/* A socket bound to a free port of loopback; *a is its address. */
static inline int bound(int type, struct sockaddr_in *a)
{
	int s = socket(AF_INET, type, 0);
	socklen_t len = sizeof *a;

	MUST(s >= 0);
	*a = loopback(0);
	MUST(bind(s, (struct sockaddr *)a, len) == 0);
	MUST(getsockname(s, (struct sockaddr *)a, &len) == 0);
	return s;
}

static inline int tcp_listen(struct sockaddr_in *a, int backlog)
{
	int s = bound(SOCK_STREAM, a);

	MUST(listen(s, backlog) == 0);
	return s;
}

static inline int tcp_connect(const struct sockaddr_in *a)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);

	MUST(s >= 0);
	MUST(connect(s, (const struct sockaddr *)a, sizeof *a) == 0);
	return s;
}

/* Two ends of one TCP connection. */
static inline void tcp_pair(int fd[2])
{
	struct sockaddr_in a;
	int l = tcp_listen(&a, 1);

	fd[0] = tcp_connect(&a);
	fd[1] = accept(l, NULL, NULL);
	MUST(fd[1] >= 0);
	MUST(close(l) == 0);
}

/* A unix address in the current folder, which is the test's own. */
static inline struct sockaddr_un unix_name(const char *name)
{
	struct sockaddr_un a;

	memset(&a, 0, sizeof a);
	a.sun_family = AF_UNIX;
	snprintf(a.sun_path, sizeof a.sun_path, "%s", name);
	return a;
}

#endif
