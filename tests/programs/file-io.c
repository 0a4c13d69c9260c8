/* SPDX-License-Identifier: MIT */
/* Reads and writes of files in all their forms, from many threads, the page cache emptied
 * meanwhile: at positions, in pieces, of small files to their end, of one file whose position all
 * share, with O_DIRECT, O_DSYNC, O_APPEND, and O_NONBLOCK, which means nothing to a file. read(2),
 * preadv2(2), open(2) */
#include "t.h"
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define THREADS 12
#define SIZE (1 << 20)
#define RECORD 100

static void *volatile nowhere = (void *)8;
static volatile int minus = -1;
static int shared, counted[SIZE / RECORD];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void chill(int fd)
{
	MUST(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
}

/* Whole small files, of sizes around those at which a short read is hard to tell from the end of
 * what is cached. */
static void small(long id)
{
	static const size_t sizes[] = {1, 511, 512, 513, 4095, 4096, 4097, 8192, 10000};
	unsigned char buf[12000];
	struct stat st;
	char name[40];

	for (int i = 0; i < NELEM(sizes); i++) {
		snprintf(name, sizeof name, "small%ld.%d", id, i);
		int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
		fill(buf, sizes[i], id, 0);
		write_all(fd, buf, sizes[i]);
		MUST(fsync(fd) == 0);
		chill(fd);
		MUST(pread(fd, buf, sizeof buf, 0) == (ssize_t)sizes[i] &&
		     right(buf, sizes[i], id, 0));
		MUST(pread(fd, buf, sizeof buf, sizes[i]) == 0 &&
		     pread(fd, buf, 5, sizes[i] - 1) == 1);
		MUST(close(fd) == 0);
		for (int how = 0; how < 4; how++) {
			MUST((fd = open(name, O_RDONLY | (how == 1 ? O_NONBLOCK : 0))) >= 0);
			if (how == 2)
				MUST(fstat(fd, &st) == 0 && st.st_size == (off_t)sizes[i]);
			size_t from = how == 3 ? sizes[i] / 2 : 0;
			if (how == 3)
				MUST(lseek(fd, from, SEEK_SET) == (off_t)from);
			memset(buf, 0, sizeof buf);
			MUST(read(fd, buf, sizeof buf) == (ssize_t)(sizes[i] - from));
			MUST(right(buf, sizes[i] - from, id, from) &&
			     read(fd, buf, sizeof buf) == 0);
			MUST(close(fd) == 0);
		}
		MUST(unlink(name) == 0);
	}
}

/* Every form of the call reads the same bytes. */
static void forms(int fd, unsigned *seed)
{
	unsigned char a[5000], b[3000];
	struct iovec v[2] = {{a, sizeof a}, {b, sizeof b}};

	*seed = *seed * 1103515245 + 12345;
	off_t off = (*seed >> 4) % (SIZE - 8000);
	MUST(pread(fd, a, sizeof a, off) == sizeof a && right(a, sizeof a, 7, off));
	MUST(pread64(fd, b, sizeof b, off + 1) == sizeof b && right(b, sizeof b, 7, off + 1));
	MUST(preadv(fd, v, 2, off) == 8000 && right(a, 5000, 7, off) &&
	     right(b, 3000, 7, off + 5000));
	MUST(preadv64(fd, v, 2, off + 3) == 8000 && right(b, 3000, 7, off + 5003 - 0));
	MUST(preadv2(fd, v, 2, off + 5, 0) == 8000 && right(a, 5000, 7, off + 5));
	MUST(preadv2(fd, v, 2, off + 6, RWF_HIPRI) == 8000 && right(a, 5000, 7, off + 6));
	MUST(lseek(fd, off, SEEK_SET) == off && readv(fd, v, 2) == 8000 &&
	     right(b, 3000, 7, off + 5000));
	MUST(lseek64(fd, off, SEEK_SET) == off && preadv2(fd, v, 2, -1, 0) == 8000 &&
	     right(a, 5000, 7, off));
	MUST(lseek(fd, 0, SEEK_CUR) == off + 8000);
}

static void *reads(void *arg)
{
	long id = (long)arg;
	unsigned char rec[RECORD];
	unsigned seed = id + 1;
	int fd = open("data", O_RDONLY);

	MUST(fd >= 0);
	small(id);
	for (int i = 0; i < scaled(40); i++) {
		if (i % 8 == id % 8)
			chill(fd);
		forms(fd, &seed);
	}
	/* Each record is read once and whole, whoever reads it. */
	for (;;) {
		ssize_t n = read(shared, rec, RECORD);
		MUST(n == RECORD || n == 0 || n == SIZE % RECORD);
		if (n < RECORD)
			break;
		size_t at = 0;
		while (at < SIZE / RECORD && !right(rec, RECORD, 7, at * RECORD))
			at++;
		OK(pthread_mutex_lock(&lock));
		MUST(at < SIZE / RECORD && counted[at]++ == 0);
		OK(pthread_mutex_unlock(&lock));
		if (at % 512 == 17)
			chill(shared);
	}
	MUST(close(fd) == 0);
	return arg;
}

/* Blocks of its own in one file, each way; what was written is there. */
static void *writes(void *arg)
{
	long id = (long)arg;
	int flags[] = {0, O_DIRECT, O_DSYNC, O_NONBLOCK, O_SYNC};
	unsigned char *buf = aligned_alloc(4096, 8192);

	MUST(buf != NULL);
	for (int i = 0; i < NELEM(flags); i++) {
		int fd = open("blocks", O_RDWR | flags[i]);
		if (fd < 0 && flags[i] == O_DIRECT) /* not everywhere */
			fd = open("blocks", O_RDWR);
		MUST(fd >= 0);
		off_t off = (id * NELEM(flags) + i) * 8192L;
		fill(buf, 8192, 3, off);
		if (i % 2) {
			MUST(pwrite(fd, buf, 8192, off) == 8192);
		} else {
			struct iovec v[2] = {{buf, 4096}, {buf + 4096, 4096}};
			MUST(lseek(fd, off, SEEK_SET) == off && writev(fd, v, 2) == 8192);
			MUST(pwritev(fd, v, 2, off) == 8192 &&
			     pwritev2(fd, v, 2, off, RWF_DSYNC) == 8192);
		}
		MUST((i == 0 ? fsync(fd) : fdatasync(fd)) == 0 &&
		     sync_file_range(fd, off, 8192, 7) == 0);
		if (!(flags[i] & O_DIRECT)) {
			chill(fd);
			MUST(fcntl(fd, F_SETFL, O_DIRECT) == 0 || errno == EINVAL);
		}
		memset(buf, 0, 8192);
		MUST(pread(fd, buf, 8192, off) == 8192 && right(buf, 8192, 3, off));
		MUST(lseek(fd, off, SEEK_SET) == off && read(fd, buf, 4096) == 4096 &&
		     right(buf, 4096, 3, off));
		MUST(close(fd) == 0);
	}
	free(buf);
	int log = open("log", O_WRONLY | O_APPEND | O_CREAT, 0600);
	for (int i = 0; i < scaled(50); i++)
		MUST(write(log, "0123456789\n", 11) == 11);
	MUST(close(log) == 0);
	return arg;
}

int main(void)
{
	pthread_t t[2 * THREADS];
	unsigned char *buf = malloc(SIZE);
	struct stat st;
	int fd;

	fill(buf, SIZE, 7, 0);
	MUST((fd = open("data", O_RDWR | O_CREAT | O_EXCL, 0600)) >= 0);
	write_all(fd, buf, SIZE);
	MUST(syncfs(fd) == 0 && (shared = open("data", O_RDONLY)) >= 0);
	chill(fd);
	MUST(close(creat("blocks", 0600)) == 0 && truncate("blocks", THREADS * 5 * 8192) == 0);
	for (int i = 0; i < 2 * THREADS; i++)
		t[i] = start(i % 2 ? reads : writes, (void *)(long)(i / 2));
	for (int i = 0; i < 2 * THREADS; i++)
		finish(t[i]);
	for (int i = 0; i < SIZE / RECORD; i++)
		MUST(counted[i] == 1);
	say("%d records, each once", SIZE / RECORD);
	MUST(stat("log", &st) == 0);
	say("log: %d", st.st_size == 11L * THREADS * scaled(50));

	void *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(map != MAP_FAILED && memcmp(map, buf, SIZE) == 0);
	((char *)map)[5] = 'x';
	SYS(msync(map, SIZE, MS_SYNC));
	SYS(madvise(map, SIZE, MADV_WILLNEED));
	SYS(mlock(map, 4096));
	sync();
	SYS(copy_file_range(fd, &(off_t){0}, open("copy", O_RDWR | O_CREAT, 0600), NULL, 5000, 0));
	SYS(pread(fd, buf, 10, -1));
	SYS(preadv(fd, &(struct iovec){buf, 1}, minus, 0));
	SYS(preadv2(fd, &(struct iovec){buf, 1}, 1, 0, 0x4000));
	SYS(pwrite(shared, "x", 1, 0));
	SYS(read(fd, nowhere, 10));
	SYS(pread(fd, nowhere, 10, 0));
	SYS(fsync(-1));
	SYS(sync_file_range(fd, -1, 0, 0));
	SYS(lseek(fd, -1, SEEK_SET));
	SYS(lseek(fd, 0, SEEK_HOLE));
	return 0;
}
