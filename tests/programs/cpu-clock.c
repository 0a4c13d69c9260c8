/* SPDX-License-Identifier: MIT */
/* CPU time by thread: what a thread has computed, not what others did on the same kernel thread, nor what it slept. */
#include "t.h"
#include <semaphore.h>
#include <sys/resource.h>

static _Atomic bool quit;
static pthread_barrier_t ready, over;
static sem_t computed;

static double cpu(clockid_t clk)
{
	struct timespec ts;

	MUST(clock_gettime(clk, &ts) == 0);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static void compute(double ms)
{
	double until = cpu(CLOCK_THREAD_CPUTIME_ID) + ms;

	while (cpu(CLOCK_THREAD_CPUTIME_ID) < until)
		;
}

static void *works(void *arg)
{
	struct rusage ru;

	pthread_barrier_wait(&ready);
	compute((intptr_t)arg);
	MUST(getrusage(RUSAGE_THREAD, &ru) == 0);
	sem_post(&computed);
	pthread_barrier_wait(&over); /* uses no time */
	return arg;
}

static void *yields(void *arg)
{
	while (!quit)
		sched_yield();
	return arg;
}

int main(void)
{
	pthread_t t[4], y;
	clockid_t clk[4], own;
	struct timespec res;
	double before = cpu(CLOCK_THREAD_CPUTIME_ID);

	OK(pthread_barrier_init(&ready, NULL, 5));
	OK(pthread_barrier_init(&over, NULL, 5));
	MUST(sem_init(&computed, 0, 0) == 0);
	y = start(yields, NULL);
	for (int i = 0; i < 4; i++) {
		t[i] = start(works, (void *)(intptr_t)(i * 40));
		OK(pthread_getcpuclockid(t[i], &clk[i]));
		cpu(clk[i]);
	}
	OK(pthread_getcpuclockid(pthread_self(), &own));
	MUST(clock_getres(own, &res) == 0);
	pthread_barrier_wait(&ready);
	/* Each comes to what it was to compute, and not to what the others did. */
	for (int i = 0; i < 4; i++)
		MUST(sem_wait(&computed) == 0);
	for (int i = 0; i < 4; i++)
		MUST(cpu(clk[i]) >= i * 40);
	usleep(50000);
	double used[4];
	for (int i = 0; i < 4; i++)
		used[i] = cpu(clk[i]);
	for (int i = 1; i < 4; i++)
		say("thread %d used more than thread %d: %d", i, i - 1, used[i] > used[i - 1]);
	say("main slept meanwhile: %d", cpu(own) - before < used[3]);
	say("its two clocks differ by less than it used: %d", cpu(CLOCK_THREAD_CPUTIME_ID) - cpu(own) < used[3]);
	quit = true;
	pthread_barrier_wait(&over);
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	finish(y);
	say("unknown clock: %s", clock_gettime(-2, &res) == 0 ? "0" : errname(errno));
	return 0;
}
