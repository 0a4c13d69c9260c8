/* SPDX-License-Identifier: MIT */
/* close_range and closefrom while threads use other descriptors; the numbers come back as new
 * files. close_range(2) */
#include "net.h"
#include <sys/wait.h>

static void *writes(void *arg)
{
	settle();
	MUST(write((int)(intptr_t)arg, "x", 1) == 1);
	return NULL;
}

static void *steady(void *arg)
{
	int *fd = arg;
	char c;

	while (read(fd[0], &c, 1) == 1 && c != '.')
		MUST(write(fd[0], &c, 1) == 1);
	return NULL;
}

int main(void)
{
	int low[2], high[10][2];
	char c;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, low) == 0);
	pthread_t t = start(steady, low), u;
	for (int i = 0; i < scaled(20); i++) {
		MUST(write(low[1], "a", 1) == 1);
		for (int k = 0; k < 10; k++) {
			MUST((k % 2 ? pipe(high[k])
				    : socketpair(AF_UNIX, SOCK_STREAM, 0, high[k])) == 0);
			MUST(write(high[k][1], "stale", 5) == 5 && read(high[k][0], &c, 1) == 1);
		}
		MUST(high[0][0] == low[1] + 1);
		MUST(close_range(high[0][0], high[9][1], 0) == 0);
		MUST(pipe(high[0]) == 0 && high[0][0] == low[1] + 1);
		u = start(writes, (void *)(intptr_t)high[0][1]);
		MUST(read(high[0][0], &c, 1) == 1 && c == 'x');
		finish(u);
		MUST(close_range(high[0][0], high[0][1], 0) == 0);
		MUST(read(low[1], &c, 1) == 1 && c == 'a');
	}
	MUST(write(low[1], ".", 1) == 1);
	finish(t);
	say("numbers closed by range were new again");

	SYS(close_range(5, 4, 0));
	SYS(close_range(3, 4, 999));
	/* closefrom in a forked child, then a thread there. */
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		closefrom(3);
		MUST(pipe(low) == 0);
		say("first numbers after closefrom(3): %d %d", low[0], low[1]);
		u = start(writes, (void *)(intptr_t)low[1]);
		MUST(read(low[0], &c, 1) == 1);
		finish(u);
		_exit(0);
	}
	int st;
	MUST(waitpid(pid, &st, 0) == pid);
	say("child: %d", st);
	return 0;
}
