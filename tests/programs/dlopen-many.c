/* SPDX-License-Identifier: MIT */
/* Modules with static and with dynamic TLS are loaded while 3,000 threads live: each of them, and
 * each that comes later, has its own values from the first look on, and keeps them when the
 * modules' other users have gone. dlopen(3) */
#include "t.h"
#include <dlfcn.h>

enum { OLD = 3000, NEW = 300 };

static int (*bump)(int), (*all_zero)(void), (*bump_static)(int);
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int stage, arrived;

static void await(int wanted)
{
	OK(pthread_mutex_lock(&m));
	arrived++;
	OK(pthread_cond_broadcast(&changed));
	while (stage < wanted)
		OK(pthread_cond_wait(&changed, &m));
	OK(pthread_mutex_unlock(&m));
}

static void go(int next, int threads)
{
	OK(pthread_mutex_lock(&m));
	while (arrived < threads)
		OK(pthread_cond_wait(&changed, &m));
	arrived = 0;
	stage = next;
	OK(pthread_cond_broadcast(&changed));
	OK(pthread_mutex_unlock(&m));
}

static void *old_thread(void *arg)
{
	int id = (int)(intptr_t)arg;

	await(1);
	if (id % 2) /* the others look at it later only */
		MUST(bump(0) == 100 && bump_static(0) == 55 && all_zero());
	await(2);
	MUST(bump(id) == 100 + id && bump_static(id) == 55 + id && all_zero() == !(id % 2));
	return arg;
}

static void *new_thread(void *arg)
{
	int id = (int)(intptr_t)arg;

	MUST(bump(id) == 100 + id && bump_static(-id) == 55 - id && all_zero());
	return arg;
}

static void *symbol(const char *module, const char *name)
{
	void *h = dlopen(module_path(module), RTLD_NOW);

	if (h == NULL)
		say("%s", dlerror());
	MUST(h != NULL);
	return dlsym(h, name);
}

static void load(const char *dynamic, const char *fixed)
{
	bump = (int (*)(int))symbol(dynamic, "bump");
	all_zero = (int (*)(void))symbol(dynamic, "all_zero");
	bump_static = (int (*)(int))symbol(fixed, "bump_static");
	MUST(bump && all_zero && bump_static);
}

int main(void)
{
	static pthread_t t[OLD], n[NEW];

	for (int i = 0; i < OLD; i++)
		t[i] = start_small(old_thread, (void *)(intptr_t)i);
	load("module-tls-late.so", "module-static-late.so");
	go(1, OLD);
	for (int i = 0; i < NEW; i++)
		n[i] = start_small(new_thread, (void *)(intptr_t)i);
	for (int i = 0; i < NEW; i++)
		finish(n[i]);
	say("new threads");
	go(2, OLD);
	for (int i = 0; i < OLD; i++)
		finish(t[i]);
	say("old threads");
	return 0;
}
