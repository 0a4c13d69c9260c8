/* SPDX-License-Identifier: MIT */
/* syscall(SYS_exit): the thread is gone, no cleanup handler runs, its joiner gets a nil; the
 * process ends with its last thread. */
#include "t.h"
#include <sys/syscall.h>
#include <sys/wait.h>

static void cleans(void *arg)
{
	(void)arg;
	say("never: cleanup");
}

static void *leaves(void *arg)
{
	pthread_cleanup_push(cleans, NULL);
	syscall(SYS_exit, 5);
	pthread_cleanup_pop(0);
	return arg;
}

static void at_exit(void)
{
	say("exit handlers run");
}

static pthread_t mainthread;

static void *last(void *arg)
{
	if (arg != NULL) {
		OK(pthread_join(mainthread, NULL));
		say("main has gone");
		return NULL;
	}
	OK(pthread_join(mainthread, NULL));
	say("main has gone; and now all");
	syscall(SYS_exit, 9);
	return NULL;
}

static void process(const char *what, int n)
{
	pid_t pid = fork();
	int st;

	if (pid == 0) {
		mainthread = pthread_self();
		switch (n) {
		case 0: /* alone */
			syscall(SYS_exit, 3);
			break;
		case 1: /* the last returns */
			start(last, &n);
			syscall(SYS_exit, 4);
			break;
		case 2: /* the last leaves so too */
			start(last, NULL);
			syscall(SYS_exit, 4);
			break;
		case 3:
			start(last, NULL);
			pthread_exit(NULL);
		}
	}
	MUST(waitpid(pid, &st, 0) == pid);
	say("%s: %s %d", what, WIFEXITED(st) ? "status" : "signal",
	    WIFEXITED(st) ? WEXITSTATUS(st) : WTERMSIG(st));
}

int main(void)
{
	atexit(at_exit);
	for (int i = 0; i < 20; i++)
		MUST(finish(start(leaves, &i)) == NULL);
	say("joined");
	process("alone", 0);
	process("main, then one that returns", 1);
	process("main, then one that leaves", 2);
	process("main by pthread_exit, then one that leaves", 3);
	fflush(stdout);
	return 0;
}
