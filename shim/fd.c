/* SPDX-License-Identifier: MIT
 *
 * fd.c: descriptors made, duplicated, changed and closed: the netpoller keeps its books by number.
 *
 * Before the real close (or dup2 over a number) the number's generation ends and its waiters are woken;
 * after each call that gives a number, a new one begins. fclose, pclose and closedir close inside libc,
 * where no symbol is seen, so they are wrapped too. The runtime's own descriptors cannot be closed by
 * the program: to it they do not exist (EBADF), and a range leaves them out.
 */
#include "io.h"
#include <fcntl.h>
#include <linux/close_range.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include "arch.h"

static int opened(int fd, enum fdkind kind, bool nonblock, bool shared)
{
	if (fd >= 0 && poolstarted())
		fdopened(fd, kind, nonblock, shared);
	return fd;
}

/* ---- made --------------------------------------------------------------------------------------- */

static enum fdkind kindofsocket(int domain, int type)
{
	if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM)
		return FD_DGRAM;
	return domain == AF_INET || domain == AF_INET6 ? FD_TCP : FD_STREAM;
}

EXPORT int socket(int domain, int type, int protocol)
{
	return opened(REAL(socket)(domain, type, protocol), kindofsocket(domain, type),
		      type & SOCK_NONBLOCK, false);
}

EXPORT int socketpair(int domain, int type, int protocol, int fd[2])
{
	int r = REAL(socketpair)(domain, type, protocol, fd);

	if (r == 0) {
		opened(fd[0], kindofsocket(domain, type), type & SOCK_NONBLOCK, false);
		opened(fd[1], kindofsocket(domain, type), type & SOCK_NONBLOCK, false);
	}
	return r;
}

EXPORT int pipe2(int fd[2], int flags)
{
	int r = REAL(pipe2)(fd, flags);

	if (r == 0) {
		opened(fd[0], FD_PIPE, flags & O_NONBLOCK, false);
		opened(fd[1], FD_PIPE, flags & O_NONBLOCK, false);
	}
	return r;
}

EXPORT int pipe(int fd[2])
{
	return pipe2(fd, 0);
}

EXPORT int eventfd(unsigned n, int flags)
{
	return opened(REAL(eventfd)(n, flags), FD_EVENT, flags & EFD_NONBLOCK, false);
}

/* Read and written like an eventfd. */
static int event(int fd, bool nonblock)
{
	return opened(fd, FD_EVENT, nonblock, false);
}

EXPORT int timerfd_create(int clk, int flags)
{
	return event(REAL(timerfd_create)(clk, flags), flags & TFD_NONBLOCK);
}

EXPORT int signalfd(int fd, const sigset_t *mask, int flags)
{
	int r = REAL(signalfd)(fd, mask, flags);

	return fd == -1 ? event(r, flags & SFD_NONBLOCK) : r;
}

EXPORT int inotify_init1(int flags)
{
	return event(REAL(inotify_init1)(flags), flags & IN_NONBLOCK);
}

EXPORT int inotify_init(void)
{
	return event(REAL(inotify_init)(), false);
}

EXPORT int epoll_create1(int flags)
{
	return event(REAL(epoll_create1)(flags), false);
}

EXPORT int epoll_create(int size)
{
	return event(REAL(epoll_create)(size), false);
}

/* What it is will be looked at when first used. */
#define UNKNOWN(fd) opened(fd, FD_UNKNOWN, false, false)

EXPORT int memfd_create(const char *name, unsigned flags)
{
	return UNKNOWN(REAL(memfd_create)(name, flags));
}

EXPORT int fanotify_init(unsigned flags, unsigned eventflags)
{
	return UNKNOWN(REAL(fanotify_init)(flags, eventflags));
}

EXPORT int posix_openpt(int flags)
{
	return UNKNOWN(REAL(posix_openpt)(flags));
}

EXPORT int getpt(void)
{
	return UNKNOWN(REAL(getpt)());
}

EXPORT int openpty(int *master, int *slave, char *name, const struct termios *t, const struct winsize *w)
{
	int r = MARKED(REAL(openpty)(master, slave, name, t, w));

	if (r == 0) {
		UNKNOWN(*master);
		UNKNOWN(*slave);
	}
	return r;
}

EXPORT int pidfd_open(pid_t pid, unsigned flags)
{
	return UNKNOWN(REAL(pidfd_open)(pid, flags));
}

EXPORT int pidfd_getfd(int pidfd, int fd, unsigned flags)
{
	return opened(REAL(pidfd_getfd)(pidfd, fd, flags), FD_UNKNOWN, false, true);
}

/* ---- closed -------------------------------------------------------------------------------------- */

/* True: the number is ours, errno is set. */
static bool forbidden(int fd)
{
	if (likely(!fdours(fd)))
		return false;
	errno = EBADF;
	return true;
}

EXPORT int close(int fd)
{
	if (forbidden(fd))
		return -1;
	struct polldesc *pd = NULL;
	if (poolstarted() && ((pd = fdknown(fd)) == NULL || getg() == NULL || likely(!fdlingers(pd)))) {
		fdclosing(fd);
		pd = NULL;
	}
	if (getg() == NULL)
		return REAL(close)(fd);
	testcancel();
	if (unlikely(pd != NULL))
		return closelinger(fd, pd);
	/* Raw: libc's spends more on cancellation than we on the rest. */
	return (int)ret_errno(RAW(SC1(SYS_close, fd)));
}

EXPORT int __close(int fd)
{
	return close(fd);
}

EXPORT int fclose(FILE *f)
{
	if (poolstarted()) {
		int e = errno, fd = fileno(f);
		errno = e;
		if (fd >= 0) {
			fflush(f); /* libc writes what is left before it closes: while the number still is what it was */
			fdclosing(fd);
		}
	}
	return MARKEDWRITE(REAL(fclose)(f));
}

EXPORT int pclose(FILE *f)
{
	if (poolstarted())
		fdclosing(fileno(f));
	return MARKEDBLOCK(REAL(pclose)(f));
}

EXPORT int closedir(DIR *d)
{
	if (poolstarted())
		fdclosing(dirfd(d));
	return REAL(closedir)(d);
}

/* [lo, hi] without our own numbers, in at most three pieces. */
static int closepieces(unsigned lo, unsigned hi, int flags)
{
	for (;;) {
		int ours = lo <= INT_MAX ? fdoursnext((int)lo) : -1;
		if (ours < 0 || (unsigned)ours > hi)
			return REAL(close_range)(lo, hi, flags);
		if ((unsigned)ours > lo && REAL(close_range)(lo, (unsigned)ours - 1, flags) != 0)
			return -1;
		if ((unsigned)ours == hi)
			return 0;
		lo = (unsigned)ours + 1;
	}
}

EXPORT int close_range(unsigned lo, unsigned hi, int flags)
{
	if (!poolstarted() || lo > hi || (flags & CLOSE_RANGE_CLOEXEC))
		return REAL(close_range)(lo, hi, flags);
	if (getg() != NULL)
		fdclosingrange(lo, hi);
	return closepieces(lo, hi, flags);
}

EXPORT void closefrom(int lo)
{
	if (!poolstarted()) {
		REAL(closefrom)(lo);
		return;
	}
	close_range(lo < 0 ? 0 : (unsigned)lo, ~0u, 0);
}

/* ---- duplicated ----------------------------------------------------------------------------------- */

/* `to` now names what `from` names. */
static int duplicated(int from, int to)
{
	if (to < 0 || !poolstarted())
		return to;
	fdshared(from);
	fdopened(to, FD_UNKNOWN, false, true);
	return to;
}

EXPORT int dup(int fd)
{
	return duplicated(fd, REAL(dup)(fd));
}

EXPORT int dup3(int from, int to, int flags)
{
	if (forbidden(to))
		return -1;
	/* Only if it will succeed: else `to` stays what it is. */
	if (from != to && poolstarted() && REAL(fcntl)(from, F_GETFD) >= 0)
		fdclosing(to);
	return duplicated(from, REAL(dup3)(from, to, flags));
}

EXPORT int dup2(int from, int to)
{
	return from == to ? REAL(dup2)(from, to) : dup3(from, to, 0);
}

static int dofcntl(int (*real)(int, int, ...), int fd, int cmd, void *arg)
{
	int r;

	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return duplicated(fd, real(fd, cmd, arg));
	case F_SETFL:
		r = real(fd, cmd, arg);
		if (r == 0)
			fdsetfl(fd, (int)(uintptr_t)arg);
		return r;
	case F_SETLKW:
	case F_OFD_SETLKW:
		return waitsetlk(real, fd, cmd, arg);
	case F_GETFL:
	case F_GETFD:
	case F_SETFD:
		return real(fd, cmd, arg);
	default: /* locks and leases: a network file system's business too */
		return MARKED(real(fd, cmd, arg));
	}
}

EXPORT int fcntl(int fd, int cmd, ...)
{
	va_list ap;

	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	return dofcntl(&REAL(fcntl), fd, cmd, arg);
}

EXPORT int fcntl64(int fd, int cmd, ...)
{
	va_list ap;

	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	return dofcntl(&REAL(fcntl64), fd, cmd, arg);
}

EXPORT int ioctl(int fd, unsigned long cmd, ...)
{
	va_list ap;

	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	int r = MARKED(REAL(ioctl)(fd, cmd, arg));
	if (cmd == FIONBIO && r == 0)
		fdnonblock(fd, *(int *)arg != 0);
	return r;
}
