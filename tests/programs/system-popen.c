/* SPDX-License-Identifier: MIT */
/* system and popen in threads: exit statuses, output and input of the children, side by side.
 * system(3), popen(3) */
#include "t.h"
#include <sys/wait.h>

static void *runs(void *arg)
{
	int id = (int)(intptr_t)arg;
	char cmd[100], line[100], want[100];

	for (int i = 0; i < scaled(4); i++) {
		snprintf(cmd, sizeof cmd, "exit %d", id + 1);
		int st = system(cmd);
		MUST(WIFEXITED(st) && WEXITSTATUS(st) == id + 1);
		snprintf(cmd, sizeof cmd, "echo thread %d; read x; exit 5", id);
		FILE *f = popen(cmd, "re");
		snprintf(want, sizeof want, "thread %d\n", id);
		MUST(f && fgets(line, sizeof line, f) && !strcmp(line, want));
		st = pclose(f);
		MUST(WIFEXITED(st) && WEXITSTATUS(st) == 5);
		snprintf(cmd, sizeof cmd, "read a b; test \"$b\" = %d", id);
		f = popen(cmd, "we");
		MUST(f && fprintf(f, "number %d\n", id) > 0);
		MUST(pclose(f) == 0);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[10];

	for (int i = 0; i < 10; i++)
		t[i] = start(runs, (void *)(intptr_t)i);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	say("ten threads ran commands");
	say("a shell is there: %d", system(NULL) != 0);
	return 0;
}
