/* SPDX-License-Identifier: MIT */
/* dup, dup2, dup3, F_DUPFD: two numbers for one file block and wake together; closing one leaves
 * the other; dup2 over a number changes what it means at once. dup(2) */
#include "net.h"
#include <signal.h>

struct job {
	int fd;
};

static void *reads(void *arg)
{
	struct job *j = arg;
	char c;

	MUST(read(j->fd, &c, 1) == 1);
	return (void *)(intptr_t)c;
}

static void *any_end(void *arg)
{
	char c;

	(void)!read((int)(intptr_t)arg, &c, 1);
	return NULL;
}

int main(void)
{
	int a[2], b[2], d, e;
	pthread_t t[3];
	char c;

	signal(SIGPIPE, SIG_IGN);

	/* One pipe, three numbers, a reader on each. */
	MUST(pipe(a) == 0);
	d = dup(a[0]);
	e = fcntl(a[0], F_DUPFD_CLOEXEC, 100);
	say("F_DUPFD from 100: %d, close-on-exec %d", e, fcntl(e, F_GETFD));
	struct job j[3] = {{a[0]}, {d}, {e}};
	for (int i = 0; i < 3; i++)
		t[i] = start(reads, &j[i]);
	settle();
	MUST(write(a[1], "xyz", 3) == 3);
	int sum = 0;
	for (int i = 0; i < 3; i++)
		sum += (int)(intptr_t)finish(t[i]);
	say("read through three numbers: %d", sum == 'x' + 'y' + 'z');

	/* A reader on one number; another number for the same file is closed: no effect. */
	for (int i = 0; i < scaled(100); i++) {
		t[0] = start(reads, &j[1]);
		if (i % 10 == 0)
			settle();
		int f = dup(d);
		MUST(close(f) == 0);
		MUST(write(a[1], "k", 1) == 1);
		MUST(finish(t[0]) == (void *)'k');
	}
	t[0] = start(reads, &j[1]);
	settle();
	MUST(close(a[0]) == 0 && close(e) == 0);
	MUST(write(a[1], "w", 1) == 1);
	say("the number that stays still works: %c", (int)(intptr_t)finish(t[0]));

	/* dup2 over a number that has been read from: it means the other file now. */
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, b) == 0);
	for (int i = 0; i < scaled(300); i++) {
		int p[2], q[2];
		MUST(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, q) == 0);
		int n = 200 + i % 3;
		MUST((i % 2 ? dup2(p[0], n) : dup3(p[0], n, O_CLOEXEC)) == n);
		struct job r = {n};
		t[0] = start(reads, &r);
		MUST(write(p[1], "p", 1) == 1);
		MUST(finish(t[0]) == (void *)'p');
		MUST(dup2(q[0], n) == n);
		t[0] = start(reads, &r);
		if (i % 50 == 0)
			settle();
		MUST(write(p[1], "no", 2) == 2); /* not for this number any more */
		MUST(write(q[1], "q", 1) == 1);
		MUST(finish(t[0]) == (void *)'q');
		for (int k = 0; k < 2; k++)
			MUST(close(p[k]) == 0 && close(q[k]) == 0);
	}
	say("dup2 over and over");

	signal(SIGPIPE, SIG_IGN);
	/* dup2 over a number on which a thread is blocked: it comes back when its old file says so;
	 * new reads are of the new file. */
	MUST(pipe(a) == 0);
	t[0] = start(any_end, (void *)(intptr_t)a[0]);
	settle();
	MUST(dup2(b[0], a[0]) == a[0]);
	MUST(write(b[1], "new", 3) == 3);
	settle();
	(void)!write(a[1], "old", 3);
	MUST(close(a[1]) == 0);
	finish(t[0]);
	ssize_t n = recv(a[0], &c, 1, MSG_DONTWAIT);
	say("read from the new file: %zd, from the stream of \"new\": %d", n,
	    strchr("new", c) != NULL);

	SYS(dup(-1));
	SYS(dup2(-1, 5));
	SYS(dup2(b[0], -1));
	SYS(dup2(a[1], a[1]));
	SYS(dup2(b[0], b[0]) == b[0]);
	SYS(dup3(b[0], b[0], 0));
	SYS(dup3(b[0], 50, 12345));
	SYS(close(-1));
	SYS(close(a[1]));
	return 0;
}
