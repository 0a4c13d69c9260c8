/* SPDX-License-Identifier: MIT
 *
 * shim.h: what the files of shim/ share.
 *
 * Rules: an exported function is a thin forward, one screen, always in one order: not on a G -> the
 * real call; fast path; park or mark the system call; convert the result. Only the shim sets errno
 * (or returns a positive errno for pthread functions). names.def lists every interposed name once.
 */
#ifndef SHIM_H
#define SHIM_H

#include "gmp.h"
#include "protos.h"
#include <errno.h>

#define EXPORT __attribute__((visibility("default")))

/* The real functions, filled by realinit() (real.c) from names.def. */
struct real {
#define FN(ret, name, args) ret(*name) args;
#include "names.def"
#undef FN
};
extern struct real real_;
/* Prototypes for the names that no header declares (fortify's _chk, old aliases). */
#define FN(ret, name, args) ret name args;
#include "names.def"
#undef FN
void realinit(void);
void *realone(void *slot, const char *name);
/*
 * real_ may be wanted before our constructor has filled it: by other constructors, and in the middle of it by an
 * allocator, for dlsym allocates when it does not find a name. So that one name only: the allocator may hold its locks, and
 * must not be entered once more.
 */
#define REALFN(name) (likely(real_.name) ? real_.name : (__typeof__(real_.name))realone(&real_.name, #name))
#define REAL(name) (*REALFN(name))

/* The G that `pid` means, 0: the calling one. nil: none of ours. affinity.c */
struct g *taskof(pid_t pid);

/*
 * May the program's memory there be read (written)? No: the kernel has EFAULT for it. goodname: a string, of which max bytes
 * count. user.c
 */
bool goodread(const void *p, size_t n);
bool goodwrite(void *p, size_t n);
bool goodname(const char *s, size_t max);

/*
 * ownthread(), before a change of what the kernel keeps by thread. filtersall: a seccomp filter has been given to all
 * threads. perthread.c
 */
bool changesthread(void);
/* A thread that is no G, and has what other kernel threads have not: by a change of its own, or inherited. */
extern __thread bool shim_heir __attribute__((tls_model("initial-exec"), visibility("hidden")));
void filtersall(void);
struct sock_fprog;
extern bool shim_filtered; /* a filter forbids calls that the program does not make itself: make none it does not ask for */
void filterinstalled(const struct sock_fprog *prog, bool all); /* nil: strict mode */

/* The pool has started: syscall() looks at what it is asked for. syscall.c */
void syscallstart(void);
struct sigevent;
struct itimerspec;
/* clock_nanosleep(3) on the clock of a G's CPU time; *is: it is one. clock.c */
int clocksleep(clockid_t clk, int flags, const struct timespec *ts, struct timespec *rem, bool *is);
long rawclock(long n, clockid_t clk, struct timespec *ts); /* SYS_clock_gettime, _getres, _settime */
int rawtimer(int clk, struct sigevent *ev, int *id); /* SYS_timer_create */
int rawtimerset(int id, int flags, const struct itimerspec *new, struct itimerspec *old);

/* In each wrapper that is a cancellation point, on entry; after a wait that gave EINTR. */
static inline void testcancel(void)
{
	if (unlikely(gocancelled()))
		pthread_testcancel();
}

/* After a wait that is no cancellation point and gave -EINTR, once nothing is owed to others. */
static inline void testasync(int err)
{
	if (unlikely(err == -EINTR) && goasync())
		pthread_testcancel();
}

/* -errno to the C convention. */
static inline ssize_t ret_errno(ssize_t r)
{
	if (unlikely(r < 0 && r >= -4095)) {
		if (r == -EINTR)
			testcancel();
		errno = (int)-r;
		return -1;
	}
	return r;
}

/*
 * Results of cancellation points, with a request that came after the look at the beginning: in libc it would have ended the
 * call, and who cancels and then closes the descriptor relies on that. An error has had no effect, nor has the end
 * of what is read (ret_read), nor any result of a mere look (ret_look). What has taken or given something is returned.
 */
static inline ssize_t ret_point(ssize_t r)
{
	if (unlikely(r < 0 && r >= -4095))
		testcancel();
	return ret_errno(r);
}
static inline ssize_t ret_read(ssize_t r)
{
	return ret_point(likely(r != 0) ? r : (testcancel(), 0));
}
static inline int ret_look(int r)
{
	testcancel();
	return (int)ret_errno(r);
}

#endif
