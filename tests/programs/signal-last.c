/* SPDX-License-Identifier: MIT */
/* What a process was sent is taken by the thread that takes it, though it ends at once: of several
 * threads which end in turn each takes one signal more than the one before; none is lost, and none
 * goes to who blocks it. kill(2), sigqueue(3), signal(7) */
#include "t.h"
#include <signal.h>

enum { THREADS = 5, SENT = 40 };

static pthread_t threads[THREADS];
static pthread_mutex_t gate[THREADS];
static pthread_barrier_t ready;
static _Atomic int taken[THREADS], stray;

static void handler(int sig)
{
	int n = sig - SIGRTMIN;

	for (int i = n; i < THREADS; i++)
		if (pthread_equal(pthread_self(), threads[i])) {
			taken[n]++;
			return;
		}
	stray++;
}

static void *takes(void *arg)
{
	int n = (int)(intptr_t)arg;
	sigset_t set;

	sigemptyset(&set);
	for (int i = 0; i <= n; i++)
		sigaddset(&set, SIGRTMIN + i);
	OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
	pthread_barrier_wait(&ready);
	OK(pthread_mutex_lock(&gate[n]));
	OK(pthread_mutex_unlock(&gate[n]));
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = handler};
	int sent[THREADS] = {0}, rounds = scaled(40);
	unsigned seed = 42;
	sigset_t all;

	sigfillset(&all);
	OK(pthread_sigmask(SIG_SETMASK, &all, NULL));
	sigfillset(&sa.sa_mask);
	for (int i = 0; i < THREADS; i++) {
		MUST(sigaction(SIGRTMIN + i, &sa, NULL) == 0);
		OK(pthread_mutex_init(&gate[i], NULL));
	}
	for (int r = 0; r < rounds; r++) {
		OK(pthread_barrier_init(&ready, NULL, THREADS + 1));
		for (int i = 0; i < THREADS; i++) {
			OK(pthread_mutex_lock(&gate[i]));
			threads[i] = start(takes, (void *)(intptr_t)i);
		}
		pthread_barrier_wait(&ready);
		OK(pthread_barrier_destroy(&ready));
		for (int i = 0; i < SENT; i++) {
			int s = rand_r(&seed) % THREADS;
			if (i % 2)
				MUST(kill(getpid(), SIGRTMIN + s) == 0);
			else
				MUST(sigqueue(getpid(), SIGRTMIN + s, (union sigval){0}) == 0);
			sent[s]++;
		}
		for (int i = 0; i < THREADS; i++) {
			OK(pthread_mutex_unlock(&gate[i]));
			OK(pthread_join(threads[i], NULL));
		}
		for (int i = 0; i < THREADS; i++)
			MUST(taken[i] == sent[i]);
	}
	MUST(stray == 0);
	say("all taken");
	return 0;
}
