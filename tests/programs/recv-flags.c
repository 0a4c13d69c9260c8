/* SPDX-License-Identifier: MIT */
/* MSG_WAITALL, MSG_PEEK, MSG_TRUNC, MSG_OOB; reads and writes of no bytes; packets that keep their
 * bounds. recv(2) */
#include "net.h"

static int fd[2];

static void *in_parts(void *arg)
{
	const char *text = "one two three four";

	for (int i = 0; i < 18; i += 6) {
		MUST(write(fd[1], text + i, 6) == 6);
		usleep(2000);
	}
	return arg;
}

static void *late(void *arg)
{
	settle();
	MUST(write(fd[1], arg, strlen(arg)) == (ssize_t)strlen(arg));
	return NULL;
}

static void stream(const char *name)
{
	char buf[100] = "";
	pthread_t t = start(in_parts, NULL);

	say("%s", name);
	SYS(recv(fd[0], buf, 18, MSG_WAITALL));
	say("%s", buf);
	finish(t);
	t = start(late, "peek");
	SYS(recv(fd[0], buf, 2, MSG_PEEK));
	finish(t);
	SYS(recv(fd[0], buf, 99, MSG_PEEK));
	SYS(recv(fd[0], buf, 1, 0));
	SYS(recv(fd[0], buf, 99, MSG_PEEK | MSG_DONTWAIT));
	buf[3] = 0;
	say("%s", buf);
	SYS(recv(fd[0], buf, 99, MSG_DONTWAIT));
	SYS(recv(fd[0], buf, 99, MSG_PEEK | MSG_DONTWAIT));

	SYS(write(fd[1], "", 0));
	SYS(recv(fd[0], buf, 99, MSG_DONTWAIT)); /* nothing came of it */
	SYS(read(fd[0], buf, 0));
	SYS(send(fd[1], "", 0, 0));
	t = start(in_parts, NULL);
	SYS(recv(fd[0], buf, 18, MSG_WAITALL | MSG_PEEK) > 0);
	finish(t);
	SYS(recv(fd[0], buf, 18, MSG_WAITALL));
	/* The end comes before all is there. */
	MUST(write(fd[1], "short", 5) == 5);
	MUST(shutdown(fd[1], SHUT_WR) == 0);
	SYS(recv(fd[0], buf, 18, MSG_WAITALL));
	SYS(recv(fd[0], buf, 18, MSG_WAITALL));
	close(fd[0]);
	close(fd[1]);
}

static void packets(const char *name, int type)
{
	char buf[100];

	say("%s", name);
	MUST(socketpair(AF_UNIX, type, 0, fd) == 0);
	MUST(send(fd[1], "first", 5, 0) == 5 && send(fd[1], "", 0, 0) == 0 &&
	     send(fd[1], "third", 5, 0) == 5);
	SYS(recv(fd[0], buf, 3, MSG_PEEK | MSG_TRUNC));
	SYS(recv(fd[0], buf, 3, 0)); /* the rest is lost */
	SYS(recv(fd[0], buf, 99, 0));
	SYS(recv(fd[0], buf, 99, MSG_WAITALL));
	SYS(recv(fd[0], buf, 99, MSG_DONTWAIT));
	pthread_t t = start(late, "late");
	SYS(recv(fd[0], buf, 2, MSG_TRUNC));
	finish(t);
	close(fd[0]);
	close(fd[1]);
}

static void *all(void *arg)
{
	int p[2];
	char c;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	stream("socketpair");
	tcp_pair(fd);
	stream("tcp");
	packets("seqpacket", SOCK_SEQPACKET);
	packets("datagrams", SOCK_DGRAM);

	tcp_pair(fd);
	MUST(send(fd[1], "ab!", 3, MSG_OOB) == 3);
	struct pollfd pfd = {fd[0], POLLPRI, 0};
	SYS(poll(&pfd, 1, -1));
	SYS(recv(fd[0], &c, 1, MSG_OOB));
	say("urgent %c", c);
	SYS(recv(fd[0], &c, 1, 0));
	MUST(pipe(p) == 0);
	SYS(read(p[0], &c, 0));
	SYS(write(p[1], &c, 0));
	SYS(recv(p[0], &c, 1, 0));
	SYS(send(p[1], &c, 1, 0));
	SYS(read(p[1], &c, 1));
	SYS(write(p[0], &c, 1));
	SYS(recv(-1, &c, 1, 0));
	return arg;
}

int main(void)
{
	all(NULL);
	finish(start(all, NULL));
	return 0;
}
