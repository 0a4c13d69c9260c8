/* SPDX-License-Identifier: MIT */
/* A child that asks to be told of its parent's end, PR_SET_PDEATHSIG, is told when the thread ends that made it, in the
 * kernel's view: not sooner, however it was made and however long that thread rests meanwhile. prctl(2) */
#include "t.h"
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define THREADS 8

extern char **environ;
static char self[4096];
static pthread_barrier_t made;
static int go[2];

static __attribute__((noinline)) pid_t vforked(char *const *args)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execv(self, args);
		_exit(98);
	}
	return pid;
}

static void *makes(void *arg)
{
	int how = (int)(intptr_t)arg % 4, st;
	char *args[] = {self, "child", NULL}, cmd[4200], c;
	FILE *f = NULL;
	pid_t pid = 0;

	switch (how) {
	case 0:
		OK(posix_spawn(&pid, self, NULL, NULL, args, environ));
		break;
	case 1:
		snprintf(cmd, sizeof cmd, "exec %s child", self);
		MUST((f = popen(cmd, "w")) != NULL);
		break;
	case 2:
		MUST((pid = vforked(args)) > 0);
		break;
	default:
		if ((pid = fork()) == 0) {
			execv(self, args);
			_exit(98);
		}
	}
	pthread_barrier_wait(&made);
	/* Rests, all of them: kernel threads that nobody needs may go. */
	MUST(read(go[0], &c, 1) == 1);
	if (how == 1) {
		st = pclose(f);
	} else {
		MUST(kill(pid, SIGTERM) == 0);
		MUST(waitpid(pid, &st, 0) == pid);
	}
	return (void *)(intptr_t)(how == 1 ? WIFEXITED(st) && WEXITSTATUS(st) == 5 : WIFSIGNALED(st) && WTERMSIG(st) == SIGTERM);
}

int main(int argc, char **argv)
{
	pthread_t t[THREADS];
	char c;

	(void)argv;
	if (argc > 1) {
		/* SIGUSR2 if the thread that made us ends; popen's ends when its input does. */
		MUST(prctl(PR_SET_PDEATHSIG, SIGUSR2) == 0);
		if (read(0, &c, 1) == 0)
			_exit(5);
		for (;;)
			pause();
	}
	MUST(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
	int zero[2];
	MUST(pipe(zero) == 0 && dup2(zero[0], 0) == 0); /* a standard input that never ends */
	fcntl(zero[1], F_SETFD, FD_CLOEXEC);
	OK(pthread_barrier_init(&made, NULL, THREADS + 1));
	MUST(pipe(go) == 0);
	for (int i = 0; i < THREADS; i++)
		t[i] = start(makes, (void *)(intptr_t)i);
	pthread_barrier_wait(&made);
	usleep(3500000);
	MUST(write(go[1], "12345678", THREADS) == THREADS);
	for (int i = 0; i < THREADS; i++)
		say("%d: %d", i % 4, (int)(intptr_t)finish(t[i]));
	return 0;
}
