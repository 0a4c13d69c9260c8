/* SPDX-License-Identifier: MIT */
/* The queue of signals is full (RLIMIT_SIGPENDING): what is sent comes without what it says, but
 * once: each signal has its handler run once, on the thread it was sent to. setrlimit(2), signal(7)
 */
#include "t.h"
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { WAYS = 5 };

static _Atomic int runs[WAYS + 1], quit;
static __thread int me;
static sem_t ran, never;
static int quiet[2];

static void on_usr1(int sig)
{
	(void)sig;
	runs[me]++;
	sem_post(&ran);
}

static void *way(void *arg)
{
	sigset_t set;
	char c;

	me = (int)(intptr_t)arg;
	OK(pthread_sigmask(SIG_BLOCK, NULL, &set));
	sem_post(&ran); /* from now on the handler knows who it is */
	struct pollfd p = {quiet[0], POLLIN, 0};
	while (!quit) {
		switch (me) {
		case 0:
			if (read(quiet[0], &c, 1) == 0)
				return arg;
			break;
		case 1:
			ppoll(&p, 1, NULL, &set);
			break;
		case 2:
			break; /* computes */
		case 3:
			sem_wait(&never);
			break;
		case 4:
			pause();
		}
	}
	return arg;
}

static void sends(pthread_t t, int i, int n)
{
	int before[WAYS + 1];

	for (int k = 0; k < n; k++) {
		for (int j = 0; j <= WAYS; j++)
			before[j] = runs[j];
		OK(pthread_kill(t, SIGUSR1));
		while (sem_wait(&ran) != 0)
			;
		if (k % 16 == 0)
			usleep(300); /* a second one would have come by now */
		for (int j = 0; j <= WAYS; j++)
			MUST(runs[j] == before[j] + (j == i));
	}
}

/* Each byte: the signal that the parent is to be sent. */
static void sender(int fd)
{
	unsigned char sig;

	while (read(fd, &sig, 1) == 1)
		MUST(kill(getppid(), sig) == 0);
	_exit(0);
}

static void ask(int fd, unsigned char sig)
{
	MUST(write(fd, &sig, 1) == 1);
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_usr1};
	struct rlimit none = {0, 0};
	pthread_t t[WAYS];
	int n = scaled(50), out[2], sig;
	sigset_t usr2;
	pid_t pid;

	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	OK(pthread_sigmask(SIG_BLOCK, &usr2, NULL));
	MUST(pipe(out) == 0 && (pid = fork()) >= 0);
	if (pid == 0) {
		close(out[1]);
		sender(out[0]);
	}
	MUST(pipe(quiet) == 0 && sem_init(&ran, 0, 0) == 0 && sem_init(&never, 0, 0) == 0);
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	me = WAYS;
	for (int i = 0; i < WAYS; i++)
		t[i] = start(way, (void *)(intptr_t)i);
	for (int i = 0; i < WAYS; i++)
		MUST(sem_wait(&ran) == 0);
	SYS(setrlimit(RLIMIT_SIGPENDING, &none));
	settle();
	for (int i = 0; i < WAYS; i++) {
		sends(t[i], i, n);
		say("way %d: %d", i, runs[i] == n);
	}
	for (int k = 0; k < n; k++) {
		ask(out[1], SIGUSR2);
		MUST(sigwait(&usr2, &sig) == 0 && sig == SIGUSR2);
	}
	sem_destroy(&ran);
	sem_init(&ran, 0, 0);
	for (int k = 1; k <= n; k++) {
		k % 2 ? ask(out[1], SIGUSR1) : (void)kill(getpid(), SIGUSR1);
		while (sem_wait(&ran) != 0)
			;
		MUST(runs[WAYS] == k); /* main takes what is sent to the process */
	}
	int sum = 0;
	say("main: %d", runs[WAYS] == n);
	for (int i = 0; i < WAYS; i++)
		sum += runs[i];
	say("others: %d", sum == WAYS * n);
	quit = 1;
	close(quiet[1]);
	sem_post(&never);
	for (int i = 0; i < WAYS; i++)
		while (pthread_tryjoin_np(t[i], NULL) == EBUSY) {
			pthread_kill(t[i], SIGUSR1);
			usleep(1000);
		}
	close(out[1]);
	MUST(waitpid(pid, &sig, 0) == pid && sig == 0);
	return 0;
}
