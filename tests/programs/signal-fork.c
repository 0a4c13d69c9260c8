/* SPDX-License-Identifier: MIT */
/* The signal state of children: fork in a thread keeps dispositions and mask, clears what is pending, handlers run there with
 * and without threads; exec and posix_spawn reset handlers, keep the mask; vfork. fork(2), execve(2), posix_spawn(3) */
#include "t.h"
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;
static volatile sig_atomic_t runs;
static int p[2];

static void on_usr1(int sig)
{
	(void)sig;
	runs++;
}

static void mask(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	OK(pthread_sigmask(how, &set, NULL));
}

static int has(int sig)
{
	sigset_t set;

	OK(pthread_sigmask(SIG_SETMASK, NULL, &set));
	return sigismember(&set, sig);
}

static int pends(int sig)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, sig);
}

static void *sender(void *arg)
{
	OK(pthread_kill(*(pthread_t *)arg, SIGUSR1));
	return NULL;
}

static void in_child(void)
{
	struct sigaction old;
	pthread_t self = pthread_self();
	char c;

	MUST(has(SIGUSR2) && has(SIGHUP) && !has(SIGUSR1));
	MUST(!pends(SIGHUP));
	MUST(sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_handler == on_usr1);
	MUST(sigaction(SIGUSR2, NULL, &old) == 0 && old.sa_handler == SIG_IGN);
	runs = 0;
	MUST(raise(SIGUSR1) == 0 && runs == 1);
	MUST(kill(getpid(), SIGUSR1) == 0 && runs == 2);
	mask(SIG_BLOCK, SIGUSR1);
	MUST(kill(getpid(), SIGUSR1) == 0 && runs == 2 && pends(SIGUSR1));
	mask(SIG_UNBLOCK, SIGUSR1);
	MUST(runs == 3);
	/* from the parent, while blocked in a call */
	kill(getppid(), SIGUSR2);
	MUST(write(p[1], "r", 1) == 1);
	while (runs < 4)
		MUST(usleep(100) == 0 || errno == EINTR);
	/* with threads */
	pthread_t t = start(sender, &self);
	MUST(read(p[0], &c, 0) == 0);
	finish(t);
	while (runs < 5)
		usleep(100);
	MUST(kill(getpid(), SIGUSR1) == 0);
	while (runs < 6)
		usleep(100);
	_exit(21);
}

static int status_of(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) != pid)
		MUST(errno == EINTR);
	return status;
}

static void shows(int how)
{
	/* dash catches nothing when not interactive; it reads its own status */
	char *argv[] = {"sh", "-c", "exec cat /proc/self/status", NULL};
	int out[2];
	pid_t pid = -1;
	char line[256];

	MUST(pipe(out) == 0);
	if (how == 0) {
		posix_spawn_file_actions_t fa;
		OK(posix_spawn_file_actions_init(&fa));
		OK(posix_spawn_file_actions_adddup2(&fa, out[1], 1));
		OK(posix_spawn(&pid, "/bin/cat", &fa, NULL, (char *[]){"cat", "/proc/self/status", NULL}, environ));
	} else {
		pid = how == 1 ? fork() : vfork();
		if (pid == 0) {
			dup2(out[1], 1);
			execv("/bin/sh", argv);
			_exit(99);
		}
	}
	MUST(pid > 0);
	close(out[1]);
	FILE *f = fdopen(out[0], "r");
	while (fgets(line, sizeof line, f))
		if (strncmp(line, "SigBlk", 6) == 0 || strncmp(line, "SigIgn", 6) == 0 || strncmp(line, "SigCgt", 6) == 0) {
			line[strcspn(line, "\n")] = 0;
			say("%s", line);
		}
	fclose(f);
	MUST(status_of(pid) == 0);
}

static void *forks(void *arg)
{
	char c;

	mask(SIG_BLOCK, SIGUSR2);
	mask(SIG_BLOCK, SIGHUP);
	OK(pthread_kill(pthread_self(), SIGHUP)); /* pending, not for the child */
	for (int i = 0; i < 10; i++) {
		pid_t pid = fork();
		if (pid == 0)
			in_child();
		while (read(p[0], &c, 1) != 1)
			;
		MUST(kill(pid, SIGUSR1) == 0);
		int st = status_of(pid);
		MUST(WIFEXITED(st) && WEXITSTATUS(st) == 21);
	}
	MUST(pends(SIGHUP));
	say("forked children handle their own");
	for (int how = 0; how < 3; how++)
		shows(how);
	return arg;
}

static void *blocked(void *arg)
{
	char c;

	while (read(((int *)arg)[0], &c, 1) != 0)
		;
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
	pthread_t t[3];
	int quiet[2];

	MUST(pipe2(p, O_CLOEXEC) == 0 && pipe2(quiet, O_CLOEXEC) == 0 && sigaction(SIGUSR1, &sa, NULL) == 0);
	MUST(sigaction(SIGTERM, &sa, NULL) == 0);
	MUST(signal(SIGUSR2, SIG_IGN) == SIG_DFL);
	MUST(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	for (int i = 0; i < 3; i++)
		t[i] = start(blocked, quiet);
	finish(start(forks, NULL));
	close(quiet[1]);
	for (int i = 0; i < 3; i++)
		finish(t[i]);
	say("done");
	return 0;
}
