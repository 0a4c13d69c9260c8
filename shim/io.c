/* SPDX-License-Identifier: MIT
 *
 * io.c: read, write and their kin, on anything. Sockets go on to socket.c, files to file.c.
 *
 * Pipes and eventfds are tried with RWF_NOWAIT and waited for in the netpoller. Where the kernel
 * knows no RWF_NOWAIT (terminals, timerfd, inotify...), poll(2) says whether a call would block.
 *
 * What the program set O_NONBLOCK passes straight through: its EAGAIN is the program's.
 *
 * The first attempt is inline, with nothing taken and nothing given back: preadv2 costs more than
 * read, by what libc's read spends on cancellation, so that the sum may not be much.
 */
#include "io.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include "arch.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

ssize_t opwait(struct waitop *op)
{
	struct polldesc *pd = op->pd;

	/* Whoever has it too may have set O_NONBLOCK since we looked. The kernel looks when a call begins; who waits already waits on. */
	if (!op->waited && unlikely(fdelsewhere(pd)) && op->mode != PD_CONNECT) {
		long fl = SC3(SYS_fcntl, pd->fd, F_GETFL, 0);
		if (fl >= 0 && (fl & O_NONBLOCK)) {
			pdleft(pd, op->mode); /* no event is to come, perhaps: the next call tries again */
			return -EAGAIN;
		}
	}
	op->waited = true;
	uint64_t timeo = op->mode == PD_READ ? pd->rcvtimeo : pd->sndtimeo;

	if (timeo != 0 && op->deadline == 0)
		op->deadline = reldeadline(timeo);
	if (op->late)
		return -EAGAIN;
	int err = pdwait(pd, op->gen, op->mode, op->deadline);
	switch (err) {
	case -ETIMEDOUT:
		/* Timers are looked at more often than the network: it may have been ready for long. */
		op->late = true;
		pdleft(pd, op->mode & PD_WRITE);
		return 0;
	case -ERESTART:
		return timeo != 0 || op->part ? -EINTR : 0;
	default:
		return err;
	}
}

bool readynow(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	long r;

	while ((r = SC3(SYS_poll, &p, 1, 0)) == -EINTR) /* a signal of the runtime's own */
		;
	return r != 0;
}

static ssize_t marked(struct polldesc *pd, const struct iovec *iov, int cnt, int mode)
{
	return RAW(POINT(SC3(mode == PD_READ ? SYS_readv : SYS_writev, pd->fd, iov, cnt)));
}

static inline bool nowait(struct polldesc *pd, int mode)
{
	return !(atomic_load_explicit(&pd->nonowait, memory_order_relaxed) & (1 << mode));
}

static inline ssize_t trynowait(struct polldesc *pd, const struct iovec *iov, int cnt, int mode)
{
	return SC6(mode == PD_READ ? SYS_preadv2 : SYS_pwritev2, pd->fd, iov, cnt, -1L, -1L,
		   RWF_NOWAIT);
}

/* An attempt on what is not a socket. -EAGAIN: would block. */
static ssize_t attempt(struct polldesc *pd, const struct iovec *iov, int cnt, int mode)
{
	ssize_t r = -EOPNOTSUPP;

	if (nowait(pd, mode))
		r = epipe(trynowait(pd, iov, cnt, mode));
	if (r != -EOPNOTSUPP)
		return r;
	atomic_fetch_or_explicit(&pd->nonowait, (uint8_t)(1 << mode), memory_order_relaxed);
	return readynow(pd->fd, mode == PD_READ ? POLLIN : POLLOUT) ? marked(pd, iov, cnt, mode)
								    : -EAGAIN;
}

/*
 * Is it the controlling terminal, and we are in the background? Then the kernel is to say so: by
 * SIGTTIN, or EIO. It asks before it looks for something to read. The other end of a terminal knows
 * the group in the foreground too, but of another session.
 */
static bool background(int fd)
{
	int session, foreground;

	return SC3(SYS_ioctl, fd, TIOCGSID, &session) == 0 && session == SC1(SYS_getsid, 0) &&
	       SC3(SYS_ioctl, fd, TIOCGPGRP, &foreground) == 0 && foreground != SC0(SYS_getpgrp);
}

/* Attempts and waits; the first attempt, if there was one, gave EAGAIN. */
static __attribute__((noinline)) ssize_t waitreadslow(struct polldesc *pd, const struct iovec *iov,
						      int cnt, uint32_t edges, bool tried)
{
	struct waitop op = waitop(pd, PD_READ);

	/* An eventfd says EINVAL to a small buffer before it would block: always ask. */
	if (kindof(pd) == FD_EVENT && !tried)
		pdleft(pd, PD_READ);
	for (;; tried = false) {
		if (!tried)
			edges = pdedges(pd);
		if (tried || pdmaybe(pd, PD_READ)) {
			ssize_t r = tried ? -EAGAIN : attempt(pd, iov, cnt, PD_READ);
			if (r != -EAGAIN) {
				pdmore(pd, PD_READ);
				return r;
			}
			if (!pdempty(pd, PD_READ, edges))
				continue;
		}
		if (unlikely(kindof(pd) == FD_TTY && background(pd->fd)))
			return marked(pd, iov, cnt, PD_READ);
		ssize_t r = opwait(&op);
		if (r == -EPERM)
			return marked(pd, iov, cnt, PD_READ);
		if (r != 0)
			return r;
	}
}

static inline ssize_t waitread(struct polldesc *pd, const struct iovec *iov, int cnt)
{
	uint32_t edges = pdedges(pd);
	ssize_t r = -EOPNOTSUPP;

	if (likely(pdmaybe(pd, PD_READ) && nowait(pd, PD_READ))) {
		r = trynowait(pd, iov, cnt, PD_READ);
		if (likely(r != -EAGAIN && r != -EOPNOTSUPP)) {
			pdmore(pd, PD_READ);
			return r;
		}
	}
	return waitreadslow(pd, iov, cnt, edges, r == -EAGAIN);
}

/*
 * A blocking write to a stream goes on until all is written. The caller's vector is looked at only
 * after the kernel has accepted it, for it may point nowhere; what is left of a piece goes in a
 * call of its own. begun: some of it has been written before.
 */
static ssize_t waitwrite(struct polldesc *pd, const struct iovec *iov, int cnt, bool begun)
{
	struct waitop op = waitop(pd, PD_WRITE);
	bool stream = kindof(pd) == FD_PIPE || kindof(pd) == FD_TCP || kindof(pd) == FD_STREAM;
	size_t done = 0, part = 0; /* part: bytes of iov[0] that are written */

	for (;;) {
		ssize_t r;
		uint32_t edges = pdedges(pd);
		if (pdmaybe(pd, PD_WRITE)) {
			if (part != 0) {
				struct iovec rest = {(char *)iov->iov_base + part,
						     iov->iov_len - part};
				r = attempt(pd, &rest, 1, PD_WRITE);
			} else {
				r = attempt(pd, iov, cnt, PD_WRITE);
			}
			if (likely(r != -EAGAIN))
				pdmore(pd, PD_WRITE);
			if (r >= 0) {
				done += (size_t)r;
				if (!stream)
					return (ssize_t)done;
				for (part += (size_t)r; cnt > 0 && part >= iov->iov_len;
				     iov++, cnt--)
					part -= iov->iov_len;
				if (cnt == 0)
					return (ssize_t)done;
				continue;
			}
			if (r != -EAGAIN)
				return done ? (ssize_t)done : r;
			if (kindof(pd) ==
			    FD_DGRAM) /* as socksend(): a full peer may be invisible to poll */
				return marked(pd, iov, cnt, PD_WRITE);
			if (!pdempty(pd, PD_WRITE, edges))
				continue;
		}
		op.part = begun || done > 0;
		r = opwait(&op);
		if (r == -EPERM)
			r = marked(pd, iov, cnt, PD_WRITE);
		if (r != 0)
			return done ? (ssize_t)done : r;
	}
}

/* One piece: mostly the first attempt takes it all. */
static __attribute__((noinline)) ssize_t waitwriterest(struct polldesc *pd, const char *buf,
						       size_t n, size_t done)
{
	struct iovec rest = {(void *)(uintptr_t)(buf + done), n - done};
	ssize_t r = waitwrite(pd, &rest, 1, true);

	return r < 0 && done > 0 ? (ssize_t)done : r < 0 ? r : (ssize_t)done + r;
}

static inline ssize_t waitwrite1(struct polldesc *pd, const void *buf, size_t n)
{
	struct iovec iov = {(void *)(uintptr_t)buf, n};
	ssize_t r;

	if (likely(pdmaybe(pd, PD_WRITE) && nowait(pd, PD_WRITE))) {
		r = epipe(trynowait(pd, &iov, 1, PD_WRITE));
		if (likely(r == (ssize_t)n)) {
			pdmore(pd, PD_WRITE);
			return r;
		}
		if (r > 0 && kindof(pd) == FD_PIPE)
			return waitwriterest(pd, buf, n, (size_t)r);
		if (r != -EAGAIN && r != -EOPNOTSUPP)
			return r;
	}
	return waitwrite(pd, &iov, 1, false);
}

/* ---- the exported names ---------------------------------------------------------------------- */

EXPORT ssize_t read(int fd, void *buf, size_t n)
{
	struct polldesc *pd = unseen(fd);
	ssize_t r;

	if (unlikely(pd != NULL) && n > 0 && n <= SSIZE_MAX) {
		testcancel();
		if ((r = fileread1st(pd, buf, n)) != -EAGAIN)
			return ret_read(r);
	}
	pd = waitable(fd);
	if (pd == NULL || n == 0 || n > SSIZE_MAX)
		return REAL(read)(fd, buf, n);
	struct iovec iov = {buf, n};
	switch (kindof(pd)) {
	case FD_PIPE:
	case FD_EVENT:
	case FD_TTY:
		return ret_read(waitread(pd, &iov, 1));
	case FD_FILE:
		return ret_read(fileread(pd, SYS_read, buf, n));
	case FD_TCP:
	case FD_STREAM:
	case FD_DGRAM:
		return ret_read(sockrecv(pd, buf, n, 0, NULL, NULL));
	default:
		return MARKED(REAL(read)(fd, buf, n));
	}
}

EXPORT ssize_t __read(int fd, void *buf, size_t n)
{
	return read(fd, buf, n);
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
	switch (kindof(pd)) {
	case FD_PIPE:
	case FD_EVENT:
	case FD_TTY:
		return ret_point(waitwrite1(pd, buf, n));
	case FD_FILE:
		return ret_point(filewrite(pd, SYS_write, buf, n));
	case FD_TCP:
	case FD_STREAM:
	case FD_DGRAM:
		return ret_point(socksend(pd, buf, n, 0, NULL, 0));
	default:
		return MARKEDWRITE(REAL(write)(fd, buf, n));
	}
}

EXPORT ssize_t __write(int fd, const void *buf, size_t n)
{
	return write(fd, buf, n);
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
		return ret_read(waitread(pd, iov, cnt));
	case FD_FILE:
		return ret_read(fileread(pd, SYS_readv, iov, (size_t)cnt));
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
		return ret_point(waitwrite(pd, iov, cnt, false));
	case FD_FILE:
		return ret_point(filewrite(pd, SYS_writev, iov, (size_t)cnt));
	default:
		return MARKEDWRITE(REAL(writev)(fd, iov, cnt));
	}
}

/* libc's would call its own read and write. */
EXPORT int eventfd_read(int fd, eventfd_t *v)
{
	return read(fd, v, sizeof(*v)) == sizeof(*v) ? 0 : -1;
}

EXPORT int eventfd_write(int fd, eventfd_t v)
{
	return write(fd, &v, sizeof(v)) == sizeof(v) ? 0 : -1;
}
