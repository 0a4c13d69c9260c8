/* SPDX-License-Identifier: MIT
 *
 * clock.c: clocks that belong to a thread. CLOCK_THREAD_CPUTIME_ID and what pthread_getcpuclockid gives count what the G
 * has used, on whatever kernel threads it ran. All others are the kernel's.
 *
 * A thread's clock id is made as the kernel makes it, of the thread's id (which for a G is no kernel thread's).
 */
#include "io.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "arch.h"

enum { PERTHREAD = 6, KINDBITS = 7 }; /* CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED; what is not the id */

static const clockid_t SELF = (clockid_t)(~0u << 3 | PERTHREAD); /* the calling kernel thread's, to the kernel */

static int idof(clockid_t clk)
{
	return (int)~((unsigned)clk >> 3 | 7u << 29);
}

/* The G whose clock it is; nil: none of ours. */
static struct g *clockof(clockid_t clk)
{
	if (clk == CLOCK_THREAD_CPUTIME_ID)
		return getg();
	if (clk >= 0 || (clk & KINDBITS) != PERTHREAD || !poolstarted())
		return NULL;
	int tid = idof(clk);
	return tid == 0 ? getg() : gofid(tid);
}

EXPORT int clock_gettime(clockid_t clk, struct timespec *ts)
{
	struct g *gp = unlikely(clk == CLOCK_THREAD_CPUTIME_ID || clk < 0) ? clockof(clk) : NULL;

	if (likely(gp == NULL))
		return REAL(clock_gettime)(clk, ts);
	uint64_t ns = gocputime(gp);
	ts->tv_sec = (time_t)(ns / 1000000000);
	ts->tv_nsec = (long)(ns % 1000000000);
	return 0;
}

/*
 * Nobody sets such a clock, and with which error that is said depends on whether there is the thread: of the calling kernel
 * thread there is.
 */
EXPORT int clock_settime(clockid_t clk, const struct timespec *ts)
{
	return REAL(clock_settime)(clk < 0 && clockof(clk) ? SELF : clk, ts);
}

/* clock_gettime(2), clock_getres(2), clock_settime(2) by number. */
long rawclock(long n, clockid_t clk, struct timespec *ts)
{
	struct g *gp = clk == CLOCK_THREAD_CPUTIME_ID || clk < 0 ? clockof(clk) : NULL;

	if (gp != NULL && n == SYS_clock_gettime && goodwrite(ts, sizeof(*ts)))
		return clock_gettime(clk, ts);
	return ret_errno(SC2(n, gp != NULL && clk < 0 ? SELF : clk, ts));
}

EXPORT int clock_getres(clockid_t clk, struct timespec *ts)
{
	return REAL(clock_getres)(clockof(clk) ? CLOCK_THREAD_CPUTIME_ID : clk, ts);
}

EXPORT int pthread_getcpuclockid(pthread_t t, clockid_t *clk)
{
	struct g *gp = gofthread(t);
	struct ginfo info;

	if (gp == NULL)
		return REAL(pthread_getcpuclockid)(t, clk);
	if (goended(gp))
		return ESRCH;
	goinfo(gp, &info);
	*clk = (clockid_t)(~(unsigned)info.tid << 3 | PERTHREAD);
	return 0;
}

/* ---- sleeping until another thread has used so much -------------------------------------------------- */

/* What is left until gp, whose id is tid, has used so much; ended: it will never come to that. */
static uint64_t leftto(uint64_t until, struct g *gp, int tid, bool *ended)
{
	struct ginfo info;

	*ended = goended(gp); /* first: then the time is final */
	uint64_t now = gocputime(gp);
	goinfo(gp, &info);
	if (info.tid == tid)
		return until > now ? until - now : 0;
	*ended = true; /* and another has its place */
	return UINT64_MAX;
}

/* Not a G, perhaps. 0 or EINTR, a cancellation point. */
static int sleepfor(uint64_t ns)
{
	if (getg() != NULL) {
		int err = gosleep(reldeadline(ns));
		testcancel();
		return -err;
	}
	struct timespec ts = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
	return REAL(clock_nanosleep)(CLOCK_MONOTONIC, 0, &ts, NULL);
}

/*
 * It cannot come to that before as much time has passed, so we sleep for that long, and look again. While it does not
 * run, look all the same, for it may: ever less often, and then as often as the kernel, which looks at its ticks, would be
 * exact. If it has ended before, it is for ever, as in the kernel.
 *
 * Whose place another thread has taken since the last look, we do not know what it had used in the end: it counts as
 * enough if there was time enough for it. (The kernel, too, forgets who waits if that is between two ticks.)
 *
 * Rejected: the kernel's call, on the clock of a kernel thread of its own (goown()). Only a thread that does not block in
 * the kernel can be given one, what is parked is moved for it, and the caller would hold a second one.
 */
int clocksleep(clockid_t clk, int flags, const struct timespec *ts, struct timespec *rem, bool *is)
{
	enum { FIRST = 1000000, LAST = 16000000 };
	struct g *gp = clk < 0 ? clockof(clk) : NULL;
	int tid = idof(clk), err;
	uint64_t pause = FIRST, left, was;
	bool ended;

	*is = gp != NULL;
	if (gp == NULL)
		return 0;
	testcancel();
	if (ts == NULL || badtime(ts))
		return ts != NULL && goodread(ts, sizeof(*ts)) ? EINVAL : EFAULT;
	if (gp == getg())
		return EINVAL;
	uint64_t until = (uint64_t)ts->tv_sec > INT64_MAX / 1000000000
			     ? INT64_MAX
			     : (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec;
	if ((flags & TIMER_ABSTIME) == 0)
		until += gocputime(gp);
	left = leftto(until, gp, tid, &ended);
	if (ended)
		return EINVAL;
	while (left != 0) {
		uint64_t since = nanotime();
		err = sleepfor(ended ? INT64_MAX : left > pause ? left : pause);
		was = left;
		if (!ended)
			left = leftto(until, gp, tid, &ended);
		if (left == UINT64_MAX)
			left = nanotime() - since >= was ? 0 : was;
		if (left == 0 || err == 0) {
			pause = left != was ? FIRST : pause < LAST ? 2 * pause : LAST;
			continue;
		}
		if ((flags & TIMER_ABSTIME) == 0 && rem != NULL) {
			if (!goodwrite(rem, sizeof(*rem)))
				return EFAULT;
			*rem = (struct timespec){(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
		}
		return err;
	}
	return 0;
}

/* ---- timers ---------------------------------------------------------------------------------------------- */

/*
 * A timer on a G's CPU time is the kernel's to watch: that G stays on its kernel thread from now on. One that is to
 * signal a G by its id (SIGEV_THREAD_ID) signals the process, and runtime/sigtimer.c knows whose it is.
 *
 * By name (*t) or by the system call's number (*id): libc's timer_t is the kernel's id, but for SIGEV_THREAD.
 */
static int create(clockid_t clk, struct sigevent *ev, timer_t *t, int *id)
{
	return id != NULL ? (int)ret_errno(SC3(SYS_timer_create, clk, ev, id)) : REAL(timer_create)(clk, ev, t);
}

static int createtimer(clockid_t clk, struct sigevent *ev, timer_t *t, int *id)
{
	struct g *gp = clk == CLOCK_THREAD_CPUTIME_ID || clk < 0 ? clockof(clk) : NULL, *to = NULL;
	struct sigevent mine;
	int tid = 0, kernel = 0;

	if (poolstarted() && ev != NULL && ev->sigev_notify == SIGEV_THREAD_ID && (tid = ev->_sigev_un._tid) > 0)
		to = gofid(tid);
	if (gp == NULL && to == NULL)
		return create(clk, ev, t, id);
	if (gp != NULL) {
		kernel = gp == getg() ? lockosthread() : getg() != NULL ? goown(gp) : -ENOTSUP;
		if (kernel < 0)
			return (int)ret_errno(kernel == -ESRCH ? -EINVAL : kernel);
		clk = (clockid_t)(~(unsigned)kernel << 3 | PERTHREAD);
	}
	if (to != NULL) {
		mine = *ev;
		mine.sigev_notify = to == gp ? SIGEV_THREAD_ID : SIGEV_SIGNAL;
		mine._sigev_un._tid = kernel;
		ev = &mine;
	}
	int r = create(clk, ev, t, id);
	bool known = id != NULL || (intptr_t)*t >= 0; /* libc's own number, for SIGEV_THREAD */
	if (r == 0 && known && !gotimer(id != NULL ? *id : (int)(intptr_t)*t, to, tid, gp)) {
		SC1(SYS_timer_delete, id != NULL ? *id : (int)(intptr_t)*t);
		errno = EAGAIN;
		r = -1;
	}
	if (r != 0 && gp != NULL && gp == getg())
		unlockosthread();
	return r;
}

EXPORT int timer_create(clockid_t clk, struct sigevent *ev, timer_t *t)
{
	return createtimer(clk, ev, t, NULL);
}

int rawtimer(clockid_t clk, struct sigevent *ev, int *id)
{
	return createtimer(clk, ev, NULL, id);
}

/* A time on a G's clock, as the time that is left: its kernel thread's clock says another. */
static const struct itimerspec *relative(int id, int *flags, const struct itimerspec *new, struct itimerspec *rel)
{
	struct g *gp = (*flags & TIMER_ABSTIME) && new != NULL && id >= 0 ? gotimerwatches(id) : NULL;

	if (gp == NULL || badtime(&new->it_value) || (new->it_value.tv_sec | new->it_value.tv_nsec) == 0)
		return new;
	uint64_t now = gocputime(gp), s = (uint64_t)new->it_value.tv_sec;
	if (s > UINT64_MAX / 2000000000u)
		return new; /* never, on either clock */
	uint64_t at = s * 1000000000u + (uint64_t)new->it_value.tv_nsec, left = at > now ? at - now : 1;
	*rel = *new;
	rel->it_value = (struct timespec){(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
	*flags &= ~TIMER_ABSTIME;
	return rel;
}

EXPORT int timer_settime(timer_t t, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	struct itimerspec rel;

	new = relative((intptr_t)t >= 0 ? (int)(intptr_t)t : -1, &flags, new, &rel);
	return REAL(timer_settime)(t, flags, new, old);
}

int rawtimerset(int id, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	struct itimerspec rel;

	new = relative(id, &flags, new, &rel);
	return (int)ret_errno(SC4(SYS_timer_settime, id, flags, new, old));
}

EXPORT int timer_delete(timer_t t)
{
	int r = REAL(timer_delete)(t);

	if (r == 0 && (intptr_t)t >= 0 && gotimerknown((int)(intptr_t)t))
		gotimergone((int)(intptr_t)t);
	return r;
}

static void split(struct rusage *ru, uint64_t ns)
{
	uint64_t u = (uint64_t)ru->ru_utime.tv_sec * 1000000 + (uint64_t)ru->ru_utime.tv_usec;
	uint64_t s = (uint64_t)ru->ru_stime.tv_sec * 1000000 + (uint64_t)ru->ru_stime.tv_usec, us = ns / 1000;

	u = u + s != 0 ? us * u / (u + s) : us;
	s = us - u;
	ru->ru_utime = (struct timeval){(time_t)(u / 1000000), (suseconds_t)(u % 1000000)};
	ru->ru_stime = (struct timeval){(time_t)(s / 1000000), (suseconds_t)(s % 1000000)};
}

/* RUSAGE_THREAD: the G's CPU time, user and system in the proportion of its kernel thread's; the rest is that thread's. */
EXPORT int getrusage(__rusage_who_t who, struct rusage *ru)
{
	int r = REAL(getrusage)(who, ru);

	if (r == 0 && (int)who == RUSAGE_THREAD && getg() != NULL)
		split(ru, gocputime(getg()));
	return r;
}
