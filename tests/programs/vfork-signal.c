/* SPDX-License-Identifier: MIT */
/* A vfork's child sets its signals back before it runs another program, as shells and Python do:
 * its parent, whose memory it shares, keeps its handlers. vfork(2), execve(2) */
#include "t.h"
#include <signal.h>
#include <sys/wait.h>

static volatile sig_atomic_t handled;

static void handler(int s)
{
	(void)s;
	handled++;
}

static const char *name(const struct sigaction *sa)
{
	return sa->sa_handler == SIG_DFL   ? "default"
	       : sa->sa_handler == SIG_IGN ? "ignored"
	       : sa->sa_handler == handler ? "handler"
					   : "another";
}

static const char *of(int sig)
{
	struct sigaction sa;

	MUST(sigaction(sig, NULL, &sa) == 0);
	return name(&sa);
}

static volatile const char *seen[6];

static void child(void)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL}, ign = {.sa_handler = SIG_IGN}, old;

	seen[0] = of(SIGUSR1);
	if (sigaction(SIGUSR1, &dfl, &old) != 0)
		_exit(9);
	seen[1] = name(&old);
	seen[2] = of(SIGUSR1);
	signal(SIGUSR2, SIG_IGN);
	sigaction(SIGUSR2, NULL, &old);
	seen[3] = name(&old);
	sigaction(SIGUSR2, &dfl, NULL);
	sigaction(SIGPIPE, &dfl, &old);
	seen[4] = name(&old);
	sigaction(SIGHUP, &ign, &old);
	seen[5] = name(&old);
	execl("/bin/sh", "sh", "-c", "kill -USR1 $PPID; kill -HUP $$; kill -USR2 $$; exit 3",
	      (char *)NULL);
	_exit(8);
}

static void *spawns(void *arg)
{
	sigset_t all, old;
	int st;

	for (volatile int i = 0; i < 10; i++) {
		handled = 0;
		sigfillset(&all);
		OK(pthread_sigmask(SIG_SETMASK, &all, &old));
		pid_t pid = vfork();
		if (pid == 0) {
			pthread_sigmask(SIG_SETMASK, &old, NULL);
			child();
		}
		OK(pthread_sigmask(SIG_SETMASK, &old, NULL));
		MUST(pid > 0 && waitpid(pid, &st, 0) == pid);
		if (i == 0) {
			say("child saw: %s, %s, %s, %s, %s, %s", seen[0], seen[1], seen[2], seen[3],
			    seen[4], seen[5]);
			say("child: signal %d", WIFSIGNALED(st) ? WTERMSIG(st) : 0);
			say("parent has: %s, %s, %s, %s", of(SIGUSR1), of(SIGUSR2), of(SIGPIPE),
			    of(SIGHUP));
		}
		while (!handled)
			usleep(100);
	}
	OK(pthread_kill(pthread_self(), SIGUSR2));
	say("handled");
	return arg;
}

static void *idles(void *arg)
{
	sleep(1000);
	return arg;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0 && sigaction(SIGUSR2, &sa, NULL) == 0);
	signal(SIGPIPE, SIG_IGN);
	start(idles, NULL);
	finish(start(spawns, NULL));
	spawns(NULL);
	return 0;
}
