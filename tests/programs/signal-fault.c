/* SPDX-License-Identifier: MIT */
/* Faults: the handler runs on the thread that made them, knows the address, and may jump out or mend it; many threads at
 * once, with others blocked and running. sigaction(2), siglongjmp(3) */
#include "t.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { THREADS = 16, ROUNDS = 200 };

static __thread sigjmp_buf back;
static __thread volatile int faults;
static __thread char *volatile wrong;
static __thread volatile int mend;

static void on_fault(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	faults++;
	MUST(si->si_signo == sig && si->si_code > 0);
	if (sig == SIGSEGV)
		MUST(si->si_addr == wrong);
	if (mend) {
		MUST(mprotect(wrong, 4096, PROT_READ | PROT_WRITE) == 0);
		return;
	}
	siglongjmp(back, sig);
}

static void *faulty(void *arg)
{
	sigset_t set;
	volatile int zero = 0, sink, n = 0;
	volatile char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(page != MAP_FAILED);
	for (volatile int i = 0; i < ROUNDS; i++) {
		int sig = sigsetjmp(back, 1);
		if (sig != 0) {
			MUST(sig == (n % 2 ? SIGFPE : SIGSEGV));
			OK(pthread_sigmask(SIG_SETMASK, NULL, &set));
			MUST(!sigismember(&set, sig));
			n++;
			if (n % 16 == 0)
				usleep(100);
			continue;
		}
		if (n % 2) {
			sink = n / zero;
		} else {
			wrong = (char *)(intptr_t)(8 + 8 * i);
			*wrong = 1;
		}
	}
	wrong = (char *)page;
	mend = 1;
	page[0] = 'y';
	MUST(page[0] == 'y');
	mend = 0;
	(void)sink;
	MUST(n == ROUNDS && faults == n + 1);
	return arg;
}

static void *quiet(void *arg)
{
	char c;

	MUST(read(((int *)arg)[0], &c, 1) == 0);
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	pthread_t t[THREADS], q;
	int p[2];

	MUST(sigaction(SIGSEGV, &sa, NULL) == 0 && sigaction(SIGFPE, &sa, NULL) == 0 && pipe(p) == 0);
	q = start(quiet, p);
	for (int i = 0; i < THREADS; i++)
		t[i] = start(faulty, NULL);
	faulty(NULL);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	close(p[1]);
	finish(q);
	say("%d threads and main caught their own faults", THREADS);
	return 0;
}
