/* SPDX-License-Identifier: MIT */
/*
 * What the programs share. A program prints facts (results, counts, names of errors) and never a
 * time, an address or an id, so that its output is the same bare and preloaded; a broken fact ends
 * it with status 1.
 */
#ifndef T_H
#define T_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
#define T_INLINE inline
#else
#define T_INLINE static inline
#endif

/* One write per line: nothing is left in a buffer for a forked child to print again. */
__attribute__((format(printf, 1, 2))) T_INLINE void say(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof line - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof line - 2)
		n = sizeof line - 2;
	line[n++] = '\n';
	if (write(1, line, n) != n)
		_exit(99);
}

T_INLINE const char *errname(int e)
{
	const char *s = e ? strerrorname_np(e) : "0";
	return s ? s : "unknown";
}

__attribute__((noreturn)) T_INLINE void t_fail(const char *file, int line, const char *what, int e)
{
	say("FAIL %s:%d: %s (errno %s)", strrchr(file, '/') ? strrchr(file, '/') + 1 : file, line,
	    what, errname(e));
	_exit(1);
}

T_INLINE void t_sys(const char *what, long r)
{
	if (r == -1)
		say("%s: %s", what, errname(errno));
	else
		say("%s: %ld", what, r);
}

/* MUST: true. OK: a pthread call that returns 0. RC, SYS: print the call and what it gave. */
#define MUST(x) ((x) ? (void)0 : t_fail(__FILE__, __LINE__, #x, errno))
#define OK(call)                                                                                   \
	do {                                                                                       \
		int ok_rc = (call);                                                                \
		if (ok_rc)                                                                         \
			t_fail(__FILE__, __LINE__, #call, ok_rc);                                  \
	} while (0)
#define RC(call) say("%s: %s", #call, errname(call))
#define SYS(call) t_sys(#call, (long)(call))

#define NELEM(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* How much to do: n times TEST_SCALE, at least 1. */
T_INLINE int scaled(int n)
{
	const char *s = getenv("TEST_SCALE");
	double k = s ? atof(s) : 1;

	return n * k < 1 ? 1 : (int)(n * k);
}

T_INLINE pthread_t start(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	OK(pthread_create(&t, NULL, fn, arg));
	return t;
}

/* The path of a module that was built beside this program. */
T_INLINE const char *module_path(const char *name)
{
	static __thread char path[4200];
	ssize_t n = readlink("/proc/self/exe", path, 4096);

	MUST(n > 0);
	path[n] = 0;
	strcpy(strrchr(path, '/') + 1, name);
	return path;
}

/* A thread with a small stack, for programs that make thousands. */
T_INLINE pthread_t start_small(void *(*fn)(void *), void *arg)
{
	pthread_attr_t a;
	pthread_t t;

	OK(pthread_attr_init(&a));
	OK(pthread_attr_setstacksize(&a, 64 << 10));
	OK(pthread_create(&t, &a, fn, arg));
	OK(pthread_attr_destroy(&a));
	return t;
}

T_INLINE void *finish(pthread_t t)
{
	void *r;

	OK(pthread_join(t, &r));
	return r;
}

T_INLINE struct timespec now(clockid_t clock)
{
	struct timespec ts;

	MUST(clock_gettime(clock, &ts) == 0);
	return ts;
}

/* The time on that clock in ms milliseconds (may be negative). */
T_INLINE struct timespec in_ms(clockid_t clock, long ms)
{
	struct timespec ts = now(clock);
	int64_t ns = ts.tv_sec * 1000000000LL + ts.tv_nsec + ms * 1000000LL;

	ts.tv_sec = ns / 1000000000;
	ts.tv_nsec = ns % 1000000000;
	return ts;
}

T_INLINE double ms_now(void)
{
	struct timespec ts = now(CLOCK_MONOTONIC);

	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

/*
 * Give another thread the time to block. The result must be the same whether it has blocked by then
 * or not: this makes the interesting order likely, it does not hide the others.
 */
T_INLINE void settle(void)
{
	struct timespec ts = {0, 20000000};

	nanosleep(&ts, NULL);
}

/* The byte at offset off of stream id: what every checked transfer sends. */
T_INLINE unsigned char pattern(unsigned id, size_t off)
{
	return (unsigned char)((off * 2654435761u >> 13) + off + id * 101);
}

T_INLINE void fill(unsigned char *buf, size_t n, unsigned id, size_t off)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(id, off + i);
}

T_INLINE bool right(const unsigned char *buf, size_t n, unsigned id, size_t off)
{
	for (size_t i = 0; i < n; i++)
		if (buf[i] != pattern(id, off + i))
			return false;
	return true;
}

/* All of n bytes, through short counts. */
T_INLINE void write_all(int fd, const void *buf, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t k = write(fd, (const char *)buf + done, n - done);
		MUST(k > 0);
		done += k;
	}
}

T_INLINE size_t read_all(int fd, void *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t k = read(fd, (char *)buf + done, n - done);
		MUST(k >= 0);
		if (k == 0)
			break;
		done += k;
	}
	return done;
}

#endif
