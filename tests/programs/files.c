/* SPDX-License-Identifier: MIT */
/* File I/O in threads: pread and pwrite at offsets, read and lseek on own descriptors, append by
 * many, sync, short counts at the end, errors; checksums agree. pread(2), open(2) */
#include "t.h"
#include <sys/stat.h>
#include <sys/uio.h>

#define SIZE (4 << 20)
#define THREADS 16

static int fd, log_fd;

static void *writes(void *arg)
{
	size_t part = SIZE / THREADS, off = (intptr_t)arg * part;
	unsigned char *buf = malloc(part);

	fill(buf, part, 9, off);
	for (size_t done = 0; done < part; done += 10000) {
		size_t n = part - done < 10000 ? part - done : 10000;
		MUST(pwrite(fd, buf + done, n, off + done) == (ssize_t)n);
	}
	free(buf);
	MUST(((intptr_t)arg % 2 ? fsync(fd) : fdatasync(fd)) == 0);
	return NULL;
}

static void *reads(void *arg)
{
	unsigned char buf[8192], more[100];
	int own = open("data", O_RDONLY), id = (int)(intptr_t)arg;
	unsigned seed = id + 1;
	size_t sum = 0;
	ssize_t n;

	for (int i = 0; i < scaled(200); i++) {
		seed = seed * 1103515245 + 12345;
		size_t off = (seed >> 4) % (SIZE - sizeof buf);
		MUST(pread(fd, buf, sizeof buf, off) == sizeof buf);
		MUST(right(buf, sizeof buf, 9, off));
		struct iovec v[2] = {{buf, 1000}, {more, 100}};
		MUST(lseek(own, off, SEEK_SET) == (off_t)off);
		MUST((i % 2 ? readv(own, v, 2) : preadv(own, v, 2, off)) == 1100);
		MUST(right(buf, 1000, 9, off) && right(more, 100, 9, off + 1000));
	}
	MUST(lseek(own, 0, SEEK_SET) == 0);
	while ((n = read(own, buf, sizeof buf)) > 0)
		for (ssize_t i = 0; i < n; i++)
			sum += buf[i];
	MUST(n == 0 && close(own) == 0);
	for (int i = 0; i < scaled(50); i++) {
		char line[32];
		snprintf(line, sizeof line, "%03d %08d                ", id, i);
		MUST(write(log_fd, line, 20) == 20);
	}
	return (void *)sum;
}

int main(void)
{
	pthread_t t[THREADS];
	void *sum = NULL;
	char buf[100];
	struct stat st;

	MUST((fd = open("data", O_RDWR | O_CREAT | O_EXCL, 0600)) >= 0);
	MUST((log_fd = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600)) >= 0);
	for (int i = 0; i < THREADS; i++)
		t[i] = start(writes, (void *)(intptr_t)i);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	for (int i = 0; i < THREADS; i++)
		t[i] = start(reads, (void *)(intptr_t)i);
	for (int i = 0; i < THREADS; i++) {
		void *s = finish(t[i]);
		MUST(i == 0 || s == sum);
		sum = s;
	}
	say("checksum %zu", (size_t)sum);
	MUST(fstat(log_fd, &st) == 0);
	say("log: %d", st.st_size == 20L * THREADS * scaled(50));
	SYS(pread(fd, buf, 100, SIZE - 30));
	SYS(pread(fd, buf, 100, SIZE));
	SYS(pread(fd, buf, 100, -1));
	SYS(read(log_fd, buf, 1));
	SYS(open("data", O_RDWR | O_CREAT | O_EXCL, 0600));
	SYS(open("missing", O_RDONLY));
	SYS(read(open(".", O_RDONLY), buf, 1));
	int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDONLY);
	SYS(read(null, buf, 100));
	SYS(write(null, buf, 100));
	SYS(read(zero, buf, 100));
	int proc = open("/proc/self/stat", O_RDONLY);
	SYS(read(proc, buf, 10));
	return 0;
}
