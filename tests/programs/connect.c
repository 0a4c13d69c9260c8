/* SPDX-License-Identifier: MIT */
/* connect: refused, no such name, twice, non-blocking, and to a unix socket whose backlog is full.
 * connect(2), unix(7) */
#include "net.h"

static struct sockaddr_un name;

static void *client(void *arg)
{
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	char c;

	MUST(connect(s, (struct sockaddr *)&name, sizeof name) == 0); /* waits for its turn */
	MUST(write(s, "c", 1) == 1);
	MUST(read(s, &c, 1) == 1 && c == 's');
	MUST(close(s) == 0);
	return arg;
}

static void full_backlog(void)
{
	int l = socket(AF_UNIX, SOCK_STREAM, 0),
	    n = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	pthread_t t[30];
	char c;

	name = unix_name("full.sock");
	MUST(bind(l, (struct sockaddr *)&name, sizeof name) == 0);
	SYS(connect(n, (struct sockaddr *)&name, sizeof name)); /* bound, does not listen */
	MUST(listen(l, 1) == 0);
	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(client, NULL);
	settle();
	for (int i = 0; i < NELEM(t); i++) {
		int s = accept(l, NULL, NULL);
		MUST(s >= 0 && read(s, &c, 1) == 1 && c == 'c' && write(s, "s", 1) == 1);
		MUST(close(s) == 0);
	}
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	say("%d clients through a backlog of 1", NELEM(t));

	/* Fill it, then one that will not wait. */
	int k[3];
	for (int i = 0; i < 2; i++) {
		k[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		SYS(connect(k[i], (struct sockaddr *)&name, sizeof name));
	}
	SYS(connect(n, (struct sockaddr *)&name, sizeof name));
	MUST(unlink("full.sock") == 0);
	SYS(connect(n, (struct sockaddr *)&name, sizeof name));
	close(l);
	SYS(read(k[0], &c, 1)); /* was never accepted */
}

static void *all(void *arg)
{
	struct sockaddr_in a;
	int l = tcp_listen(&a, 5), s = socket(AF_INET, SOCK_STREAM, 0), closed, e;
	socklen_t len = sizeof e;

	SYS(connect(s, (struct sockaddr *)&a, sizeof a));
	SYS(connect(s, (struct sockaddr *)&a, sizeof a));
	say("blocking still: %d", !(fcntl(s, F_GETFL) & O_NONBLOCK));
	close(s);
	close(l);
	closed = bound(SOCK_STREAM, &a); /* does not listen, and keeps others off the port */
	s = socket(AF_INET, SOCK_STREAM, 0);
	SYS(connect(s, (struct sockaddr *)&a, sizeof a));
	SYS(connect(s, (struct sockaddr *)&a, sizeof a));
	SYS(connect(s, (struct sockaddr *)&a, 3));
	MUST(getsockopt(s, SOL_SOCKET, SO_ERROR, &e, &len) == 0);
	say("error left: %s", errname(e));
	close(s);
	SYS(connect(s, (struct sockaddr *)&a, sizeof a));

	s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int r = connect(s, (struct sockaddr *)&a, sizeof a);
	MUST(r == -1 && (errno == EINPROGRESS || errno == ECONNREFUSED));
	if (errno == EINPROGRESS) {
		struct pollfd p = {s, POLLOUT, 0};
		MUST(poll(&p, 1, -1) == 1 && getsockopt(s, SOL_SOCKET, SO_ERROR, &e, &len) == 0);
		errno = e;
	}
	say("non-blocking: %s", errname(errno));
	close(s);
	close(closed);
	full_backlog();
	return arg;
}

int main(void)
{
	all(NULL);
	finish(start(all, NULL));
	return 0;
}
