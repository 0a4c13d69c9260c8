/* SPDX-License-Identifier: MIT */
/*
 * disk: a ping-pong over a socketpair while 32 threads write blocks, fsync them and read them back
 * past the page cache: how long a round trip takes, and how many blocks they come to. Every block
 * read is checked.
 *
 * The files are in TMPDIR, or /var/tmp, which should be on a disk.
 */
#include "beside.h"
#include <fcntl.h>

enum { THREADS = 32, BLOCK = 8192, BLOCKS = 16 };

static atomic_ulong blocks;
static char dir[200];

static void *disk(void *arg)
{
	long id = (long)arg;
	uint64_t *buf = aligned_alloc(4096, BLOCK);
	char name[250];

	snprintf(name, sizeof name, "%s/%ld", dir, id);
	int fd = (int)sys(open(name, O_RDWR | O_CREAT | O_EXCL, 0600), name);
	sys(unlink(name), "unlink");
	for (uint64_t i = 0; !over; i++) {
		off_t off = (off_t)(i % BLOCKS) * BLOCK;
		for (size_t k = 0; k < BLOCK / sizeof *buf; k++)
			buf[k] = i << 32 | (uint64_t)id << 16 | k;
		if (sys(pwrite(fd, buf, BLOCK, off), "pwrite") != BLOCK)
			die("a short write");
		sys(fsync(fd), "fsync");
		must(posix_fadvise(fd, off, BLOCK, POSIX_FADV_DONTNEED), "posix_fadvise");
		memset(buf, 0, BLOCK);
		if (sys(pread(fd, buf, BLOCK, off), "pread") != BLOCK)
			die("a short read");
		for (size_t k = 0; k < BLOCK / sizeof *buf; k++)
			if (buf[k] != (i << 32 | (uint64_t)id << 16 | k))
				die("a wrong block");
		blocks++;
	}
	close(fd);
	free(buf);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[THREADS], a, b;
	long n = 0, most = 0;

	options(argc, argv, NULL);
	snprintf(dir, sizeof dir, "%s/gmp-disk.XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp");
	if (mkdtemp(dir) == NULL)
		sys(-1, dir);
	trip = malloc(MOST * sizeof *trip);
	pause_us = 200; /* so that the round trips are spread over what the disk does */
	sys(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), "socketpair");
	must(pthread_create(&a, NULL, pong, NULL), "pthread_create");
	must(pthread_create(&b, NULL, ping, &n), "pthread_create");
	for (long i = 0; i < THREADS; i++)
		must(pthread_create(&t[i], NULL, disk, (void *)i), "pthread_create");
	sleep_ms(5 * slice_ms);
	unsigned long from = blocks;
	uint64_t start = nanotime();
	begun = true;
	for (int i = 0; i < 50; i++) {
		sleep_ms(slice_ms);
		long k = kernelthreads();
		most = k > most ? k : most;
	}
	double s = (double)(nanotime() - start) / 1e9;
	unsigned long done = blocks - from;
	over = true;
	for (int i = 0; i < THREADS; i++)
		must(pthread_join(t[i], NULL), "pthread_join");
	must(pthread_join(b, NULL), "pthread_join");
	must(pthread_join(a, NULL), "pthread_join");
	rmdir(dir);
	if (n == 0)
		die("not one round trip");
	qsort(trip, (size_t)n, sizeof *trip, cmp_double);
	report("disk.blocks", (double)done / s, "blocks/s");
	report("disk.pingpong-p50", trip[n / 2], "us");
	report("disk.pingpong-p99", trip[n - 1 - n / 100], "us");
	report("disk.kernel-threads", (double)most, "threads");
	return 0;
}
