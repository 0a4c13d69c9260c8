/* SPDX-License-Identifier: MIT
 *
 * io.c: read, write and their kin, on anything. Sockets go on to socket.c.
 *
 * Pipes and eventfds are tried with RWF_NOWAIT and waited for in the netpoller. Where the kernel knows no
 * RWF_NOWAIT (terminals, timerfd, inotify...), poll(2) says whether a call would block. A file
 * is first read with RWF_NOWAIT, which costs no handoff if it is in the page cache; else, and for all
 * writes to files, the call is marked, so that sysmon may take the P.
 *
 * What the program set O_NONBLOCK passes straight through: its EAGAIN is the program's.
 */
#include "io.h"
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include "arch.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

ssize_t opwait(struct waitop *op)
{
	struct polldesc *pd = op->pd;
	uint64_t timeo = op->mode == PD_READ ? pd->rcvtimeo : pd->sndtimeo;

	if (timeo != 0 && op->deadline == 0)
		op->deadline = reldeadline(timeo);
	int err = pdwait(pd, op->gen, op->mode, op->deadline);
	switch (err) {
	case -ETIMEDOUT:
		return -EAGAIN;
	case -ERESTART:
		return timeo != 0 ? -EINTR : 0;
	default:
		return err;
	}
}

bool readynow(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return SC3(SYS_poll, &p, 1, 0) != 0;
}

/* An attempt on what is not a socket. -EAGAIN: would block. */
static ssize_t attempt(struct polldesc *pd, const struct iovec *iov, int cnt, int mode)
{
	ssize_t r = -EOPNOTSUPP;

	if (!(atomic_load_explicit(&pd->nonowait, memory_order_relaxed) & (1 << mode)))
		r = epipe(SC6(mode == PD_READ ? SYS_preadv2 : SYS_pwritev2, pd->fd, iov, cnt, -1L, -1L,
			      RWF_NOWAIT));
	if (r != -EOPNOTSUPP)
		return r;
	atomic_fetch_or_explicit(&pd->nonowait, (uint8_t)(1 << mode), memory_order_relaxed);
	if (!readynow(pd->fd, mode == PD_READ ? POLLIN : POLLOUT))
		return -EAGAIN;
	entersyscall();
	r = epipe(POINT(SC3(mode == PD_READ ? SYS_readv : SYS_writev, pd->fd, iov, cnt)));
	exitsyscall();
	return r;
}

static ssize_t marked(struct polldesc *pd, const struct iovec *iov, int cnt, int mode)
{
	entersyscall();
	ssize_t r = epipe(POINT(SC3(mode == PD_READ ? SYS_readv : SYS_writev, pd->fd, iov, cnt)));
	exitsyscall();
	return r;
}

static size_t iovlen(const struct iovec *iov, int cnt)
{
	size_t n = 0;

	for (int i = 0; i < cnt; i++)
		n += iov[i].iov_len;
	return n;
}

/* Drops the first n bytes of *iov; the array is a copy of the caller's. */
static void iovskip(struct iovec **iov, int *cnt, size_t n)
{
	while (*cnt > 0 && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		(*iov)++;
		(*cnt)--;
	}
	if (*cnt > 0 && n > 0) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
	}
}

/* Files: from the page cache without a handoff, the rest (or all) by a marked call. */
static ssize_t fileread(struct polldesc *pd, struct iovec *iov, int cnt)
{
	size_t want = iovlen(iov, cnt);
	ssize_t r = -EAGAIN;

	if (!atomic_load_explicit(&pd->nonowait, memory_order_relaxed)) {
		r = SC6(SYS_preadv2, pd->fd, iov, cnt, -1L, -1L, RWF_NOWAIT);
		if (r == -EOPNOTSUPP || r == -EINVAL)
			atomic_store_explicit(&pd->nonowait, 1, memory_order_relaxed);
		else if (r < 0 && r != -EAGAIN)
			return r;
	}
	if (r >= 0 && ((size_t)r == want || r == 0))
		return r;
	/* Short: the end of the file, or of what is cached. A plain read would not stop at the latter. */
	size_t done = r > 0 ? (size_t)r : 0;
	iovskip(&iov, &cnt, done);
	r = marked(pd, iov, cnt, PD_READ);
	if (r < 0)
		return done ? (ssize_t)done : r;
	return (ssize_t)done + r;
}

static ssize_t waitread(struct polldesc *pd, const struct iovec *iov, int cnt)
{
	struct waitop op = waitop(pd, PD_READ);

	/* An eventfd says EINVAL to a small buffer before it would block: always ask. */
	if (kindof(pd) == FD_EVENT)
		pdleft(pd, PD_READ);
	for (;;) {
		if (pdtry(pd, PD_READ)) {
			ssize_t r = attempt(pd, iov, cnt, PD_READ);
			if (r != -EAGAIN) {
				pdleft(pd, PD_READ);
				return r;
			}
		}
		ssize_t r = opwait(&op);
		if (r == -EPERM)
			return marked(pd, iov, cnt, PD_READ);
		if (r != 0)
			return r;
	}
}

/*
 * A blocking write to a stream goes on until all is written. The caller's vector is looked at only after
 * the kernel has accepted it, for it may point nowhere; what is left of a piece goes in a call of its own.
 */
static ssize_t waitwrite(struct polldesc *pd, const struct iovec *iov, int cnt)
{
	struct waitop op = waitop(pd, PD_WRITE);
	bool stream = kindof(pd) == FD_PIPE || kindof(pd) == FD_TCP || kindof(pd) == FD_STREAM;
	size_t done = 0, part = 0; /* part: bytes of iov[0] that are written */

	for (;;) {
		ssize_t r;
		if (pdtry(pd, PD_WRITE)) {
			if (part != 0) {
				struct iovec rest = {(char *)iov->iov_base + part, iov->iov_len - part};
				r = attempt(pd, &rest, 1, PD_WRITE);
			} else {
				r = attempt(pd, iov, cnt, PD_WRITE);
			}
			if (r != -EAGAIN)
				pdleft(pd, PD_WRITE);
			if (r >= 0) {
				done += (size_t)r;
				if (!stream)
					return (ssize_t)done;
				for (part += (size_t)r; cnt > 0 && part >= iov->iov_len; iov++, cnt--)
					part -= iov->iov_len;
				if (cnt == 0)
					return (ssize_t)done;
				continue;
			}
			if (r != -EAGAIN)
				return done ? (ssize_t)done : r;
			if (kindof(pd) == FD_DGRAM) { /* as socksend(): a full peer may be invisible to poll */
				pdleft(pd, PD_WRITE);
				return marked(pd, iov, cnt, PD_WRITE);
			}
		}
		r = opwait(&op);
		if (r == -EPERM)
			r = marked(pd, iov, cnt, PD_WRITE);
		if (r != 0)
			return done ? (ssize_t)done : r;
	}
}

EXPORT ssize_t read(int fd, void *buf, size_t n)
{
	struct polldesc *pd = waitable(fd);

	if (pd == NULL || n == 0 || n > SSIZE_MAX)
		return REAL(read)(fd, buf, n);
	struct iovec iov = {buf, n};
	switch (kindof(pd)) {
	case FD_TCP:
	case FD_STREAM:
	case FD_DGRAM:
		return ret_errno(sockrecv(pd, buf, n, 0, NULL, NULL));
	case FD_PIPE:
	case FD_EVENT:
	case FD_TTY:
		return ret_errno(waitread(pd, &iov, 1));
	case FD_FILE:
		return ret_errno(fileread(pd, &iov, 1));
	default:
		return MARKED(REAL(read)(fd, buf, n));
	}
}

EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t buflen)
{
	return n > buflen ? REAL(__read_chk)(fd, buf, n, buflen) : read(fd, buf, n);
}

/* A write that is not ours to wait for. */
static ssize_t direct(ssize_t r)
{
	epipeerrno(r == -1);
	return r;
}

EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
	struct polldesc *pd = waitable(fd);

	if (pd == NULL || n == 0 || n > SSIZE_MAX)
		return direct(REAL(write)(fd, buf, n));
	struct iovec iov = {(void *)(uintptr_t)buf, n};
	switch (kindof(pd)) {
	case FD_TCP:
	case FD_STREAM:
	case FD_DGRAM:
		return ret_errno(socksend(pd, buf, n, 0, NULL, 0));
	case FD_PIPE:
	case FD_EVENT:
	case FD_TTY:
		return ret_errno(waitwrite(pd, &iov, 1));
	default:
		return MARKEDWRITE(REAL(write)(fd, buf, n));
	}
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int cnt)
{
	struct polldesc *pd = waitable(fd);

	if (pd == NULL || cnt <= 0 || cnt > IOV_MAX)
		return REAL(readv)(fd, iov, cnt);
	switch (kindof(pd)) {
	case FD_TCP:
	case FD_STREAM:
	case FD_DGRAM:
	case FD_PIPE:
	case FD_EVENT:
	case FD_TTY:
		return ret_errno(waitread(pd, iov, cnt));
	default:
		return MARKED(REAL(readv)(fd, iov, cnt));
	}
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int cnt)
{
	struct polldesc *pd = waitable(fd);

	if (pd == NULL || cnt <= 0 || cnt > IOV_MAX)
		return direct(REAL(writev)(fd, iov, cnt));
	switch (kindof(pd)) {
	case FD_TCP:
	case FD_STREAM:
	case FD_DGRAM:
	case FD_PIPE:
	case FD_EVENT:
	case FD_TTY:
		return ret_errno(waitwrite(pd, iov, cnt));
	default:
		return MARKEDWRITE(REAL(writev)(fd, iov, cnt));
	}
}

/* Positioned: only files block here. A cached page costs no handoff. */
static ssize_t filepread(int fd, void *buf, size_t n, off_t off)
{
	struct polldesc *pd = waitable(fd);
	struct iovec iov = {buf, n};
	size_t done = 0;

	if (pd == NULL)
		return REAL(pread)(fd, buf, n, off);
	if (kindof(pd) == FD_FILE && n > 0 && off >= 0 &&
	    !atomic_load_explicit(&pd->nonowait, memory_order_relaxed)) {
		ssize_t r = SC6(SYS_preadv2, fd, &iov, 1, off, 0, RWF_NOWAIT);
		if (r == -EOPNOTSUPP)
			atomic_store_explicit(&pd->nonowait, 1, memory_order_relaxed);
		if (r >= 0 && ((size_t)r == n || r == 0))
			return r;
		if (r > 0)
			done = (size_t)r;
	}
	ssize_t r = MARKED(REAL(pread)(fd, (char *)buf + done, n - done, off + (off_t)done));
	if (r < 0)
		return done ? (ssize_t)done : r;
	return (ssize_t)done + r;
}

EXPORT ssize_t pread(int fd, void *buf, size_t n, off_t off)
{
	return getg() == NULL ? REAL(pread)(fd, buf, n, off) : filepread(fd, buf, n, off);
}

EXPORT ssize_t pread64(int fd, void *buf, size_t n, off_t off)
{
	return pread(fd, buf, n, off);
}

EXPORT ssize_t pwrite(int fd, const void *buf, size_t n, off_t off)
{
	return MARKEDWRITE(REAL(pwrite)(fd, buf, n, off));
}

EXPORT ssize_t pwrite64(int fd, const void *buf, size_t n, off_t off)
{
	return pwrite(fd, buf, n, off);
}

EXPORT int fsync(int fd)
{
	return MARKED(REAL(fsync)(fd));
}

EXPORT int fdatasync(int fd)
{
	return MARKED(REAL(fdatasync)(fd));
}
