/* SPDX-License-Identifier: MIT */
/* How connections end: half-close and end of file, reset, EPIPE and SIGPIPE, in calls that are
 * blocked and in later ones. shutdown(2), tcp(7), SO_LINGER in socket(7) */
#include "net.h"
#include <signal.h>

static int pipes;
static __thread int mine;

static void on_pipe(int sig)
{
	(void)sig;
	pipes++;
	mine++;
}

static void reset(int fd)
{
	struct linger l = {1, 0};

	MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0);
	MUST(close(fd) == 0);
}

static void *half_close(void *arg)
{
	int fd = (int)(intptr_t)arg;

	settle();
	MUST(write(fd, "last words", 10) == 10);
	MUST(shutdown(fd, SHUT_WR) == 0);
	char buf[20];
	MUST(read(fd, buf, sizeof buf) == 6); /* the other direction lives */
	MUST(read(fd, buf, sizeof buf) == 0);
	return NULL;
}

static void *reset_later(void *arg)
{
	settle();
	reset((int)(intptr_t)arg);
	return NULL;
}

static void *close_later(void *arg)
{
	settle();
	MUST(close((int)(intptr_t)arg) == 0);
	return NULL;
}

static void half(const char *name, int fd[2])
{
	char buf[100];

	say("%s", name);
	pthread_t t = start(half_close, (void *)(intptr_t)fd[1]);
	MUST(read_all(fd[0], buf, 10) == 10);
	SYS(read(fd[0], buf, sizeof buf));
	SYS(read(fd[0], buf, sizeof buf));
	SYS(write(fd[0], "answer", 6));
	MUST(close(fd[0]) == 0);
	finish(t);
	errno = 0;
	say("write after the other end closed: %s",
	    write(fd[1], "x", 1) < 0 ? errname(errno) : "went out");
	close(fd[1]);
}

static void *all(void *arg)
{
	int fd[2], p[2];
	char buf[100];
	static char big[8 << 20];
	int before = pipes;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	half("socketpair", fd);
	tcp_pair(fd);
	half("tcp", fd);

	say("reset of a blocked read");
	tcp_pair(fd);
	pthread_t t = start(reset_later, (void *)(intptr_t)fd[1]);
	SYS(read(fd[0], buf, sizeof buf));
	finish(t);
	SYS(read(fd[0], buf, sizeof buf));
	SYS(write(fd[0], "x", 1));
	SYS(send(fd[0], "x", 1, MSG_NOSIGNAL));
	close(fd[0]);

	say("reset of a blocked write");
	tcp_pair(fd);
	t = start(reset_later, (void *)(intptr_t)fd[1]);
	ssize_t n =
	    write(fd[0], big, sizeof big); /* a part, if the reset came after that was sent */
	while (n > 0)
		n = write(fd[0], big, sizeof big);
	say("%s", errno == EPIPE || errno == ECONNRESET ? "ended" : errname(errno));
	finish(t);
	close(fd[0]);

	say("reader of a pipe goes away");
	MUST(pipe(p) == 0);
	t = start(close_later, (void *)(intptr_t)p[0]);
	n = write(p[1], big, sizeof big);
	while (n > 0)
		n = write(p[1], big, sizeof big);
	say("blocked write: %s", errname(errno));
	SYS(write(p[1], "x", 1));
	finish(t);
	close(p[1]);

	say("other end of a socketpair goes away");
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	t = start(close_later, (void *)(intptr_t)fd[1]);
	n = write(fd[0], big, sizeof big);
	while (n > 0)
		n = write(fd[0], big, sizeof big);
	say("blocked write: %s", errno == EPIPE || errno == ECONNRESET ? "ended" : errname(errno));
	finish(t);
	close(fd[0]);
	say("SIGPIPE came, and to this thread: %d", pipes > before && pipes - before == mine);
	return arg;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_pipe};

	/* With a handler, which must run in the thread that wrote; then ignored. */
	MUST(sigaction(SIGPIPE, &sa, NULL) == 0);
	finish(start(all, NULL));
	signal(SIGPIPE, SIG_IGN);
	pipes = mine = 0;
	all(NULL);
	return 0;
}
