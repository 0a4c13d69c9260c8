/* SPDX-License-Identifier: MIT */
/*
 * For programs whose threads all wait inside libc: preloaded, they may hold P + 4 kernel threads at
 * most. Looks at them from time to time; says the same whether there is a bound or not (bare, or
 * with GMP_DEEP=0, there is none).
 */
#ifndef FEW_H
#define FEW_H

#include "t.h"
#include <dirent.h>

static int few_most;

static inline void few_look(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = -2; /* . and .. */

	MUST(d);
	while (readdir(d))
		n++;
	MUST(closedir(d) == 0);
	if (n > few_most)
		few_most = n;
}

static inline void few_say(void)
{
	const char *procs = getenv("GMP_PROCS"), *deep = getenv("GMP_DEEP");

	if (procs && !(deep && !strcmp(deep, "0")) && few_most > atoi(procs) + 4)
		say("%d kernel threads", few_most);
	say("few kernel threads");
}

#endif
