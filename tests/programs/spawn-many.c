/* SPDX-License-Identifier: MIT */
/* Many threads start children at once, by fork, vfork, posix_spawn, popen and system, and each waits for its own, while others write
 * through stdio, hold its locks and flush all of it. No end is lost or given to another, no child hangs on a lock
 * of a thread that it does not have. fork(2), posix_spawn(3), popen(3), system(3) */
#include "t.h"
#include <spawn.h>
#include <sys/wait.h>

#define THREADS 10

extern char **environ;
static int stop;
static FILE *shared;

static void *flushes(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		MUST(fflush(NULL) == 0);
		sched_yield();
	}
	return arg;
}

static void *holds(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		flockfile(shared);
		fprintf(shared, "held by one");
		usleep(300);
		fprintf(shared, " until here\n");
		funlockfile(shared);
		usleep(100);
	}
	return arg;
}

static int status(pid_t pid, int how)
{
	siginfo_t si;
	int st;

	switch (how % 3) {
	case 0:
		MUST(waitpid(pid, &st, 0) == pid);
		return WEXITSTATUS(st);
	case 1:
		MUST(wait4(pid, &st, 0, NULL) == pid);
		return WEXITSTATUS(st);
	default:
		MUST(waitid(P_PID, (id_t)pid, &si, WEXITED) == 0 && si.si_pid == pid && si.si_code == CLD_EXITED);
		return si.si_status;
	}
}

static int child_uses_stdio(int code)
{
	char *b = NULL;
	size_t n;
	FILE *f = open_memstream(&b, &n);

	/* Locks of stdio's own lists and a lock another thread may have held: whole in the child. */
	fprintf(f, "%d", code);
	if (fclose(f) != 0 || atoi(b) != code)
		return 99;
	free(b);
	return code;
}

static __attribute__((noinline)) pid_t vforked(char *const *args)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execv("/bin/sh", args);
		_exit(98);
	}
	return pid;
}

static void *starts(void *arg)
{
	int id = (int)(intptr_t)arg, st;
	char cmd[64], b[32];
	pid_t pid;

	for (int i = 0; i < scaled(10); i++) {
		int code = 1 + (id * 10 + i) % 90;
		snprintf(cmd, sizeof cmd, "exit %d", code);
		char *args[] = {"sh", "-c", cmd, NULL};
		switch ((id + i) % 5) {
		case 0:
			if ((pid = fork()) == 0)
				_exit(child_uses_stdio(code));
			MUST(pid > 0 && status(pid, i) == code);
			break;
		case 1:
			OK(posix_spawn(&pid, "/bin/sh", NULL, NULL, args, environ));
			MUST(status(pid, i) == code);
			break;
		case 2: {
			FILE *f;
			snprintf(cmd, sizeof cmd, "echo number %d; exit %d", code, code);
			MUST((f = popen(cmd, "r")) != NULL && fgets(b, sizeof b, f) != NULL);
			MUST(atoi(b + 7) == code);
			st = pclose(f);
			MUST(WIFEXITED(st) && WEXITSTATUS(st) == code);
			break;
		}
		case 3:
			st = system(cmd);
			MUST(WIFEXITED(st) && WEXITSTATUS(st) == code);
			break;
		default:
			pid = vforked(args);
			MUST(pid > 0 && status(pid, i) == code);
		}
	}
	return arg;
}

int main(void)
{
	pthread_t t[THREADS], w[3];

	MUST((shared = fopen("shared", "w")) != NULL);
	w[0] = start(flushes, NULL);
	w[1] = start(holds, NULL);
	w[2] = start(holds, NULL);
	for (int i = 0; i < THREADS; i++)
		t[i] = start(starts, (void *)(intptr_t)i);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++)
		finish(w[i]);
	MUST(fclose(shared) == 0);
	MUST(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
	say("each its own");
	return 0;
}
