/* SPDX-License-Identifier: MIT */
/*
 * For programs whose threads all wait inside libc: preloaded, they may hold P + 4 kernel threads at
 * most. Looks at them while all wait, for as long as it looks; says the same whether there is a
 * bound or not (bare, or with GMP_DEEP=0, there is none).
 */
#ifndef FEW_H
#define FEW_H

#include "t.h"
#include <dirent.h>

static int few_most;

static inline int few_bound(void)
{
	const char *procs = getenv("GMP_PROCS"), *deep = getenv("GMP_DEEP");

	return procs && !(deep && !strcmp(deep, "0")) ? atoi(procs) + 4 : 1 << 30;
}

static inline int few_now(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = -2; /* . and .. */

	MUST(d);
	while (readdir(d))
		n++;
	MUST(closedir(d) == 0);
	return n;
}

/* There may be more for a moment: on a busy machine the P of one that gets no CPU is taken away,
 * and who takes over stays for a second. */
static inline void few_look(void)
{
	int n = few_now();

	for (int i = 0; n > few_bound() && i < 1200; i++) {
		usleep(50000);
		n = few_now();
	}
	if (n > few_most)
		few_most = n;
}

static inline void few_say(void)
{
	if (few_most > few_bound())
		say("%d kernel threads", few_most);
	say("few kernel threads");
}

#endif
