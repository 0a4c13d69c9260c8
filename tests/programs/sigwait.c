/* SPDX-License-Identifier: MIT */
/* One thread takes all signals by sigwait, sigwaitinfo and sigtimedwait while they are blocked
 * everywhere and the others work. sigwait(3), sigtimedwait(2) */
#include "t.h"
#include <semaphore.h>
#include <signal.h>

static sigset_t set;
static sem_t taken;
static volatile int stop;

static void *taker(void *arg)
{
	int sig;
	siginfo_t si;

	for (;;) {
		OK(sigwait(&set, &sig));
		say("sigwait: SIG%s", sig == SIGRTMIN ? "RTMIN" : sigabbrev_np(sig));
		sem_post(&taken);
		if (sig == SIGTERM)
			break;
	}
	MUST(sigwaitinfo(&set, &si) == SIGUSR2);
	say("sigwaitinfo: SIG%s, from this process %d, value %d", sigabbrev_np(si.si_signo),
	    si.si_pid == getpid(), si.si_value.sival_int);
	sem_post(&taken);
	struct timespec ts = {0, 30000000};
	double begin = ms_now();
	SYS(sigtimedwait(&set, &si, &ts));
	MUST(ms_now() - begin >= 30);
	sem_post(&taken);
	ts = (struct timespec){30, 0};
	SYS(sigtimedwait(&set, &si, &ts) == SIGHUP);
	return arg;
}

static void *works(void *arg)
{
	int *p = arg;
	char c;

	while (!stop)
		MUST(write(p[1], "w", 1) == 1 && read(p[0], &c, 1) == 1);
	return NULL;
}

static void *hup(void *arg)
{
	(void)arg;
	MUST(kill(getpid(), SIGHUP) == 0);
	return NULL;
}

int main(void)
{
	static int p[8][2];
	pthread_t t, w[8];
	int order[] = {SIGUSR1, SIGHUP, SIGINT, SIGUSR1, SIGCHLD, SIGRTMIN, SIGTERM};

	sigfillset(&set);
	sigdelset(&set, SIGCONT); /* comes from whoever stops and continues us from outside */
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	MUST(sem_init(&taken, 0, 0) == 0);
	t = start(taker, NULL);
	for (int i = 0; i < 8; i++) {
		MUST(pipe(p[i]) == 0);
		w[i] = start(works, p[i]);
	}
	for (int i = 0; i < NELEM(order); i++) {
		if (i % 2)
			settle();
		MUST(kill(getpid(), order[i]) == 0);
		MUST(sem_wait(&taken) == 0);
	}
	MUST(sigqueue(getpid(), SIGUSR2, (union sigval){.sival_int = 77}) == 0);
	MUST(sem_wait(&taken) == 0);
	stop = 1;
	for (int i = 0; i < 8; i++)
		finish(w[i]);
	MUST(sem_wait(&taken) == 0);
	finish(start(hup, NULL));
	finish(t);
	return 0;
}
