/* SPDX-License-Identifier: MIT
 *
 * alias.c: second names under which libc exports some of its functions, mostly for old binaries and
 * its own other libraries. (Those of one family with a file of their own are there.)
 */
#include "shim.h"
#include <stdarg.h>

#define ALIAS(ret, name, params, call)                                                             \
	EXPORT ret name params                                                                     \
	{                                                                                          \
		return call;                                                                       \
	}

ALIAS(int, __connect, (int fd, const struct sockaddr *a, socklen_t n), connect(fd, a, n))
ALIAS(ssize_t, __send, (int fd, const void *buf, size_t n, int flags), send(fd, buf, n, flags))
ALIAS(int, __pipe, (int fd[2]), pipe(fd))
ALIAS(int, __dup2, (int from, int to), dup2(from, to))
ALIAS(int, __poll, (struct pollfd * p, nfds_t n, int timeout), poll(p, n, timeout))
ALIAS(int, __select, (int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *tv),
      select(n, r, w, x, tv))
ALIAS(int, __nanosleep, (const struct timespec *ts, struct timespec *rem), nanosleep(ts, rem))
ALIAS(int, __sched_yield, (void), sched_yield())
ALIAS(pid_t, __wait, (int *status), wait(status))
ALIAS(pid_t, __waitpid, (pid_t pid, int *status, int options), waitpid(pid, status, options))
ALIAS(FILE *, _IO_fopen, (const char *name, const char *mode), fopen(name, mode))
ALIAS(int, _IO_fclose, (FILE * f), fclose(f))
ALIAS(FILE *, _IO_popen, (const char *cmd, const char *mode), popen(cmd, mode))

EXPORT int __fcntl(int fd, int cmd, ...)
{
	va_list ap;

	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	return fcntl(fd, cmd, arg);
}
