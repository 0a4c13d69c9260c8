/* SPDX-License-Identifier: MIT */
/* Each thread has its own alternate stack: SA_ONSTACK handlers run on it, also after the thread was blocked in one; a
 * thread without one runs them on its own; a stack overflow can be caught there; one that disarms itself. sigaltstack(2) */
#include "t.h"
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

enum { THREADS = 12, ROUNDS = 40, SIZE = 64 << 10 };

static __thread char *alt;
static __thread volatile int on, off, nested, disarmed;
static __thread sigjmp_buf back;
static int go[2];

static int within(void *p)
{
	return alt && (char *)p > alt && (char *)p <= alt + SIZE;
}

/* Blocks while it is on the alternate stack. */
static void on_usr1(int sig, siginfo_t *si, void *uc)
{
	char here[256], c;
	stack_t ss;

	(void)sig, (void)uc;
	memset(here, si->si_value.sival_int, sizeof here);
	MUST(sigaltstack(NULL, &ss) == 0);
	if (within(here)) {
		on++;
		MUST(ss.ss_flags == SS_ONSTACK && ss.ss_sp == alt && ss.ss_size == SIZE);
		MUST(sigaltstack(&ss, NULL) == -1 && errno == EPERM);
	} else {
		off++;
		MUST(ss.ss_flags == (alt ? 0 : SS_DISABLE));
	}
	MUST(read(go[0], &c, 1) == 1);
	for (size_t i = 0; i < sizeof here; i++)
		MUST(here[i] == (char)si->si_value.sival_int);
}

static void on_usr2(int sig)
{
	char here;

	(void)sig;
	MUST(!within(&here));
	nested++;
}

static void on_segv(int sig, siginfo_t *si, void *uc)
{
	char here;

	(void)sig, (void)uc;
	MUST(within(&here) && si->si_code == SEGV_ACCERR);
	siglongjmp(back, 1);
}

__attribute__((noinline)) static int deep(volatile char *p)
{
	volatile char frame[4096];

	frame[0] = *p;
	return *p == 0 ? deep(frame) + frame[0] : 1; /* it is 0 all the way down */
}

/* Disarmed while its handler runs, which may choose another; as it was after it, also if the handler blocked. */
static void on_winch(int sig, siginfo_t *si, void *uc)
{
	stack_t ss;
	char here;

	(void)sig, (void)si;
	disarmed++;
	MUST(sigaltstack(NULL, &ss) == 0 && ss.ss_flags == SS_DISABLE);
	if (disarmed % 2) {
		MUST(within(&here) && (unsigned)((ucontext_t *)uc)->uc_stack.ss_flags == SS_AUTODISARM);
		OK(pthread_kill(pthread_self(), SIGWINCH)); /* nested: on the stack we are on */
		usleep(100);
		ss = (stack_t){.ss_sp = alt, .ss_size = SIZE / 2};
		MUST(sigaltstack(&ss, NULL) == 0);
	} else {
		MUST(within(&here) && ((ucontext_t *)uc)->uc_stack.ss_flags == SS_DISABLE);
	}
}

static void disarms(void)
{
	stack_t ss = {.ss_sp = alt, .ss_size = SIZE, .ss_flags = (int)SS_AUTODISARM};

	MUST(sigaltstack(&ss, NULL) == 0);
	for (int i = 0; i < 5; i++) {
		OK(pthread_kill(pthread_self(), SIGWINCH));
		MUST(sigaltstack(NULL, &ss) == 0 && (unsigned)ss.ss_flags == SS_AUTODISARM && ss.ss_size == SIZE);
	}
	MUST(disarmed == 10);
}

static void *runs(void *arg)
{
	int id = (int)(intptr_t)arg;
	stack_t ss = {.ss_size = SIZE};
	volatile int overflows = 0;
	char c = 0;

	if (id % 4 != 3) { /* every fourth has none */
		ss.ss_sp = alt = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		MUST(alt != MAP_FAILED && sigaltstack(&ss, NULL) == 0);
	}
	for (int i = 0; i < ROUNDS; i++) {
		OK(pthread_sigqueue(pthread_self(), SIGUSR1, (union sigval){.sival_int = id + i}));
		OK(pthread_kill(pthread_self(), SIGUSR2));
		if (alt && i % 10 == 0) {
			if (sigsetjmp(back, 1) == 0)
				deep(&c);
			overflows++;
		}
	}
	MUST(on == (alt ? ROUNDS : 0) && off == (alt ? 0 : ROUNDS) && nested == ROUNDS);
	MUST(overflows == (alt ? ROUNDS / 10 : 0));
	if (alt) {
		disarms();
		ss.ss_flags = SS_DISABLE;
		MUST(sigaltstack(&ss, NULL) == 0 && sigaltstack(NULL, &ss) == 0 && ss.ss_flags == SS_DISABLE);
		ss = (stack_t){.ss_sp = alt, .ss_size = 100};
		MUST(sigaltstack(&ss, NULL) == -1 && errno == ENOMEM);
		ss = (stack_t){.ss_sp = alt, .ss_size = SIZE, .ss_flags = 77};
		MUST(sigaltstack(&ss, NULL) == -1 && errno == EINVAL);
	}
	return NULL;
}

static void *feeds(void *arg)
{
	(void)arg;
	for (int i = 0; i < THREADS * ROUNDS; i++) {
		if (i % 50 == 0)
			usleep(1000);
		MUST(write(go[1], "x", 1) == 1);
	}
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = on_usr1, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
	pthread_t t[THREADS], f;

	MUST(pipe(go) == 0);
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	sa = (struct sigaction){.sa_handler = on_usr2, .sa_flags = SA_RESTART};
	MUST(sigaction(SIGUSR2, &sa, NULL) == 0);
	sa = (struct sigaction){.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	MUST(sigaction(SIGSEGV, &sa, NULL) == 0);
	sa = (struct sigaction){.sa_sigaction = on_winch, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	MUST(sigaction(SIGWINCH, &sa, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		t[i] = start(runs, (void *)(intptr_t)i);
	f = start(feeds, NULL);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	finish(f);
	say("%d threads, %d blocked handlers each, on the right stacks", THREADS, ROUNDS);
	return 0;
}
