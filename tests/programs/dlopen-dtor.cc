// SPDX-License-Identifier: MIT
// thread_local objects of a dlopened module, in threads that were there before and in new ones:
// made at first use, destroyed at the thread's end, also if the module has been closed meanwhile:
// it stays until the last of them is gone, and can be opened again. Exceptions from the module.
// dlclose(3), __cxa_thread_atexit_impl
#include "t.h"
#include <dlfcn.h>
#include <semaphore.h>

enum { THREADS = 60 };

static int (*use_fn)(int);
static const char *(*blow)(int);
static int gone_count, gone_sum, bad, caught;
static pthread_barrier_t bar;

#define ADD(x, n) __atomic_add_fetch(&(x), n, __ATOMIC_SEQ_CST)

extern "C" void gone(int id)
{
	ADD(gone_count, 1);
	ADD(gone_sum, id);
}

static void *load()
{
	void *h = dlopen(module_path("module-dtor.so"), RTLD_NOW | RTLD_LOCAL);

	if (!h)
		say("%s", dlerror());
	MUST(h);
	use_fn = (int (*)(int))dlsym(h, "use");
	blow = (const char *(*)(int))dlsym(h, "blows_up");
	MUST(use_fn && blow);
	return h;
}

static bool there()
{
	void *h = dlopen(module_path("module-dtor.so"), RTLD_NOW | RTLD_NOLOAD);

	if (h)
		dlclose(h);
	return h != nullptr;
}

static void *user(void *arg)
{
	int id = 2 + (int)(intptr_t)arg;

	pthread_barrier_wait(&bar); // alive
	pthread_barrier_wait(&bar); // loaded
	for (int i = 0; i < 3; i++) {
		if (use_fn(id) != id)
			ADD(bad, 1);
		try {
			blow(id);
		} catch (int n) {
			ADD(caught, n == id);
		}
		usleep(20);
	}
	pthread_barrier_wait(&bar); // used
	pthread_barrier_wait(&bar); // closed
	if (id % 3 == 0)
		pthread_exit(arg);
	return arg;
}

static void *late(void *arg)
{
	int id = (int)(intptr_t)arg;

	if (use_fn(id) != id)
		ADD(bad, 1);
	return arg;
}

static void round_trip()
{
	pthread_t t[THREADS];
	int sum = 0;

	gone_count = gone_sum = caught = 0;
	for (int i = 0; i < THREADS; i++) {
		t[i] = start_small(user, (void *)(intptr_t)i);
		sum += 2 + i;
	}
	pthread_barrier_wait(&bar);
	void *h = load();
	pthread_barrier_wait(&bar);
	pthread_barrier_wait(&bar);
	MUST(dlclose(h) == 0);
	say("closed, and still there: %d, gone %d", there(), gone_count);
	pthread_barrier_wait(&bar);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	say("gone %d, sum %d, wrong %d, caught %d", gone_count, gone_sum == sum, bad, caught);
	// Objects of new threads, while it is open once more.
	h = load();
	for (int i = 0; i < THREADS; i++)
		t[i] = start_small(late, (void *)(intptr_t)(i + 2));
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	say("gone %d, sum %d, wrong %d", gone_count, gone_sum == 2 * sum, bad);
	MUST(dlclose(h) == 0);
	say("there in the end: %d", there());
}

static void *in_thread(void *)
{
	round_trip();
	return nullptr;
}

int main()
{
	OK(pthread_barrier_init(&bar, nullptr, THREADS + 1));
	round_trip();
	finish(start(in_thread, nullptr));
	for (int i = 0; i < 3; i++)
		round_trip();
	return 0;
}
