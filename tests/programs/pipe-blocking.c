/* SPDX-License-Identifier: MIT */
/* read and write that block in both directions on a pipe, a FIFO and a socketpair: writes larger
 * than the buffer, small reads, every byte checked, end of file at the end. pipe(7), fifo(7) */
#include "t.h"
#include <sys/stat.h>

#define BIG (3 << 20)

struct end {
	int fd;
	unsigned id;
	size_t chunk;
};

static void *writer(void *arg)
{
	struct end *e = arg;
	unsigned char *buf = malloc(BIG);

	fill(buf, BIG, e->id, 0);
	/* One call: a blocking write returns when everything is written. */
	MUST(write(e->fd, buf, BIG) == BIG);
	free(buf);
	return NULL;
}

static void *reader(void *arg)
{
	struct end *e = arg;
	unsigned char *buf = malloc(e->chunk);
	size_t got = 0;

	while (got < BIG) {
		ssize_t n = read(e->fd, buf, e->chunk < BIG - got ? e->chunk : BIG - got);
		MUST(n > 0);
		MUST(right(buf, n, e->id, got));
		got += n;
	}
	free(buf);
	return NULL;
}

static void both(const char *name, int r1, int w1, int r2, int w2)
{
	struct end e[4] = {{w1, 1, 0}, {r1, 1, 7001}, {w2, 2, 0}, {r2, 2, 100000}};
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		t[i] = start(i % 2 ? reader : writer, &e[i]);
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	say("%s: %d bytes each way", name, BIG);
}

static void *open_writer(void *arg)
{
	int fd = open(arg, O_WRONLY);

	MUST(fd >= 0);
	return (void *)(intptr_t)fd;
}

static void eof(const char *name, int rd, int wr)
{
	char c;

	MUST(close(wr) == 0);
	say("%s: read after the writer closed: %zd", name, read(rd, &c, 1));
}

int main(void)
{
	int p[2], q[2], s[2];

	MUST(pipe(p) == 0 && pipe(q) == 0);
	both("pipes", p[0], p[1], q[0], q[1]);
	eof("pipe", p[0], p[1]);

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	both("socketpair", s[0], s[1], s[1], s[0]);
	eof("socketpair", s[0], s[1]);

	/* Opening a FIFO blocks until there is another end. */
	MUST(mkfifo("f1", 0600) == 0 && mkfifo("f2", 0600) == 0);
	for (int i = 0; i < 2; i++) {
		int *e = i ? q : p;
		char *name = i ? "f2" : "f1";
		pthread_t t = start(open_writer, name);
		MUST((e[0] = open(name, O_RDONLY)) >= 0);
		e[1] = (int)(intptr_t)finish(t);
		MUST(unlink(name) == 0);
	}
	both("fifos", p[0], p[1], q[0], q[1]);
	eof("fifo", p[0], p[1]);
	return 0;
}
