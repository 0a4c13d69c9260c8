/* SPDX-License-Identifier: MIT */
/* A wait for a condition goes on after a signal handler, with the time-out it had, and none of the
 * wake-ups that come while handlers run is lost: by another thread or by the handler itself, the
 * condition destroyed right after it, or cancellation. pthread_cond_wait(3p), signal(7) */
#include "t.h"
#include <semaphore.h>
#include <signal.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static sem_t in, out;
static _Atomic int ran, blocks, signals;
static int go, returns, waiting;

static void handler(int s)
{
	(void)s;
	if (signals)
		OK(pthread_cond_signal(&c));
	if (blocks) {
		sem_post(&in);
		while (sem_trywait(&out) == -1) /* no cancellation point */
			sched_yield();
	}
	ran++;
}

static void take(void)
{
	while (sem_wait(&in) == -1)
		;
}

static void pass(struct timespec *until, long ms)
{
	clock_gettime(CLOCK_REALTIME, until);
	until->tv_nsec += ms * 1000000;
	until->tv_sec += until->tv_nsec / 1000000000;
	until->tv_nsec %= 1000000000;
}

static void unlock(void *mutex)
{
	OK(pthread_mutex_unlock(mutex));
}

static void *waiter(void *arg)
{
	struct timespec until;
	int err = 0;

	OK(pthread_mutex_lock(&m));
	pthread_cleanup_push(unlock, &m);
	waiting++;
	if (arg != NULL)
		pass(&until, *(long *)arg);
	while (go == 0 && err == 0) {
		err = arg ? pthread_cond_timedwait(&c, &m, &until) : pthread_cond_wait(&c, &m);
		returns++;
	}
	go -= err == 0;
	waiting--;
	pthread_cleanup_pop(1);
	return (void *)(long)err;
}

static pthread_t waits(void *arg)
{
	OK(pthread_mutex_lock(&m));
	int n = waiting;
	pthread_t t = start(waiter, arg);
	while (waiting == n) {
		OK(pthread_mutex_unlock(&m));
		sched_yield();
		OK(pthread_mutex_lock(&m));
	}
	OK(pthread_mutex_unlock(&m));
	return t;
}

static void interrupt(pthread_t t, int times)
{
	for (int i = 0; i < times; i++) {
		int before = ran;
		OK(pthread_kill(t, SIGUSR1));
		while (!blocks && ran == before)
			usleep(100);
	}
}

static void signal_it(int n)
{
	OK(pthread_mutex_lock(&m));
	go += n;
	OK(pthread_cond_signal(&c));
	OK(pthread_mutex_unlock(&m));
}

static const char *end(pthread_t t)
{
	void *ret;

	OK(pthread_join(t, &ret));
	return ret == PTHREAD_CANCELED ? "cancelled" : errname((int)(long)ret);
}

static void goes_on(void)
{
	long ms = 50;
	pthread_t t = waits(NULL);

	returns = 0;
	interrupt(t, 20);
	usleep(2000);
	signal_it(1);
	const char *how = end(t);
	say("20 handlers, a signal: %s, %d return", how, returns);
	returns = 0;
	t = waits(&ms);
	interrupt(t, 5);
	how = end(t);
	say("5 handlers, time-out: %s, %d return", how, returns);
}

/* The handler runs until we have done what it must not make the wait miss. */
static void meanwhile(void)
{
	pthread_t t, others[3];

	blocks = 1;
	t = waits(NULL);
	interrupt(t, 1);
	take();
	signal_it(1);
	sem_post(&out);
	say("signalled in a handler: %s", end(t));

	t = waits(NULL);
	interrupt(t, 1);
	take();
	OK(pthread_cancel(t));
	sem_post(&out);
	const char *how = end(t);
	while (sem_trywait(&out) == 0) /* libc may have acted in the handler */
		;
	say("cancelled in a handler: %s, then lock: %s", how, errname(pthread_mutex_trylock(&m)));
	OK(pthread_mutex_unlock(&m));

	/* Three signals for three, the first of whom is away. */
	t = waits(NULL);
	for (int i = 0; i < 2; i++)
		others[i] = waits(NULL);
	interrupt(t, 1);
	take();
	for (int i = 0; i < 3; i++)
		signal_it(1);
	sem_post(&out);
	say("three signals: %s %s %s", end(t), end(others[0]), end(others[1]));

	t = waits(NULL);
	for (int i = 0; i < 3; i++)
		others[i] = waits(NULL);
	interrupt(t, 1);
	interrupt(others[1], 1);
	take();
	take();
	OK(pthread_mutex_lock(&m));
	go = 4;
	OK(pthread_cond_broadcast(&c));
	OK(pthread_mutex_unlock(&m));
	sem_post(&out);
	sem_post(&out);
	say("broadcast: %s %s %s %s", end(t), end(others[0]), end(others[1]), end(others[2]));
	blocks = 0;
}

static void *signaller(void *arg)
{
	usleep(1000);
	for (int i = 0; i < 2; i++)
		sem_post(&out);
	return arg;
}

/* Destroyed as soon as everybody has been signalled: nobody looks at it again. */
static void destroyed(void)
{
	for (int i = 0; i < scaled(20); i++) {
		blocks = 1;
		pthread_t t = waits(NULL), t2 = waits(NULL), s;
		interrupt(t, 1);
		interrupt(t2, 1);
		take();
		take();
		s = start(signaller, NULL);
		OK(pthread_mutex_lock(&m));
		go = 2;
		if (i % 2) {
			OK(pthread_cond_broadcast(&c));
		} else {
			OK(pthread_cond_signal(&c));
			OK(pthread_cond_signal(&c));
		}
		OK(pthread_mutex_unlock(&m));
		OK(pthread_cond_destroy(&c));
		memset(&c, 0xee, sizeof c);
		end(t);
		end(t2);
		end(s);
		for (size_t k = 0; k < sizeof c; k++)
			MUST(((unsigned char *)&c)[k] == 0xee);
		blocks = 0;
		OK(pthread_cond_init(&c, NULL));
	}
	say("destroyed while handlers ran");
}

/* The handler's own signal is for whoever waits: its thread is the only one. */
static void by_itself(void)
{
	pthread_t t = waits(NULL);

	signals = 1;
	go = 1;
	interrupt(t, 1);
	say("its handler signals: %s", end(t));
	signals = 0;
}

/* Tokens for all, handlers at any moment: each token comes to somebody who was woken for it. */
static int tokens, taken;

static void *consumer(void *arg)
{
	int want = scaled(300);

	for (int i = 0; i < want; i++) {
		OK(pthread_mutex_lock(&m));
		while (tokens == 0)
			OK(pthread_cond_wait(&c, &m));
		tokens--;
		taken++;
		OK(pthread_mutex_unlock(&m));
	}
	return arg;
}

static void storm(void)
{
	enum { N = 6 };
	int all = N * scaled(300);
	pthread_t t[N];

	for (int i = 0; i < N; i++)
		t[i] = start(consumer, NULL);
	for (int i = 0; i < all; i++) {
		OK(pthread_kill(t[i % N], SIGUSR1));
		OK(pthread_mutex_lock(&m));
		tokens++;
		OK(pthread_cond_signal(&c)); /* one signal for each, none more */
		OK(pthread_mutex_unlock(&m));
		if (i % 16 == 0)
			usleep(50);
	}
	for (int i = 0; i < N; i++)
		end(t[i]);
	say("storm: %s", taken == all && tokens == 0 ? "all taken" : "some left");
}

int main(void)
{
	struct sigaction sa = {.sa_handler = handler};

	sem_init(&in, 0, 0);
	sem_init(&out, 0, 0);
	for (int restart = 0; restart < 2; restart++) {
		sa.sa_flags = restart ? SA_RESTART : 0;
		say("%s", restart ? "SA_RESTART" : "no flags");
		OK(sigaction(SIGUSR1, &sa, NULL));
		goes_on();
		meanwhile();
		destroyed();
		by_itself();
	}
	storm();
	return 0;
}
