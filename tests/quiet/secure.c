/* SPDX-License-Identifier: MIT */
/* Linked with the library. Twenty threads that wait: says whether the kernel sees twenty, and
 * whether this process has more rights than who started it. */
#include "../programs/t.h"
#include <dirent.h>
#include <sys/auxv.h>

static int p[2];

static void *waits(void *arg)
{
	char c;

	MUST(read(p[0], &c, 1) == 0);
	return arg;
}

static int tasks(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	MUST(d != NULL);
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

int main(void)
{
	pthread_t t[20];

	MUST(pipe(p) == 0);
	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(waits, NULL);
	settle();
	say("secure %d, kernel threads %s", getauxval(AT_SECURE) != 0,
	    tasks() > NELEM(t) ? "each" : "few");
	close(p[1]);
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	return 0;
}
