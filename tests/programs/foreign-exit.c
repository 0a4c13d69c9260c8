/* SPDX-License-Identifier: MIT */
/* A thread which libc made for itself ends the process while the program's threads wait, or forks,
 * or is the last. */
#include "foreign.h"
#include <sys/wait.h>

static void at_exit(void)
{
	say("  exit handlers run");
}

static void *blocks(void *arg)
{
	char c;
	int p[2];

	MUST(pipe(p) == 0 && read(p[0], &c, 1) == 1);
	return arg;
}

static void *adds(void *arg)
{
	for (int i = 0; i < 100; i++)
		sched_yield();
	++*(int *)arg;
	return arg;
}

static void exits(void *arg)
{
	(void)arg;
	exit(5);
}

static void aborts(void *arg)
{
	(void)arg;
	abort();
}

static void forks(void *arg)
{
	int st, n = 0;
	pid_t pid = fork();

	if (pid == 0) {
		finish(start(adds, &n));
		finish(start(adds, &n));
		_exit(n);
	}
	MUST(waitpid(pid, &st, 0) == pid);
	*(int *)arg = WEXITSTATUS(st);
}

static void process(enum kind k, const char *what, int n, int early)
{
	pid_t pid = fork();
	int st, x = 0;

	if (pid == 0) {
		struct foreign f;
		if (!early)
			for (int i = 0; i < 10; i++)
				start_small(blocks, NULL);
		switch (n) {
		case 0:
			foreign(&f, k, exits, NULL);
			blocks(NULL);
			break;
		case 1:
			foreign(&f, k, aborts, NULL);
			blocks(NULL);
			break;
		case 2:
			in_foreign(k, forks, &x);
			finish(start(adds, &x));
			_exit(x);
		}
	}
	MUST(waitpid(pid, &st, 0) == pid);
	say("%s%s, %s: %s %d", kindname[k], early ? " alone" : "", what,
	    WIFEXITED(st) ? "status" : "signal", WIFEXITED(st) ? WEXITSTATUS(st) : WTERMSIG(st));
}

int main(void)
{
	atexit(at_exit);
	for (int early = 1; early >= 0; early--)
		for (enum kind k = 0; k < KINDS; k++) {
			process(k, "exit", 0, early);
			process(k, "abort", 1, early);
			process(k, "fork", 2, early);
		}
	return 0;
}
