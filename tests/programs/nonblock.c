/* SPDX-License-Identifier: MIT */
/* The program's own O_NONBLOCK and MSG_DONTWAIT give EAGAIN at once; taking O_NONBLOCK away makes
 * calls block again; and a blocking description never shows O_NONBLOCK, here or in another process.
 * fcntl(2), recv(2) */
#include "net.h"
#include <sys/ioctl.h>
#include <sys/wait.h>

static void *write_later(void *arg)
{
	settle();
	MUST(write((int)(intptr_t)arg, "late", 4) == 4);
	return NULL;
}

static void flags_in_child(const char *name, int fd)
{
	int st;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fcntl(fd, F_GETFL) & O_NONBLOCK ? 1 : 0);
	MUST(waitpid(pid, &st, 0) == pid);
	say("%s: O_NONBLOCK here %d, in a child %d", name, (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0,
	    WEXITSTATUS(st));
}

static void fd_flags(const char *name, int rd, int wr)
{
	static char big[16 << 20];
	char buf[100];
	int on = 1, off = 0;

	flags_in_child(name, rd);
	MUST(fcntl(rd, F_SETFL, fcntl(rd, F_GETFL) | O_NONBLOCK) == 0);
	SYS(read(rd, buf, sizeof buf));
	int d = dup(rd);
	SYS(read(d, buf, sizeof buf)); /* one description, two numbers */
	MUST(fcntl(d, F_SETFL, fcntl(d, F_GETFL) & ~O_NONBLOCK) == 0);
	pthread_t t = start(write_later, (void *)(intptr_t)wr);
	SYS(read(rd, buf, sizeof buf));
	finish(t);
	MUST(ioctl(rd, FIONBIO, &on) == 0);
	SYS(read(rd, buf, sizeof buf));
	MUST(ioctl(rd, FIONBIO, &off) == 0);
	t = start(write_later, (void *)(intptr_t)wr);
	SYS(read(d, buf, sizeof buf));
	finish(t);
	close(d);
	MUST(fcntl(wr, F_SETFL, fcntl(wr, F_GETFL) | O_NONBLOCK) == 0);
	ssize_t n = write(wr, big, sizeof big), more;
	say("a part: %d", n > 0 && n < (ssize_t)sizeof big);
	while ((more = write(wr, big, sizeof big)) > 0)
		;
	say("full: %s", errname(errno));
	flags_in_child(name, rd);
}

static void *all(void *arg)
{
	int p[2], s[2], tcp[2], e;
	char buf[100];
	struct sockaddr_in a;
	socklen_t len = sizeof e;

	MUST(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	tcp_pair(tcp);
	SYS(recv(s[0], buf, 1, MSG_DONTWAIT));
	SYS(recv(tcp[0], buf, 1, MSG_DONTWAIT));
	flags_in_child("socketpair", s[0]);
	fd_flags("pipe", p[0], p[1]);
	fd_flags("socketpair", s[0], s[1]);
	fd_flags("tcp", tcp[0], tcp[1]);

	MUST(pipe2(p, O_NONBLOCK) == 0);
	SYS(read(p[0], buf, 1));
	int l = tcp_listen(&a, 5);
	flags_in_child("listener", l);
	int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	MUST(fcntl(l, F_SETFL, O_NONBLOCK) == 0);
	SYS(accept(l, NULL, NULL));
	int r = connect(c, (struct sockaddr *)&a, sizeof a);
	MUST(r == 0 || errno == EINPROGRESS);
	struct pollfd pfd = {c, POLLOUT, 0};
	SYS(poll(&pfd, 1, -1));
	MUST(getsockopt(c, SOL_SOCKET, SO_ERROR, &e, &len) == 0);
	say("connected: %s", errname(e));
	pfd = (struct pollfd){l, POLLIN, 0};
	SYS(poll(&pfd, 1, -1));
	int f = accept4(l, NULL, NULL, SOCK_NONBLOCK);
	SYS(read(f, buf, 1));
	SYS(read(c, buf, 1));
	MUST(fcntl(l, F_SETFL, 0) == 0);
	tcp_connect(&a);
	f = accept(l, NULL, NULL);
	say("accepted: O_NONBLOCK %d, TCP_NODELAY %d", (fcntl(f, F_GETFL) & O_NONBLOCK) != 0,
	    getsockopt(f, IPPROTO_TCP, TCP_NODELAY, &e, &len) ? -1 : e);
	flags_in_child("listener", l);
	return arg;
}

int main(void)
{
	all(NULL);
	finish(start(all, NULL));
	return 0;
}
