/* SPDX-License-Identifier: MIT
 *
 * splice.c: sendfile, splice, tee, vmsplice: data moved inside the kernel, from or to what may have
 * to be waited for.
 *
 * Pipes are asked with SPLICE_F_NONBLOCK and waited for in the netpoller. Sockets have no such flag
 * here (only O_NONBLOCK, which others share), so beforehand poll(2) must say that there is
 * something, or, for sending, the socket how much room it has: of the free part of its buffer half
 * is taken at a time, for the kernel counts its own overhead too. Should it block all the same, the
 * call is marked, and nothing is wrong but an M in it.
 *
 * A file at the other end is read from the disk in the same call, which is marked for it.
 *
 * Rejected: reading into a buffer and sending that (a copy that the program meant to avoid).
 */
#include "io.h"
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <sys/syscall.h>
#include "arch.h"

enum { LEAST = 4096 };

static bool isstream(struct polldesc *pd)
{
	return kindof(pd) == FD_TCP || kindof(pd) == FD_STREAM;
}

/* What fits into a stream socket's buffer without waiting; 0: hardly anything, or nobody knows. */
static size_t room(struct polldesc *pd)
{
	uint32_t m[SK_MEMINFO_VARS] = {0}, len = sizeof(m), used;

	if (SC5(SYS_getsockopt, pd->fd, SOL_SOCKET, SO_MEMINFO, m, &len) < 0)
		return 0;
	used = m[kindof(pd) == FD_TCP ? SK_MEMINFO_WMEM_QUEUED : SK_MEMINFO_WMEM_ALLOC];
	size_t most = used < m[SK_MEMINFO_SNDBUF] ? (m[SK_MEMINFO_SNDBUF] - used) / 2 : 0;
	return most < LEAST ? 0 : most;
}

/*
 * One end is waited for until poll(2) says that it is ready; for streams to send to, until there is
 * room: *most. 0, or the call's result.
 */
static ssize_t untilready(struct waitop *op, size_t *most)
{
	struct polldesc *pd = op->pd;

	for (;;) {
		uint32_t edges = pdedges(pd);
		if (pdmaybe(pd, op->mode)) {
			size_t n = op->mode == PD_WRITE && isstream(pd) ? room(pd) : 0;
			if (n == 0 && readynow(pd->fd, op->mode == PD_READ ? POLLIN : POLLOUT))
				n = op->mode == PD_WRITE && isstream(pd) ? LEAST : *most;
			if (n != 0) {
				if (n < *most)
					*most = n;
				pdmore(pd, op->mode);
				return 0;
			}
			/* (poll has asked the socket to tell when there is room.) */
			if (!pdempty(pd, op->mode, edges))
				continue;
		}
		ssize_t r = opwait(op);
		if (r == -EPERM)
			return 0;
		if (r != 0)
			return r;
	}
}

/* ---- sendfile -------------------------------------------------------------------------------- */

static ssize_t tosocket(struct polldesc *pd, int in, off_t *off, size_t n)
{
	struct waitop op = waitop(pd, PD_WRITE);
	size_t done = 0;

	for (;;) {
		size_t most = n - done;
		op.part = done > 0;
		ssize_t r = untilready(&op, &most);
		if (r == 0)
			r = RAW(SC4(SYS_sendfile, pd->fd, in, off, most));
		if (r < 0)
			return done ? (ssize_t)done : r;
		done += (size_t)r;
		/* Short: the end of the file, or a signal. */
		if ((size_t)r < most || done == n)
			return (ssize_t)done;
	}
}

static ssize_t topipe(struct polldesc *pd, int in, off_t *off, size_t n)
{
	struct waitop op = waitop(pd, PD_WRITE);
	size_t most = n;
	ssize_t r = untilready(&op, &most);

	return r != 0 ? r : RAW(SC4(SYS_sendfile, pd->fd, in, off, n));
}

EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t n)
{
	struct polldesc *pd = waitablequiet(out); /* in libc it is no cancellation point */

	if (pd != NULL && n > 0 && isstream(pd))
		return ret_errno(tosocket(pd, in, off, n));
	if (pd != NULL && n > 0 && kindof(pd) == FD_PIPE)
		return ret_errno(topipe(pd, in, off, n));
	return MARKEDWRITE(REAL(sendfile)(out, in, off, n));
}

EXPORT ssize_t sendfile64(int out, int in, off_t *off, size_t n)
{
	return sendfile(out, in, off, n);
}

/* ---- splice, tee, vmsplice ------------------------------------------------------------------- */

struct move {
	long nr;
	long a[6];
	int flags, len; /* which of a[] they are */
	struct waitop in, out;
	bool waitin, waitout; /* that end may have to be waited for */
};

static ssize_t once(struct move *m, size_t n, unsigned flags)
{
	long a[6];

	for (int i = 0; i < 6; i++)
		a[i] = i == m->flags ? (long)((unsigned long)m->a[i] | flags)
		       : i == m->len ? (long)n
				     : m->a[i];
	return RAW(POINT(SC6(m->nr, a[0], a[1], a[2], a[3], a[4], a[5])));
}

/* n: bytes (for vmsplice: pieces). */
static ssize_t move(struct move *m, size_t n)
{
	/* A pipe is asked by the call itself, until it has said no. */
	bool askin = m->waitin && kindof(m->in.pd) != FD_PIPE,
	     askout = m->waitout && kindof(m->out.pd) != FD_PIPE;
	bool chunks = m->waitout && isstream(m->out.pd);
	size_t done = 0;

	for (int again = 0;; again++) {
		size_t most = n - done;
		ssize_t r = 0;
		/* What the pipe holds is all that a blocking call would take. */
		if (done > 0 && m->waitin && !readynow(m->in.pd->fd, POLLIN))
			return (ssize_t)done;
		m->in.part = m->out.part = done > 0;
		if (askin)
			r = untilready(&m->in, &(size_t){1});
		if (r == 0 && askout)
			r = untilready(&m->out, &most);
		if (r == 0) /* (It is the other end that has changed its mind, twice: the kernel's
			       wait.) */
			r = once(m, most, again < 3 ? SPLICE_F_NONBLOCK : 0);
		if (r == -EAGAIN && again < 3) {
			askin = m->waitin;
			askout = m->waitout;
			continue;
		}
		if (m->waitin)
			pdmore(m->in.pd, PD_READ);
		if (m->waitout)
			pdmore(m->out.pd, PD_WRITE);
		if (r <= 0)
			return done ? (ssize_t)done : r;
		done += (size_t)r;
		if (!chunks || done == n)
			return (ssize_t)done;
		again = 0;
	}
}

/* May that end have to be waited for, and are we the ones to do it? *kernel: it may, and we are
 * not. */
static bool waits(int fd, int mode, struct waitop *op, bool *kernel)
{
	struct polldesc *pd = waitable(fd);

	if (pd == NULL) {
		*kernel = true; /* O_NONBLOCK, or no such descriptor */
		return false;
	}
	switch (kindof(pd)) {
	case FD_FILE:
		return false;
	case FD_PIPE:
	case FD_TCP:
	case FD_STREAM:
		*op = waitop(pd, mode);
		return true;
	default:
		*kernel = true;
		return false;
	}
}

EXPORT ssize_t splice(int in, off64_t *offin, int out, off64_t *offout, size_t n, unsigned flags)
{
	struct move m = {SYS_splice, {in, (long)offin, out, (long)offout, (long)n, (long)flags},
			 5,	     4,
			 {0},	     {0},
			 false,	     false};
	bool kernel = getg() == NULL || n == 0 || (flags & SPLICE_F_NONBLOCK);

	if (!kernel) {
		m.waitin = waits(in, PD_READ, &m.in, &kernel);
		m.waitout = waits(out, PD_WRITE, &m.out, &kernel);
	}
	if (kernel)
		return MARKEDWRITE(REAL(splice)(in, offin, out, offout, n, flags));
	return ret_point(move(&m, n));
}

EXPORT ssize_t tee(int in, int out, size_t n, unsigned flags)
{
	struct move m = {SYS_tee, {in, out, (long)n, (long)flags, 0, 0}, 3, 2, {0}, {0}, false,
			 false};
	bool kernel = getg() == NULL || n == 0 || (flags & SPLICE_F_NONBLOCK);

	if (!kernel) {
		m.waitin = waits(in, PD_READ, &m.in, &kernel);
		m.waitout = waits(out, PD_WRITE, &m.out, &kernel);
	}
	if (kernel)
		return MARKEDWRITE(REAL(tee)(in, out, n, flags));
	return ret_point(move(&m, n));
}

/* Into a pipe, or out of one, as the descriptor was opened. */
EXPORT ssize_t vmsplice(int fd, const struct iovec *iov, size_t cnt, unsigned flags)
{
	struct move m = {
	    SYS_vmsplice, {fd, (long)iov, (long)cnt, (long)flags, 0, 0}, 3, 2, {0}, {0}, false,
	    false};
	bool kernel = getg() == NULL || cnt == 0 || (flags & SPLICE_F_NONBLOCK);

	if (!kernel) {
		if ((SC3(SYS_fcntl, fd, F_GETFL, 0) & O_ACCMODE) == O_RDONLY)
			m.waitin = waits(fd, PD_READ, &m.in, &kernel);
		else
			m.waitout = waits(fd, PD_WRITE, &m.out, &kernel);
	}
	if (kernel || (!m.waitin && !m.waitout))
		return MARKEDWRITE(REAL(vmsplice)(fd, iov, cnt, flags));
	return ret_point(move(&m, cnt));
}
