/* SPDX-License-Identifier: MIT */
/* A process with blocked and running threads dies by a signal's default action, whoever causes it:
 * the argument says how. The status that the parent sees is the same. signal(7), abort(3) */
#include "t.h"
#include <signal.h>

static int quiet[2];
static int *volatile nowhere;

static void *blocked(void *arg)
{
	char c;

	(void)!read(quiet[0], &c, 1);
	return arg;
}

static void *sleeps(void *arg)
{
	sleep(1000);
	return arg;
}

/* Down to the guard page. */
static __attribute__((noinline)) int overflow(volatile char *above)
{
	volatile char frame[4000];

	frame[0] = above ? above[0] : 1;
	return frame[0] && nowhere == NULL ? overflow(frame) + frame[1] : 0;
}

static void *acts(void *arg)
{
	const char *how = arg;
	int p[2];

	usleep(5000);
	say("%s", how);
	if (!strcmp(how, "term"))
		kill(getpid(), SIGTERM);
	else if (!strcmp(how, "thread-term"))
		raise(SIGTERM);
	else if (!strcmp(how, "kill"))
		kill(getpid(), SIGKILL);
	else if (!strcmp(how, "abort"))
		abort();
	else if (!strcmp(how, "segv"))
		*nowhere = 1;
	else if (!strcmp(how, "overflow"))
		overflow(NULL);
	else if (!strcmp(how, "pipe")) {
		MUST(pipe(p) == 0 && close(p[0]) == 0);
		(void)!write(p[1], "x", 1);
	}
	usleep(50000000);
	say("still here");
	return NULL;
}

int main(int argc, char **argv)
{
	MUST(argc == 2 && pipe(quiet) == 0);
	for (int i = 0; i < 20; i++)
		start(i % 2 ? blocked : sleeps, NULL);
	finish(start(acts, argv[1]));
	return 0;
}
