/* SPDX-License-Identifier: MIT
 *
 * socket.c: sockets. Each blocking call is a MSG_DONTWAIT attempt, then a wait in the netpoller.
 *
 * A short read of a TCP stream says that it is drained: the next call then waits without asking the kernel
 * first. Not so after a hang-up or urgent data (pd->hup), nor for message or Unix sockets, whose reads end at
 * boundaries of their own: there only EAGAIN says so. A blocking send goes on until all is sent.
 *
 * accept has no MSG_DONTWAIT: poll(2) first, then the call; a connection that another process took in
 * between would block this M until the next, so there the call is one that sysmon can end (goaccept()). connect sets O_NONBLOCK for the length of the
 * call only, on a socket that nobody else can be using yet.
 */
#include "io.h"
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include "arch.h"

/* Flags under which an attempt tells nothing, or cannot block: straight to the kernel. */
static bool passes(int flags)
{
	return flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE);
}

/* What passes. It is marked unless it is known not to block: the mark has sysmon look closely. */
#define PASS(flags, expr) ((flags) & MSG_DONTWAIT ? UNMARKED(expr) : MARKED(expr))
#define PASSWRITE(flags, expr)                            \
	({                                                \
		ssize_t n_;                               \
		if ((flags) & MSG_DONTWAIT) {             \
			n_ = (expr);                      \
			epipeerrno(n_ == -1);             \
		} else {                                  \
			n_ = MARKEDWRITE(expr);           \
		}                                         \
		n_;                                       \
	})

ssize_t sockrecv(struct polldesc *pd, void *buf, size_t n, int flags, struct sockaddr *a, socklen_t *alen)
{
	struct waitop op = waitop(pd, PD_READ);
	bool stream = kindof(pd) != FD_DGRAM;
	bool all = stream && (flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL;
	bool plain = kindof(pd) == FD_TCP && (flags & ~(MSG_NOSIGNAL | MSG_WAITALL)) == 0;
	size_t done = 0;

	for (;;) {
		ssize_t r;
		if (pdtry(pd, PD_READ)) {
			r = SC6(SYS_recvfrom, pd->fd, (char *)buf + done, n - done,
				(flags & ~MSG_WAITALL) | MSG_DONTWAIT, a, alen);
			if (r != -EAGAIN) {
				bool drained = r > 0 && (size_t)r < n - done && plain &&
					       !atomic_load_explicit(&pd->hup, memory_order_acquire);
				if (!drained)
					pdleft(pd, PD_READ);
				if (!all || r <= 0)
					return r < 0 && done == 0 ? r : (ssize_t)done + (r > 0 ? r : 0);
				done += (size_t)r;
				if (done == n)
					return (ssize_t)done;
				continue;
			}
		}
		op.part = done > 0;
		r = opwait(&op);
		if (r == -EPERM) {
			entersyscall();
			r = POINT(SC6(SYS_recvfrom, pd->fd, (char *)buf + done, n - done, flags, a, alen));
			exitsyscall();
		}
		if (r != 0)
			return done ? (ssize_t)done : r;
	}
}

/* begun: some of what the call sends has been sent before. */
static ssize_t sendrest(struct polldesc *pd, const void *buf, size_t n, int flags, const struct sockaddr *a,
			socklen_t alen, bool begun)
{
	struct waitop op = waitop(pd, PD_WRITE);
	bool stream = kindof(pd) != FD_DGRAM;
	size_t done = 0;

	for (;;) {
		ssize_t r = -EAGAIN;
		if (pdtry(pd, PD_WRITE)) {
			r = epipe(SC6(SYS_sendto, pd->fd, (const char *)buf + done, n - done,
				      flags | MSG_DONTWAIT, a, alen));
			if (r != -EAGAIN)
				pdleft(pd, PD_WRITE);
			if (r >= 0) {
				done += (size_t)r;
				if (!stream || done >= n)
					return (ssize_t)done;
				/* Once more: only EAGAIN makes sure that the kernel owes us an edge. */
				continue;
			}
			if (r != -EAGAIN)
				return done ? (ssize_t)done : r;
		}
		if (!stream) {
			/* A full peer is not always visible to poll (Unix datagrams): the kernel's wait. */
			pdleft(pd, PD_WRITE);
			entersyscallblock();
			r = epipe(POINT(SC6(SYS_sendto, pd->fd, buf, n, flags, a, alen)));
			exitsyscall();
			return r;
		}
		op.part = begun || done > 0;
		r = opwait(&op);
		if (r != 0)
			return done ? (ssize_t)done : r;
	}
}

ssize_t socksend(struct polldesc *pd, const void *buf, size_t n, int flags, const struct sockaddr *a,
		 socklen_t alen)
{
	return sendrest(pd, buf, n, flags, a, alen, false);
}

/* Descriptors that came in with a message are somebody else's too. */
static void received(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			fdopened(fd, FD_UNKNOWN, false, true);
		}
	}
}

static void sending(const struct msghdr *m)
{
	if (m->msg_control != NULL && m->msg_controllen >= CMSG_LEN(sizeof(int)))
		fdshareall();
}

ssize_t sockrecvmsg(struct polldesc *pd, struct msghdr *m, int flags)
{
	struct waitop op = waitop(pd, PD_READ);
	ssize_t r;

	if (flags & MSG_WAITALL && kindof(pd) != FD_DGRAM) {
		entersyscallblock();
		r = POINT(SC3(SYS_recvmsg, pd->fd, m, flags));
		exitsyscall();
		return r;
	}
	for (;;) {
		if (pdtry(pd, PD_READ)) {
			r = SC3(SYS_recvmsg, pd->fd, m, flags | MSG_DONTWAIT);
			if (r != -EAGAIN) {
				pdleft(pd, PD_READ);
				if (r >= 0 && m->msg_controllen != 0)
					received(m);
				return r;
			}
		}
		r = opwait(&op);
		if (r != 0)
			return r;
	}
}

/* Of a message that is sent: what we look at before the kernel. The pieces' own memory is the kernel's to look at. */
static bool badmsg(const struct msghdr *m)
{
	return !goodread(m, sizeof(*m)) ||
	       (m->msg_iovlen <= IOV_MAX && !goodread(m->msg_iov, m->msg_iovlen * sizeof(*m->msg_iov))) ||
	       (m->msg_control != NULL && m->msg_controllen != 0 && !goodread(m->msg_control, 1));
}

static size_t msglen(const struct msghdr *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->msg_iovlen; i++)
		n += m->msg_iov[i].iov_len;
	return n;
}

ssize_t socksendmsg(struct polldesc *pd, const struct msghdr *m, int flags)
{
	struct waitop op = waitop(pd, PD_WRITE);
	bool stream = kindof(pd) != FD_DGRAM;
	size_t want = msglen(m), done = 0;
	ssize_t r;

	sending(m);
	for (;;) {
		if (pdtry(pd, PD_WRITE)) {
			r = epipe(SC3(SYS_sendmsg, pd->fd, m, flags | MSG_DONTWAIT));
			if (r != -EAGAIN) {
				pdleft(pd, PD_WRITE);
				if (r < 0 || !stream || (size_t)r >= want)
					return r;
				done = (size_t)r;
				break;
			}
		}
		if (!stream) {
			pdleft(pd, PD_WRITE);
			entersyscallblock();
			r = epipe(POINT(SC3(SYS_sendmsg, pd->fd, m, flags)));
			exitsyscall();
			return r;
		}
		r = opwait(&op);
		if (r != 0)
			return r;
	}
	/* The rest piece by piece: control data went with the first byte. */
	size_t skip = done;
	for (size_t i = 0; i < m->msg_iovlen; i++) {
		const struct iovec *v = &m->msg_iov[i];
		if (skip >= v->iov_len) {
			skip -= v->iov_len;
			continue;
		}
		r = sendrest(pd, (char *)v->iov_base + skip, v->iov_len - skip, flags, NULL, 0, true);
		if (r < 0)
			return (ssize_t)done;
		done += (size_t)r;
		if ((size_t)r < v->iov_len - skip)
			return (ssize_t)done;
		skip = 0;
	}
	return (ssize_t)done;
}

/* ---- the exported names ------------------------------------------------------------------------ */

static struct polldesc *sockwaitable(int fd, int flags)
{
	struct polldesc *pd = passes(flags) ? NULL : waitable(fd);

	return pd != NULL && issock(kindof(pd)) ? pd : NULL;
}

EXPORT ssize_t recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *a, socklen_t *alen)
{
	struct polldesc *pd = sockwaitable(fd, flags);

	if (pd == NULL)
		return PASS(flags, REAL(recvfrom)(fd, buf, n, flags, a, alen));
	return ret_read(sockrecv(pd, buf, n, flags, a, alen));
}

EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	struct polldesc *pd = sockwaitable(fd, flags);

	if (pd == NULL)
		return PASS(flags, REAL(recv)(fd, buf, n, flags));
	return ret_read(sockrecv(pd, buf, n, flags, NULL, NULL));
}

EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t buflen, int flags)
{
	return n > buflen ? REAL(__recv_chk)(fd, buf, n, buflen, flags) : recv(fd, buf, n, flags);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t buflen, int flags, struct sockaddr *a,
			      socklen_t *alen)
{
	if (n > buflen)
		return REAL(__recvfrom_chk)(fd, buf, n, buflen, flags, a, alen);
	return recvfrom(fd, buf, n, flags, a, alen);
}

EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	return sendto(fd, buf, n, flags, NULL, 0);
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *a, socklen_t alen)
{
	struct polldesc *pd = sockwaitable(fd, flags);

	if (pd == NULL)
		return PASSWRITE(flags, REAL(sendto)(fd, buf, n, flags, a, alen));
	return ret_point(socksend(pd, buf, n, flags, a, alen));
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	struct polldesc *pd = sockwaitable(fd, flags);

	if (pd == NULL) {
		ssize_t r = PASS(flags, REAL(recvmsg)(fd, m, flags));
		if (r >= 0 && m->msg_controllen != 0 && poolstarted())
			received(m);
		return r;
	}
	return ret_read(sockrecvmsg(pd, m, flags));
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct polldesc *pd = sockwaitable(fd, flags);

	if (pd == NULL || badmsg(m)) {
		if (poolstarted() && !badmsg(m))
			sending(m);
		return PASSWRITE(flags, REAL(sendmsg)(fd, m, flags));
	}
	return ret_point(socksendmsg(pd, m, flags));
}

EXPORT int recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *ts)
{
	struct polldesc *pd = sockwaitable(fd, flags);
	uint64_t end = 0;
	unsigned i;

	if (pd == NULL || badtime(ts) || (ts != NULL && !goodwrite(ts, sizeof(*ts))))
		return PASS(flags, REAL(recvmmsg)(fd, v, n, flags, ts));
	end = todeadline(ts);
	for (i = 0; i < n; i++) {
		/* WAITFORONE: the rest only as far as it is there. As in the kernel, the time-out is
		 * looked at after each message only. */
		int f = flags & ~MSG_WAITFORONE;
		ssize_t r = !goodwrite(&v[i], sizeof(v[i])) ? -EFAULT
			    : i > 0 && (flags & MSG_WAITFORONE) ? SC3(SYS_recvmsg, fd, &v[i].msg_hdr, f | MSG_DONTWAIT)
							     : sockrecvmsg(pd, &v[i].msg_hdr, f);
		if (r < 0) {
			if (i > 0)
				break;
			return (int)ret_point(r);
		}
		v[i].msg_len = (unsigned)r;
		if (ts != NULL) {
			uint64_t now = nanotime(), left = now < end ? end - now : 0;
			ts->tv_sec = (time_t)(left / 1000000000u);
			ts->tv_nsec = (long)(left % 1000000000u);
			if (left == 0) {
				i++;
				break;
			}
		}
	}
	return (int)i;
}

EXPORT int sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
	struct polldesc *pd = sockwaitable(fd, flags);
	unsigned i;

	if (pd == NULL)
		return PASSWRITE(flags, REAL(sendmmsg)(fd, v, n, flags));
	for (i = 0; i < n; i++) {
		bool bad = !goodwrite(&v[i], sizeof(v[i])) || badmsg(&v[i].msg_hdr);
		ssize_t r = bad ? -EFAULT : socksendmsg(pd, &v[i].msg_hdr, flags);
		if (r < 0) {
			if (i > 0)
				break;
			return (int)ret_point(r);
		}
		v[i].msg_len = (unsigned)r;
	}
	return (int)i;
}

/* ---- connections -------------------------------------------------------------------------------- */

static int waitaccept(struct polldesc *pd, struct sockaddr *a, socklen_t *alen, int flags)
{
	struct waitop op = waitop(pd, PD_READ);

	for (bool first = true;; first = false) {
		if (pdtry(pd, PD_READ) && readynow(pd->fd, POLLIN)) {
			/* Only where another process may take the connection first. */
			bool shared = atomic_load_explicit(&pd->shared, memory_order_relaxed);
			long r = shared ? goaccept(pd->fd, a, alen, flags)
					: POINT(SC4(SYS_accept4, pd->fd, a, alen, flags));
			if (r == -ERESTART) {
				pdleft(pd, PD_READ);
				continue;
			}
			/* Somebody was faster, and O_NONBLOCK was set while we waited: that is for calls to come. */
			if (unlikely(r == -EAGAIN) && (SC3(SYS_fcntl, pd->fd, F_GETFL, 0) & O_NONBLOCK))
				continue;
			pdleft(pd, PD_READ);
			/* The new socket inherits the listener's time-outs and SO_LINGER. */
			if (r >= 0) {
				fdopened((int)r, pd->rcvtimeo | pd->sndtimeo ? FD_UNKNOWN : (enum fdkind)pd->conn,
					 flags & SOCK_NONBLOCK, false);
				if (unlikely(fdlingers(pd)))
					fdlinger((int)r, true);
			}
			return (int)r;
		}
		if (first && fdnone()) /* the kernel looks for a number before it waits */
			return -EMFILE;
		ssize_t r = opwait(&op);
		if (r != 0)
			return (int)r;
	}
}

EXPORT int accept4(int fd, struct sockaddr *a, socklen_t *alen, int flags)
{
	struct polldesc *pd = waitable(fd);

	if (pd == NULL || kindof(pd) != FD_LISTEN) {
		int r = MARKED(REAL(accept4)(fd, a, alen, flags));
		if (r >= 0 && poolstarted())
			fdopened(r, FD_UNKNOWN, false, false);
		return r;
	}
	return (int)ret_point(waitaccept(pd, a, alen, flags));
}

EXPORT int accept(int fd, struct sockaddr *a, socklen_t *alen)
{
	return accept4(fd, a, alen, 0);
}

/* TCP: start it without blocking, wait until it can be written to, ask how it went. */
static int waitconnect(struct polldesc *pd, const struct sockaddr *a, socklen_t alen)
{
	struct waitop op = waitop(pd, PD_CONNECT);
	long fl = SC3(SYS_fcntl, pd->fd, F_GETFL, 0);

	atomic_store(&pd->wready, 0);
	SC3(SYS_fcntl, pd->fd, F_SETFL, fl | O_NONBLOCK);
	long r = SC3(SYS_connect, pd->fd, a, alen);
	SC3(SYS_fcntl, pd->fd, F_SETFL, fl);
	if (r != -EINPROGRESS || (fl & O_NONBLOCK)) { /* which another process has set */
		pdleft(pd, PD_WRITE);
		return (int)r;
	}
	for (;;) {
		ssize_t e = opwait(&op);
		if (e == -EAGAIN)
			e = -EINPROGRESS; /* SO_SNDTIMEO */
		if (e != 0)
			return (int)e;
		atomic_store(&pd->wready, 0);
		if (readynow(pd->fd, POLLOUT))
			break;
	}
	pdleft(pd, PD_WRITE);
	/* Not SO_ERROR: the second call also moves the socket on from "connecting". It does not block. */
	r = SC3(SYS_connect, pd->fd, a, alen);
	return (int)r;
}

EXPORT int connect(int fd, const struct sockaddr *a, socklen_t alen)
{
	struct polldesc *pd = waitable(fd);

	if (pd == NULL || kindof(pd) != FD_TCP)
		return MARKED(REAL(connect)(fd, a, alen));
	int r = waitconnect(pd, a, alen);
	return (int)ret_point(r);
}

EXPORT int listen(int fd, int backlog)
{
	int r = REAL(listen)(fd, backlog);

	if (r == 0 && poolstarted())
		fdlisten(fd);
	return r;
}

EXPORT int shutdown(int fd, int how)
{
	int r = REAL(shutdown)(fd, how);
	struct polldesc *pd = r == 0 && getg() ? polldesc(fd) : NULL;

	/* Events come for most; a connected datagram socket, say, reports none for its own side. */
	if (pd != NULL) {
		atomic_store(&pd->hup, 1);
		pdleft(pd, PD_READ);
		pdleft(pd, PD_WRITE);
	}
	return r;
}

EXPORT int setsockopt(int fd, int level, int opt, const void *val, socklen_t len)
{
	int r = REAL(setsockopt)(fd, level, opt, val, len);

	if (r == 0 && level == SOL_SOCKET && poolstarted()) {
		if (opt == SO_RCVTIMEO || opt == SO_SNDTIMEO || opt == 66 || opt == 67) /* _NEW variants */
			fdchanged(fd);
		else if (opt == SO_LINGER && len >= sizeof(struct linger))
			fdlinger(fd, ((const struct linger *)val)->l_onoff != 0 && ((const struct linger *)val)->l_linger > 0);
		else if (opt == SO_RCVLOWAT && len == sizeof(int) && *(const int *)val > 1)
			fdmarked(fd); /* MSG_DONTWAIT would return less than the low-water mark */
	}
	return r;
}
