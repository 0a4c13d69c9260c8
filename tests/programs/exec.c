/* SPDX-License-Identifier: MIT */
/* exec from a thread while others are blocked: the new image starts clean, with the caller's
 * descriptors and no others, an empty signal mask, and threads that work; starting threads takes no
 * low descriptor. execve(2) */
#include "t.h"
#include <dirent.h>
#include <signal.h>

static int quiet[2];

static void *blocked(void *arg)
{
	char c;

	(void)!read(quiet[0], &c, 1);
	return arg;
}

static void *executes(void *arg)
{
	usleep(2000);
	execl("/proc/self/exe", arg, "again", NULL);
	return NULL;
}

static void *twice(void *arg)
{
	usleep(500);
	return (void *)((intptr_t)arg * 2);
}

int main(int argc, char **argv)
{
	struct dirent *e;
	sigset_t set;

	if (argc == 1) {
		for (int i = 0; i < 10; i++)
			finish(start(twice, NULL));
		say("first free descriptor with threads: %d", dup(0));
		close(3);
		MUST(pipe2(quiet, O_CLOEXEC) == 0);
		for (int i = 0; i < 10; i++)
			start(blocked, NULL);
		finish(start(executes, argv[0]));
		return 1;
	}
	DIR *d = opendir("/proc/self/fd");
	int fds = 0, masked = 0;
	while ((e = readdir(d)))
		fds += e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d);
	closedir(d);
	sigprocmask(SIG_BLOCK, NULL, &set);
	for (int i = 1; i < 65; i++)
		masked += sigismember(&set, i) == 1;
	say("again: %d descriptors, %d signals masked", fds, masked);
	pthread_t t[10];
	for (int i = 0; i < 10; i++)
		t[i] = start(twice, (void *)(intptr_t)i);
	for (int i = 0; i < 10; i++)
		MUST(finish(t[i]) == (void *)(intptr_t)(2 * i));
	say("threads work");
	return 0;
}
