/* SPDX-License-Identifier: MIT
 *
 * deep.c: which of libc's functions lead to our wrappers when libc itself calls them
 * (runtime/deep.c says how).
 *
 * All those in which a call inside libc may block on a descriptor, and those that make or close
 * one, for the netpoller keeps its books by number. Each leads to a function here (ENTRY), which
 * goes on to the wrapper, unless
 *
 *   - runtime_stays: this may be the child of posix_spawn, which runs libc's code in our memory
 *     with the caller's TLS and must neither touch the books nor park; or libc has changed what the
 *     kernel keeps for this thread (system() blocks a signal), and the G must not move to another
 *     until it is changed back. Then it is libc's own function. For the children's sake nothing is
 *     patched unless posix_spawn is (its own entry sets the mark, whoever calls it).
 *
 * If the caller is in a marked call, fclose() say, that now turns out to consist of others, the
 * mark ends (WAITS): what takes the descriptor's ready flag must not be left by a handler's jump,
 * and handlers run anywhere in a marked call.
 *
 * Not here: what libc does not call itself, if more than one instruction would be covered; calls
 * that make processes, but posix_spawn; sigprocmask, sigaction and their kin, which libc means for
 * the kernel thread.
 *
 * libc's _nocancel functions must not be cancellation points: the wrapper runs with cancellation
 * disabled.
 */
#include "io.h"
#include <fcntl.h>
#include <sys/syscall.h>
#include "arch.h"

#define ENTRY(ret, name, params, ...)                                                              \
	static ret deep_##name params                                                              \
	{                                                                                          \
		if (unlikely(runtime_stays))                                                       \
			return REAL(name)(__VA_ARGS__);                                            \
		return name(__VA_ARGS__);                                                          \
	}
#define WAITS(ret, name, params, ...)                                                              \
	static ret deep_##name params                                                              \
	{                                                                                          \
		if (unlikely(runtime_stays))                                                       \
			return REAL(name)(__VA_ARGS__);                                            \
		goendmark();                                                                       \
		return name(__VA_ARGS__);                                                          \
	}
/* raw: the system call itself, which gives -errno; expr: the wrapper. */
#define NOCANCEL(raw, expr)                                                                        \
	({                                                                                         \
		__typeof__(expr) n_;                                                               \
		if (unlikely(runtime_stays) || (getg() == NULL && !poolstarted())) {               \
			n_ = (__typeof__(n_))ret_errnoquiet(raw);                                  \
		} else {                                                                           \
			int state_;                                                                \
			pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state_);                   \
			goendmark();                                                               \
			n_ = (expr);                                                               \
			pthread_setcancelstate(state_, NULL);                                      \
		}                                                                                  \
		n_;                                                                                \
	})

/* As ret_errno(), but no cancellation point. */
static long ret_errnoquiet(long r)
{
	if (r < 0 && r >= -4095) {
		errno = (int)-r;
		return -1;
	}
	return r;
}

WAITS(ssize_t, read, (int fd, void *buf, size_t n), fd, buf, n)
WAITS(ssize_t, write, (int fd, const void *buf, size_t n), fd, buf, n)
WAITS(ssize_t, readv, (int fd, const struct iovec *v, int n), fd, v, n)
WAITS(ssize_t, writev, (int fd, const struct iovec *v, int n), fd, v, n)
ENTRY(ssize_t, pread64, (int fd, void *buf, size_t n, off64_t off), fd, buf, n, off)
ENTRY(ssize_t, pwrite64, (int fd, const void *buf, size_t n, off64_t off), fd, buf, n, off)
ENTRY(int, fsync, (int fd), fd)
ENTRY(int, fdatasync, (int fd), fd)
WAITS(ssize_t, recv, (int fd, void *buf, size_t n, int flags), fd, buf, n, flags)
WAITS(ssize_t, recvfrom,
      (int fd, void *buf, size_t n, int flags, struct sockaddr *a, socklen_t *len), fd, buf, n,
      flags, a, len)
WAITS(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), fd, m, flags)
WAITS(int, recvmmsg, (int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *ts), fd, m,
      n, flags, ts)
WAITS(ssize_t, send, (int fd, const void *buf, size_t n, int flags), fd, buf, n, flags)
WAITS(ssize_t, sendto,
      (int fd, const void *buf, size_t n, int flags, const struct sockaddr *a, socklen_t len), fd,
      buf, n, flags, a, len)
WAITS(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), fd, m, flags)
WAITS(int, sendmmsg, (int fd, struct mmsghdr *m, unsigned n, int flags), fd, m, n, flags)
WAITS(int, accept, (int fd, struct sockaddr *a, socklen_t *len), fd, a, len)
WAITS(int, accept4, (int fd, struct sockaddr *a, socklen_t *len, int flags), fd, a, len, flags)
WAITS(int, connect, (int fd, const struct sockaddr *a, socklen_t len), fd, a, len)
WAITS(int, poll, (struct pollfd * p, nfds_t n, int timeout), p, n, timeout)
WAITS(int, epoll_wait, (int ep, struct epoll_event *ev, int n, int timeout), ep, ev, n, timeout)
WAITS(int, epoll_pwait, (int ep, struct epoll_event *ev, int n, int timeout, const sigset_t *set),
      ep, ev, n, timeout, set)
ENTRY(int, listen, (int fd, int n), fd, n)
ENTRY(int, shutdown, (int fd, int how), fd, how)
ENTRY(int, socket, (int domain, int type, int proto), domain, type, proto)
ENTRY(int, pipe2, (int fd[2], int flags), fd, flags)
ENTRY(int, eventfd, (unsigned n, int flags), n, flags)
/* The mode is rubbish if flags want none; then nobody looks at it. */
ENTRY(int, open64, (const char *path, int flags, mode_t mode), path, flags, mode)
ENTRY(int, openat64, (int dir, const char *path, int flags, mode_t mode), dir, path, flags, mode)
ENTRY(int, close, (int fd), fd)
ENTRY(int, close_range, (unsigned lo, unsigned hi, int flags), lo, hi, flags)
ENTRY(int, dup, (int fd), fd)
ENTRY(int, dup2, (int from, int to), from, to)
ENTRY(int, dup3, (int from, int to, int flags), from, to, flags)
ENTRY(int, fcntl64, (int fd, int cmd, void *arg), fd, cmd, arg)
ENTRY(pid_t, wait4, (pid_t pid, int *status, int options, struct rusage *ru), pid, status, options,
      ru)
ENTRY(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options), type, id, info, options)

static ssize_t deep_read_nocancel(int fd, void *buf, size_t n)
{
	return NOCANCEL(SC3(SYS_read, fd, buf, n), read(fd, buf, n));
}

static ssize_t deep_write_nocancel(int fd, const void *buf, size_t n)
{
	return NOCANCEL(SC3(SYS_write, fd, buf, n), write(fd, buf, n));
}

static int deep_close_nocancel(int fd)
{
	return NOCANCEL(SC1(SYS_close, fd), close(fd));
}

static int deep_open_nocancel(const char *path, int flags, mode_t mode)
{
	return NOCANCEL(SC4(SYS_openat, AT_FDCWD, path, flags, mode), open64(path, flags, mode));
}

#define POINTS(n, by, r)                                                                           \
	{                                                                                          \
		.name = n, .to = (const void *)by, .real = r, .needs = "posix_spawn"               \
	}
#define CALL(name) POINTS(#name, deep_##name, (void **)&real_.name)
#define REPLACED(name, by) POINTS("__" #name, by, NULL)

/* On 64-bit machines open is open64 and so on: one entry each. */
static const struct deeppoint points[] = {
    {.name = "posix_spawn",
     .to = (const void *)posix_spawn,
     .real = (void **)&real_.posix_spawn,
     .needs = "posix_spawnp"},
    POINTS("posix_spawnp", posix_spawnp, (void **)&real_.posix_spawnp),
    CALL(read),
    CALL(write),
    CALL(readv),
    CALL(writev),
    CALL(pread64),
    CALL(pwrite64),
    CALL(fsync),
    CALL(fdatasync),
    CALL(recv),
    CALL(recvfrom),
    CALL(recvmsg),
    CALL(recvmmsg),
    CALL(send),
    CALL(sendto),
    CALL(sendmsg),
    CALL(sendmmsg),
    CALL(accept),
    CALL(accept4),
    CALL(connect),
    CALL(poll),
    CALL(epoll_wait),
    CALL(epoll_pwait),
    CALL(listen),
    CALL(shutdown),
    CALL(socket),
    CALL(pipe2),
    CALL(eventfd),
    CALL(open64),
    CALL(openat64),
    CALL(close),
    CALL(close_range),
    CALL(dup),
    CALL(dup2),
    CALL(dup3),
    CALL(fcntl64),
    CALL(wait4),
    CALL(waitid),
    REPLACED(read_nocancel, deep_read_nocancel),
    REPLACED(write_nocancel, deep_write_nocancel),
    REPLACED(close_nocancel, deep_close_nocancel),
    REPLACED(open64_nocancel, deep_open_nocancel),
};

__attribute__((constructor)) static void init(void)
{
	deepregister(points, (int)(sizeof(points) / sizeof(points[0])), (void **)&real_,
		     (int)(sizeof(real_) / sizeof(void *)));
}
