/* SPDX-License-Identifier: MIT
 *
 * file.c: reading and writing files, and waiting until the disk has it.
 *
 * A file never says "would block": the disk is waited for in the kernel, and the M with it. What
 * matters is to know beforehand. Positioned reads ask with RWF_NOWAIT: from the page cache without
 * a handoff; a miss hands the P over before it reads. Where the file's own position moves there is
 * no such question, for half an answer (what is cached of the range) could not be given back, and
 * completing it by a second call would not be one read for other threads of the same description.
 * So such a read is one plain marked call, until one has lost its P to sysmon (pd->cold): then a
 * look at the next byte says what to expect. O_DIRECT and O_DSYNC files always wait for the device.
 * A write to any other goes to the page cache.
 *
 * fsync hands the P over, unless the last one of this descriptor took no time (tmpfs, nothing to
 * write).
 *
 * Rejected: a NOWAIT read first for files of small reads: a short one must be told from the end of
 * the file by a second call.
 */
#include "io.h"
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "arch.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

enum {
	COLD = 32,     /* reads from the cache until a file is warm again */
	BLOCK = 512,   /* what is cached of a file ends at a multiple of it; the file itself hardly
			  ever */
	QUICK = 50000, /* ns */
	FASTSYNC = 0x80, /* bit of pd->cold: the last fsync was quick */
};

static inline bool waitsforread(struct polldesc *pd)
{
	return atomic_load_explicit(&pd->direct, memory_order_relaxed);
}

static inline bool waitsforwrite(struct polldesc *pd)
{
	return atomic_load_explicit(&pd->sync, memory_order_relaxed);
}

static uint8_t cold(struct polldesc *pd)
{
	return atomic_load_explicit(&pd->cold, memory_order_relaxed) & (uint8_t)~FASTSYNC;
}

/* Racy: a hint of several threads'. */
static void setcold(struct polldesc *pd, uint8_t c)
{
	uint8_t old = atomic_load_explicit(&pd->cold, memory_order_relaxed);

	atomic_store_explicit(&pd->cold, (old & FASTSYNC) | c, memory_order_relaxed);
}

static bool nextcached(struct polldesc *pd)
{
	char c;
	struct iovec one = {&c, 1};
	long off = SC3(SYS_lseek, pd->fd, 0, SEEK_CUR);

	return off < 0 || SC6(SYS_preadv2, pd->fd, &one, 1, off, 0, RWF_NOWAIT) != -EAGAIN;
}

ssize_t fileread(struct polldesc *pd, long nr, const void *to, size_t n)
{
	uint8_t was = cold(pd);

	if (unlikely(waitsforread(pd)))
		return RAWBLOCK(POINT(SC3(nr, pd->fd, to, n)));
	if (unlikely(was != 0)) {
		if (!nextcached(pd)) {
			setcold(pd, COLD);
			return RAWBLOCK(POINT(SC3(nr, pd->fd, to, n)));
		}
		setcold(pd, was - 1);
	}
	entersyscall();
	ssize_t r = POINT(SC3(nr, pd->fd, to, n));
	if (unlikely(!exitsyscallfast())) {
		setcold(pd, COLD);
		exitsyscall();
	}
	return r;
}

/*
 * Most small files are read once and closed: without asking what they are. That the read is short
 * may mean the end of the file, or of what is cached of it; the latter only where a block ends, and
 * it began at 0. Something else than a file (a FIFO) may say so anywhere.
 */
ssize_t fileread1st(struct polldesc *pd, void *buf, size_t n)
{
	struct iovec iov = {buf, n};

	if (atomic_load_explicit(&pd->told, memory_order_relaxed) != TOLD_START ||
	    atomic_load_explicit(&pd->shared, memory_order_relaxed) ||
	    (pd->oflags & (O_DIRECT | O_NONBLOCK)))
		return -EAGAIN;
	atomic_store_explicit(&pd->told, TOLD_FLAGS, memory_order_relaxed);
	ssize_t r = SC6(SYS_preadv2, pd->fd, &iov, 1, -1L, -1L, RWF_NOWAIT);
	if (r == -EAGAIN)
		setcold(pd, 1); /* or a FIFO, to which it means nothing */
	if (r == -EOPNOTSUPP)
		return -EAGAIN;
	if (r < 0 || (size_t)r == n || r % BLOCK != 0 || r == 0)
		return r;
	/* (A FIFO's is whole: the rest would be another read.) */
	struct polldesc *now = fdlook(pd->fd);
	if (now != pd || kindof(pd) != FD_FILE)
		return r;
	ssize_t more = fileread(pd, SYS_read, (char *)buf + r, n - (size_t)r);
	return more > 0 ? r + more : r;
}

ssize_t filewrite(struct polldesc *pd, long nr, const void *from, size_t n)
{
	if (unlikely(waitsforwrite(pd)))
		return RAWBLOCK(POINT(SC3(nr, pd->fd, from, n)));
	return RAW(POINT(SC3(nr, pd->fd, from, n)));
}

/* ---- at a position --------------------------------------------------------------------------- */

/*
 * The pieces are looked at only after the kernel has accepted them. A part that was cached is read
 * once more with the rest: at a position that changes nothing.
 */
static ssize_t fileat(struct polldesc *pd, const struct iovec *iov, int cnt, off_t off)
{
	size_t want = 0;
	ssize_t r = -EOPNOTSUPP;

	if (unlikely(waitsforread(pd)))
		return RAWBLOCK(POINT(SC5(SYS_preadv, pd->fd, iov, cnt, off, 0)));
	if (!atomic_load_explicit(&pd->nonowait, memory_order_relaxed))
		r = SC6(SYS_preadv2, pd->fd, iov, cnt, off, 0, RWF_NOWAIT);
	if (likely(r >= 0)) {
		for (int i = 0; i < cnt; i++)
			want += iov[i].iov_len;
		if (likely((size_t)r == want || r == 0 || (off + r) % BLOCK != 0))
			return r;
	}
	if (r == -EAGAIN)
		return RAWBLOCK(POINT(SC5(SYS_preadv, pd->fd, iov, cnt, off, 0)));
	if (r == -EOPNOTSUPP)
		atomic_store_explicit(&pd->nonowait, 1, memory_order_relaxed);
	return RAW(POINT(SC5(SYS_preadv, pd->fd, iov, cnt, off, 0)));
}

/* The descriptor, if it is a file. */
static inline struct polldesc *file(int fd)
{
	struct polldesc *pd = waitable(fd);

	return pd != NULL && kindof(pd) == FD_FILE ? pd : NULL;
}

EXPORT ssize_t pread(int fd, void *buf, size_t n, off_t off)
{
	struct polldesc *pd = file(fd);
	struct iovec iov = {buf, n};

	if (pd == NULL || off < 0 || n > SSIZE_MAX)
		return MARKED(REAL(pread)(fd, buf, n, off));
	return ret_read(fileat(pd, &iov, 1, off));
}

EXPORT ssize_t __pread_chk(int fd, void *buf, size_t n, off_t off, size_t buflen)
{
	return n > buflen ? REAL(__pread_chk)(fd, buf, n, off, buflen) : pread(fd, buf, n, off);
}

EXPORT ssize_t pwrite(int fd, const void *buf, size_t n, off_t off)
{
	struct polldesc *pd = file(fd);

	if (pd == NULL)
		return MARKEDWRITE(REAL(pwrite)(fd, buf, n, off));
	if (unlikely(waitsforwrite(pd)))
		return ret_point(RAWBLOCK(POINT(SC4(SYS_pwrite64, fd, buf, n, off))));
	return ret_point(RAW(POINT(SC4(SYS_pwrite64, fd, buf, n, off))));
}

EXPORT ssize_t preadv(int fd, const struct iovec *iov, int cnt, off_t off)
{
	struct polldesc *pd = file(fd);

	if (pd == NULL || off < 0 || cnt <= 0 || cnt > IOV_MAX)
		return MARKED(REAL(preadv)(fd, iov, cnt, off));
	return ret_read(fileat(pd, iov, cnt, off));
}

EXPORT ssize_t pwritev(int fd, const struct iovec *iov, int cnt, off_t off)
{
	struct polldesc *pd = file(fd);

	if (pd != NULL && waitsforwrite(pd))
		return MARKEDBLOCK(REAL(pwritev)(fd, iov, cnt, off));
	return MARKEDWRITE(REAL(pwritev)(fd, iov, cnt, off));
}

EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int cnt, off_t off, int flags)
{
	if (flags == 0)
		return off == -1 ? readv(fd, iov, cnt) : preadv(fd, iov, cnt, off);
	return MARKED(REAL(preadv2)(fd, iov, cnt, off, flags));
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int cnt, off_t off, int flags)
{
	if (flags == 0)
		return off == -1 ? writev(fd, iov, cnt) : pwritev(fd, iov, cnt, off);
	struct polldesc *pd = file(fd);
	if (pd != NULL && (waitsforwrite(pd) || (flags & (RWF_DSYNC | RWF_SYNC))) &&
	    !(flags & RWF_NOWAIT))
		return MARKEDBLOCK(REAL(pwritev2)(fd, iov, cnt, off, flags));
	return MARKEDWRITE(REAL(pwritev2)(fd, iov, cnt, off, flags));
}

/* off_t has 64 bits. */
EXPORT ssize_t pread64(int fd, void *buf, size_t n, off_t off)
{
	return pread(fd, buf, n, off);
}
EXPORT ssize_t __pread64(int fd, void *buf, size_t n, off_t off)
{
	return pread(fd, buf, n, off);
}
EXPORT ssize_t __pread64_chk(int fd, void *buf, size_t n, off_t off, size_t buflen)
{
	return __pread_chk(fd, buf, n, off, buflen);
}
EXPORT ssize_t pwrite64(int fd, const void *buf, size_t n, off_t off)
{
	return pwrite(fd, buf, n, off);
}
EXPORT ssize_t __pwrite64(int fd, const void *buf, size_t n, off_t off)
{
	return pwrite(fd, buf, n, off);
}
EXPORT ssize_t preadv64(int fd, const struct iovec *iov, int cnt, off_t off)
{
	return preadv(fd, iov, cnt, off);
}
EXPORT ssize_t pwritev64(int fd, const struct iovec *iov, int cnt, off_t off)
{
	return pwritev(fd, iov, cnt, off);
}
EXPORT ssize_t preadv64v2(int fd, const struct iovec *iov, int cnt, off_t off, int flags)
{
	return preadv2(fd, iov, cnt, off, flags);
}
EXPORT ssize_t pwritev64v2(int fd, const struct iovec *iov, int cnt, off_t off, int flags)
{
	return pwritev2(fd, iov, cnt, off, flags);
}

/* ---- to the disk ----------------------------------------------------------------------------- */

static int syncfd(int (*real)(int), int fd)
{
	struct polldesc *pd = file(fd);
	bool fast =
	    pd == NULL || (atomic_load_explicit(&pd->cold, memory_order_relaxed) & FASTSYNC);
	uint64_t t = pd ? nanotime() : 0;
	int r = fast ? MARKED(real(fd)) : MARKEDBLOCK(real(fd));

	if (pd != NULL) {
		bool quick = nanotime() - t < QUICK;
		if (quick != fast)
			atomic_store_explicit(&pd->cold, quick ? cold(pd) | FASTSYNC : cold(pd),
					      memory_order_relaxed);
	}
	return r;
}

EXPORT int fsync(int fd)
{
	return syncfd(REALFN(fsync), fd);
}

EXPORT int fdatasync(int fd)
{
	return syncfd(REALFN(fdatasync), fd);
}

EXPORT void sync(void)
{
	entersyscallblock();
	REAL(sync)();
	exitsyscall();
}

EXPORT int msync(void *addr, size_t n, int flags)
{
	return flags & MS_SYNC ? MARKEDBLOCK(REAL(msync)(addr, n, flags))
			       : MARKED(REAL(msync)(addr, n, flags));
}

EXPORT int sync_file_range(int fd, off64_t off, off64_t n, unsigned flags)
{
	if (flags & (SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER))
		return MARKEDBLOCK(REAL(sync_file_range)(fd, off, n, flags));
	return MARKED(REAL(sync_file_range)(fd, off, n, flags));
}

/* What reads the disk, among many uses that do not. */
EXPORT int madvise(void *addr, size_t n, int advice)
{
	switch (advice) {
	case MADV_WILLNEED:
	case MADV_REMOVE:
	case MADV_PAGEOUT:
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return MARKED(REAL(madvise)(addr, n, advice));
	default:
		return REAL(madvise)(addr, n, advice);
	}
}

/* ---- metadata of which we learn something ---------------------------------------------------- */

/* Spares the first read its own look. */
static int statted(int r, const struct stat *st, int fd, struct polldesc *pd, uint32_t gen)
{
	if (unlikely(pd != NULL) && r == 0 && S_ISREG(st->st_mode))
		fdisfile(fd, gen);
	return r;
}

/* Short, but for SEEK_DATA, SEEK_HOLE, and unseen() must hear of it. */
static off_t seek(int fd, off_t off, int whence)
{
	struct polldesc *pd = unseen(fd);

	if (unlikely(pd != NULL))
		atomic_store_explicit(&pd->told, TOLD_FLAGS, memory_order_relaxed);
	return whence > SEEK_END ? MARKED(REAL(lseek)(fd, off, whence))
				 : REAL(lseek)(fd, off, whence);
}

EXPORT off_t lseek(int fd, off_t off, int whence)
{
	return seek(fd, off, whence);
}
EXPORT off_t lseek64(int fd, off_t off, int whence)
{
	return seek(fd, off, whence);
}
EXPORT off_t __lseek(int fd, off_t off, int whence)
{
	return seek(fd, off, whence);
}
EXPORT off_t llseek(int fd, off_t off, int whence)
{
	return seek(fd, off, whence);
}

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one layout");

EXPORT int fstat(int fd, struct stat *st)
{
	struct polldesc *pd = unseen(fd);
	uint32_t gen = pd ? atomic_load(&pd->gen) : 0;

	if (getg() == NULL)
		return REAL(fstat)(fd, st);
	return statted((int)ret_errno(RAW(SC2(SYS_fstat, fd, st))), st, fd, pd, gen);
}

EXPORT int fstat64(int fd, struct stat64 *st)
{
	return fstat(fd, (struct stat *)st);
}

EXPORT int __fstat64(int fd, struct stat64 *st)
{
	return fstat(fd, (struct stat *)st);
}
