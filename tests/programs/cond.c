/* SPDX-License-Identifier: MIT */
/* Condition variables: ping-pong, signal wakes one, timedwait and clockwait on both clocks.
 * pthread_cond_wait(3p), pthread_condattr_setclock(3p) */
#include "t.h"

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER, queued = PTHREAD_COND_INITIALIZER;
static int turn, rounds, tickets, served;

static void *player(void *arg)
{
	int me = (int)(intptr_t)arg;

	OK(pthread_mutex_lock(&m));
	for (int i = 0; i < rounds; i++) {
		while (turn != me)
			OK(pthread_cond_wait(&turn_changed, &m));
		turn = !me;
		OK(pthread_cond_signal(&turn_changed));
	}
	OK(pthread_mutex_unlock(&m));
	return NULL;
}

static void *taker(void *arg)
{
	OK(pthread_mutex_lock(&m));
	while (tickets == 0)
		OK(pthread_cond_wait(&queued, &m));
	tickets--;
	served++;
	OK(pthread_mutex_unlock(&m));
	return arg;
}

static void timeouts(const char *name, pthread_cond_t *c, clockid_t clock)
{
	double begin = ms_now();
	struct timespec ts = in_ms(clock, 50);

	OK(pthread_mutex_lock(&m));
	say("%s: timedwait: %s", name, errname(pthread_cond_timedwait(c, &m, &ts)));
	MUST(ms_now() - begin >= 49.5);
	say("%s: lock is held: %s", name, errname(pthread_mutex_trylock(&m)));
	ts = in_ms(clock, -100);
	say("%s: in the past: %s", name, errname(pthread_cond_timedwait(c, &m, &ts)));
	ts.tv_nsec = -1;
	say("%s: nsec -1: %s", name, errname(pthread_cond_timedwait(c, &m, &ts)));
	ts.tv_nsec = 1000000000;
	say("%s: nsec 1e9: %s", name, errname(pthread_cond_timedwait(c, &m, &ts)));
	begin = ms_now();
	ts = in_ms(CLOCK_MONOTONIC, 30);
	say("%s: clockwait monotonic: %s", name,
	    errname(pthread_cond_clockwait(c, &m, CLOCK_MONOTONIC, &ts)));
	ts = in_ms(CLOCK_REALTIME, 30);
	say("%s: clockwait realtime: %s", name,
	    errname(pthread_cond_clockwait(c, &m, CLOCK_REALTIME, &ts)));
	MUST(ms_now() - begin >= 59);
	say("%s: clockwait cpu time: %s", name,
	    errname(pthread_cond_clockwait(c, &m, CLOCK_PROCESS_CPUTIME_ID, &ts)));
	OK(pthread_mutex_unlock(&m));
}

int main(void)
{
	pthread_t t[50];
	pthread_condattr_t a;
	pthread_cond_t mono, real = PTHREAD_COND_INITIALIZER;

	rounds = scaled(3000);
	t[0] = start(player, (void *)0);
	t[1] = start(player, (void *)1);
	finish(t[0]);
	finish(t[1]);
	say("ping-pong done, turn %d", turn);

	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(taker, NULL);
	for (int i = 0; i < NELEM(t); i++) {
		OK(pthread_mutex_lock(&m));
		tickets++;
		OK(pthread_cond_signal(&queued));
		OK(pthread_mutex_unlock(&m));
		if (i % 10 == 0)
			settle();
	}
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	say("served %d, left %d", served, tickets);

	OK(pthread_condattr_init(&a));
	RC(pthread_condattr_setclock(&a, CLOCK_PROCESS_CPUTIME_ID));
	OK(pthread_condattr_setclock(&a, CLOCK_MONOTONIC));
	OK(pthread_cond_init(&mono, &a));
	timeouts("realtime", &real, CLOCK_REALTIME);
	timeouts("monotonic", &mono, CLOCK_MONOTONIC);
	RC(pthread_cond_destroy(&mono));
	RC(pthread_cond_signal(&real));
	RC(pthread_cond_broadcast(&real));
	return 0;
}
