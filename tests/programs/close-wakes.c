/* SPDX-License-Identifier: MIT */
/* shutdown while others are blocked in read, recv, write, accept and poll wakes them all; after
 * close by another thread the blocked ones come back when the other end acts (what they return is
 * not defined, and not printed). shutdown(2), close(2) */
#include "net.h"
#include <signal.h>

static int fd[2], l, back;

static void *reads(void *arg)
{
	char c;
	ssize_t n = arg ? recv(fd[0], &c, 1, 0) : read(fd[0], &c, 1);

	MUST(n == 0);
	return NULL;
}

static void *writes(void *arg)
{
	static char big[4 << 20];
	ssize_t n;

	while ((n = write(fd[0], big, sizeof big)) > 0)
		;
	MUST(n == -1 && errno == EPIPE);
	return arg;
}

static void *polls(void *arg)
{
	struct pollfd p = {fd[0], POLLIN | POLLRDHUP, 0};

	MUST(poll(&p, 1, -1) == 1 && (p.revents & (POLLIN | POLLRDHUP)) == (POLLIN | POLLRDHUP));
	return arg;
}

static void *accepts(void *arg)
{
	MUST(accept(l, NULL, NULL) == -1);
	MUST(errno == EINVAL);
	return arg;
}

static void *comes_back(void *arg)
{
	char c;

	(void)!read((int)(intptr_t)arg, &c, 1);
	__atomic_add_fetch(&back, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void wake(const char *name)
{
	pthread_t t[12];

	for (int i = 0; i < 8; i++)
		t[i] = start(i % 3 ? polls : reads, (void *)(intptr_t)(i % 2));
	t[8] = start(reads, NULL);
	settle();
	SYS(shutdown(fd[0], SHUT_RD));
	for (int i = 0; i < 9; i++)
		finish(t[i]);
	say("%s: readers and pollers woke", name);
	for (int i = 0; i < 3; i++)
		t[i] = start(writes, NULL);
	settle();
	SYS(shutdown(fd[0], SHUT_WR));
	for (int i = 0; i < 3; i++)
		finish(t[i]);
	say("%s: writers woke", name);
	close(fd[0]);
	close(fd[1]);
}

int main(void)
{
	struct sockaddr_in a;
	struct sockaddr_un u = unix_name("wakes.sock");
	pthread_t t[8];

	signal(SIGPIPE, SIG_IGN);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	wake("socketpair");
	tcp_pair(fd);
	wake("tcp");
	for (int k = 0; k < 2; k++) {
		if (k == 0) {
			l = tcp_listen(&a, 5);
		} else {
			l = socket(AF_UNIX, SOCK_STREAM, 0);
			MUST(bind(l, (struct sockaddr *)&u, sizeof u) == 0 && listen(l, 5) == 0);
		}
		for (int i = 0; i < 8; i++)
			t[i] = start(accepts, NULL);
		settle();
		SYS(shutdown(l, SHUT_RDWR));
		for (int i = 0; i < 8; i++)
			finish(t[i]);
		close(l);
		say("acceptors woke");
	}

	/* close: the number is free at once, and the blocked thread does not stay for ever. */
	for (int i = 0; i < scaled(50); i++) {
		int p[2], q[2];
		MUST((i % 2 ? pipe(p) : socketpair(AF_UNIX, SOCK_STREAM, 0, p)) == 0);
		t[0] = start(comes_back, (void *)(intptr_t)p[0]);
		if (i % 5 == 0)
			settle();
		MUST(close(p[0]) == 0);
		MUST(pipe(q) == 0 && q[0] == p[0]); /* the same number, another pipe */
		MUST(write(q[1], "q", 1) == 1);
		(void)!write(p[1], "p", 1);
		MUST(close(p[1]) == 0);
		finish(t[0]);
		close(q[0]);
		close(q[1]);
	}
	say("closed under a reader: all came back: %d", back == scaled(50));
	return 0;
}
