/* SPDX-License-Identifier: MIT */
/*
 * disk: a ping-pong over a socketpair while 32 threads write blocks, fsync them and read them back
 * past the page cache: how long a round trip takes, and how many blocks they come to. Every block
 * read is checked.
 *
 * The files are in TMPDIR, or /var/tmp, which should be on a disk.
 */
#include "bench.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { THREADS = 32, BLOCK = 8192, BLOCKS = 16, MOST = 1 << 20 };

static atomic_bool over, begun;
static atomic_ulong blocks;
static int sv[2];
static double *us;
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

static void *pong(void *arg)
{
	char c;

	while (read(sv[1], &c, 1) == 1)
		sys(write(sv[1], &c, 1), "write");
	return arg;
}

/* Round trips with a pause between them, so that they are spread over what the disk does. */
static void *ping(void *arg)
{
	long n = 0;
	char c = 'x';

	while (!over && n < MOST) {
		uint64_t t = nanotime();
		sys(write(sv[0], &c, 1), "write");
		if (sys(read(sv[0], &c, 1), "read") != 1)
			die("the partner has gone");
		if (begun)
			us[n++] = (double)(nanotime() - t) / 1000;
		usleep(200);
	}
	shutdown(sv[0], SHUT_WR);
	*(long *)arg = n;
	return NULL;
}

static long kernelthreads(void)
{
	DIR *d = opendir("/proc/self/task");
	long n = -2;

	while (d != NULL && readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
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
	us = malloc(MOST * sizeof *us);
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
	qsort(us, (size_t)n, sizeof *us, cmp_double);
	report("disk.blocks", (double)done / s, "blocks/s");
	report("disk.pingpong-p50", us[n / 2], "us");
	report("disk.pingpong-p99", us[n - 1 - n / 100], "us");
	report("disk.kernel-threads", (double)most, "threads");
	return 0;
}
