/* SPDX-License-Identifier: MIT */
/* Children of many threads, side by side: fork, vfork, posix_spawn, system, popen, each thread
 * waits for its own, in every form of wait; statuses and output are right. wait(2), posix_spawn(3),
 * popen(3), system(3) */
#include "t.h"
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define THREADS 12

extern char **environ;

static int waited(pid_t pid, int how)
{
	struct rusage ru;
	siginfo_t si = {0};
	int st = -1;

	switch (how % 4) {
	case 0:
		MUST(waitpid(pid, &st, 0) == pid);
		break;
	case 1:
		MUST(wait4(pid, &st, 0, &ru) == pid && ru.ru_maxrss > 0);
		break;
	case 2:
		MUST(waitid(P_PID, pid, &si, WEXITED | WNOWAIT) == 0 && si.si_pid == pid &&
		     si.si_code == CLD_EXITED);
		MUST(waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == si.si_status);
		break;
	case 3:
		while (waitpid(pid, &st, WNOHANG) == 0)
			sched_yield();
		break;
	}
	MUST(WIFEXITED(st));
	return WEXITSTATUS(st);
}

static pid_t vforked(char **argv)
{
	pid_t pid = vfork();

	MUST(pid >= 0);
	if (pid == 0) {
		execv("/bin/sh", argv);
		_exit(127);
	}
	return pid;
}

static void *parent(void *arg)
{
	int id = (int)(long)arg;
	char cmd[100], line[100];
	pid_t pid;

	for (int i = 0; i < scaled(4); i++) {
		int code = (id * 7 + i) % 100 + 1;
		MUST((pid = fork()) >= 0);
		if (pid == 0)
			_exit(code);
		MUST(waited(pid, id + i) == code);

		snprintf(cmd, sizeof cmd, "exit %d", code);
		char *argv[] = {"sh", "-c", cmd, NULL};
		pid = vforked(argv);
		MUST(waited(pid, id + i + 1) == code);
		MUST((i % 2 ? posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ)
			    : posix_spawnp(&pid, "sh", NULL, NULL, argv, environ)) == 0);
		MUST(waited(pid, id + i + 2) == code);
		MUST(WEXITSTATUS(system(cmd)) == code);

		snprintf(cmd, sizeof cmd, "echo from %d.%d; exit %d", id, i, code);
		FILE *f = popen(cmd, "r");
		MUST(f != NULL && fgets(line, sizeof line, f) != NULL);
		snprintf(cmd, sizeof cmd, "from %d.%d\n", id, i);
		MUST(strcmp(line, cmd) == 0 && fgets(line, sizeof line, f) == NULL);
		MUST(WEXITSTATUS(pclose(f)) == code);
		MUST((f = popen("cat >/dev/null", "w")) != NULL && fputs("text", f) > 0 &&
		     pclose(f) == 0);
	}
	return arg;
}

/* Waits for any child: there are only its own, as it is the only one left. */
static void *any(void *arg)
{
	int sum = 0, st;

	for (int i = 1; i <= 10; i++)
		if (fork() == 0)
			_exit(i);
	for (int i = 0; i < 10; i++) {
		MUST((i % 3 == 0   ? wait(&st)
		      : i % 3 == 1 ? wait3(&st, 0, NULL)
				   : waitpid(-1, &st, 0)) > 0);
		sum += WEXITSTATUS(st);
	}
	say("sum %d", sum);
	SYS(wait(&st));
	SYS(waitpid(-1, &st, WNOHANG));
	SYS(waitid(P_ALL, 0, NULL, WEXITED));
	SYS(waitid(P_ALL, 0, NULL, 0));
	SYS(waitpid(1 << 21, &st, 0));
	SYS(system(NULL));
	SYS(posix_spawn(&(pid_t){0}, "/missing", NULL, NULL, (char *[]){"x", NULL}, environ));
	SYS(popen("true", "z") == NULL);
	return arg;
}

int main(void)
{
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		t[i] = start(parent, (void *)(long)i);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	finish(start(any, NULL));
	return 0;
}
