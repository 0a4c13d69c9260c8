/* SPDX-License-Identifier: MIT */
/* TLS of a module that is dlopened before threads start and while threads live: initialised for
 * every thread, also for those that were there before, and kept apart. dlopen(3) */
#include "t.h"
#include <dlfcn.h>

static int (*bump)(int), (*all_zero)(void), (*bump_static)(int);
static pthread_barrier_t b;

static void *load(const char *name)
{
	void *h = dlopen(module_path(name), RTLD_NOW);

	if (!h)
		say("%s", dlerror());
	MUST(h);
	return h;
}

static void load_both(const char *dynamic, const char *fixed)
{
	void *h = load(dynamic);

	bump = (int (*)(int))dlsym(h, "bump");
	all_zero = (int (*)(void))dlsym(h, "all_zero");
	bump_static = (int (*)(int))dlsym(load(fixed), "bump_static");
	MUST(bump && all_zero && bump_static);
}

static void use(int id)
{
	MUST(bump(0) == 100 && bump_static(0) == 55 && all_zero());
	for (int i = 1; i <= 20; i++) {
		MUST(bump(id) == 100 + i * id);
		MUST(bump_static(id) == 55 + i * id);
		if (i % 5)
			sched_yield();
		else
			usleep(100);
	}
}

static void *old_thread(void *arg)
{
	pthread_barrier_wait(&b); /* alive */
	pthread_barrier_wait(&b); /* loaded */
	use((int)(intptr_t)arg);
	return NULL;
}

static void *new_thread(void *arg)
{
	use((int)(intptr_t)arg);
	return NULL;
}

int main(void)
{
	pthread_t t[50];

	/* Loaded before any thread: main's copy is changed, the threads' must be fresh. */
	load_both("module-tls-early.so", "module-static-early.so");
	use(3);
	for (int i = 0; i < 20; i++)
		t[i] = start(new_thread, (void *)(intptr_t)i);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	say("loaded before threads");

	/* Loaded while threads live. */
	OK(pthread_barrier_init(&b, NULL, 51));
	for (int i = 0; i < 50; i++)
		t[i] = start(old_thread, (void *)(intptr_t)(i + 1));
	pthread_barrier_wait(&b);
	load_both("module-tls-late.so", "module-static-late.so");
	pthread_barrier_wait(&b);
	use(1000);
	for (int i = 0; i < 50; i++)
		finish(t[i]);
	say("loaded among threads: those that were there");
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 50; i++)
			t[i] = start(new_thread, (void *)(intptr_t)(i + 1));
		for (int i = 0; i < 50; i++)
			finish(t[i]);
	}
	say("loaded among threads: new ones");
	return 0;
}
