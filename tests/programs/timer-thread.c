/* SPDX-License-Identifier: MIT */
/* Timers that signal one thread (SIGEV_THREAD_ID): threads that compute, that wait in every way, that block the signal and
 * take it themselves; armed by themselves and by main; a standard signal that several get at once, on their own CPU time
 * too. timer_create(2), sigevent(7) */
#include "t.h"
#include <semaphore.h>
#include <signal.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { N = 6 };

static __thread int mine, got;
static _Atomic int wrong, tids[N];
static sem_t up, never;

static void on_tick(int s, siginfo_t *info, void *ctx)
{
	(void)s;
	(void)ctx;
	if (info->si_code != SI_TIMER || info->si_value.sival_int != mine)
		wrong++;
	got++;
}

static timer_t timer(clockid_t clk, int sig, int tid, int value)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = sig, .sigev_value.sival_int = value};
	timer_t t;

	ev.sigev_notify_thread_id = tid;
	MUST(timer_create(clk, &ev, &t) == 0);
	return t;
}

static void arm(timer_t t, long ns)
{
	struct itimerspec often = {{0, ns}, {0, ns}};

	MUST(timer_settime(t, 0, &often, NULL) == 0);
}

static void waits(int how)
{
	struct timespec ts = {10, 0};

	switch (how % 4) {
	case 0:
		MUST(sem_wait(&never) == -1 && errno == EINTR);
		break;
	case 1:
		MUST(nanosleep(&ts, NULL) == -1 && errno == EINTR);
		break;
	case 2:
		MUST(poll(NULL, 0, 10000) == -1 && errno == EINTR);
		break;
	default: /* it computes */
		for (int before = got; got == before;)
			__asm__ volatile("" ::: "memory");
	}
}

/* By itself: each has a timer of its own. */
static void *own(void *arg)
{
	int i = (intptr_t)arg;

	mine = gettid();
	timer_t t = timer(CLOCK_MONOTONIC, i % 2 ? SIGUSR1 : SIGRTMIN + 1, mine, mine);
	arm(t, 700000 + i * 10000);
	while (got < scaled(30))
		waits(i);
	MUST(timer_delete(t) == 0);
	return arg;
}

/* By main, who wants to know the id. */
static void *others(void *arg)
{
	int i = (intptr_t)arg;

	mine = i;
	tids[i] = gettid();
	sem_post(&up);
	while (got < scaled(20))
		waits(i);
	return arg;
}

static void *takes(void *arg)
{
	sigset_t set;
	siginfo_t info;
	int me = gettid();

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	timer_t t = timer(CLOCK_MONOTONIC, SIGUSR2, me, me);
	arm(t, 1000000);
	for (int i = 0; i < scaled(20); i++) {
		while (sigwaitinfo(&set, &info) != SIGUSR2)
			MUST(errno == EINTR);
		MUST(info.si_code == SI_TIMER && info.si_value.sival_int == me);
	}
	MUST(timer_delete(t) == 0);
	return arg;
}

static void *cpu(void *arg)
{
	mine = gettid();
	timer_t t = timer(CLOCK_THREAD_CPUTIME_ID, SIGPROF, mine, mine);
	arm(t, 2000000);
	for (int before = got; got < before + 5;)
		__asm__ volatile("" ::: "memory");
	MUST(timer_delete(t) == 0);
	return arg;
}

static void *gone(void *arg)
{
	tids[0] = gettid();
	return arg;
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO};
	pthread_t t[N];
	timer_t timers[N];
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};

	MUST(sem_init(&up, 0, 0) == 0 && sem_init(&never, 0, 0) == 0);
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0 && sigaction(SIGRTMIN + 1, &sa, NULL) == 0 &&
	     sigaction(SIGPROF, &sa, NULL) == 0 && sigaction(SIGUSR2, &sa, NULL) == 0);
	for (int i = 0; i < N; i++)
		t[i] = start(own, (void *)(intptr_t)i);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	say("each its own: wrong %d, main's %d", wrong, got);

	for (int i = 0; i < N; i++) {
		t[i] = start(others, (void *)(intptr_t)i);
		while (sem_wait(&up) != 0)
			;
		timers[i] = timer(CLOCK_REALTIME, SIGUSR1, tids[i], i);
		arm(timers[i], 900000);
	}
	for (int i = 0; i < N; i++)
		finish(t[i]);
	for (int i = 0; i < N; i++)
		MUST(timer_delete(timers[i]) == 0);
	say("armed by main: wrong %d, main's %d", wrong, got);

	for (int i = 0; i < N; i++)
		t[i] = start(i % 2 ? takes : cpu, NULL);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	say("taken, and by CPU time: wrong %d, main's %d", wrong, got);

	mine = 99;
	timers[0] = timer(CLOCK_MONOTONIC, SIGUSR1, getpid(), 99);
	arm(timers[0], 500000);
	t[0] = start(own, 0);
	while (got < 20)
		pause();
	finish(t[0]);
	MUST(timer_delete(timers[0]) == 0);
	say("main's own: wrong %d", wrong);

	finish(start(gone, NULL));
	ev.sigev_notify_thread_id = tids[0];
	while (timer_create(CLOCK_MONOTONIC, &ev, &timers[0]) == 0) /* the kernel takes its time to forget a thread */
		MUST(timer_delete(timers[0]) == 0);
	SYS(timer_create(CLOCK_MONOTONIC, &ev, &timers[0]));
	ev.sigev_notify_thread_id = 0;
	SYS(timer_create(CLOCK_MONOTONIC, &ev, &timers[0]));
	ev.sigev_notify_thread_id = getppid();
	SYS(timer_create(CLOCK_MONOTONIC, &ev, &timers[0]));
	return 0;
}
