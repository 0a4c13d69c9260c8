/* SPDX-License-Identifier: MIT */
/* POSIX message queues among many threads: a queue of two, full and empty in turn; the order of
 * priorities, time-outs, O_NONBLOCK, notification only if nobody waits, errors. mq_overview(7) */
#include "t.h"
#include <mqueue.h>
#include <signal.h>

#define PAIRS 6

static mqd_t q;
static long rounds, sum;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char name[60];

static mqd_t newqueue(const char *what, long most, int flags)
{
	struct mq_attr a = {.mq_maxmsg = most, .mq_msgsize = 16};

	snprintf(name, sizeof name, "/gmp-test-%d-%s", (int)getpid(), what);
	mqd_t d = mq_open(name, O_RDWR | O_CREAT | O_EXCL | flags, 0600, &a);
	MUST(d != (mqd_t)-1 && mq_unlink(name) == 0);
	return d;
}

static void *sends(void *arg)
{
	struct timespec late = in_ms(CLOCK_REALTIME, 100000);

	for (long i = 1; i <= rounds; i++)
		MUST((i % 2 ? mq_send(q, (char *)&i, sizeof i, 1)
			    : mq_timedsend(q, (char *)&i, sizeof i, 1, &late)) == 0);
	return arg;
}

static void *receives(void *arg)
{
	struct timespec late = in_ms(CLOCK_REALTIME, 100000);
	long v[2], mine = 0;

	for (long i = 1; i <= rounds; i++) {
		ssize_t n = i % 2 ? mq_receive(q, (char *)v, 16, NULL)
				  : mq_timedreceive(q, (char *)v, 16, NULL, &late);
		MUST(n == sizeof v[0]);
		mine += v[0];
	}
	OK(pthread_mutex_lock(&lock));
	sum += mine;
	OK(pthread_mutex_unlock(&lock));
	return arg;
}

static void *one(void *arg)
{
	char buf[16];

	return (void *)mq_receive(*(mqd_t *)arg, buf, 16, NULL);
}

int main(void)
{
	pthread_t t[2 * PAIRS];
	struct timespec soon = in_ms(CLOCK_REALTIME, 20), past = {1, 0}, bad = {1, 1000000000};
	char buf[16];
	unsigned prio;

	rounds = scaled(300);
	q = newqueue("pairs", 2, 0);
	for (int i = 0; i < 2 * PAIRS; i++)
		t[i] = start(i % 2 ? sends : receives, NULL);
	for (int i = 0; i < 2 * PAIRS; i++)
		finish(t[i]);
	say("sum: %d", sum == PAIRS * rounds * (rounds + 1) / 2);
	SYS(mq_timedreceive(q, buf, 16, NULL, &soon));
	SYS(mq_timedreceive(q, buf, 16, NULL, &past));
	SYS(mq_timedreceive(q, buf, 16, NULL, &bad));
	SYS(mq_receive(q, buf, 3, NULL));
	SYS(mq_send(q, buf, 17, 0));
	SYS(mq_send(q, buf, 1, 99999));
	MUST(mq_send(q, "low", 3, 1) == 0 && mq_send(q, "high", 4, 7) == 0);
	SYS(mq_timedsend(q, "full", 4, 0, &past));
	SYS(mq_timedsend(q, "full", 4, 0, &bad));
	SYS(mq_receive(q, buf, 16, &prio));
	SYS(prio);
	SYS(mq_receive(q, buf, 16, &prio));
	SYS(prio);

	mqd_t nb = newqueue("nonblock", 1, O_NONBLOCK);
	SYS(mq_receive(nb, buf, 16, NULL));
	SYS(mq_send(nb, "x", 1, 0));
	SYS(mq_send(nb, "x", 1, 0));
	SYS(mq_close(nb));
	SYS(mq_close(nb));

	/* A waiting receiver gets the message; then nobody is notified. */
	sigset_t usr1;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	OK(pthread_sigmask(SIG_BLOCK, &usr1, NULL));
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	bool silent = false;
	for (int i = 0; i < 50 && !silent; i++) { /* on a slow machine it may not wait yet: once more */
		MUST(mq_notify(q, &ev) == 0);
		pthread_t w = start(one, &q);
		for (int k = 0; k <= i; k++)
			settle();
		MUST(mq_send(q, "to the waiter", 13, 0) == 0);
		MUST((long)finish(w) == 13);
		silent = sigtimedwait(&usr1, NULL, &(struct timespec){0, 0}) == -1;
	}
	say("to the waiter, and nobody is told: %d", silent);
	MUST(mq_send(q, "to all", 6, 0) == 0);
	SYS(sigtimedwait(&usr1, NULL, &(struct timespec){10, 0}) == SIGUSR1);
	MUST(mq_close(q) == 0);
	return 0;
}
