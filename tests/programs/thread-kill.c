/* SPDX-License-Identifier: MIT */
/* pthread_kill runs the handler in the thread it names, blocked or running, and interrupts its
 * call; masks are per thread; pthread_sigqueue carries a value. pthread_kill(3),
 * pthread_sigqueue(3) */
#include "t.h"
#include <signal.h>

static __thread volatile sig_atomic_t runs;
static __thread volatile sig_atomic_t value;
static int interrupted, p[2];

static void on_usr1(int sig, siginfo_t *si, void *uc)
{
	(void)sig, (void)uc;
	runs++;
	value = si->si_value.sival_int;
}

static void *reads(void *arg)
{
	char c;

	MUST(read(p[0], &c, 1) == -1 && errno == EINTR);
	MUST(runs >= 1);
	__atomic_add_fetch(&interrupted, 1, __ATOMIC_SEQ_CST);
	return arg;
}

static void *sleeps(void *arg)
{
	struct timespec ts = {50, 0};

	MUST(nanosleep(&ts, &ts) == -1 && errno == EINTR && runs >= 1 && ts.tv_sec >= 1);
	__atomic_add_fetch(&interrupted, 1, __ATOMIC_SEQ_CST);
	return arg;
}

static void *computes(void *arg)
{
	while (!runs)
		;
	__atomic_add_fetch(&interrupted, 1, __ATOMIC_SEQ_CST);
	return arg;
}

static pthread_barrier_t b;

static void *masked(void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	pthread_barrier_wait(&b); /* main sends */
	pthread_barrier_wait(&b);
	usleep(1000);
	say("blocked: handler ran %d times", (int)runs);
	sigpending(&set);
	say("pending: %d", sigismember(&set, SIGUSR1));
	OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
	say("unblocked: %d, value %d", (int)runs, (int)value);
	return arg;
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = on_usr1, .sa_flags = SA_SIGINFO};
	pthread_t t[9], m;

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0 && pipe(p) == 0);
	for (int i = 0; i < 9; i++)
		t[i] = start(i % 3 == 0 ? reads : i % 3 == 1 ? sleeps : computes, NULL);
	/* Again and again: the first may come before the thread is in its call. */
	for (int i = 0; i < 9; i++)
		while (__atomic_load_n(&interrupted, __ATOMIC_SEQ_CST) <= i) {
			OK(pthread_kill(t[i], SIGUSR1));
			usleep(5000);
		}
	for (int i = 0; i < 9; i++)
		finish(t[i]);
	say("each of %d was interrupted; main %d times", interrupted, (int)runs);

	OK(pthread_barrier_init(&b, NULL, 2));
	m = start(masked, NULL);
	pthread_barrier_wait(&b);
	OK(pthread_sigqueue(m, SIGUSR1, (union sigval){.sival_int = 321}));
	RC(pthread_kill(m, 0));
	RC(pthread_kill(m, 9999));
	pthread_barrier_wait(&b);
	finish(m);
	RC(pthread_kill(pthread_self(), SIGUSR1));
	say("main's own: %d", (int)runs);
	MUST(raise(SIGUSR1) == 0);
	say("raised: %d", (int)runs);
	return 0;
}
