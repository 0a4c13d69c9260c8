/* SPDX-License-Identifier: MIT */
/* Modules with static TLS, dynamic TLS and TLS descriptors are loaded and unloaded while hundreds
 * of threads live, and others come and go. Every thread has its first values from the moment the
 * module's constructor runs: who was there before, who is made by the constructor, who comes later;
 * and again after dlclose and a new dlopen. dlopen(3) */
#include "t.h"
#include <dlfcn.h>
#include <semaphore.h>

enum { OLD = 200, CHURN = 3 };

static int (*swap)(int);
static pthread_rwlock_t use = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static int generation, answered, done, ups, downs, made, wrong;
static sem_t job, reply;

#define ADD(x) __atomic_add_fetch(&(x), 1, __ATOMIC_SEQ_CST)
#define GET(x) __atomic_load_n(&(x), __ATOMIC_SEQ_CST)

/* In a thread that has not used the module since it was loaded. */
static void fresh(int id)
{
	int (*fn)(int) = GET(swap);

	if (fn(id) != 77 || fn(id + 1) != id || fn(id) != id + 1)
		ADD(wrong);
}

static void *new_thread(void *arg)
{
	fresh(1000 + (int)(intptr_t)arg);
	return arg;
}

void loaded(int (*fn)(int));
void unloaded(void);

/* The constructor: on the thread that loads, with the loader's lock held. */
void loaded(int (*fn)(int))
{
	__atomic_store_n(&swap, fn, __ATOMIC_SEQ_CST);
	ups++;
	if (fn(5) != 77 || fn(77) != 5)
		ADD(wrong);
	sem_post(&job);
	while (sem_wait(&reply) != 0)
		;
	pthread_t t[3];
	for (int i = 0; i < 3; i++)
		t[i] = start_small(new_thread, (void *)(intptr_t)i);
	usleep(100);
	for (int i = 0; i < 3; i++)
		finish(t[i]);
}

void unloaded(void)
{
	downs++;
	__atomic_store_n(&swap, NULL, __ATOMIC_SEQ_CST);
}

/* Works for the constructor. */
static void *servant(void *arg)
{
	for (;;) {
		while (sem_wait(&job) != 0)
			;
		if (GET(done))
			return arg;
		fresh(1);
		sem_post(&reply);
	}
}

static void *old_thread(void *arg)
{
	int mine = 0;

	for (;;) {
		OK(pthread_mutex_lock(&m));
		while (generation == mine && !done)
			OK(pthread_cond_wait(&turn, &m));
		mine = generation;
		bool over = done;
		OK(pthread_mutex_unlock(&m));
		if (over)
			return arg;
		fresh(100 + (int)(intptr_t)arg);
		OK(pthread_mutex_lock(&m));
		if (++answered == OLD)
			OK(pthread_cond_broadcast(&turn));
		OK(pthread_mutex_unlock(&m));
	}
}

static void *short_thread(void *arg)
{
	OK(pthread_rwlock_rdlock(&use));
	if (GET(swap))
		fresh(5000);
	OK(pthread_rwlock_unlock(&use));
	ADD(made);
	return arg;
}

static void *churns(void *arg)
{
	while (!GET(done)) {
		pthread_t t[4];
		for (int i = 0; i < 4; i++)
			t[i] = start_small(short_thread, NULL);
		for (int i = 0; i < 4; i++)
			finish(t[i]);
	}
	return arg;
}

static void round_trip(const char *name)
{
	void *h = dlopen(module_path(name), RTLD_NOW);

	if (!h)
		say("%s", dlerror());
	MUST(h && GET(swap));
	OK(pthread_mutex_lock(&m));
	generation++;
	answered = 0;
	OK(pthread_cond_broadcast(&turn));
	while (answered < OLD)
		OK(pthread_cond_wait(&turn, &m));
	OK(pthread_mutex_unlock(&m));
	OK(pthread_rwlock_wrlock(&use));
	MUST(dlclose(h) == 0);
	OK(pthread_rwlock_unlock(&use));
}

static void *loader(void *arg)
{
	for (int i = 0; i < scaled(10); i++)
		round_trip(arg);
	return NULL;
}

int main(void)
{
	static char *const names[] = {"module-live-static.so", "module-live-dynamic.so",
				      "module-live-desc.so"};
	pthread_t t[OLD], c[CHURN], s;

	MUST(sem_init(&job, 0, 0) == 0 && sem_init(&reply, 0, 0) == 0);
	for (int i = 0; i < OLD; i++)
		t[i] = start_small(old_thread, (void *)(intptr_t)i);
	for (int i = 0; i < CHURN; i++)
		c[i] = start(churns, NULL);
	s = start(servant, NULL);
	for (int i = 0; i < NELEM(names); i++) {
		ups = downs = 0;
		loader(names[i]);
		finish(start(loader, names[i]));
		say("%s: loaded %d, unloaded %d, wrong values %d", names[i], ups == 2 * scaled(10),
		    downs == ups, GET(wrong));
	}
	while (GET(made) <= 100)
		usleep(1000);
	OK(pthread_mutex_lock(&m));
	__atomic_store_n(&done, 1, __ATOMIC_SEQ_CST);
	OK(pthread_cond_broadcast(&turn));
	OK(pthread_mutex_unlock(&m));
	sem_post(&job);
	for (int i = 0; i < OLD; i++)
		finish(t[i]);
	for (int i = 0; i < CHURN; i++)
		finish(c[i]);
	finish(s);
	say("threads came and went meanwhile: %d", made > 100);
	return 0;
}
