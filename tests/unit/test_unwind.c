/* SPDX-License-Identifier: MIT
 *
 * test_unwind.c: the unwinder for dying processes: the same frames as libgcc's, through libc's functions, signal
 * frames and frames of odd shapes; and whatever the registers and the stack hold, it comes to an end without a fault.
 */
#include "unit.h"

#include <alloca.h>
#include <execinfo.h>
#include <link.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

static int compared, longest;

static struct uregs here(const ucontext_t *uc)
{
	static const uint8_t greg[] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
				       REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
				       REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
	struct uregs u = {.exact = true};

	for (size_t i = 0; i < nelem(greg); i++)
		u.r[i] = (uint64_t)uc->uc_mcontext.gregs[greg[i]];
	return u;
}

/* Ours and libgcc's, from the caller of this function on. */
static __attribute__((noinline)) int compare(void)
{
	void *theirs[200];
	ucontext_t uc;
	int n = backtrace(theirs, 200), i = 0;

	getcontext(&uc);
	struct uregs u = here(&uc);
	while (i < n && theirs[i] != NULL) {
		/* The first is within this function: not the same place. */
		if (i > 0)
			must(u.r[16] == (uintptr_t)theirs[i], "frame %d is at %lx, libgcc says %p", i, u.r[16], theirs[i]);
		i++;
		if (!unwindstep(&u))
			break;
	}
	/* At the end libgcc may show one more, of nobody. */
	must(i >= n - 1, "%d frames, libgcc has %d", i, n);
	compared++;
	longest = n > longest ? n : longest;
	return i;
}

static __attribute__((noinline)) int recurse(int n)
{
	volatile int deeper = n == 0 ? compare() : recurse(n - 1);

	return deeper + 1;
}

/* A frame whose size only the running program knows, aligned beyond the ABI's. */
static __attribute__((noinline)) int odd(size_t n)
{
	_Alignas(64) volatile char aligned[64];
	volatile char *some = alloca(n);

	some[0] = aligned[0] = 1;
	return recurse(2) + some[0] + aligned[0];
}

static int order(const void *a, const void *b)
{
	compare();
	return *(const int *)a - *(const int *)b;
}

static void handler(int s)
{
	(void)s;
	compare();
}

static void siginfohandler(int s, siginfo_t *info, void *uc)
{
	(void)s, (void)info, (void)uc;
	odd(100);
}

Test(unwind, like_libgcc)
{
	int v[] = {5, 3, 4, 1, 2};
	struct sigaction sa = {.sa_sigaction = siginfohandler, .sa_flags = SA_SIGINFO};

	unwindinit();
	compare();
	recurse(40);
	for (size_t n = 1; n < 5000; n += 777)
		odd(n);
	qsort(v, nelem(v), sizeof(v[0]), order);
	signal(SIGUSR1, handler);
	sigaction(SIGUSR2, &sa, NULL);
	raise(SIGUSR1);
	raise(SIGUSR2);
	kill(getpid(), SIGUSR1);
	cr_assert_geq(compared, 15);
	cr_assert_geq(longest, 45);
}

static int steps(struct uregs u)
{
	int n = 0;

	while (unwindstep(&u))
		n++;
	return n;
}

static void *thread(void *arg)
{
	ucontext_t uc;

	getcontext(&uc);
	int n = steps(here(&uc));
	must(n >= 1 && n < 10, "%d frames", n);
	return arg;
}

Test(unwind, ends_at_a_threads_first_frame)
{
	unwindinit();
	inthreads(1, thread);
}

Test(unwind, peek_never_faults)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char buf[64];

	cr_assert_neq(p, MAP_FAILED);
	mprotect(p + 4096, 4096, PROT_NONE);
	memset(p, 7, 4096);
	cr_assert(peek((uintptr_t)p, buf, 64));
	cr_assert_eq(buf[63], 7);
	cr_assert_not(peek((uintptr_t)p + 4090, buf, 64));
	cr_assert_not(peek(0, buf, 1));
	cr_assert_not(peek(~(uintptr_t)0 - 3, buf, 8));
	cr_assert_not(peek((uintptr_t)1 << 63, buf, 8));
}

/* Program counters in real code, all else made up. */
Test(unwind, garbage)
{
	static void *const code[] = {(void *)qsort, (void *)printf, (void *)recurse, (void *)backtrace, (void *)abort,
				     (void *)memcpy, (void *)raise, (void *)odd, (void *)dl_iterate_phdr};
	static uint64_t stack[4096];
	uint64_t dice = 4711;
	long steps = 0;

	unwindinit();
	for (long i = times(3000); i > 0; i--) {
		struct uregs u = {.exact = roll(&dice) & 1};
		for (int k = 0; k < 17; k++)
			u.r[k] = roll(&dice) % 3 ? (uint64_t)&stack[roll(&dice) % 4000] : (uint64_t)roll(&dice) << 20;
		for (int k = 0; k < 64; k++)
			stack[roll(&dice) % 4096] = roll(&dice) % 2 ? (uint64_t)code[roll(&dice) % nelem(code)] + roll(&dice) % 600
								  : (uint64_t)&stack[roll(&dice) % 4096];
		u.r[16] = (uint64_t)code[roll(&dice) % nelem(code)] + roll(&dice) % 3000;
		for (int n = 0; n < 100 && unwindstep(&u); n++)
			steps++;
	}
	cr_assert_gt(steps, 100);
}

Test(unwind, names)
{
	struct out o = {.fd = -1};

	unwindinit();
	unwindname(&o, (uintptr_t)qsort + 5, true);
	cr_assert(strstr(o.buf, "qsort+0x5  libc.so.6+0x") != NULL, "%s", o.buf);
	memset(&o, 0, sizeof(o));
	unwindname(&o, (uintptr_t)recurse + 3, true); /* not exported: from the file */
	cr_assert(strstr(o.buf, "recurse+0x3  test_unwind+0x") != NULL, "%s", o.buf);
	memset(&o, 0, sizeof(o));
	unwindname(&o, 0x1234, true);
	cr_assert_str_eq(o.buf, "0x1234");
}
