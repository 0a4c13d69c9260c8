/* SPDX-License-Identifier: MIT */
/* Contexts have a signal mask of their own, which their thread has while it runs them: entered,
 * left, come back to, gone on with in another thread, ended into another (uc_link); they wait like
 * anybody. swapcontext(3), getcontext(3) */
#include "t.h"
#include <signal.h>
#include <ucontext.h>

enum { STACK = 256 << 10 };

static _Thread_local volatile int runs;
static ucontext_t home, away;
static int p[2];

static void on_usr1(int sig)
{
	(void)sig;
	runs++;
}

static bool blocked(void)
{
	sigset_t set;

	OK(pthread_sigmask(SIG_SETMASK, NULL, &set));
	return sigismember(&set, SIGUSR1);
}

static void block(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_sigmask(how, &set, NULL));
}

/* Twice round, then to its end, and so to where uc_link says. */
static void body(void)
{
	char c;

	say("  inside: blocked %d, handled %d", blocked(), runs);
	MUST(swapcontext(&away, &home) == 0);
	settle();
	MUST(read(p[0], &c, 1) == 1);
	say("  inside again: blocked %d, handled %d", blocked(), runs);
	block(SIG_BLOCK);
	MUST(swapcontext(&away, &home) == 0);
	say("  inside at last: blocked %d", blocked());
}

static void make(char *stack)
{
	MUST(getcontext(&away) == 0);
	away.uc_stack.ss_sp = stack;
	away.uc_stack.ss_size = STACK;
	away.uc_link = &home;
	makecontext(&away, body, 0);
}

static void *rest(void *arg)
{
	block(SIG_BLOCK);
	MUST(write(p[1], "x", 1) == 1);
	MUST(swapcontext(&home, &away) == 0);
	say("other thread: blocked %d", blocked());
	OK(pthread_kill(pthread_self(), SIGUSR1));
	settle();
	say("other thread: handled %d", runs);
	block(SIG_UNBLOCK);
	say("unblocked: handled %d", runs);
	MUST(swapcontext(&home, &away) == 0);
	say("back by uc_link: blocked %d", blocked());
	return arg;
}

static void *all(void *arg)
{
	char *stack = malloc(STACK);
	volatile int times = 0;
	ucontext_t here;

	MUST(stack != NULL);
	runs = 0;
	make(stack); /* with nothing blocked */
	block(SIG_BLOCK);
	OK(pthread_kill(pthread_self(), SIGUSR1));
	say("%s: blocked %d, handled %d", (char *)arg, blocked(), runs);
	MUST(swapcontext(&home, &away) == 0);
	say("back: blocked %d, handled %d", blocked(), runs);
	OK(pthread_kill(pthread_self(), SIGUSR1));
	settle();
	say("pending: handled %d", runs);
	finish(start(rest, NULL));

	MUST(getcontext(&here) == 0);
	say("here: blocked %d, handled %d", blocked(), runs);
	block(SIG_UNBLOCK);
	if (times++ == 0)
		setcontext(&here);
	block(SIG_UNBLOCK);
	free(stack);
	return arg;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_usr1};

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0 && pipe(p) == 0);
	all("main");
	finish(start(all, "thread"));
	all("main again");
	return 0;
}
