/* SPDX-License-Identifier: MIT */
/* 32 threads write blocks, wait until the disk has them, and read them back past the page cache,
 * beside a ping-pong over a socketpair: every block is right, and the ping-pong goes on. */
#include "t.h"

#define THREADS 32
#define BLOCK 8192

static _Atomic int running = THREADS, blocks;

static void *disk(void *arg)
{
	long id = (long)arg;
	unsigned char *buf = aligned_alloc(4096, BLOCK);
	char name[20];
	off_t off;

	snprintf(name, sizeof name, "disk%ld", id);
	int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	int direct = id % 2 ? open(name, O_RDONLY | O_DIRECT) : -1; /* not everywhere */
	MUST(fd >= 0 && buf != NULL);
	for (int i = 0; i < scaled(8); i++) {
		off = (off_t)i * BLOCK;
		fill(buf, BLOCK, id, off);
		if (i % 2)
			MUST(pwrite(fd, buf, BLOCK, off) == BLOCK);
		else
			MUST(lseek(fd, off, SEEK_SET) == off && write(fd, buf, BLOCK) == BLOCK);
		MUST((i % 3 ? fdatasync(fd) : fsync(fd)) == 0);
		MUST(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
		for (off = (off_t)i * BLOCK; off >= 0; off -= BLOCK) {
			memset(buf, 0, BLOCK);
			if (direct >= 0)
				MUST(pread(direct, buf, BLOCK, off) == BLOCK);
			else if (i % 2)
				MUST(pread(fd, buf, BLOCK, off) == BLOCK);
			else
				MUST(lseek(fd, off, SEEK_SET) == off &&
				     read(fd, buf, BLOCK) == BLOCK);
			MUST(right(buf, BLOCK, id, off));
			blocks++;
		}
	}
	MUST(close(fd) == 0 && unlink(name) == 0);
	free(buf);
	running--;
	return arg;
}

static void *answers(void *arg)
{
	int fd = *(int *)arg;
	char c;

	while (read(fd, &c, 1) == 1)
		MUST(write(fd, &c, 1) == 1);
	return arg;
}

int main(void)
{
	pthread_t t[THREADS], a;
	int sv[2], rounds = 0;
	char c = 'x';

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	a = start(answers, &sv[1]);
	for (long i = 0; i < THREADS; i++)
		t[i] = start(disk, (void *)i);
	while (running > 0) {
		MUST(write(sv[0], &c, 1) == 1 && read(sv[0], &c, 1) == 1);
		rounds++;
	}
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	MUST(shutdown(sv[0], SHUT_WR) == 0);
	finish(a);
	say("%d blocks read and right, a ping-pong beside them: %d", blocks, rounds > 0);
	return 0;
}
