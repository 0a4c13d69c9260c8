/* SPDX-License-Identifier: MIT */
/* Threads start programs that are not there while another forks, a third flushes all streams and a
 * fourth waits for a line: the fork waits for the flush, that for the line, and the line for a
 * thread like the others. */
#include "t.h"
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { EXECS = 10 };

static atomic_bool quit;
static int p[2];
static FILE *in;

static void *execs(void *arg)
{
	char *argv[] = {"none", NULL};

	while (!quit) {
		MUST(execv("/nonexistent/program", argv) == -1 && errno == ENOENT);
		sched_yield();
	}
	return arg;
}

static void *line(void *arg)
{
	char buf[100];

	MUST(fgets(buf, sizeof buf, in) && !strcmp(buf, "line\n"));
	return arg;
}

static void *flushes(void *arg)
{
	MUST(fflush(NULL) == 0);
	return arg;
}

static void *forks(void *arg)
{
	int st;
	pid_t pid = fork();

	if (pid == 0)
		_exit(3);
	MUST(pid > 0 && waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 3);
	return arg;
}

static void *writes(void *arg)
{
	MUST(write(p[1], "line\n", 5) == 5);
	return arg;
}

int main(void)
{
	pthread_t e[EXECS], l, f, k;

	MUST(pipe(p) == 0 && (in = fdopen(p[0], "r")));
	for (int i = 0; i < EXECS; i++)
		e[i] = start(execs, NULL);
	for (int i = 0; i < scaled(5); i++) {
		l = start(line, NULL);
		settle();
		f = start(flushes, NULL);
		settle();
		k = start(forks, NULL);
		settle();
		finish(start(writes, NULL));
		finish(l);
		finish(f);
		finish(k);
	}
	quit = true;
	for (int i = 0; i < EXECS; i++)
		finish(e[i]);
	say("%d lines, flushes and forks", scaled(5));
	return 0;
}
