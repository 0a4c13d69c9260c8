/* SPDX-License-Identifier: MIT */
/* Timers on another thread's CPU time: one that computes, one that waits; they signal the process
 * or a thread. Threads asked about, moved and timed by number (syscall) with the id of another.
 * timer_create(2), sched_setattr(2), sched(7) */
#include "t.h"
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct attr { /* the kernel's struct sched_attr */
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static sem_t up, go, ticked, due;
static _Atomic bool quit;
static _Atomic int tid, strays;
static __thread bool watched;

static void on_tick(int sig, siginfo_t *info, void *ctx)
{
	(void)ctx;
	if (info->si_code != SI_TIMER || info->si_value.sival_int != sig ||
	    (sig == SIGUSR2 && !watched))
		strays++;
	sem_post(sig == SIGRTMIN ? &due : &ticked);
}

static void await(sem_t *s)
{
	while (sem_wait(s) != 0)
		MUST(errno == EINTR);
}

static void compute(void)
{
	while (!quit)
		__asm__ volatile("" ::: "memory");
}

static void *computes(void *arg)
{
	watched = true;
	tid = gettid();
	sem_post(&up);
	compute();
	return arg;
}

static void *waits(void *arg)
{
	watched = true;
	tid = gettid();
	sem_post(&up);
	await(&go);
	compute();
	return arg;
}

static timer_t timer(pthread_t t, int sig, bool bynumber)
{
	struct sigevent ev = {.sigev_notify = sig == SIGUSR2 ? SIGEV_THREAD_ID : SIGEV_SIGNAL,
			      .sigev_signo = sig,
			      .sigev_value.sival_int = sig};
	struct itimerspec often = {{0, 3000000}, {0, 3000000}};
	clockid_t clk;
	timer_t r;
	int id;

	if (sig == SIGUSR2)
		ev.sigev_notify_thread_id = tid;
	OK(pthread_getcpuclockid(t, &clk));
	if (bynumber) {
		MUST(syscall(SYS_timer_create, clk, &ev, &id) == 0);
		MUST(syscall(SYS_timer_settime, id, 0, &often, NULL) == 0);
		return (timer_t)(intptr_t)id;
	}
	MUST(timer_create(clk, &ev, &r) == 0);
	MUST(timer_settime(r, 0, &often, NULL) == 0);
	return r;
}

static void watch(const char *who, void *(*fn)(void *), bool bynumber)
{
	pthread_t t = start(fn, NULL);

	await(&up);
	timer_t a = timer(t, SIGUSR1, bynumber), b = timer(t, SIGUSR2, bynumber);
	sem_post(&go);
	for (int i = 0; i < 8; i++)
		await(&ticked);
	quit = true;
	finish(t);
	if (bynumber)
		MUST(syscall(SYS_timer_delete, (int)(intptr_t)a) == 0 &&
		     syscall(SYS_timer_delete, (int)(intptr_t)b) == 0);
	else
		MUST(timer_delete(a) == 0 && timer_delete(b) == 0);
	quit = false;
	while (sem_trywait(&go) == 0)
		;
	say("%s: strays %d", who, strays);
}

/* A time on its own clock, after it has computed for a while wherever it was put. */
static void *until(void *arg)
{
	struct sigevent ev = {
	    .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = SIGRTMIN};
	struct itimerspec at = {{0, 0}, now(CLOCK_THREAD_CPUTIME_ID)};
	timer_t t;

	(void)arg;
	for (int i = 0; i < 20; i++) { /* beside the others, on every kernel thread */
		struct timespec end = now(CLOCK_THREAD_CPUTIME_ID);
		for (end.tv_nsec += 1000000;
		     now(CLOCK_THREAD_CPUTIME_ID).tv_nsec < end.tv_nsec && end.tv_nsec < 999000000;)
			;
		usleep(100);
	}
	MUST(timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &t) == 0);
	at.it_value = now(CLOCK_THREAD_CPUTIME_ID);
	at.it_value.tv_nsec += 20000000;
	if (at.it_value.tv_nsec > 999999999) {
		at.it_value.tv_nsec -= 1000000000;
		at.it_value.tv_sec++;
	}
	MUST(timer_settime(t, TIMER_ABSTIME, &at, NULL) == 0);
	while (sem_trywait(&due) != 0)
		;
	struct timespec came = now(CLOCK_THREAD_CPUTIME_ID);
	MUST(came.tv_sec > at.it_value.tv_sec ||
	     (came.tv_sec == at.it_value.tv_sec && came.tv_nsec >= at.it_value.tv_nsec));
	MUST(timer_delete(t) == 0);
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO};
	struct attr attr = {.size = sizeof attr};
	struct sched_param param;
	cpu_set_t set, all;
	clockid_t clk;
	timer_t none;

	MUST(sem_init(&up, 0, 0) == 0 && sem_init(&go, 0, 0) == 0);
	MUST(sem_init(&ticked, 0, 0) == 0 && sem_init(&due, 0, 0) == 0);
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0 && sigaction(SIGUSR2, &sa, NULL) == 0);
	MUST(sigaction(SIGRTMIN, &sa, NULL) == 0); /* its own: of the others one may come late */
	watch("computes", computes, false);
	watch("waits", waits, false);
	watch("computes, by number", computes, true);
	watch("waits, by number", waits, true);

	pthread_t u[6];
	for (int i = 0; i < NELEM(u); i++)
		u[i] = start(computes, NULL);
	finish(start(until, NULL));
	quit = true;
	for (int i = 0; i < NELEM(u); i++)
		finish(u[i]);
	quit = false;
	while (sem_trywait(&up) == 0)
		;
	say("not before the time on its own clock");

	pthread_t t = start(waits, NULL);
	await(&up);
	MUST(syscall(SYS_sched_getattr, tid, &attr, sizeof attr, 0) == 0);
	say("attr: policy %u priority %u nice %d", attr.policy, attr.priority, attr.nice);
	say("scheduler %ld", syscall(SYS_sched_getscheduler, tid));
	MUST(syscall(SYS_sched_getparam, tid, &param) == 0);
	MUST(syscall(SYS_sched_getaffinity, tid, sizeof all, &all) > 0);
	MUST(syscall(SYS_sched_getaffinity, 0, sizeof set, &set) > 0 && memcmp(&all, &set, 8) == 0);
	attr.policy = SCHED_BATCH;
	attr.nice = 3;
	MUST(syscall(SYS_sched_setattr, tid, &attr, 0) == 0);
	memset(&attr, 0, sizeof attr);
	MUST(syscall(SYS_sched_getattr, tid, &attr, sizeof attr, 0) == 0);
	say("attr: policy %u priority %u nice %d", attr.policy, attr.priority, attr.nice);
	int policy;
	OK(pthread_getschedparam(t, &policy, &param));
	say("pthread_getschedparam: %d %d", policy, param.sched_priority);
	int first = 0;
	while (!CPU_ISSET(first, &all))
		first++;
	CPU_ZERO(&set);
	CPU_SET(first, &set);
	MUST(syscall(SYS_sched_setaffinity, tid, sizeof set, &set) == 0);
	OK(pthread_getaffinity_np(t, sizeof all, &all));
	say("one CPU: %d", CPU_EQUAL(&all, &set));
	param.sched_priority = 0;
	SYS(syscall(SYS_sched_setscheduler, tid, SCHED_OTHER, &param));
	SYS(syscall(SYS_sched_setparam, tid, &param));
	attr.policy = 77;
	SYS(syscall(SYS_sched_setattr, tid, &attr, 0));
	SYS(syscall(SYS_sched_setattr, tid, NULL, 0));
	SYS(syscall(SYS_sched_getattr, tid, &attr, 1, 0));
	quit = true;
	OK(pthread_getcpuclockid(t, &clk));
	sem_post(&go);
	finish(t);
	while (timer_create(clk, NULL, &none) == 0) { /* the join is over a little before the kernel's thread */
		MUST(timer_delete(none) == 0);
		usleep(1000);
	}
	say("of a thread that has ended: %s", errname(errno));
	return 0;
}
