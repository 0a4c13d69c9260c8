/* SPDX-License-Identifier: MIT */
/* ppoll and pselect let a signal in for the length of the wait only; poll is interrupted by a
 * handler that ran, not by a signal that is ignored. ppoll in poll(2), pselect in select(2) */
#include "t.h"
#include <signal.h>
#include <sys/select.h>

static volatile sig_atomic_t runs;

static void on_usr1(int sig)
{
	(void)sig;
	runs++;
}

static void *blocked(void *arg)
{
	char c;

	MUST(read(*(int *)arg, &c, 1) == 0);
	return NULL;
}

static void *kills(void *arg)
{
	settle();
	MUST(kill(getpid(), (int)(intptr_t)arg) == 0);
	return NULL;
}

static void *kill_then_write(void *arg)
{
	settle();
	MUST(kill(getpid(), SIGUSR2) == 0); /* ignored */
	settle();
	MUST(write(*(int *)arg, "x", 1) == 1);
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_usr1};
	sigset_t usr1, none;
	int p[2], quiet[2];
	pthread_t t, b[5];
	fd_set r;

	MUST(pipe(p) == 0 && pipe(quiet) == 0);
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	OK(pthread_sigmask(SIG_BLOCK, &usr1, NULL)); /* threads inherit it */
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	signal(SIGUSR2, SIG_IGN);
	for (int i = 0; i < 5; i++)
		b[i] = start(blocked, &quiet[0]);

	struct pollfd f = {p[0], POLLIN, 0};
	for (int i = 0; i < 3; i++) {
		t = start(kills,
			  (void *)SIGUSR1); /* waits until it is let in, however early it comes */
		SYS(ppoll(&f, 1, NULL, &none));
		finish(t);
	}
	say("handler ran: %d", (int)runs);
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	t = start(kills, (void *)SIGUSR1);
	SYS(pselect(p[0] + 1, &r, NULL, NULL, NULL, &none));
	finish(t);
	say("handler ran: %d", (int)runs);
	MUST(kill(getpid(), SIGUSR1) == 0);
	SYS(poll(&f, 1, 50)); /* blocked: pending */
	say("handler ran: %d", (int)runs);
	struct timespec ts = {0, 0};
	SYS(ppoll(&f, 1, &ts, &none));
	say("handler ran: %d", (int)runs);
	sigset_t pending;
	sigpending(&pending);
	say("pending: %d", sigismember(&pending, SIGUSR1));

	t = start(kill_then_write, &p[1]);
	SYS(poll(&f, 1, -1));
	finish(t);
	close(quiet[1]);
	for (int i = 0; i < 5; i++)
		finish(b[i]);
	return 0;
}
