/* SPDX-License-Identifier: MIT */
/* Several readers and several writers on one descriptor: each record arrives once and whole; and
 * one thread reads while another writes the same socket. pipe(7), unix(7) */
#include "net.h"

#define WRITERS 4

static int fd[2], per;
static unsigned char *seen;

struct record {
	int writer, n;
	unsigned char data[56];
};

static void *writer(void *arg)
{
	struct record r = {.writer = (int)(intptr_t)arg};

	for (r.n = 0; r.n < per; r.n++) {
		fill(r.data, sizeof r.data, r.writer, r.n);
		MUST(write(fd[1], &r, sizeof r) == sizeof r);
	}
	return NULL;
}

static void *reader(void *arg)
{
	struct record r;
	long got = 0;

	while (read(fd[0], &r, sizeof r) == sizeof r && r.writer >= 0) {
		MUST(right(r.data, sizeof r.data, r.writer, r.n));
		MUST(__atomic_add_fetch(&seen[r.writer * per + r.n], 1, __ATOMIC_RELAXED) == 1);
		got++;
	}
	(void)arg;
	return (void *)got;
}

static void records(const char *name)
{
	pthread_t w[WRITERS], r[3];
	struct record stop = {.writer = -1};
	long sum = 0;

	per = scaled(2000);
	seen = calloc(WRITERS, per);
	for (int i = 0; i < WRITERS; i++)
		w[i] = start(writer, (void *)(intptr_t)i);
	for (int i = 0; i < 3; i++)
		r[i] = start(reader, NULL);
	for (int i = 0; i < WRITERS; i++)
		finish(w[i]);
	for (int i = 0; i < 3; i++)
		MUST(write(fd[1], &stop, sizeof stop) == sizeof stop);
	for (int i = 0; i < 3; i++)
		sum += (long)finish(r[i]);
	say("%s: each record once: %d", name, sum == (long)WRITERS * per);
	free(seen);
	close(fd[0]);
	close(fd[1]);
}

static void *one_way(void *arg)
{
	unsigned char *buf = malloc(1 << 20);
	int *end = arg;

	fill(buf, 1 << 20, *end, 0);
	MUST(write(*end, buf, 1 << 20) == 1 << 20);
	free(buf);
	return NULL;
}

static void *other_way(void *arg)
{
	unsigned char buf[8192];
	int *end = arg, id = end == &fd[0] ? fd[1] : fd[0];

	for (size_t got = 0; got < 1 << 20;) {
		ssize_t n = read(*end, buf, sizeof buf);
		MUST(n > 0 && right(buf, n, id, got));
		got += n;
	}
	return NULL;
}

int main(void)
{
	pthread_t t[4];

	MUST(pipe(fd) == 0);
	records("pipe");
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd) == 0);
	records("seqpacket");
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, fd) == 0);
	records("datagrams");

	tcp_pair(fd);
	for (int i = 0; i < 2; i++) {
		t[i] = start(one_way, &fd[i]);
		t[i + 2] = start(other_way, &fd[i]);
	}
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	say("both ways at once on both ends");
	return 0;
}
