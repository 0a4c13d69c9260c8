/* SPDX-License-Identifier: MIT */
/* A broadcast to 10,000 waiters wakes each once a round, whether it is sent with the mutex held or
 * not; signals, then a broadcast, to as many; some of them are cancelled or time out meanwhile.
 * pthread_cond_broadcast(3p) */
#include "t.h"

enum { N = 10000, ROUNDS = 4 };

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t go = PTHREAD_COND_INITIALIZER, in = PTHREAD_COND_INITIALIZER;
static int generation, waiting, wanted = N, woken, early, cancelled;

static void ends(void *arg)
{
	(void)arg;
	cancelled++; /* with the mutex */
	OK(pthread_mutex_unlock(&m));
}

static void *waits(void *arg)
{
	bool timed = (intptr_t)arg % 100 == 3;

	OK(pthread_mutex_lock(&m));
	pthread_cleanup_push(ends, NULL);
	for (int round = 0; round < ROUNDS; round++) {
		int mine = generation;
		if (++waiting == wanted)
			OK(pthread_cond_signal(&in));
		while (generation == mine) {
			struct timespec ts = in_ms(CLOCK_REALTIME, 100 + (intptr_t)arg % 1000);
			int err = timed ? pthread_cond_timedwait(&go, &m, &ts)
					: pthread_cond_wait(&go, &m);
			MUST(err == 0 || (timed && err == ETIMEDOUT));
		}
		early += generation != mine + 1;
		woken++;
	}
	pthread_cleanup_pop(0);
	OK(pthread_mutex_unlock(&m));
	return arg;
}

static void all_in(void)
{
	while (waiting < wanted)
		OK(pthread_cond_wait(&in, &m));
	waiting = 0;
}

int main(void)
{
	static pthread_t t[N];
	int n = 0;

	for (int i = 0; i < N; i++)
		t[i] = start_small(waits, (void *)(intptr_t)i);
	for (int round = 0; round < ROUNDS; round++) {
		OK(pthread_mutex_lock(&m));
		all_in();
		if (round == ROUNDS - 1) { /* every tenth ends where it is */
			for (int i = 0; i < N; i += 10)
				OK(pthread_cancel(t[i]));
		}
		generation++;
		if (round % 2 == 0) {
			for (int i = 0; i < 100; i++)
				OK(pthread_cond_signal(&go));
			OK(pthread_cond_broadcast(&go));
			OK(pthread_mutex_unlock(&m));
		} else {
			OK(pthread_mutex_unlock(&m));
			OK(pthread_cond_broadcast(&go));
		}
	}
	for (int i = 0; i < N; i++)
		n += finish(t[i]) == PTHREAD_CANCELED;
	MUST(n == cancelled && n <= N / 10 && woken + n == N * ROUNDS);
	say("each once a round: %d", early == 0);
	return 0;
}
