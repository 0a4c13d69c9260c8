/* SPDX-License-Identifier: MIT */
/* Many threads in poll and select on the same descriptors: one event wakes all of them; and the
 * loop poll-then-read, as most daemons have it, on many connections at once. poll(2) */
#include "net.h"
#include <sys/select.h>

#define N 40

static int p[2], q[2], stop;

static void *polls(void *arg)
{
	struct pollfd f[2] = {{p[0], POLLIN, 0}, {q[0], POLLIN, 0}};
	int id = (int)(intptr_t)arg;

	if (id % 3 == 0) {
		fd_set r;
		FD_ZERO(&r);
		FD_SET(p[0], &r);
		MUST(select(p[0] + 1, &r, NULL, NULL, NULL) == 1 && FD_ISSET(p[0], &r));
	} else {
		MUST(poll(f, 1 + id % 2, id % 4 ? -1 : 30000) == 1);
		MUST(f[0].revents == POLLIN && f[1].revents == 0);
	}
	return NULL;
}

/* One connection of a daemon: poll with a time-out, read, answer. */
static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	struct pollfd f = {fd, POLLIN, 0};
	char buf[300];

	for (;;) {
		int n = poll(&f, 1, 20000);
		MUST(n == 1);
		ssize_t got = read(fd, buf, sizeof buf);
		if (got == 0)
			break;
		MUST(got > 0 && write(fd, buf, got) == got);
	}
	MUST(close(fd) == 0);
	__atomic_add_fetch(&stop, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *client(void *arg)
{
	struct sockaddr_in *a = arg;
	int fd = tcp_connect(a);
	unsigned char out[200], in[200];

	for (int i = 0; i < scaled(100); i++) {
		size_t n = 1 + i % 199;
		fill(out, n, fd, i);
		MUST(write(fd, out, n) == (ssize_t)n);
		MUST(read_all(fd, in, n) == n && !memcmp(in, out, n));
	}
	MUST(close(fd) == 0);
	return NULL;
}

int main(void)
{
	pthread_t t[N], c[N];
	char b;
	struct sockaddr_in a;
	int l = tcp_listen(&a, N);

	MUST(pipe(p) == 0 && pipe(q) == 0);
	for (int round = 0; round < scaled(10); round++) {
		for (int i = 0; i < N; i++)
			t[i] = start(polls, (void *)(intptr_t)i);
		if (round % 2)
			settle();
		MUST(write(p[1], "x", 1) == 1);
		for (int i = 0; i < N; i++)
			finish(t[i]);
		MUST(read(p[0], &b, 1) == 1);
	}
	say("one byte woke %d threads, each time", N);

	for (int i = 0; i < N; i++)
		c[i] = start(client, &a);
	for (int i = 0; i < N; i++)
		t[i] = start(serve, (void *)(intptr_t)accept(l, NULL, NULL));
	for (int i = 0; i < N; i++) {
		finish(c[i]);
		finish(t[i]);
	}
	say("poll-then-read served %d", stop);
	return 0;
}
