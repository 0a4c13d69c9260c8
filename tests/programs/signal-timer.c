/* SPDX-License-Identifier: MIT */
/* POSIX timers: by signal with a value, by a thread, overruns; alarm's and setitimer's return values; timers while threads are
 * blocked or compute. timer_create(2), alarm(2) */
#include "t.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/time.h>

static sem_t fired, threads;
static volatile int value, overrun, code;
static timer_t timer;

static void on_timer(int sig, siginfo_t *si, void *uc)
{
	(void)sig, (void)uc;
	value = si->si_value.sival_int;
	code = si->si_code;
	overrun += timer_getoverrun(timer);
	sem_post(&fired);
}

static void in_thread(union sigval v)
{
	MUST(v.sival_int == 99);
	usleep(100);
	sem_post(&threads);
}

static void *computes(void *arg)
{
	while (!*(volatile int *)arg)
		;
	return NULL;
}

static void *reads(void *arg)
{
	char c;

	while (read(*(int *)arg, &c, 1) == 1)
		;
	return NULL;
}

static void on_alarm(int sig)
{
	(void)sig;
	sem_post(&fired);
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2};
	struct itimerspec often = {{0, 2000000}, {0, 1000000}}, left;
	int stop = 0, p[2];
	pthread_t t[4];

	MUST(sem_init(&fired, 0, 0) == 0 && sem_init(&threads, 0, 0) == 0 && pipe(p) == 0);
	t[0] = start(computes, &stop);
	for (int i = 1; i < 4; i++)
		t[i] = start(reads, &p[0]);
	MUST(sigaction(SIGRTMIN + 2, &sa, NULL) == 0);
	ev.sigev_value.sival_int = 42;
	MUST(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0);
	MUST(timer_settime(timer, 0, &often, NULL) == 0);
	for (int i = 0; i < 30; i++)
		while (sem_wait(&fired) != 0)
			;
	MUST(timer_gettime(timer, &left) == 0 && left.it_interval.tv_nsec == 2000000);
	MUST(timer_delete(timer) == 0);
	say("by signal: value %d, SI_TIMER %d", value, code == SI_TIMER);

	ev = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = in_thread};
	ev.sigev_value.sival_int = 99;
	MUST(timer_create(CLOCK_REALTIME, &ev, &timer) == 0);
	MUST(timer_settime(timer, 0, &often, NULL) == 0);
	for (int i = 0; i < 20; i++)
		while (sem_wait(&threads) != 0)
			;
	MUST(timer_delete(timer) == 0);
	say("by thread");

	sa = (struct sigaction){.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	MUST(sigaction(SIGALRM, &sa, NULL) == 0);
	SYS(alarm(100));
	unsigned l = alarm(0);
	MUST(l <= 100 && l > 50);
	SYS(alarm(0));
	SYS(ualarm(2000, 0));
	while (sem_wait(&fired) != 0)
		;
	struct itimerval it = {{0, 0}, {50, 0}}, old;
	MUST(setitimer(ITIMER_REAL, &it, NULL) == 0 && getitimer(ITIMER_REAL, &old) == 0);
	MUST(old.it_value.tv_sec >= 25 && setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, &old) == 0);
	MUST(old.it_value.tv_sec >= 25);
	say("alarm, setitimer");
	stop = 1;
	close(p[1]);
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	return 0;
}
