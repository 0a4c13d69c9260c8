/* SPDX-License-Identifier: MIT */
/* Descriptor numbers are reused thousands of times by many threads, for pipes, socketpairs,
 * eventfds and TCP: what was known of the old file must never meet the new one. close(2) */
#include "net.h"
#include <sys/eventfd.h>

static struct sockaddr_in addr;
static int l;

struct ends {
	int rd, wr, kind;
	unsigned id;
};

static void *other_end(void *arg)
{
	struct ends *e = arg;
	unsigned char buf[64];
	uint64_t v = e->id + 1;

	if (e->id % 7 == 0)
		usleep(300); /* let the reader block now and then */
	if (e->kind == 2) {
		MUST(write(e->wr, &v, 8) == 8);
		return NULL;
	}
	fill(buf, sizeof buf, e->id, 0);
	MUST(write(e->wr, buf, sizeof buf) == sizeof buf);
	if (e->wr != e->rd)
		MUST(close(e->wr) == 0);
	return NULL;
}

static void *accepts(void *arg)
{
	int fd;

	while ((fd = accept(l, NULL, NULL)) >= 0) {
		unsigned char id[1], buf[64];
		MUST(read(fd, id, 1) == 1);
		fill(buf, sizeof buf, id[0], 0);
		MUST(write(fd, buf, sizeof buf) == sizeof buf);
		MUST(close(fd) == 0);
	}
	return arg;
}

static void *worker(void *arg)
{
	int me = (int)(intptr_t)arg, fixed = 300 + me;

	for (int i = 0; i < scaled(300); i++) {
		struct ends e = {.kind = i % 4, .id = (me * 50 + i) % 256};
		unsigned char buf[65];
		int fd[2];
		uint64_t v;

		switch (e.kind) {
		case 0:
			MUST(pipe(fd) == 0);
			break;
		case 1:
			MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
			break;
		case 2:
			fd[0] = fd[1] = eventfd(0, 0);
			break;
		case 3:
			fd[0] = fd[1] = tcp_connect(&addr);
			buf[0] = e.id;
			MUST(write(fd[0], buf, 1) == 1);
			break;
		}
		e.rd = fd[0];
		e.wr = fd[1];
		if (i % 3 == 0) { /* go through a fixed number: dup2 closes what was there */
			MUST(dup2(e.rd, fixed) == fixed);
			MUST(close(e.rd) == 0);
			if (e.wr == e.rd)
				e.wr = fixed;
			e.rd = fixed;
		}
		if (e.kind == 3) {
			MUST(read_all(e.rd, buf, sizeof buf) == 64 && right(buf, 64, e.id, 0));
		} else {
			pthread_t t = start(other_end, &e);
			if (e.kind == 2)
				MUST(read(e.rd, &v, 8) == 8 && v == e.id + 1);
			else
				MUST(read_all(e.rd, buf, sizeof buf) == 64 &&
				     right(buf, 64, e.id, 0));
			finish(t);
		}
		if (e.rd != fixed)
			MUST(close(e.rd) == 0);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[16], a[4];

	l = tcp_listen(&addr, 64);
	for (int i = 0; i < 4; i++)
		a[i] = start(accepts, NULL);
	for (int i = 0; i < 16; i++)
		t[i] = start(worker, (void *)(intptr_t)i);
	for (int i = 0; i < 16; i++)
		finish(t[i]);
	MUST(shutdown(l, SHUT_RDWR) == 0);
	for (int i = 0; i < 4; i++)
		finish(a[i]);
	say("16 threads, each file its own bytes");
	return 0;
}
