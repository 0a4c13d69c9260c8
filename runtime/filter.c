/* SPDX-License-Identifier: MIT
 *
 * filter.c: seccomp filters that the program installs (Go has nothing like it).
 *
 * A filter lists the calls which the program makes, as it would be with libc's threads: that the runtime polls, signals its
 * kernel threads and gives memory back, its author did not know. The kernel would end the process at the first such call. So each
 * filter is run here, as the kernel runs it, for each call that the runtime cannot do without. If one is forbidden and the pool
 * has not started yet, it does not start: threads stay the kernel's. If it has, and the filter is for all threads, there is no
 * way back, and we say so. A thread's own filter binds that thread's kernel thread only; the calls which that one makes are few.
 *
 * The arguments are taken as 0. A filter that looks at them may forbid what would be allowed: no pool, and no harm. Calls
 * of the runtime's that may fail with no more loss than speed are not asked for, unless a filter that kills is likely to have them.
 * Filters from before an exec are not seen; those of services and containers are broad.
 *
 * Blocks nothing, makes no system call. Any thread; the worst seen stays.
 */
#include "runtime.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

static const struct {
	int nr;
	const char *name;
} needed[] = {
#define N(call) {SYS_##call, "a seccomp filter forbids " #call}
    N(futex),	      N(clone),		N(mmap),	N(munmap),	N(madvise),	N(rt_sigprocmask),
    N(rt_sigaction),  N(rt_sigreturn),	N(sigaltstack), N(gettid),	N(getpid),	N(tgkill),
    N(kill),	      N(epoll_create1), N(epoll_ctl),	N(epoll_wait),	N(epoll_pwait), N(epoll_pwait2),
    N(eventfd2),      N(fcntl),		N(close),	N(openat),	N(pread64),	N(fstat),
    N(read),	      N(write),		N(preadv2),	N(pwritev2),	N(recvfrom),	N(sendto),
    N(recvmsg),	      N(sendmsg),	N(accept4),	N(getsockopt),	N(poll),	N(sched_yield),
    N(sched_getattr), N(sched_setattr), N(prctl),	N(nanosleep),	N(clock_gettime), N(exit),
    N(exit_group),    N(rt_tgsigqueueinfo), N(rt_sigtimedwait), N(sched_getaffinity), N(unshare),
#undef N
};

static const char *_Atomic forbids;

static uint32_t operand(const struct sock_filter *f, uint32_t x)
{
	return BPF_SRC(f->code) == BPF_X ? x : f->k;
}

static uint32_t alu(const struct sock_filter *f, uint32_t a, uint32_t x)
{
	uint32_t o = operand(f, x);

	switch (BPF_OP(f->code)) {
	case BPF_ADD:
		return a + o;
	case BPF_SUB:
		return a - o;
	case BPF_MUL:
		return a * o;
	case BPF_DIV:
		return o ? a / o : 0;
	case BPF_OR:
		return a | o;
	case BPF_AND:
		return a & o;
	case BPF_XOR:
		return a ^ o;
	case BPF_LSH:
		return o < 32 ? a << o : 0;
	case BPF_RSH:
		return o < 32 ? a >> o : 0;
	default: /* BPF_NEG */
		return -a;
	}
}

static bool jumps(const struct sock_filter *f, uint32_t a, uint32_t x)
{
	uint32_t o = operand(f, x);

	switch (BPF_OP(f->code)) {
	case BPF_JEQ:
		return a == o;
	case BPF_JGT:
		return a > o;
	case BPF_JGE:
		return a >= o;
	default: /* BPF_JSET */
		return (a & o) != 0;
	}
}

/* What the filter returns for that call. The kernel has taken it: it only jumps forward, and ends. */
static uint32_t runfilter(const struct sock_filter *f, uint32_t n, const struct seccomp_data *d)
{
	uint32_t a = 0, x = 0, mem[BPF_MEMWORDS] = {0};

	for (uint32_t i = 0; i < n; i++, f++) {
		uint32_t k = f->k, *m = &mem[k % BPF_MEMWORDS], v;
		switch (BPF_CLASS(f->code)) {
		case BPF_LD:
		case BPF_LDX:
			v = 0;
			if (BPF_MODE(f->code) == BPF_ABS && k <= sizeof(*d) - 4)
				memcpy(&v, (const char *)d + k, 4);
			else if (BPF_MODE(f->code) == BPF_IMM)
				v = k;
			else if (BPF_MODE(f->code) == BPF_MEM)
				v = *m;
			else if (BPF_MODE(f->code) == BPF_LEN)
				v = sizeof(*d);
			*(BPF_CLASS(f->code) == BPF_LD ? &a : &x) = v;
			break;
		case BPF_ST:
			*m = a;
			break;
		case BPF_STX:
			*m = x;
			break;
		case BPF_ALU:
			a = alu(f, a, x);
			break;
		case BPF_JMP:
			v = BPF_OP(f->code) == BPF_JA ? k : jumps(f, a, x) ? f->jt : f->jf;
			if (v >= n - i)
				return SECCOMP_RET_KILL_PROCESS;
			i += v;
			f += v;
			break;
		case BPF_MISC:
			if (BPF_MISCOP(f->code) == BPF_TAX)
				x = a;
			else
				a = x;
			break;
		default: /* BPF_RET */
			return BPF_RVAL(f->code) == BPF_A ? a : k;
		}
	}
	return SECCOMP_RET_KILL_PROCESS;
}

const char *filterforbids(const struct sock_filter *f, uint32_t n)
{
	for (size_t i = 0; i < nelem(needed); i++) {
		struct seccomp_data d = {.nr = needed[i].nr, .arch = AUDIT_ARCH_X86_64};
		uint32_t r = runfilter(f, n, &d) & SECCOMP_RET_ACTION_FULL;
		if (r != SECCOMP_RET_ALLOW && r != SECCOMP_RET_LOG)
			return needed[i].name;
	}
	return NULL;
}

bool gofiltered(const struct sock_filter *f, uint32_t n, bool all)
{
	struct seccomp_data d = {.nr = SYS_write, .arch = AUDIT_ARCH_X86_64};
	const char *why = f != NULL ? filterforbids(f, n) : "the kernel's strict mode of seccomp forbids nearly all calls";

	if (why == NULL)
		return false;
	atomic_store(&forbids, why);
	if (all && f != NULL && atomic_load(&sched.started) &&
	    (runfilter(f, n, &d) & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ALLOW)
		gprintf("libgmp: %s to all threads, and libgmp needs it: this process will not go on. "
			"A filter before the first thread would have made it do without\n", why);
	return true;
}

const char *filtered(void)
{
	return atomic_load_explicit(&forbids, memory_order_relaxed);
}
