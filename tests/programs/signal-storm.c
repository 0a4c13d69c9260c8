/* SPDX-License-Identifier: MIT */
/* SIGALRM and SIGPROF every few hundred microseconds, with SA_RESTART, while threads echo over sockets, allocate, lock, make
 * threads and compute: no byte, no count and no call goes wrong, and the handlers do run. setitimer(2), signal(7) */
#include "net.h"
#include <semaphore.h>
#include <stdatomic.h>
#include <signal.h>
#include <sys/time.h>

enum { PAIRS = 6, ROUNDS = 400 };

static atomic_int alarms, counted;
static volatile int stop;
static sem_t ticks;

static void on_alarm(int sig)
{
	int e = errno;

	(void)sig;
	alarms++;
	sem_post(&ticks);
	errno = e;
}

static void *echoes(void *arg)
{
	int *fd = arg;
	unsigned char buf[3000];
	ssize_t n;

	while ((n = read(fd[1], buf, sizeof buf)) > 0)
		write_all(fd[1], buf, n);
	MUST(n == 0);
	return NULL;
}

static void *asks(void *arg)
{
	int *fd = arg;
	unsigned char out[3000], in[3000];

	for (int i = 0; i < ROUNDS; i++) {
		size_t n = 1 + (unsigned)i * 37 % sizeof out;
		fill(out, n, fd[0], i);
		write_all(fd[0], out, n);
		MUST(read_all(fd[0], in, n) == n && right(in, n, fd[0], i));
	}
	shutdown(fd[0], SHUT_WR);
	return NULL;
}

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *allocates(void *arg)
{
	char *p[32] = {0};

	for (unsigned i = 0; !stop; i++) {
		free(p[i % 32]);
		p[i % 32] = malloc(1 + i * 131 % 5000);
		MUST(p[i % 32] != NULL);
		memset(p[i % 32], (int)i, 1 + i * 131 % 5000);
		OK(pthread_mutex_lock(&m));
		counter++;
		OK(pthread_mutex_unlock(&m));
	}
	for (int i = 0; i < 32; i++)
		free(p[i]);
	return arg;
}

static void *nothing(void *arg)
{
	return arg;
}

static void *makes(void *arg)
{
	while (!stop)
		MUST(finish(start(nothing, arg)) == arg);
	return arg;
}

static void *counts(void *arg)
{
	for (;;) {
		MUST(sem_wait(&ticks) == 0);
		if (stop)
			break;
		counted++;
	}
	return arg;
}

int main(void)
{
	static int fd[PAIRS][2];
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct itimerval often = {{0, 300}, {0, 300}}, off = {{0, 0}, {0, 0}};
	pthread_t e[PAIRS], a[PAIRS], w[4];

	MUST(sem_init(&ticks, 0, 0) == 0);
	MUST(sigaction(SIGALRM, &sa, NULL) == 0 && sigaction(SIGPROF, &sa, NULL) == 0);
	MUST(setitimer(ITIMER_REAL, &often, NULL) == 0 && setitimer(ITIMER_PROF, &often, NULL) == 0);
	for (int i = 0; i < PAIRS; i++) {
		tcp_pair(fd[i]);
		e[i] = start(echoes, fd[i]);
		a[i] = start(asks, fd[i]);
	}
	w[0] = start(allocates, NULL);
	w[1] = start(allocates, NULL);
	w[2] = start(makes, &off);
	w[3] = start(counts, NULL);
	for (int i = 0; i < PAIRS; i++) {
		finish(a[i]);
		finish(e[i]);
	}
	while (alarms < 50 || counted == 0) /* a CPU for the counter is the kernel's to give */
		usleep(1000);
	MUST(setitimer(ITIMER_REAL, &off, NULL) == 0 && setitimer(ITIMER_PROF, &off, NULL) == 0);
	stop = 1;
	sem_post(&ticks);
	for (int i = 0; i < 4; i++)
		finish(w[i]);
	say("%d pairs echoed %d messages each", PAIRS, ROUNDS);
	return 0;
}
