/* SPDX-License-Identifier: MIT */
/* What a handler is given and what its flags do, in a thread and in main: SA_SIGINFO, SA_RESETHAND, SA_NODEFER, sa_mask,
 * the old names, what sigaction() gives back, siginterrupt, changes by the handler itself. sigaction(2), signal(2) */
#include "t.h"
#include <signal.h>
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <ucontext.h>

static __thread volatile int depth, deepest, runs;
static volatile int again;

static void count(int sig)
{
	runs += sig > 0;
}

static void nests(int sig)
{
	sigset_t set;

	if (++depth > deepest)
		deepest = depth;
	OK(pthread_sigmask(SIG_SETMASK, NULL, &set));
	if (depth == 1)
		say("in handler: own %d, USR2 %d, HUP %d", sigismember(&set, sig), sigismember(&set, SIGUSR2),
		    sigismember(&set, SIGHUP));
	if (++runs < 3)
		OK(pthread_kill(pthread_self(), sig));
	depth--;
}

static void value(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	sigset_t set;

	say("signal %d: si_signo %d, %s, mine %d, value %d", sig == SIGUSR1, si->si_signo == SIGUSR1,
	    si->si_code == SI_QUEUE ? "QUEUE" : si->si_code == SI_TKILL ? "TKILL" : si->si_code == SI_USER ? "USER" : "?",
	    si->si_pid == getpid() && si->si_uid == getuid(), si->si_code == SI_QUEUE ? si->si_value.sival_int : 0);
	say("frame: mask has USR2 %d, HUP %d", sigismember(&uc->uc_sigmask, SIGUSR2),
	    sigismember(&uc->uc_sigmask, SIGHUP));
	/* Changes of the mask end with the handler, changes of the frame's stay. */
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	if (again) {
		sigaddset(&uc->uc_sigmask, SIGHUP);
		sigdelset(&uc->uc_sigmask, SIGUSR2);
	}
}

static void act(int sig, void (*fn)(int), int flags, int also)
{
	struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};

	if (also)
		sigaddset(&sa.sa_mask, also);
	MUST(sigaction(sig, &sa, NULL) == 0);
}

static void *tests(void *arg)
{
	struct sigaction sa, old;
	sigset_t set, none;

	sigemptyset(&none);
	runs = deepest = 0;
	act(SIGUSR1, nests, 0, SIGUSR2);
	OK(pthread_kill(pthread_self(), SIGUSR1));
	say("deferred: deepest %d", deepest);
	deepest = runs = 0;
	act(SIGUSR1, nests, SA_NODEFER, 0);
	OK(pthread_kill(pthread_self(), SIGUSR1));
	say("SA_NODEFER: deepest %d", deepest);
	runs = 0;

	act(SIGUSR1, count, SA_RESETHAND, 0);
	OK(pthread_kill(pthread_self(), SIGUSR1));
	MUST(sigaction(SIGUSR1, NULL, &old) == 0);
	say("SA_RESETHAND: ran %d, then default %d, flag %d", runs, old.sa_handler == SIG_DFL,
	    !!(old.sa_flags & SA_RESETHAND));

	sa = (struct sigaction){.sa_sigaction = value, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigaddset(&sa.sa_mask, SIGTERM);
	MUST(sigaction(SIGUSR1, &sa, &old) == 0);
	MUST(sigaction(SIGUSR1, NULL, &old) == 0);
	say("given back: fn %d, siginfo %d, restart %d, TERM %d, USR1 %d", old.sa_sigaction == value,
	    !!(old.sa_flags & SA_SIGINFO), !!(old.sa_flags & SA_RESTART), sigismember(&old.sa_mask, SIGTERM),
	    sigismember(&old.sa_mask, SIGUSR1));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	OK(pthread_sigmask(SIG_SETMASK, &set, NULL));
	for (again = 0; again < 2; again++) {
		OK(pthread_sigqueue(pthread_self(), SIGUSR1, (union sigval){.sival_int = 42}));
		OK(pthread_sigmask(SIG_SETMASK, NULL, &set));
		say("after: USR2 %d, HUP %d", sigismember(&set, SIGUSR2), sigismember(&set, SIGHUP));
	}
	OK(pthread_sigmask(SIG_SETMASK, &none, NULL));
	again = 0;
	OK(pthread_kill(pthread_self(), SIGUSR1));

	runs = 0;
	MUST(signal(SIGUSR1, count) == (void (*)(int))(void *)value);
	OK(pthread_kill(pthread_self(), SIGUSR1));
	OK(pthread_kill(pthread_self(), SIGUSR1));
	MUST(sigaction(SIGUSR1, NULL, &old) == 0);
	say("signal: ran %d, restart %d", runs, !!(old.sa_flags & SA_RESTART));
	MUST(siginterrupt(SIGUSR1, 1) == 0 && sigaction(SIGUSR1, NULL, &old) == 0);
	say("siginterrupt: restart %d", !!(old.sa_flags & SA_RESTART));
	MUST(signal(SIGUSR1, count) == count && sigaction(SIGUSR1, NULL, &old) == 0);
	say("signal after it: restart %d", !!(old.sa_flags & SA_RESTART));
	MUST(siginterrupt(SIGUSR1, 0) == 0);
	MUST(sysv_signal(SIGUSR1, count) == count);
	OK(pthread_kill(pthread_self(), SIGUSR1));
	say("sysv_signal: ran %d, then default %d", runs, signal(SIGUSR1, SIG_IGN) == SIG_DFL);
	OK(pthread_kill(pthread_self(), SIGUSR1));

	MUST(sigset(SIGUSR1, count) == SIG_IGN);
	MUST(sighold(SIGUSR1) == 0);
	OK(pthread_kill(pthread_self(), SIGUSR1));
	sigpending(&set);
	say("held: ran %d, pending %d", runs, sigismember(&set, SIGUSR1));
	MUST(sigrelse(SIGUSR1) == 0);
	say("released: ran %d", runs);
	MUST(sigset(SIGUSR1, SIG_HOLD) == count && sigset(SIGUSR1, count) == SIG_HOLD);

	/* Pending when it becomes ignored: gone. */
	MUST(sighold(SIGUSR1) == 0);
	OK(pthread_kill(pthread_self(), SIGUSR1));
	MUST(sigignore(SIGUSR1) == 0);
	sigpending(&set);
	say("ignored: pending %d", sigismember(&set, SIGUSR1));
	MUST(sigrelse(SIGUSR1) == 0);
	MUST(signal(SIGUSR1, count) == SIG_IGN);
	say("then: ran %d", runs);
	SYS(sighold(32)); /* libc's own */
	SYS(sigrelse(33));
	say("sigset of libc's own: %d", sigset(32, count) == SIG_ERR && errno == EINVAL);
	say("and signal: %d", signal(33, SIG_IGN) == SIG_ERR && errno == EINVAL);
	SYS(sigaction(SIGKILL, &sa, NULL));
	SYS(sigaction(0, &sa, NULL));
	SYS(sigaction(65, &sa, NULL));
	SYS(sigprocmask(77, &set, NULL));
	return arg;
}

int main(void)
{
	tests(NULL);
	finish(start(tests, NULL));
	tests(NULL);
	return 0;
}
