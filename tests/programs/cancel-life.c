/* SPDX-License-Identifier: MIT */
/* When in a thread's life it is cancelled: before it runs, while it ends, after its end, in its
 * cleanup handlers and destructors, twice, by itself; and what its end does: handlers in order,
 * then destructors of keys in rounds, its value. pthread_cancel(3), pthread_key_create(3) */
#include "t.h"
#include <limits.h>
#include <semaphore.h>

static sem_t ready, go;
static pthread_key_t key, key2;
static char order[200];
static int rounds, created, ran;

static void note(const char *what)
{
	strcat(order, what);
	strcat(order, " ");
}

static void handler(void *arg)
{
	note(arg);
}

static char *result(pthread_t t)
{
	void *r;

	OK(pthread_join(t, &r));
	return r == PTHREAD_CANCELED ? "cancelled" : r ? r : "nil";
}

static void report(const char *what, pthread_t t)
{
	char *how = result(t);

	say("%s: %s: %s", what, how, order);
	order[0] = 0;
}

static void *runs(void *arg)
{
	__atomic_add_fetch(&ran, 1, __ATOMIC_SEQ_CST);
	pthread_testcancel();
	return arg;
}

/* No point any more once it has posted: whenever it is cancelled then, it comes to its own end. */
static void *posts(void *arg)
{
	sem_post(&ready);
	return arg;
}

/* A key that is set again and again by its destructor: PTHREAD_DESTRUCTOR_ITERATIONS rounds. */
static void again(void *v)
{
	rounds++;
	OK(pthread_setspecific(key, v));
}

static void plain(void *v)
{
	struct timespec ts = {0, 1000000};

	(void)v;
	note("destructor");
	nanosleep(&ts, NULL); /* may block; the thread is not cancelled twice */
}

static void *ends(void *arg)
{
	OK(pthread_setspecific(key, &key));
	OK(pthread_setspecific(key2, &key2));
	pthread_cleanup_push(handler, "first");
	pthread_cleanup_push(handler, "second");
	sem_post(&ready);
	if (arg)
		pthread_exit(arg);
	for (;;)
		pause();
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return NULL;
}

static void blocks(void *arg)
{
	note("blocks");
	sem_post(&ready);
	while (sem_wait(&go) != 0)
		;
	note("goes-on");
	(void)arg;
}

static void *in_handler(void *arg)
{
	pthread_cleanup_push(handler, "outer");
	pthread_cleanup_push(blocks, NULL);
	pthread_exit(arg);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return NULL;
}

static void blocks_in_destructor(void *v)
{
	(void)v;
	note("destructor");
	sem_post(&ready);
	while (sem_wait(&go) != 0)
		;
	note("is-over");
}

static void *in_destructor(void *arg)
{
	pthread_key_t *k = arg;

	OK(pthread_setspecific(*k, k));
	return "returned";
}

static void *itself(void *arg)
{
	OK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL));
	OK(pthread_cancel(pthread_self()));
	pthread_testcancel();
	note("disabled");
	pthread_cleanup_push(handler, arg);
	OK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL));
	note("enabled");
	pthread_testcancel();
	pthread_cleanup_pop(0);
	return arg;
}

static void *itself_async(void *arg)
{
	OK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL));
	pthread_cleanup_push(handler, arg);
	OK(pthread_cancel(pthread_self()));
	pthread_cleanup_pop(0);
	note("never");
	return arg;
}

static void *creates(void *arg)
{
	pthread_t t = start(runs, arg);
	void *r;

	created = 1;
	sem_post(&ready);
	while (sem_wait(&go) != 0)
		;
	/* A join that is cancelled leaves the thread to be joined by another. */
	OK(pthread_join(t, &r));
	return r;
}

static pthread_t forever;

static void *sleeps(void *arg)
{
	while (sem_wait(&go) != 0)
		;
	return arg;
}

static void *joins(void *arg)
{
	sem_post(&ready);
	OK(pthread_join(forever, NULL));
	return arg;
}

int main(void)
{
	pthread_t t;
	void *r;

	MUST(sem_init(&ready, 0, 0) == 0 && sem_init(&go, 0, 0) == 0);
	OK(pthread_key_create(&key2, plain));
	OK(pthread_key_create(&key, again));

	t = start(ends, NULL);
	sem_wait(&ready);
	OK(pthread_cancel(t));
	report("cancelled", t);
	say("rounds: %d", rounds == PTHREAD_DESTRUCTOR_ITERATIONS);
	rounds = 0;
	report("exits", start(ends, "value"));
	say("rounds: %d", rounds == PTHREAD_DESTRUCTOR_ITERATIONS);
	sem_wait(&ready);
	OK(pthread_key_delete(key));
	OK(pthread_key_delete(key2));

	/* Before it has run, mostly: it runs until its first cancellation point. */
	for (int i = 0; i < scaled(500); i++) {
		t = start(runs, "its end");
		OK(pthread_cancel(t));
		OK(pthread_cancel(t));
		char *how = result(t);
		MUST(!strcmp(how, "cancelled") || !strcmp(how, "its end"));
	}
	say("at once: all ran: %d", ran == scaled(500));

	t = start(posts, "its own end");
	sem_wait(&ready);
	settle();
	RC(pthread_cancel(t));
	report("ended", t);

	t = start(in_handler, "exit value");
	sem_wait(&ready);
	RC(pthread_cancel(t));
	sem_post(&go);
	report("in a handler of pthread_exit", t);

	OK(pthread_key_create(&key, blocks_in_destructor));
	t = start(in_destructor, &key);
	sem_wait(&ready);
	RC(pthread_cancel(t));
	report("in a destructor", t);
	sem_trywait(&go);
	OK(pthread_key_delete(key));

	report("itself", start(itself, "handler"));
	report("itself, asynchronously", start(itself_async, "handler"));

	t = start(creates, "joined");
	sem_wait(&ready);
	sem_post(&go);
	report("creates", t);

	forever = start(sleeps, "slept");
	for (int i = 0; i < 5; i++) {
		t = start(joins, "joined");
		sem_wait(&ready);
		if (i % 2)
			settle();
		OK(pthread_cancel(t));
		OK(pthread_join(t, &r));
		MUST(r == PTHREAD_CANCELED);
	}
	t = start(joins, "joined");
	sem_wait(&ready);
	settle();
	OK(pthread_cancel(t));
	OK(pthread_join(t, &r));
	say("a joiner cancelled: %d", r == PTHREAD_CANCELED);
	sem_post(&go);
	report("and joined by another", forever);

	t = start(sleeps, "detached");
	OK(pthread_detach(t));
	RC(pthread_cancel(t));
	RC(pthread_setcancelstate(7, NULL));
	RC(pthread_setcanceltype(7, NULL));
	return 0;
}
