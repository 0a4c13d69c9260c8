/* SPDX-License-Identifier: MIT
 *
 * sleep.c: sleeping. Relative sleeps run on CLOCK_MONOTONIC, as in the kernel (settimeofday does not
 * move them); what is left is told only after a signal handler.
 */
#include "io.h"
#include <limits.h>

/* 0, EINTR or EFAULT (positive, as clock_nanosleep). */
static int sleepfor(const struct timespec *ts, struct timespec *rem)
{
	uint64_t ns = (uint64_t)ts->tv_sec > INT64_MAX / 1000000000
			      ? INT64_MAX
			      : (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec;
	uint64_t deadline = reldeadline(ns);

	if (ns == 0) {
		gosched();
		return 0;
	}
	if (gosleep(deadline) == 0)
		return 0;
	testcancel();
	if (rem != NULL && !goodwrite(rem, sizeof(*rem)))
		return EFAULT;
	if (rem != NULL) {
		uint64_t now = nanotime(), left = now < deadline ? deadline - now : 0;
		rem->tv_sec = (time_t)(left / 1000000000u);
		rem->tv_nsec = (long)(left % 1000000000u);
	}
	return EINTR;
}

/* 0, EINVAL or EFAULT. Nil is no time-out here, it is an address. */
static int badsleep(const struct timespec *ts)
{
	if (likely(ts != NULL && !badtime(ts)))
		return 0;
	return ts != NULL && goodread(ts, sizeof(*ts)) ? EINVAL : EFAULT;
}

EXPORT int clock_nanosleep(clockid_t clk, int flags, const struct timespec *ts, struct timespec *rem)
{
	if (unlikely(clk < 0)) {
		bool is;
		int r = clocksleep(clk, flags, ts, rem, &is);
		if (is)
			return r;
	}
	if (getg() == NULL)
		return REAL(clock_nanosleep)(clk, flags, ts, rem);
	if (clk != CLOCK_REALTIME && clk != CLOCK_MONOTONIC)
		return MARKEDBLOCK(REAL(clock_nanosleep)(clk, flags, ts, rem));
	testcancel();
	int err = badsleep(ts);
	if (err != 0)
		return err;
	if ((flags & TIMER_ABSTIME) == 0)
		return sleepfor(ts, rem);
	uint64_t deadline = absdeadline(clk, ts);
	if (deadline == 1 || gosleep(deadline) == 0)
		return 0;
	testcancel();
	return EINTR;
}

EXPORT int nanosleep(const struct timespec *ts, struct timespec *rem)
{
	if (getg() == NULL)
		return REAL(nanosleep)(ts, rem);
	testcancel();
	int err = badsleep(ts);
	if (err == 0)
		err = sleepfor(ts, rem);
	if (err == 0)
		return 0;
	errno = err;
	return -1;
}

EXPORT int usleep(useconds_t us)
{
	struct timespec ts = {us / 1000000, (long)(us % 1000000) * 1000};

	return getg() == NULL ? REAL(usleep)(us) : nanosleep(&ts, NULL);
}

EXPORT unsigned sleep(unsigned s)
{
	struct timespec ts = {s, 0}, rem = {0, 0};

	if (getg() == NULL)
		return REAL(sleep)(s);
	testcancel();
	if (sleepfor(&ts, &rem) == 0)
		return 0;
	/* Rounded to the nearest second, as glibc's nanosleep-based sleep does not: it truncates. */
	return (unsigned)rem.tv_sec;
}
