/* SPDX-License-Identifier: MIT */
/* Sleeping until another thread has used so much CPU time: one that computes, one that waits first;
 * a handler and a cancellation in between, a thread that ends before; and what such clocks say to
 * being set. By name and by number. clock_nanosleep(2), clock_settime(2), pthread_getcpuclockid(3)
 */
#include "t.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>

static const struct timespec none, some = {0, 20000000}, bad = {0, -1}, ages = {1000, 0};
static sem_t up, go;
static _Atomic bool quit;
static clockid_t clk;

static void on_signal(int sig)
{
	(void)sig;
}

static void *computes(void *arg)
{
	sem_wait(&go);
	while (!quit)
		__asm__ volatile("" ::: "memory");
	return arg;
}

/* By number: ts. */
static void *sleeps(void *ts)
{
	struct timespec rem = {-1, -1};

	sem_post(&up);
	int err = ts != NULL ? (syscall(SYS_clock_nanosleep, clk, 0, ts, &rem) == 0 ? 0 : errno)
			     : clock_nanosleep(clk, 0, &ages, &rem);
	say("asleep: %s, there is something left: %d, not more than was asked for: %d",
	    errname(err), rem.tv_sec > 0 || rem.tv_nsec > 0,
	    rem.tv_sec < ages.tv_sec || (rem.tv_sec == ages.tv_sec && rem.tv_nsec == 0));
	return NULL;
}

/* Until a thread that ends has used more than it will; on a busy machine it may have ended before.
 */
static void *sleeps_on(void *arg)
{
	struct timespec rem = {-1, -1};

	sem_post(&up);
	int err = clock_nanosleep(clk, 0, &ages, &rem);
	say("who sleeps goes on: %d",
	    err == EINVAL || (err == EINTR && (rem.tv_sec > 0 || rem.tv_nsec > 0)));
	return arg;
}

static double used(void)
{
	struct timespec ts = now(clk);

	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void interrupt(pthread_t s)
{
	/* It may not be asleep yet: again, until it has ended. */
	while (pthread_tryjoin_np(s, NULL) == EBUSY) {
		OK(pthread_kill(s, SIGUSR1));
		usleep(1000);
	}
}

static void cancel(pthread_t s)
{
	OK(pthread_cancel(s));
	say("cancelled: %d", finish(s) == PTHREAD_CANCELED);
}

static void wrong(void)
{
	clockid_t own;

	OK(pthread_getcpuclockid(pthread_self(), &own));
	RC(clock_nanosleep(own, 0, &none, NULL));
	RC(clock_nanosleep(own, 0, (struct timespec *)8, NULL));
	SYS(syscall(SYS_clock_nanosleep, own, 0, &none, NULL));
	SYS(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &none, NULL));
	RC(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &none, NULL));
	RC(clock_nanosleep(clk, 0, &none, NULL));
	RC(clock_nanosleep(clk, TIMER_ABSTIME, &none, NULL));
	RC(clock_nanosleep(clk, 0, &bad, NULL));
	RC(clock_nanosleep(clk, 0, (struct timespec *)8, NULL));
	SYS(syscall(SYS_clock_nanosleep, clk, 0, 8, 0));
	SYS(clock_settime(clk, &some));
	SYS(clock_settime(own, &some));
	SYS(clock_settime(clk, &bad));
	SYS(clock_settime(CLOCK_THREAD_CPUTIME_ID, &some));
	SYS(syscall(SYS_clock_settime, clk, &some));
	SYS(syscall(SYS_clock_settime, clk, &bad));
	SYS(syscall(SYS_clock_settime, clk, 8));
	SYS(syscall(SYS_clock_gettime, clk, 8));
	SYS(syscall(SYS_clock_gettime, clk, &(struct timespec){0}));
	SYS(syscall(SYS_clock_getres, clk, &(struct timespec){0}));
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct timespec rem = {-1, -1};
	pthread_t t, s;

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0 && sem_init(&up, 0, 0) == 0 &&
	     sem_init(&go, 0, 0) == 0);
	t = start(computes, NULL);
	OK(pthread_getcpuclockid(t, &clk));
	wrong();

	/* While it waits */
	s = start(sleeps, NULL);
	sem_wait(&up);
	interrupt(s);
	s = start(sleeps, (void *)&ages);
	sem_wait(&up);
	interrupt(s);
	s = start(sleeps, NULL);
	sem_wait(&up);
	usleep(20000);
	cancel(s);

	/* It computes in the middle of that */
	double was = used();
	s = start(sleeps, (void *)&some);
	sem_wait(&up);
	usleep(20000);
	sem_post(&go);
	OK(pthread_join(s, NULL));
	say("it has used so much: %d", used() - was >= 20);
	for (int i = 0; i < 3; i++) {
		was = used();
		OK(clock_nanosleep(clk, 0, &some, &rem));
		say("and again: %d, nothing is said of the rest: %d", used() - was >= 20,
		    rem.tv_sec == -1);
	}
	struct timespec at = in_ms(clk, 30);
	OK(clock_nanosleep(clk, TIMER_ABSTIME, &at, &rem));
	struct timespec is = now(clk);
	say("at that time: %d",
	    is.tv_sec > at.tv_sec || (is.tv_sec == at.tv_sec && is.tv_nsec >= at.tv_nsec));
	RC(clock_nanosleep(clk, TIMER_ABSTIME, &at, NULL));

	/* It ends before: who sleeps is there until a handler runs. */
	s = start(sleeps_on, NULL);
	sem_wait(&up);
	usleep(20000);
	quit = true;
	finish(t);
	while (clock_gettime(clk, &is) ==
	       0) /* bare, the kernel's thread is there for a moment longer */
		usleep(1000);
	RC(clock_nanosleep(clk, 0, &none, NULL));
	SYS(clock_settime(clk, &some));
	SYS(clock_gettime(clk, &is));
	usleep(20000);
	interrupt(s);
	return 0;
}
