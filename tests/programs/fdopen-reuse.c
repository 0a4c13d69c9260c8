/* SPDX-License-Identifier: MIT */
/* fclose of an fdopen'ed socket, pclose and closedir close inside libc; the next socket with that
 * number must block and wake as a new one. fdopen(3), popen(3) */
#include "net.h"
#include <dirent.h>

static void *answer(void *arg)
{
	int *fd = arg;
	char line[100];
	FILE *f = fdopen(*fd, "r+");

	MUST(f && fgets(line, sizeof line, f)); /* blocks inside libc */
	MUST(!strncmp(line, "hello ", 6));
	fseek(f, 0, SEEK_CUR);
	MUST(fprintf(f, "you said %s", line) > 0);
	MUST(fclose(f) == 0);
	return NULL;
}

static void *worker(void *arg)
{
	int me = (int)(intptr_t)arg;

	for (int i = 0; i < scaled(60); i++) {
		int s[2];
		char line[100], want[100];

		if (i % 2)
			MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
		else
			tcp_pair(s);
		pthread_t t = start(answer, &s[1]);
		if (i % 10 == 0)
			usleep(1000);
		FILE *f = fdopen(s[0], "r+");
		snprintf(want, sizeof want, "you said hello %d.%d\n", me, i);
		MUST(fprintf(f, "hello %d.%d\n", me, i) > 0 && fflush(f) == 0);
		MUST(fgets(line, sizeof line, f) && !strcmp(line, want));
		MUST(!fgets(line, sizeof line, f) && feof(f));
		MUST(fclose(f) == 0);
		finish(t);
		if (i % 20 == 0) {
			FILE *p = popen("echo from a child", "r");
			MUST(p && fgets(line, sizeof line, p) && !strcmp(line, "from a child\n"));
			MUST(pclose(p) == 0);
		}
		if (i % 6 == 0) {
			DIR *d = opendir(".");
			MUST(d && readdir(d));
			MUST(closedir(d) == 0);
		}
	}
	return NULL;
}

int main(void)
{
	pthread_t t[8];

	for (int i = 0; i < 8; i++)
		t[i] = start(worker, (void *)(intptr_t)i);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	say("8 threads talked through FILEs");
	return 0;
}
