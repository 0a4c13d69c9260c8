/* SPDX-License-Identifier: MIT */
/* Cancellation disabled, deferred, asynchronous; by the thread itself; of main; of one that waits for a mutex (no cancellation
 * point); twice; of one that has ended; with C cleanup handlers and destructors of keys. pthread_setcanceltype(3) */
#include "t.h"
#include <semaphore.h>

static sem_t ready, go;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t key;
static int destroyed, step, computed;
static volatile int told;

static void destroy(void *v)
{
	destroyed += v != NULL;
}

static void note(void *arg)
{
	step = step * 10 + (int)(intptr_t)arg;
}

static void *disabled(void *arg)
{
	struct timespec ts = {0, 2000000};
	int old;
	char b;

	OK(pthread_setspecific(key, &key));
	OK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old));
	MUST(old == PTHREAD_CANCEL_ENABLE);
	sem_post(&ready);
	while (sem_wait(&go) == -1) /* cancelled by now; may be interrupted, but goes on */
		;
	MUST(nanosleep(&ts, NULL) == 0 && read(*(int *)arg, &b, 1) == 1);
	pthread_testcancel();
	say("disabled: it went on");
	pthread_cleanup_push(note, (void *)1);
	pthread_cleanup_push(note, (void *)2);
	OK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old));
	pthread_testcancel();
	MUST(!"not here");
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *computes(void *arg)
{
	int old;

	(void)arg;
	OK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old));
	MUST(old == PTHREAD_CANCEL_DEFERRED);
	sem_post(&ready);
	for (volatile unsigned long i = 0;; i++)
		;
}

static void *deferred(void *arg)
{
	sem_post(&ready);
	while (!told)
		;
	computed = 1;
	pthread_testcancel();
	return arg;
}

static void *itself(void *arg)
{
	OK(pthread_cancel(pthread_self()));
	say("itself: still here");
	sleep(0);
	usleep(1);
	return arg;
}

static void *locks(void *arg)
{
	sem_post(&ready);
	OK(pthread_mutex_lock(&m));
	say("mutex: locked although cancelled");
	OK(pthread_mutex_unlock(&m));
	usleep(1);
	return arg;
}

static void *ends(void *arg)
{
	sem_post(&ready);
	return arg;
}

static pthread_t main_thread;

static void *after_main(void *arg)
{
	void *r;

	(void)arg;
	OK(pthread_cancel(main_thread));
	OK(pthread_join(main_thread, &r));
	say("main was cancelled: %d", r == PTHREAD_CANCELED);
	exit(0);
}

static void *result(pthread_t t)
{
	void *r;

	OK(pthread_join(t, &r));
	return r == PTHREAD_CANCELED ? "cancelled" : r;
}

int main(void)
{
	int p[2];
	pthread_t t;

	MUST(sem_init(&ready, 0, 0) == 0 && sem_init(&go, 0, 0) == 0 && pipe(p) == 0);
	OK(pthread_key_create(&key, destroy));
	t = start(disabled, &p[0]);
	sem_wait(&ready);
	OK(pthread_cancel(t));
	usleep(2000);
	OK(pthread_cancel(t));
	sem_post(&go);
	usleep(5000);
	MUST(write(p[1], "x", 1) == 1);
	char *how = result(t);
	say("disabled, then enabled: %s, handlers %d, destroyed %d", how, step, destroyed);

	for (int i = 0; i < 10; i++) {
		t = start(computes, NULL);
		sem_wait(&ready);
		if (i % 2)
			usleep(1000);
		OK(pthread_cancel(t));
		MUST(strcmp(result(t), "cancelled") == 0);
	}
	say("asynchronous: cancelled");

	t = start(deferred, "?");
	sem_wait(&ready);
	OK(pthread_cancel(t));
	told = 1;
	how = result(t);
	say("deferred: %s, computed %d", how, computed);
	say("itself: %s", (char *)result(start(itself, "?")));

	OK(pthread_mutex_lock(&m));
	t = start(locks, "?");
	sem_wait(&ready);
	usleep(2000);
	OK(pthread_cancel(t));
	usleep(2000);
	OK(pthread_mutex_unlock(&m));
	say("mutex: %s", (char *)result(t));

	t = start(ends, "its own end");
	sem_wait(&ready);
	usleep(5000);
	OK(pthread_cancel(t));
	say("ended: %s", (char *)result(t));

	main_thread = pthread_self();
	OK(pthread_detach(start(after_main, NULL)));
	for (;;)
		pause();
}
