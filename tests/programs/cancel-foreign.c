/* SPDX-License-Identifier: MIT */
/* Cancellation of, and by, threads that libc makes for itself (a timer's SIGEV_THREAD): they wait
 * in the same objects as the others, asynchronously or not, and what they waited for is not lost
 * with them. timer_create(2), pthread_cancel(3) */
#include "t.h"
#include <semaphore.h>
#include <signal.h>

static sem_t ready, ended, sem;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, cmutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rws[2] = {PTHREAD_RWLOCK_INITIALIZER, PTHREAD_RWLOCK_INITIALIZER};
static pthread_rwlock_t *rw; /* one for the asynchronous: bare it is not the same afterwards */
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t bar;
static pthread_t foreign, sleeper;
static int p[2], step, cleaned;
static volatile int go;

static void ends(void *arg)
{
	(void)arg;
	cleaned++;
	sem_post(&ended);
}

/* Runs fn(i) on a thread of libc's. */
static void (*body)(void);

static void notified(union sigval v)
{
	foreign = pthread_self();
	pthread_cleanup_push(ends, NULL);
	if (v.sival_int)
		OK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL));
	sem_post(&ready);
	body();
	pthread_cleanup_pop(1);
}

static void run(void (*fn)(void), int async)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD,
			      .sigev_notify_function = notified,
			      .sigev_value.sival_int = async};
	struct itimerspec soon = {.it_value.tv_nsec = 1000};
	timer_t timer;

	body = fn;
	MUST(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0 &&
	     timer_settime(timer, 0, &soon, NULL) == 0);
	while (sem_wait(&ready) != 0)
		;
	MUST(timer_delete(timer) == 0);
}

static void waits_sem(void)
{
	while (sem_wait(&sem) != 0)
		;
}

static void unlock(void *arg)
{
	OK(pthread_mutex_unlock(arg));
}

static void waits_cond(void)
{
	OK(pthread_mutex_lock(&cmutex));
	pthread_cleanup_push(unlock, &cmutex);
	for (;;)
		pthread_cond_wait(&cond, &cmutex);
	pthread_cleanup_pop(1);
}

static void joins(void)
{
	pthread_join(sleeper, NULL);
}

static void reads(void)
{
	char b;
	(void)!read(p[0], &b, 1);
}

static void sleeps(void)
{
	sleep(50);
}

static void locks(void)
{
	OK(pthread_mutex_lock(&mutex));
	OK(pthread_mutex_unlock(&mutex));
	step = 1;
	pthread_testcancel();
}

static void wrlocks(void)
{
	OK(pthread_rwlock_wrlock(rw));
	OK(pthread_rwlock_unlock(rw));
	step = 1;
	pthread_testcancel();
}

static void rdlocks(void)
{
	OK(pthread_rwlock_rdlock(rw));
	OK(pthread_rwlock_unlock(rw));
	step = 1;
	pthread_testcancel();
}

static void waits_barrier(void)
{
	pthread_barrier_wait(&bar);
	step = 1;
	pthread_testcancel();
}

static void computes(void)
{
	while (!go)
		step++;
	step = 1;
	pthread_testcancel();
}

static const struct {
	const char *name;
	void (*fn)(void);
	bool point;
} all[] = {
    {"sem_wait", waits_sem, true},
    {"cond_wait", waits_cond, true},
    {"join", joins, true},
    {"read", reads, true},
    {"sleep", sleeps, true},
    {"mutex", locks, false},
    {"wrlock", wrlocks, false},
    {"rdlock", rdlocks, false},
    {"barrier", waits_barrier, false},
    {"computes", computes, false},
};

static void *sleeps_long(void *arg)
{
	sem_wait(arg);
	return NULL;
}

static void cancels(void)
{
	OK(pthread_cancel(sleeper));
}

static void *is_cancelled(void *arg)
{
	char b;

	sem_post(&ready);
	(void)!read(p[0], &b, 1);
	return arg;
}

int main(void)
{
	sem_t end;
	void *r;

	MUST(sem_init(&ready, 0, 0) == 0 && sem_init(&ended, 0, 0) == 0 &&
	     sem_init(&sem, 0, 0) == 0 && pipe(p) == 0);
	MUST(sem_init(&end, 0, 0) == 0);
	OK(pthread_barrier_init(&bar, NULL, 100));
	sleeper = start(sleeps_long, &end);
	OK(pthread_mutex_lock(&mutex));
	OK(pthread_rwlock_wrlock(&rws[0]));
	OK(pthread_rwlock_wrlock(&rws[1]));
	for (int i = 0; i < NELEM(all); i++) {
		for (int async = 0; async < 2; async++) {
			bool waits = !all[i].point && !async;
			for (int k = 0; k < 4; k++) {
				if (waits && !strcmp(all[i].name, "barrier"))
					continue;
				step = go = 0;
				rw = &rws[async];
				run(all[i].fn, async);
				if (k % 2)
					settle();
				OK(pthread_cancel(foreign));
				if (waits) {
					settle();
					MUST(sem_trywait(&ended) == -1);
					go = 1;
					OK(pthread_mutex_unlock(&mutex));
					OK(pthread_rwlock_unlock(rw));
				}
				sem_wait(&ended);
				MUST(!waits || step == 1);
				if (waits) {
					OK(pthread_mutex_lock(&mutex));
					OK(pthread_rwlock_wrlock(rw));
				}
			}
		}
		say("%s: ended, %d cleaned", all[i].name, cleaned);
		cleaned = 0;
	}
	/* What they waited for is whole. */
	char b;
	MUST(write(p[1], "x", 1) == 1 && read(p[0], &b, 1) == 1 && b == 'x');
	MUST(sem_post(&sem) == 0 && sem_trywait(&sem) == 0 && sem_trywait(&sem) == -1);
	OK(pthread_mutex_lock(&cmutex));
	OK(pthread_mutex_unlock(&cmutex));
	OK(pthread_mutex_unlock(&mutex));
	OK(pthread_mutex_lock(&mutex));
	sem_post(&end);
	finish(sleeper);
	for (int k = 0; k < 10; k++) {
		sleeper = start(is_cancelled, "?");
		sem_wait(&ready);
		run(cancels, 0);
		OK(pthread_join(sleeper, &r));
		MUST(r == PTHREAD_CANCELED);
		sem_wait(&ended);
	}
	say("cancelled by libc's threads");
	return 0;
}
