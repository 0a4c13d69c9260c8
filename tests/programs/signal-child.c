/* SPDX-License-Identifier: MIT */
/* SIGCHLD: a handler that reaps, while main and threads are blocked; waitpid in threads; a sigwait thread; SA_NOCLDWAIT;
 * default (ignored) with wait. wait(2), sigaction(2) */
#include "t.h"
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { CHILDREN = 30 };

static atomic_int reaped;
static sem_t gone;

static void on_chld(int sig)
{
	int e = errno, status;

	(void)sig;
	while (waitpid(-1, &status, WNOHANG) > 0) {
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 9)
			_exit(98);
		reaped++;
		sem_post(&gone);
	}
	errno = e;
}

static void spawn(int n)
{
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();
		MUST(pid >= 0);
		if (pid == 0)
			_exit(9);
		if (i % 5 == 0)
			usleep(500);
	}
}

static void *spawns(void *arg)
{
	spawn(CHILDREN);
	return arg;
}

static void *waits(void *arg)
{
	for (int i = 0; i < 10; i++) {
		int status;
		pid_t pid = fork();
		MUST(pid >= 0);
		if (pid == 0) {
			usleep(i % 3 * 1000);
			_exit(i);
		}
		MUST(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == i);
	}
	return arg;
}

static void *taker(void *arg)
{
	sigset_t *set = arg;
	siginfo_t si;
	int n = 0, status;

	while (n < CHILDREN) {
		MUST(sigwaitinfo(set, &si) == SIGCHLD && si.si_code == CLD_EXITED && si.si_status == 9);
		while (n < CHILDREN && waitpid(-1, &status, WNOHANG) > 0)
			n++;
	}
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_chld, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
	pthread_t t[4];
	sigset_t set;

	MUST(sem_init(&gone, 0, 0) == 0);
	for (int i = 0; i < 4; i++)
		t[i] = start(waits, NULL);
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	say("waitpid in threads");

	MUST(sigaction(SIGCHLD, &sa, NULL) == 0);
	for (int i = 0; i < 4; i++)
		t[i] = start(spawns, NULL);
	for (int i = 0; i < 4 * CHILDREN; i++)
		MUST(sem_wait(&gone) == 0);
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	say("handler reaped %d", (int)reaped);

	MUST(signal(SIGCHLD, SIG_DFL) == on_chld);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	t[0] = start(taker, &set);
	spawn(CHILDREN);
	finish(t[0]);
	OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
	say("sigwaitinfo took them");

	sa = (struct sigaction){.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
	MUST(sigaction(SIGCHLD, &sa, NULL) == 0);
	spawn(5);
	SYS(wait(NULL));
	return 0;
}
