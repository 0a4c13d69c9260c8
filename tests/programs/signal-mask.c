/* SPDX-License-Identifier: MIT */
/* Masks are per thread and inherited; a signal to the process goes to a thread that takes it, whatever the others do; if all
 * block it, it is pending until one unblocks, and has been handled when that call returns. pthread_sigmask(3) */
#include "t.h"
#include <semaphore.h>
#include <signal.h>

static __thread volatile int runs;
static int taken;
static sem_t ready, go, over;

static void on_usr1(int sig)
{
	(void)sig;
	runs++;
	__atomic_add_fetch(&taken, 1, __ATOMIC_SEQ_CST);
}

static void mask(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	OK(pthread_sigmask(how, &set, NULL));
}

static int has(int sig)
{
	sigset_t set;

	OK(pthread_sigmask(SIG_BLOCK, NULL, &set));
	return sigismember(&set, sig);
}

static int pends(int sig)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, sig);
}

static void *inherits(void *arg)
{
	MUST(has(SIGUSR1) && has(SIGUSR2) && !has(SIGTERM));
	mask(SIG_UNBLOCK, SIGUSR2);
	mask(SIG_BLOCK, SIGTERM);
	MUST(!has(SIGUSR2) && has(SIGTERM));
	return arg;
}

static void *by_attr(void *arg)
{
	MUST(!has(SIGUSR1) && has(SIGALRM) && !has(SIGUSR2));
	return arg;
}

static volatile int stop;

static void *computes(void *arg)
{
	while (!stop)
		;
	return arg;
}

static void *parked_taker(void *arg)
{
	struct timespec ts = {0, 100000000};

	mask(SIG_UNBLOCK, SIGUSR1);
	sem_post(&ready);
	while (nanosleep(&ts, NULL) == 0 && runs == 0) /* it may have come before we sleep */
		;
	MUST(runs == 1);
	return arg;
}

static void *late_taker(void *arg)
{
	sem_post(&ready);
	sem_wait(&go);
	MUST(pends(SIGUSR1) && runs == 0);
	mask(SIG_UNBLOCK, SIGUSR1);
	MUST(runs == 1 && !pends(SIGUSR1));
	return arg;
}

static void *ends(void *arg)
{
	mask(SIG_UNBLOCK, SIGUSR1);
	sem_post(&ready);
	sem_wait(&go);
	return arg;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_usr1};
	pthread_attr_t attr;
	pthread_t t, c;
	sigset_t set;

	MUST(sem_init(&ready, 0, 0) == 0 && sem_init(&go, 0, 0) == 0 && sem_init(&over, 0, 0) == 0);
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	mask(SIG_BLOCK, SIGUSR1);
	mask(SIG_BLOCK, SIGUSR2);
	finish(start(inherits, NULL));
	MUST(has(SIGUSR1) && has(SIGUSR2) && !has(SIGTERM));
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	OK(pthread_attr_init(&attr));
	OK(pthread_attr_setsigmask_np(&attr, &set));
	OK(pthread_create(&t, &attr, by_attr, NULL));
	finish(t);

	c = start(computes, NULL); /* blocks it too */
	for (int i = 0; i < 30; i++) {
		t = start(parked_taker, NULL);
		sem_wait(&ready);
		usleep(i % 3 * 1000);
		int before = taken;
		MUST(kill(getpid(), SIGUSR1) == 0);
		/* It took exactly one: a second one would stay pending. */
		finish(t);
		MUST(taken == before + 1 && runs == 0);
	}
	say("only a parked thread takes it");

	for (int i = 0; i < 30; i++) {
		t = start(late_taker, NULL);
		sem_wait(&ready);
		MUST(kill(getpid(), SIGUSR1) == 0);
		MUST(pends(SIGUSR1));
		sem_post(&go);
		finish(t);
		MUST(!pends(SIGUSR1));
	}
	say("pending until one unblocks it");

	for (int i = 0; i < 30; i++) {
		int before = taken;
		t = start(ends, NULL);
		sem_wait(&ready);
		sem_post(&go);
		if (i % 2)
			finish(t);
		MUST(kill(getpid(), SIGUSR1) == 0); /* as it ends, or after */
		if (i % 2 == 0)
			finish(t);
		if (__atomic_load_n(&taken, __ATOMIC_SEQ_CST) == before) {
			mask(SIG_UNBLOCK, SIGUSR1);
			MUST(runs == 1);
			runs = 0;
			mask(SIG_BLOCK, SIGUSR1);
		}
		MUST(taken == before + 1);
	}
	say("none is lost at a thread's end");
	stop = 1;
	finish(c);
	return 0;
}
