/* SPDX-License-Identifier: MIT */
/* Threads that do nothing but call what asks about other threads, or wakes them: those that sleep,
 * wait or compute beside them get on all the same. pthread_setaffinity_np(3), futex(2), kill(2) */
#include "t.h"
#include "futex.h"
#include <sched.h>
#include <semaphore.h>
#include <signal.h>

static _Atomic bool quit;
static pthread_t idle;
static sem_t never, ping, pong;
static uint32_t word;

static void *idles(void *arg)
{
	while (sem_wait(&never) != 0)
		;
	return arg;
}

static void *moves(void *arg)
{
	cpu_set_t set;

	MUST(sched_getaffinity(0, sizeof set, &set) == 0);
	while (!quit)
		OK(pthread_setaffinity_np(idle, sizeof set, &set));
	return arg;
}

static void *schedules(void *arg)
{
	struct sched_param param = {0};

	while (!quit)
		OK(pthread_setschedparam(idle, SCHED_OTHER, &param));
	return arg;
}

static void *wakes(void *arg)
{
	while (!quit)
		MUST(wake(&word, 1) == 0);
	return arg;
}

static void *asks(void *arg)
{
	while (!quit)
		MUST(pthread_kill(idle, SIGURG) == 0); /* ignored */
	return arg;
}

static void *answers(void *arg)
{
	for (int i = 0; i < 10; i++) {
		MUST(sem_wait(&ping) == 0);
		MUST(sem_post(&pong) == 0);
	}
	return arg;
}

int main(void)
{
	static void *(*const kinds[])(void *) = {moves, schedules, wakes, asks};
	static const char *const names[] = {"affinity", "policy", "futex", "kill"};
	pthread_t busy[3], other;

	MUST(sem_init(&never, 0, 0) == 0 && sem_init(&ping, 0, 0) == 0 &&
	     sem_init(&pong, 0, 0) == 0);
	idle = start(idles, NULL);
	for (int k = 0; k < NELEM(kinds); k++) {
		quit = false;
		other = start(answers, NULL);
		for (int i = 0; i < NELEM(busy); i++)
			busy[i] = start(kinds[k], NULL);
		for (int i = 0; i < 10; i++) {
			usleep(1000);
			MUST(sem_post(&ping) == 0);
			MUST(sem_wait(&pong) == 0);
		}
		quit = true;
		for (int i = 0; i < NELEM(busy); i++)
			finish(busy[i]);
		finish(other);
		say("%s: others got on", names[k]);
	}
	sem_post(&never);
	finish(idle);
	return 0;
}
