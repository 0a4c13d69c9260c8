/* SPDX-License-Identifier: MIT
 *
 * netgs.h: descriptors for tests of the netpoller, read and written by Gs in the shim's manner: an
 * attempt if the flag says so, then pdleft() or a wait. Both ways, the one that takes the flag and the one that does
 * not, mixed on each descriptor.
 */
#ifndef NETGS_H
#define NETGS_H

#include "gs.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

static __attribute__((unused)) void gopipe(int p[2])
{
	must(pipe(p) == 0, "errno %d", errno);
	fdopened(p[0], FD_PIPE, false, false);
	fdopened(p[1], FD_PIPE, false, false);
}

static __attribute__((unused)) void goclose(int fd)
{
	fdclosing(fd);
	must(close(fd) == 0, "%d: errno %d", fd, errno);
}

static __attribute__((unused)) bool heads(void)
{
	static _Atomic unsigned n;

	return atomic_fetch_add_explicit(&n, 1, memory_order_relaxed) * 2654435761u >> 31;
}

/* n bytes at most, or -errno. drained: a short read says that it is empty (the shim does so for
 * TCP). */
static __attribute__((unused)) ssize_t gread(int fd, void *buf, size_t n, uint64_t deadline,
					     bool drained)
{
	struct polldesc *pd = fdlook(fd);
	uint32_t gen = atomic_load(&pd->gen);
	struct iovec iov = {buf, n};

	for (;;) {
		uint32_t edges = pdedges(pd);
		if (heads()) {
			if (pdmaybe(pd, PD_READ)) {
				ssize_t got = SC6(SYS_preadv2, fd, &iov, 1, -1, -1, RWF_NOWAIT);
				if (got != -EAGAIN) {
					pdmore(pd, PD_READ);
					return got;
				}
				if (!pdempty(pd, PD_READ, edges))
					continue;
			}
		} else if (pdtry(pd, PD_READ)) {
			ssize_t got = SC6(SYS_preadv2, fd, &iov, 1, -1, -1, RWF_NOWAIT);
			if (got > 0 && got < (ssize_t)n && drained && !atomic_load(&pd->hup))
				return got;
			if (got != -EAGAIN) {
				pdleft(pd, PD_READ);
				return got;
			}
		}
		int err = pdwait(pd, gen, PD_READ, deadline);
		if (err != 0)
			return err;
	}
}

static __attribute__((unused)) ssize_t gwrite(int fd, const void *buf, size_t n)
{
	struct polldesc *pd = fdlook(fd);
	uint32_t gen = atomic_load(&pd->gen);
	struct iovec iov = {(void *)(uintptr_t)buf, n};

	for (;;) {
		uint32_t edges = pdedges(pd);
		if (heads()) {
			if (pdmaybe(pd, PD_WRITE)) {
				ssize_t put = SC6(SYS_pwritev2, fd, &iov, 1, -1, -1, RWF_NOWAIT);
				if (put != -EAGAIN) {
					pdmore(pd, PD_WRITE);
					return put;
				}
				if (!pdempty(pd, PD_WRITE, edges))
					continue;
			}
		} else if (pdtry(pd, PD_WRITE)) {
			ssize_t put = SC6(SYS_pwritev2, fd, &iov, 1, -1, -1, RWF_NOWAIT);
			if (put != -EAGAIN) {
				pdleft(pd, PD_WRITE);
				return put;
			}
		}
		int err = pdwait(pd, gen, PD_WRITE, 0);
		if (err != 0)
			return err;
	}
}

static __attribute__((unused)) void gwriteall(int fd, const char *buf, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t put = gwrite(fd, buf + done, n - done);
		must(put > 0, "write: %zd", put);
		done += (size_t)put;
	}
}

#endif
