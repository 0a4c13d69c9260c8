/* SPDX-License-Identifier: MIT */
/* sleep, usleep, nanosleep, clock_nanosleep: never short, both clocks, absolute times in the past,
 * errors; in main and in threads. nanosleep(2), clock_nanosleep(2) */
#include "t.h"

static void *all(void *arg)
{
	struct timespec ts = {0, 20000000}, rem = {7, 7};
	double begin = ms_now();

	say("nanosleep: %d", nanosleep(&ts, NULL));
	MUST(ms_now() - begin >= 20);
	say("usleep: %d", usleep(10000));
	MUST(ms_now() - begin >= 30);
	say("sleep(0): %u", sleep(0));
	begin = ms_now();
	say("sleep(1): %u", sleep(1));
	MUST(ms_now() - begin >= 1000);
	begin = ms_now();
	say("relative: %d", clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &rem));
	MUST(ms_now() - begin >= 20);
	say("remaining is not written: %d", rem.tv_sec == 7 && rem.tv_nsec == 7);
	begin = ms_now();
	ts = in_ms(CLOCK_MONOTONIC, 30);
	say("absolute, monotonic: %d", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL));
	MUST(ms_now() - begin >= 29.9);
	begin = ms_now();
	ts = in_ms(CLOCK_REALTIME, 30);
	say("absolute, realtime: %d", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL));
	MUST(ms_now() - begin >= 29);
	ts = in_ms(CLOCK_MONOTONIC, -1000);
	say("absolute, in the past: %d",
	    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL));

	ts = (struct timespec){0, 1000000000};
	SYS(nanosleep(&ts, NULL));
	ts = (struct timespec){0, -1};
	SYS(nanosleep(&ts, NULL));
	ts = (struct timespec){-1, 0};
	SYS(nanosleep(&ts, NULL));
	RC(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL));
	RC(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL));
	ts = (struct timespec){0, 0};
	RC(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL));
	RC(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, NULL));
	RC(clock_nanosleep(1234, 0, &ts, NULL));
	SYS(nanosleep(&ts, NULL));
	return arg;
}

int main(void)
{
	all(NULL);
	finish(start(all, NULL));
	return 0;
}
