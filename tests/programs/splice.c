/* SPDX-License-Identifier: MIT */
/* Data moved inside the kernel, to and from what has to be waited for: sendfile to slow clients
 * over TCP, to a Unix socket and to a pipe, splice through pipes, tee, vmsplice, copy_file_range;
 * every byte is checked. sendfile(2), splice(2) */
#include "t.h"
#include "net.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define SIZE (3 << 20)
#define CLIENTS 8

static int file;

/* Reads n bytes of stream 5 from off on, in gulps, slowly now and then. */
static void swallow(int fd, size_t n, size_t off, int slow)
{
	unsigned char *buf = malloc(40000);
	size_t done = 0;

	while (done < n) {
		ssize_t k = read(fd, buf, done % 40000 + 1);
		MUST(k > 0 && right(buf, k, 5, off + done));
		done += k;
		if (slow && done % 16 == 1)
			usleep(500);
	}
	MUST(done == n && read(fd, buf, 1) == 0);
	free(buf);
}

struct job {
	int to, from, how;
	off_t off;
	size_t n;
};

static void *sends(void *arg)
{
	struct job *j = arg;
	size_t done = 0;

	while (done < j->n) {
		off_t off = j->off + done, was = off;
		ssize_t k;
		if (j->how == 0)
			k = sendfile(j->to, file, &off, j->n - done);
		else
			k = sendfile64(j->to, file, &off,
				       j->n - done < 30000 ? j->n - done : 30000);
		MUST(k > 0 && off == was + k);
		done += k;
	}
	MUST(close(j->to) == 0);
	return arg;
}

static void *receives(void *arg)
{
	struct job *j = arg;

	swallow(j->from, j->n, j->off, 1);
	MUST(close(j->from) == 0);
	return arg;
}

static void *sink(void *arg)
{
	struct job *j = arg;

	swallow(j->from, j->n, j->off, 0);
	MUST(close(j->from) == 0);
	return arg;
}

/* From j->from to j->to by splice, until the end. */
static void *splices(void *arg)
{
	struct job *j = arg;
	ssize_t k;
	size_t n = 0;

	while ((k = splice(j->from, NULL, j->to, NULL, j->how,
			   j->how % 2 ? SPLICE_F_MOVE : SPLICE_F_MORE)) > 0)
		n += k;
	MUST(k == 0 && n == j->n && close(j->to) == 0 && close(j->from) == 0);
	return arg;
}

/* What passes is copied aside too. */
static void *tees(void *arg)
{
	struct job *j = arg;
	int copy[2];
	struct job aside = {.off = j->off, .n = j->n};
	ssize_t k, m;

	MUST(pipe(copy) == 0);
	aside.from = copy[0];
	pthread_t t = start(sink, &aside);
	while ((k = tee(j->from, copy[1], 20000, 0)) > 0)
		for (; k > 0; k -= m)
			MUST((m = splice(j->from, NULL, j->to, NULL, k, 0)) > 0);
	MUST(k == 0 && close(copy[1]) == 0 && close(j->to) == 0 && close(j->from) == 0);
	finish(t);
	return arg;
}

static void *vmsplices(void *arg)
{
	struct job *j = arg;
	unsigned char *mem =
	    mmap(NULL, j->n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t done = 0;

	MUST(mem != MAP_FAILED);
	fill(mem, j->n, 5, j->off);
	while (done < j->n) {
		struct iovec v = {mem + done, j->n - done};
		ssize_t k = vmsplice(j->to, &v, 1, 0);
		MUST(k > 0);
		done += k;
	}
	MUST(close(j->to) == 0); /* the pages stay until they are read: so does mem */
	return arg;
}

int main(void)
{
	struct job out[CLIENTS], in[CLIENTS], mid[4];
	pthread_t s[CLIENTS], r[CLIENTS], m[4];
	unsigned char *buf = malloc(SIZE);
	int p[2], q[2], sv[2], tcp[2];

	fill(buf, SIZE, 5, 0);
	MUST((file = open("data", O_RDWR | O_CREAT | O_EXCL, 0600)) >= 0);
	write_all(file, buf, SIZE);
	MUST(fsync(file) == 0 && posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0);
	for (int i = 0; i < CLIENTS; i++) {
		if (i < CLIENTS / 2) {
			tcp_pair(tcp);
			in[i].from = tcp[0];
			out[i].to = tcp[1];
		} else if (i < CLIENTS - 2) {
			MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
			in[i].from = sv[0];
			out[i].to = sv[1];
		} else {
			MUST(pipe(p) == 0);
			in[i].from = p[0];
			out[i].to = p[1];
		}
		in[i].off = out[i].off = 1000 * i;
		in[i].n = out[i].n = SIZE - 8000 - i;
		out[i].how = i % 2;
		s[i] = start(sends, &out[i]);
		r[i] = start(receives, &in[i]);
	}
	for (int i = 0; i < CLIENTS; i++) {
		finish(s[i]);
		finish(r[i]);
	}
	say("sendfile: %d clients", CLIENTS);

	/* vmsplice -> pipe -> tee -> pipe -> splice -> TCP -> splice -> pipe -> reader */
	MUST(pipe(p) == 0 && pipe(q) == 0 && pipe(sv) == 0);
	tcp_pair(tcp);
	size_t n = SIZE / 2;
	mid[0] = (struct job){.to = p[1], .n = n};
	mid[1] = (struct job){.from = p[0], .to = q[1], .n = n};
	mid[2] = (struct job){.from = q[0], .to = tcp[0], .n = n, .how = 100000};
	mid[3] = (struct job){.from = tcp[1], .to = sv[1], .n = n, .how = 50001};
	m[0] = start(vmsplices, &mid[0]);
	m[1] = start(tees, &mid[1]);
	m[2] = start(splices, &mid[2]);
	m[3] = start(splices, &mid[3]);
	swallow(sv[0], n, 0, 1);
	for (int i = 0; i < 4; i++)
		finish(m[i]);
	say("through %d threads", 4);

	SYS(copy_file_range(file, &(off_t){5}, open("copy", O_RDWR | O_CREAT, 0600), NULL, 100000,
			    0));
	MUST(pipe(p) == 0);
	SYS(splice(file, &(off_t){0}, p[1], NULL, 5000, 0));
	SYS(splice(p[0], NULL, open("out", O_RDWR | O_CREAT, 0600), NULL, 10000, 0));
	SYS(splice(p[0], NULL, q[1], NULL, 10, SPLICE_F_NONBLOCK));
	SYS(splice(file, NULL, file, NULL, 10, 0));
	SYS(splice(-1, NULL, p[1], NULL, 10, 0));
	SYS(splice(p[0], &(off_t){0}, p[1], NULL, 10, 0));
	SYS(tee(p[0], p[0], 10, 0));
	SYS(tee(file, p[1], 10, 0));
	SYS(vmsplice(file, &(struct iovec){buf, 5}, 1, 0));
	SYS(vmsplice(p[1], &(struct iovec){buf, 5}, 1, 0));
	SYS(vmsplice(p[0], &(struct iovec){buf, 50}, 1, 0));
	SYS(sendfile(1, -1, NULL, 10));
	SYS(sendfile(p[1], file, &(off_t){SIZE}, 10));
	SYS(sendfile(p[1], file, &(off_t){SIZE - 3}, 10));
	SYS(sendfile(p[1], file, NULL, 0));
	MUST(fcntl(p[1], F_SETFL, O_NONBLOCK) == 0);
	while (sendfile(p[1], file, &(off_t){0}, 100000) > 0)
		;
	say("full: %s", errname(errno));
	MUST(signal(SIGPIPE, SIG_IGN) != SIG_ERR && close(p[0]) == 0 &&
	     fcntl(p[1], F_SETFL, 0) == 0);
	SYS(sendfile(p[1], file, &(off_t){0}, 10));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0 && close(sv[0]) == 0);
	SYS(sendfile(sv[1], file, &(off_t){0}, 10));
	struct timeval tv = {0, 20000};
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	MUST(setsockopt(sv[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv) == 0);
	while (sendfile(sv[0], file, &(off_t){0}, 100000) > 0)
		;
	say("timed out: %s", errname(errno));
	return 0;
}
