/* SPDX-License-Identifier: MIT */
/*
 * mutex: the synchronisation calls when nobody is in the way; nanoseconds per pair (or per call).
 *
 * Measured in a second thread: the C library is faster while it knows of one thread only, and a
 * program that uses mutexes has more.
 */
#include "bench.h"
#include <semaphore.h>

static pthread_mutex_t normal = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_mutex_t errorcheck = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem;

/* A function that times n repetitions of the expression; any failure of a call shows in bad. */
#define TIMED(name, expr)                                                                          \
	static uint64_t name(uint64_t n)                                                           \
	{                                                                                          \
		bool bad = false;                                                                  \
		uint64_t t = nanotime();                                                           \
		for (uint64_t i = 0; i < n; i++)                                                   \
			bad |= (expr) != 0;                                                        \
		t = nanotime() - t;                                                                \
		if (bad)                                                                           \
			die(#name ": a call failed");                                              \
		return t;                                                                          \
	}

TIMED(mutex_normal, pthread_mutex_lock(&normal) || pthread_mutex_unlock(&normal))
TIMED(mutex_recursive, pthread_mutex_lock(&recursive) || pthread_mutex_unlock(&recursive))
TIMED(mutex_errorcheck, pthread_mutex_lock(&errorcheck) || pthread_mutex_unlock(&errorcheck))
TIMED(mutex_trylock, pthread_mutex_trylock(&normal) || pthread_mutex_unlock(&normal))
TIMED(sem_post_wait, sem_post(&sem) || sem_wait(&sem))
TIMED(rwlock_read, pthread_rwlock_rdlock(&rwlock) || pthread_rwlock_unlock(&rwlock))
TIMED(rwlock_write, pthread_rwlock_wrlock(&rwlock) || pthread_rwlock_unlock(&rwlock))
TIMED(cond_signal, pthread_cond_signal(&cond))

static void *measure(void *arg)
{
	report("mutex.normal", nsperop_alone(mutex_normal), "ns");
	report("mutex.recursive", nsperop_alone(mutex_recursive), "ns");
	report("mutex.errorcheck", nsperop_alone(mutex_errorcheck), "ns");
	report("mutex.trylock", nsperop_alone(mutex_trylock), "ns");
	report("mutex.sem-post-wait", nsperop_alone(sem_post_wait), "ns");
	report("mutex.rwlock-read", nsperop_alone(rwlock_read), "ns");
	report("mutex.rwlock-write", nsperop_alone(rwlock_write), "ns");
	report("mutex.cond-signal", nsperop_alone(cond_signal), "ns");
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t th;

	options(argc, argv, NULL);
	sys(sem_init(&sem, 0, 0), "sem_init");
	must(pthread_create(&th, NULL, measure, NULL), "pthread_create");
	must(pthread_join(th, NULL), "pthread_join");
	return 0;
}
