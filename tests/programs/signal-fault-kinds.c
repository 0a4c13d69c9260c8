/* SPDX-License-Identifier: MIT */
/* Every kind of fault, on threads with and without an alternate stack, on a small stack, in a
 * handler of another fault and in a forked child: signal, si_code, address, and a handler that
 * mends registers. What is blocked or ignored ends the process all the same. sigaction(2) */
#include "t.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ucontext.h>

static __thread sigjmp_buf back;
static __thread volatile int code, depth, on_alt;
static __thread char *volatile where;
static char *volatile read_only, *volatile no_file;
static char *volatile null, *volatile nowhere = (char *)64,
				      *volatile no_address = (char *)(1ul << 63);

static void leaves(int sig, siginfo_t *si, void *uc)
{
	stack_t ss;

	(void)uc;
	MUST(sigaltstack(NULL, &ss) == 0);
	on_alt = ss.ss_flags == SS_ONSTACK;
	code = si->si_code;
	where = si->si_addr;
	siglongjmp(back, sig);
}

/* Past a store through rdi, which has two bytes; rax is then 77. */
static void mends(int sig, siginfo_t *si, void *uc)
{
	greg_t *r = ((ucontext_t *)uc)->uc_mcontext.gregs;

	(void)sig;
	MUST(si->si_addr == NULL && r[REG_RDI] == 0 && r[REG_RAX] == 5);
	r[REG_RIP] += 2;
	r[REG_RAX] = 77;
}

/* Faults in the handler of a fault, three deep; each is left by its own jump. */
static void nests(int sig, siginfo_t *si, void *uc)
{
	sigjmp_buf outer;

	(void)si, (void)uc;
	memcpy(&outer, &back, sizeof outer);
	if (++depth < 3 && sigsetjmp(back, 1) == 0)
		*null = 1;
	memcpy(&back, &outer, sizeof outer);
	siglongjmp(back, sig);
}

static void set(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags};

	MUST(sigaction(sig, &sa, NULL) == 0);
}

#define FAULT(sig, si_code, addr, ...)                                                             \
	do {                                                                                       \
		if (sigsetjmp(back, 1) == 0) {                                                     \
			__VA_ARGS__;                                                               \
			MUST(!"no fault");                                                         \
		}                                                                                  \
		MUST(code == (si_code) && ((void *)(addr) == where || (addr) == NULL));            \
		MUST(on_alt == (arg != NULL));                                                     \
		OK(pthread_sigmask(SIG_SETMASK, NULL, &mask));                                     \
		MUST(!sigismember(&mask, sig));                                                    \
	} while (0)

static void *faults(void *arg)
{
	stack_t ss = {.ss_sp = arg, .ss_size = 64 << 10};
	volatile int zero = 0, one = 1;
	sigset_t mask;

	if (arg != NULL)
		MUST(sigaltstack(&ss, NULL) == 0);
	for (volatile int i = 0; i < 20; i++) {
		FAULT(SIGSEGV, SEGV_MAPERR, nowhere, *nowhere = 1);
		FAULT(SIGSEGV, SEGV_ACCERR, read_only, *read_only = 1);
		FAULT(SIGSEGV, SI_KERNEL, NULL, *no_address = 1);
		FAULT(SIGSEGV, SI_KERNEL, NULL, __asm__ volatile("hlt"));
		FAULT(SIGBUS, BUS_ADRERR, no_file, *no_file = 1);
		FAULT(SIGFPE, FPE_INTDIV, NULL, one = one / zero);
		FAULT(SIGILL, ILL_ILLOPN, NULL, __asm__ volatile("ud2"));
		FAULT(SIGTRAP, SI_KERNEL, NULL, __asm__ volatile("int3"));
	}
	return arg;
}

static void *others(void *arg)
{
	register long a __asm__("rax") = 5;

	__asm__ volatile(".byte 0x88, 0x07" /* mov %%al, (%%rdi) */ : "+a"(a) : "D"(0) : "memory");
	MUST(a == 77);
	return arg;
}

static void *deeper(void *arg)
{
	depth = 0;
	if (sigsetjmp(back, 1) == 0)
		*null = 1;
	MUST(depth == 3);
	return arg;
}

static void *dies(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	if (arg != NULL)
		OK(pthread_sigmask(SIG_BLOCK, &all, NULL));
	else
		signal(SIGSEGV, SIG_IGN);
	*null = 1;
	return arg;
}

static void in_child(const char *what, void *(*fn)(void *), void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		finish(start(fn, arg));
		_exit(7);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	say("%s: %s %d", what, WIFSIGNALED(status) ? "signal" : "status",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void *forks(void *arg)
{
	in_child("faults in a child", faults, arg);
	return arg;
}

int main(void)
{
	const int sigs[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
	char *alt[4];
	pthread_t t[8];
	FILE *f = tmpfile();

	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	read_only = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	no_file = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f), 0);
	MUST(read_only != MAP_FAILED && no_file != MAP_FAILED);
	for (int i = 0; i < NELEM(sigs); i++)
		set(sigs[i], leaves, SA_ONSTACK);
	for (int i = 0; i < 8; i++)
		t[i] = start_small(faults, i % 2 ? alt[i / 2] = malloc(64 << 10) : NULL);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	faults(NULL);
	say("all kinds, by 8 threads and main");
	finish(start(forks, alt[0]));
	set(SIGSEGV, mends, 0);
	finish(start(others, NULL));
	set(SIGSEGV, nests, SA_NODEFER);
	finish(start(deeper, NULL));
	say("mended; one in the other");
	in_child("blocked", dies, alt[0]);
	in_child("ignored", dies, NULL);
	return 0;
}
