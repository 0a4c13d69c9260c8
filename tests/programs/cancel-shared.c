/* SPDX-License-Identifier: MIT */
/* A thread is cancelled while it waits on a process-shared condition variable with a mutex of each
 * kind, or on a process-shared semaphore: the mutex is held when its cleanup handlers run, what
 * else it holds can be unlocked there, and nobody's signal or post is lost. pthread_cond_wait(3p),
 * pthread_cancel(3) */
#include "t.h"
#include <semaphore.h>
#include <sys/mman.h>

static struct shared {
	pthread_mutex_t m;
	pthread_cond_t c;
	sem_t s;
	int ready, tokens, taken;
} * w;

static pthread_mutex_t own; /* recursive: knows its owner */

static void unlock_own(void *arg)
{
	say("  its own: %s", errname(pthread_mutex_unlock(arg)));
}

static void unlock(void *arg)
{
	say("  the shared one: %s", errname(pthread_mutex_unlock(arg)));
}

static void *waits(void *arg)
{
	struct timespec ts = in_ms(CLOCK_MONOTONIC, 60000);

	OK(pthread_mutex_lock(&own));
	pthread_cleanup_push(unlock_own, &own);
	OK(pthread_mutex_lock(&w->m));
	pthread_cleanup_push(unlock, &w->m);
	w->ready = 1;
	/* Runs first: before the shared mutex is unlocked. */
	OK(pthread_mutex_lock(&own));
	pthread_cleanup_push(unlock_own, &own);
	for (;;)
		OK(arg ? pthread_cond_clockwait(&w->c, &w->m, CLOCK_MONOTONIC, &ts)
		       : pthread_cond_wait(&w->c, &w->m));
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *takes(void *arg)
{
	OK(pthread_mutex_lock(&w->m));
	while (w->tokens == 0)
		OK(pthread_cond_wait(&w->c, &w->m));
	w->tokens--;
	w->taken++;
	OK(pthread_mutex_unlock(&w->m));
	return arg;
}

static void one(void *how)
{
	pthread_t t, u[4];

	w->ready = w->tokens = w->taken = 0;
	t = start(waits, how);
	for (int ready = 0; !ready;) {
		OK(pthread_mutex_lock(&w->m));
		ready = w->ready;
		OK(pthread_mutex_unlock(&w->m));
	}
	for (int i = 0; i < 4; i++)
		u[i] = start(takes, NULL);
	settle();
	OK(pthread_cancel(t));
	say("  cancelled: %d", finish(t) == PTHREAD_CANCELED);
	for (int i = 0; i < 4; i++) {
		OK(pthread_mutex_lock(&w->m));
		w->tokens++;
		OK(pthread_cond_signal(&w->c));
		OK(pthread_mutex_unlock(&w->m));
	}
	for (int i = 0; i < 4; i++)
		finish(u[i]);
	say("  taken %d", w->taken);
}

static void *posts(void *arg)
{
	MUST(sem_wait(&w->s) == 0);
	return arg;
}

int main(void)
{
	static const char *types[] = {"normal", "recursive", "errorcheck", "adaptive"};
	pthread_mutexattr_t a;
	pthread_condattr_t ca;
	pthread_t t, u;

	w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(w != MAP_FAILED);
	OK(pthread_mutexattr_init(&a));
	OK(pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE));
	OK(pthread_mutex_init(&own, &a));
	OK(pthread_mutexattr_setpshared(&a, 1));
	OK(pthread_condattr_init(&ca));
	OK(pthread_condattr_setpshared(&ca, 1));
	OK(pthread_cond_init(&w->c, &ca));
	for (int robust = 0; robust < 2; robust++)
		for (int protocol = 0; protocol < 2; protocol++)
			for (int type = 0; type < 4; type++) {
				say("%s%s%s", types[type], protocol ? " inherit" : "",
				    robust ? " robust" : "");
				OK(pthread_mutexattr_settype(&a, type));
				OK(pthread_mutexattr_setprotocol(&a, protocol));
				OK(pthread_mutexattr_setrobust(&a, robust));
				OK(pthread_mutex_init(&w->m, &a));
				one(NULL);
				one(&w);
				OK(pthread_mutex_destroy(&w->m));
			}
	MUST(sem_init(&w->s, 1, 0) == 0);
	for (int i = 0; i < scaled(20); i++) {
		t = start(posts, NULL);
		u = start(posts, NULL);
		if (i % 2)
			settle(); /* both wait */
		OK(pthread_cancel(t));
		/* Posted before this, it might go to the cancelled one: libc loses it then. */
		MUST(finish(t) == PTHREAD_CANCELED);
		MUST(sem_post(&w->s) == 0);
		finish(u);
		MUST(sem_trywait(&w->s) == -1 && errno == EAGAIN);
	}
	say("no post was lost");
	return 0;
}
