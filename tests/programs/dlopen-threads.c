/* SPDX-License-Identifier: MIT */
/* dlopen, dlsym, dlclose and dlerror from many threads at once; dlerror's text is per thread.
 * dlopen(3) */
#include "t.h"
#include <dlfcn.h>

static void *opener(void *arg)
{
	char missing[64];

	snprintf(missing, sizeof missing, "no-such-%d.so", (int)(intptr_t)arg);
	for (int i = 0; i < scaled(20); i++) {
		void *h = dlopen(module_path("module-plain.so"), RTLD_LAZY | RTLD_LOCAL);
		MUST(h);
		int (*answer)(void) = (int (*)(void))dlsym(h, "answer");
		MUST(answer && answer() >= 7);
		MUST(!dlopen(missing, RTLD_NOW));
		sched_yield();
		const char *e = dlerror();
		MUST(e && strstr(e, missing));
		MUST(dlerror() == NULL);
		MUST(dlclose(h) == 0);
		if (i % 4 == 0)
			usleep(100);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[30];

	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(opener, (void *)(intptr_t)i);
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	say("%d threads opened and closed a module", NELEM(t));
	return 0;
}
