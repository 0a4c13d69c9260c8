/* SPDX-License-Identifier: MIT */
/* Many threads cancel many that wait, again and again: no post, signal, item or lock is lost with
 * them, and each ends once. A condition variable's signal goes to somebody who lives. (Bare, a
 * semaphore's wake-up may be lost to a waiter that dies of it: then one more post helps; stderr
 * tells.) pthread_cond_wait(3p), sem_wait(3) */
#include "t.h"
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/select.h>

enum { WAITERS = 40, CANCELLERS = 4, PRODUCERS = 2 };

static pthread_mutex_t slots[WAITERS]; /* each guards its thread */
static pthread_t waiter[WAITERS];
static int cancelled, done, posted, taken, ended;
static sem_t sem;
static pthread_mutex_t mutex, recursive;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int queued, produced, consumed, p[2];
static void *(*body)(void *);

#define ADD(x) __atomic_add_fetch(&(x), 1, __ATOMIC_SEQ_CST)
#define GET(x) __atomic_load_n(&(x), __ATOMIC_SEQ_CST)

static void over(void *arg)
{
	(void)arg;
	ADD(ended);
}

static void unlock(void *m)
{
	OK(pthread_mutex_unlock(m));
}

static void *takes(void *arg)
{
	pthread_cleanup_push(over, arg);
	for (;;) {
		while (sem_wait(&sem) != 0)
			;
		ADD(taken);
	}
	pthread_cleanup_pop(0);
	return NULL;
}

static void *takes_timed(void *arg)
{
	pthread_cleanup_push(over, arg);
	for (;;) {
		struct timespec ts = in_ms(CLOCK_REALTIME, 1);
		while (sem_timedwait(&sem, &ts) != 0)
			ts = in_ms(CLOCK_REALTIME, 1);
		ADD(taken);
	}
	pthread_cleanup_pop(0);
	return NULL;
}

static void *consumes(void *arg)
{
	pthread_cleanup_push(over, arg);
	for (;;) {
		OK(pthread_mutex_lock(&mutex));
		pthread_cleanup_push(unlock, &mutex);
		while (queued == 0)
			pthread_cond_wait(&cond, &mutex);
		queued--;
		consumed++;
		pthread_cleanup_pop(1);
	}
	pthread_cleanup_pop(0);
	return NULL;
}

static void *consumes_timed(void *arg)
{
	pthread_cleanup_push(over, arg);
	for (;;) {
		OK(pthread_mutex_lock(&mutex));
		pthread_cleanup_push(unlock, &mutex);
		while (queued == 0) {
			struct timespec ts = in_ms(CLOCK_REALTIME, 2);
			pthread_cond_timedwait(&cond, &mutex, &ts);
		}
		queued--;
		consumed++;
		pthread_cleanup_pop(1);
	}
	pthread_cleanup_pop(0);
	return NULL;
}

/* Mutexes are no points, so whoever waits for one gets it, and ends inside. */
static void *locks(void *arg)
{
	pthread_cleanup_push(over, arg);
	for (;;) {
		OK(pthread_mutex_lock(&mutex));
		pthread_cleanup_push(unlock, &mutex);
		OK(pthread_mutex_lock(&recursive));
		pthread_cleanup_push(unlock, &recursive);
		ADD(taken);
		if (taken % 4 == 0)
			sched_yield();
		pthread_testcancel();
		pthread_cleanup_pop(1);
		pthread_cleanup_pop(1);
	}
	pthread_cleanup_pop(0);
	return NULL;
}

static void *anywhere(void *arg)
{
	volatile int i = (int)(intptr_t)arg;
	char b;

	pthread_cleanup_push(over, arg);
	for (;; i++) {
		struct timespec us = {0, i % 7 * 30000};
		fd_set r;
		switch (i % 8) {
		case 0:
			nanosleep(&us, NULL);
			break;
		case 1:
			poll(&(struct pollfd){p[0], POLLIN, 0}, 1, i % 3);
			break;
		case 2:
			FD_ZERO(&r);
			FD_SET(p[0], &r);
			pselect(p[0] + 1, &r, NULL, NULL, &us, NULL);
			break;
		case 3:
			(void)!read(p[0], &b, 1);
			break;
		case 4:
			usleep(10);
			break;
		case 5:
			close(open("/dev/null", O_RDONLY));
			break;
		case 6:
			fsync(p[0]);
			break;
		case 7:
			sched_yield();
			break;
		}
	}
	pthread_cleanup_pop(0);
	return NULL;
}

static void *computes(void *arg)
{
	pthread_cleanup_push(over, arg);
	OK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL));
	for (volatile int i = 0;; i++)
		if (i % 100000 == 0)
			sched_yield();
	pthread_cleanup_pop(0);
	return NULL;
}

static void *cancels(void *arg)
{
	unsigned seed = (unsigned)(intptr_t)arg;
	void *r;

	while (!GET(done)) {
		int i = rand_r(&seed) % WAITERS;
		OK(pthread_mutex_lock(&slots[i]));
		OK(pthread_cancel(waiter[i]));
		if (seed % 3 == 0)
			sched_yield();
		OK(pthread_join(waiter[i], &r));
		MUST(r == PTHREAD_CANCELED);
		ADD(cancelled);
		waiter[i] = start_small(body, (void *)(intptr_t)i);
		OK(pthread_mutex_unlock(&slots[i]));
		if (seed % 5 == 0)
			usleep(50);
	}
	return NULL;
}

static void *posts(void *arg)
{
	int n = (int)(intptr_t)arg;

	for (int i = 0; i < n; i++) {
		MUST(sem_post(&sem) == 0);
		ADD(posted);
		if (i % 16 == 0)
			usleep(20);
	}
	return NULL;
}

static void *produces(void *arg)
{
	int n = (int)(intptr_t)arg;

	for (int i = 0; i < n; i++) {
		OK(pthread_mutex_lock(&mutex));
		queued++;
		produced++;
		if (i % 2)
			OK(pthread_cond_signal(&cond));
		OK(pthread_mutex_unlock(&mutex));
		if (i % 2 == 0)
			OK(pthread_cond_signal(&cond));
		if (i % 16 == 0)
			usleep(20);
	}
	return NULL;
}

static void *idles(void *arg)
{
	usleep((useconds_t)(intptr_t)arg * 10);
	return NULL;
}

static void phase(const char *name, void *(*waits)(void *), void *(*feeds)(void *), int *fed,
		  int *eaten)
{
	pthread_t c[CANCELLERS], f[PRODUCERS];
	bool bare = getenv("GMP_PROCS") == NULL; /* preloaded, nothing may be lost: then this goes on for ever */
	void *r;

	body = waits;
	done = cancelled = ended = posted = taken = produced = consumed = queued = 0;
	for (int i = 0; i < WAITERS; i++)
		waiter[i] = start_small(body, (void *)(intptr_t)i);
	for (int i = 0; i < CANCELLERS; i++)
		c[i] = start(cancels, (void *)(intptr_t)(i + 1));
	for (int i = 0; i < PRODUCERS; i++)
		f[i] = start(feeds, (void *)(intptr_t)scaled(5000));
	for (int i = 0; i < PRODUCERS; i++)
		finish(f[i]);
	__atomic_store_n(&done, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < CANCELLERS; i++)
		finish(c[i]);
	/* All that was given is taken by somebody. */
	for (int n = 0; eaten && GET(*eaten) != GET(*fed); n++) {
		usleep(1000);
		if (n % 3000 == 2999 && bare && fed == &posted) {
			fprintf(stderr, "a wake-up was lost: %d of %d\n", GET(*eaten), GET(*fed));
			ADD(posted);
			sem_post(&sem);
		} else if (n % 3000 == 2999 && bare) {
			fprintf(stderr, "a signal was lost: %d of %d\n", GET(*eaten), GET(*fed));
			OK(pthread_cond_broadcast(&cond));
		}
	}
	for (int i = 0; i < WAITERS; i++)
		OK(pthread_cancel(waiter[i]));
	for (int i = 0; i < WAITERS; i++) {
		OK(pthread_join(waiter[i], &r));
		MUST(r == PTHREAD_CANCELED);
	}
	MUST(!eaten || GET(*eaten) == GET(*fed));
	OK(pthread_mutex_trylock(&mutex)); /* was left by all */
	OK(pthread_mutex_unlock(&mutex));
	OK(pthread_mutex_trylock(&recursive));
	OK(pthread_mutex_unlock(&recursive));
	say("%s: some cancelled %d", name, cancelled > 0);
}

int main(void)
{
	pthread_mutexattr_t a;
	char junk;

	OK(pthread_mutexattr_init(&a));
	OK(pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK));
	OK(pthread_mutex_init(&mutex, &a));
	OK(pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE));
	OK(pthread_mutex_init(&recursive, &a));
	for (int i = 0; i < WAITERS; i++)
		OK(pthread_mutex_init(&slots[i], NULL));
	MUST(sem_init(&sem, 0, 0) == 0 && pipe(p) == 0);
	phase("semaphore", takes, posts, &posted, &taken);
	phase("semaphore, timed", takes_timed, posts, &posted, &taken);
	phase("condition", consumes, produces, &produced, &consumed);
	phase("condition, timed", consumes_timed, produces, &produced, &consumed);
	phase("mutex", locks, idles, NULL, NULL);
	phase("anywhere", anywhere, idles, NULL, NULL);
	phase("asynchronous", computes, idles, NULL, NULL);
	MUST(write(p[1], "x", 1) == 1 && read(p[0], &junk, 1) == 1);
	return 0;
}
