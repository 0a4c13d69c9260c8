/* SPDX-License-Identifier: MIT */
/* A signal sent to a thread is taken before that thread ends, also if the thread computes or calls
 * what never waits. What main has pending when it makes its first thread stays main's.
 * pthread_kill(3), sigpending(2) */
#include "t.h"
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>

enum { ROUNDS = 60 };

static _Atomic int sent, seen, stop;
static sem_t taken;

static void on_usr1(int sig)
{
	(void)sig;
	seen = sent;
	sem_post(&taken);
}

static void *busy(void *arg)
{
	struct sched_param param;
	int policy;

	(void)arg;
	while (!stop)
		OK(pthread_getschedparam(pthread_self(), &policy, &param));
	syscall(SYS_getppid); /* no later than here */
	return NULL;
}

static void pending(const char *who)
{
	sigset_t set;

	sigpending(&set);
	say("%s: USR1 %d USR2 %d RTMIN %d", who, sigismember(&set, SIGUSR1),
	    sigismember(&set, SIGUSR2), sigismember(&set, SIGRTMIN));
}

static void *inherits(void *arg)
{
	(void)arg;
	pending("thread");
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_usr1};
	sigset_t set, one;
	siginfo_t si;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	OK(pthread_kill(pthread_self(), SIGUSR1));
	for (int i = 0; i < 3; i++)
		OK(pthread_sigqueue(pthread_self(), SIGRTMIN, (union sigval){.sival_int = i}));
	SYS(kill(getpid(), SIGUSR2));
	for (int i = 0; i < 3; i++) /* on whatever kernel threads there are */
		OK(pthread_join(start(inherits, NULL), NULL));
	pending("main");
	sigemptyset(&one);
	sigaddset(&one, SIGRTMIN);
	for (int i = 0; i < 3; i++)
		MUST(sigwaitinfo(&one, &si) == SIGRTMIN && si.si_value.sival_int == i &&
		     si.si_code == SI_QUEUE);
	MUST(sigwaitinfo(&set, &si) == SIGUSR1 && si.si_code == SI_USER && si.si_pid == getpid());
	MUST(sigwaitinfo(&set, &si) == SIGUSR2 && si.si_code == SI_USER);
	pending("main");
	OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));

	sem_init(&taken, 0, 0);
	SYS(sigaction(SIGUSR1, &sa, NULL));
	for (int i = 1; i <= ROUNDS; i++) {
		stop = 0;
		pthread_t t = start(busy, NULL);
		for (int n = i % 4; n >= 0; n--) {
			sent++;
			OK(pthread_kill(t, SIGUSR1));
			if (n != 0)
				while (sem_wait(&taken) != 0)
					;
		}
		stop = 1;
		OK(pthread_join(t, NULL));
		MUST(seen == sent);
		while (sem_trywait(&taken) == 0)
			;
	}
	say("taken before the end");
	return 0;
}
