/* SPDX-License-Identifier: MIT */
/* Real-time signals queue, in order, with their values: to a thread and to the process, to handlers and to sigwaitinfo, to
 * parked and running threads. Standard ones merge. sigqueue(3), signal(7)
 *
 * The order of the process's in handlers is not checked: several kernel threads may take them. */
#include "t.h"
#include <semaphore.h>
#include <signal.h>

enum { COUNT = 200 };

static __thread volatile int next, wrong, usr1, sum;
static sem_t ready, over;

static void on_rt(int sig, siginfo_t *si, void *uc)
{
	(void)sig, (void)uc;
	if (si->si_value.sival_int != next++ || si->si_code != SI_QUEUE)
		wrong++;
	sum += si->si_value.sival_int;
}

static void on_usr1(int sig)
{
	(void)sig;
	usr1++;
}

static void *takes(void *arg)
{
	int blocked = (int)(intptr_t)arg;
	sigset_t set;
	siginfo_t si;
	struct timespec ts = {0, 1000000};

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigaddset(&set, SIGUSR1);
	if (blocked)
		OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	sem_post(&ready);
	if (blocked == 1) { /* all at once by a handler */
		sem_wait(&over);
		OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
		MUST(usr1 == 1);
	} else if (blocked == 2) { /* one by one */
		sigset_t rt = set;
		sigdelset(&rt, SIGUSR1); /* else it comes first */
		for (; next < COUNT; next++)
			MUST(sigwaitinfo(&rt, &si) == SIGRTMIN + 1 && si.si_value.sival_int == next);
		sem_wait(&over);
		MUST(sigwaitinfo(&set, &si) == SIGUSR1);
		MUST(sigtimedwait(&set, &si, &ts) == -1 && errno == EAGAIN);
	} else {
		while (next < COUNT)
			nanosleep(&ts, NULL);
		sem_wait(&over);
		while (!usr1)
			nanosleep(&ts, NULL);
	}
	MUST(next == COUNT && wrong == 0);
	return NULL;
}

static void to_thread(int how)
{
	pthread_t t = start(takes, (void *)(intptr_t)how);

	sem_wait(&ready);
	for (int i = 0; i < COUNT; i++) {
		int r;
		while ((r = pthread_sigqueue(t, SIGRTMIN + 1, (union sigval){.sival_int = i})) == EAGAIN)
			usleep(1000);
		MUST(r == 0);
		if (i % 50 == 0)
			usleep(1000);
	}
	for (int i = 0; i < 3; i++)
		OK(pthread_kill(t, SIGUSR1));
	sem_post(&over);
	finish(t);
	say("thread, way %d: %d in order", how, COUNT);
}

static void *sender(void *arg)
{
	(void)arg;
	for (int i = 0; i < COUNT; i++) {
		MUST(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i}) == 0);
		if (i % 50 == 0)
			usleep(1000);
	}
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = on_rt, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigset_t set;
	siginfo_t si;

	MUST(sem_init(&ready, 0, 0) == 0 && sem_init(&over, 0, 0) == 0);
	MUST(sigaction(SIGRTMIN + 1, &sa, NULL) == 0);
	sa = (struct sigaction){.sa_handler = on_usr1, .sa_flags = SA_RESTART};
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	to_thread(0);
	to_thread(1);

	/* The process's, to main: the sender blocks it. */
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	pthread_t t = start(sender, NULL);
	OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
	while (next < COUNT)
		usleep(1000);
	finish(t);
	say("process, handler on main: %d, together %d", next, sum);

	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	t = start(sender, NULL);
	for (int i = 0; i < COUNT; i++)
		MUST(sigwaitinfo(&set, &si) == SIGRTMIN + 1 && si.si_value.sival_int == i && si.si_code == SI_QUEUE);
	finish(t);
	say("process, sigwaitinfo: %d in order", COUNT);
	OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
	to_thread(2);
	return 0;
}
