/* SPDX-License-Identifier: MIT
 *
 * futex.c: the futexes of the program itself, by syscall(SYS_futex): std::atomic::wait, Rust's std,
 * GLib, folly.
 *
 * Private waits are sema.c's: Gs park, foreign threads sleep, both in the queue of the address. A
 * kernel thread may also wait in the kernel's queue of the same address: it waited before the pool
 * started, or makes its system calls without libc. So a waker first takes ours, and asks the kernel
 * for what is left of its number. That costs a program which wakes nobody the one system call it
 * makes anyway. A waiter is in one queue only, so none is woken twice or counted twice; and it is
 * in a queue, checked against the word under that queue's lock, before the waker who changed the
 * word looks there. What is not atomic any more is "the first n, in order of arrival, of both".
 *
 * WAKE_OP: the word is changed before either queue is looked at. Waking the two is not one step as
 * in the kernel; but a waiter who comes in between has seen the new word, and a waker may come as
 * late as it likes.
 *
 * Shared, priority-inheriting and unknown operations are the kernel's, as marked system calls. A
 * word that is waited on with the private flag and woken without it does not meet in the kernel
 * either.
 *
 * The kernel answers EFAULT to bad addresses. We read them ourselves, so each page is shown to the
 * kernel first, once: what was found readable is remembered. (A page that was unmapped since is a
 * fault.)
 */
#include "runtime.h"
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

static bool readable(const void *p)
{
	static _Atomic uintptr_t known[256]; /* page numbers; a hint, any thread */
	uintptr_t page = (uintptr_t)p >> 12;
	_Atomic uintptr_t *slot = &known[page % nelem(known)];

	if (unlikely(page == 0))
		return false; /* to the kernel a nil set is none */
	if (likely(atomic_load_explicit(slot, memory_order_relaxed) == page))
		return true;
	/* It copies the set before it finds the first argument wrong. */
	if (SC4(SYS_rt_sigprocmask, -1L, (uintptr_t)p & ~(uintptr_t)7, NULL, 8) == -EFAULT)
		return false;
	atomic_store_explicit(slot, page, memory_order_relaxed);
	return true;
}

/* *p may be changed: the kernel adds nothing to it, and finds the comparison unknown before it
 * would wake. */
static bool writable(uint32_t *p)
{
	uint32_t nobody = 0;

	return SC6(SYS_futex, &nobody, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, 1L, p,
		   FUTEX_OP(FUTEX_OP_ADD, 0, 15, 0)) != -EFAULT;
}

/* The kernel refuses it, whatever is there. */
static bool badaddr(const uint32_t *p)
{
	return (uintptr_t)p % 4 != 0 || (uintptr_t)p >> 47 != 0;
}

static long inkernel(uint32_t *addr, int op, uint32_t val, uintptr_t timeout, uint32_t *addr2,
		     uint32_t val3)
{
	entersyscall();
	long r = SC6(SYS_futex, addr, op, val, timeout, addr2, val3);
	exitsyscall();
	return r;
}

static long wait(uint32_t *addr, int op, uint32_t val, const struct timespec *ts, uint32_t bits)
{
	uint64_t deadline = 0;
	unsigned flags = FUTEX_INTR | FUTEX_NOCANCEL;

	if (ts != NULL) {
		if (!readable(ts) || !readable((const char *)(ts + 1) - 1))
			return -EFAULT;
		struct timespec t = *ts;
		if (t.tv_sec < 0 || (unsigned long)t.tv_nsec > 999999999)
			return -EINVAL;
		if ((op & FUTEX_CMD_MASK) != FUTEX_WAIT)
			deadline = absdeadline(
			    op & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC, &t);
		else if ((t.tv_sec | t.tv_nsec) == 0)
			deadline = 1;
		else if (t.tv_sec > INT64_MAX / 1000000000)
			deadline = UINT64_MAX;
		else
			deadline =
			    reldeadline((uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec);
		/* The kernel restarts a wait after a handler only if it has no time-out. */
		flags |= FUTEX_INTRANY;
	}
	if (!readable(addr))
		return -EFAULT;
	if (atomic_load_explicit((_Atomic uint32_t *)addr, memory_order_seq_cst) != val)
		return -EAGAIN;
	if (deadline == 1) {
		gosched(); /* who asks again and again shall not keep the others from running */
		return -ETIMEDOUT;
	}
	return futexwaitbits((_Atomic uint32_t *)addr, val, deadline, flags, bits);
}

static long wake(uint32_t *addr, int n, uint32_t bits)
{
	if (n < 1) /* the kernel looks at the number after the first */
		n = 1;
	long r = futexwakebits(addr, n, bits);
	if (r < n) {
		long k =
		    SC6(SYS_futex, addr, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, n - r, 0, 0, bits);
		if (k < 0 && r == 0)
			return k;
		r += k > 0 ? k : 0;
	}
	return r;
}

static long requeue(uint32_t *addr, int op, int nwake, int nmove, uint32_t *to, uint32_t expect)
{
	bool cmp = (op & FUTEX_CMD_MASK) == FUTEX_CMP_REQUEUE;
	int moved;

	if (nwake < 0 || nmove < 0)
		return -EINVAL;
	if (cmp && !readable(addr))
		return -EFAULT;
	int r =
	    futexrequeue((_Atomic uint32_t *)addr, nwake, to, nmove, cmp ? &expect : NULL, &moved);
	if (r < 0)
		return r;
	long k = 0;
	if (r < nwake || moved < nmove)
		k = SC6(SYS_futex, addr, op, nwake - r, (long)(nmove - moved), to, expect);
	return r + moved + (k > 0 ? k : 0);
}

static int signed12(uint32_t x)
{
	return (int)(x << 20) >> 20;
}

static bool compare(int old, uint32_t op)
{
	int arg = signed12(op);

	switch (op >> 24 & 15) {
	case FUTEX_OP_CMP_EQ:
		return old == arg;
	case FUTEX_OP_CMP_NE:
		return old != arg;
	case FUTEX_OP_CMP_LT:
		return old < arg;
	case FUTEX_OP_CMP_LE:
		return old <= arg;
	case FUTEX_OP_CMP_GT:
		return old > arg;
	default:
		return old >= arg;
	}
}

static long wakeop(uint32_t *addr, int nwake, int nwake2, uint32_t *addr2, uint32_t op)
{
	_Atomic uint32_t *word = (_Atomic uint32_t *)addr2;
	uint32_t arg = (uint32_t)signed12(op >> 12), old;

	if (op >> 28 & FUTEX_OP_OPARG_SHIFT)
		arg = 1u << (arg & 31);
	if (!writable(addr2))
		return -EFAULT;
	switch (op >> 28 & 7) {
	case FUTEX_OP_SET:
		old = atomic_exchange(word, arg);
		break;
	case FUTEX_OP_ADD:
		old = atomic_fetch_add(word, arg);
		break;
	case FUTEX_OP_OR:
		old = atomic_fetch_or(word, arg);
		break;
	case FUTEX_OP_ANDN:
		old = atomic_fetch_and(word, ~arg);
		break;
	default:
		old = atomic_fetch_xor(word, arg);
		break;
	}
	long r = wake(addr, nwake, ~0u);
	if (compare((int)old, op))
		r += wake(addr2, nwake2, ~0u);
	return r;
}

/* Not poolstarted(): a process that shares our memory (clone.c) meets our Gs here, as its semaphores and mutexes do. */
bool gofutexes(void)
{
	return atomic_load_explicit(&sched.started, memory_order_acquire);
}

long gofutex(uint32_t *addr, int op, uint32_t val, uintptr_t timeout, uint32_t *addr2,
	     uint32_t val3)
{
	if (badaddr(addr))
		return inkernel(addr, op, val, timeout, addr2, val3);
	switch (op ^ FUTEX_PRIVATE_FLAG) {
	case FUTEX_WAIT:
		return wait(addr, op, val, (const struct timespec *)timeout, ~0u);
	case FUTEX_WAIT_BITSET:
	case FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME:
		if (val3 == 0)
			break;
		return wait(addr, op, val, (const struct timespec *)timeout, val3);
	case FUTEX_WAKE:
		return wake(addr, (int)val, ~0u);
	case FUTEX_WAKE_BITSET:
		if (val3 == 0)
			break;
		return wake(addr, (int)val, val3);
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		if (badaddr(addr2))
			break;
		return requeue(addr, op, (int)val, (int)timeout, addr2, val3);
	case FUTEX_WAKE_OP:
		/* An unknown operation or comparison wakes nobody. */
		if (badaddr(addr2) || (val3 >> 28 & 7) > FUTEX_OP_XOR ||
		    (val3 >> 24 & 15) > FUTEX_OP_CMP_GE)
			break;
		return wakeop(addr, (int)val, (int)timeout, addr2, val3);
	default:
		break;
	}
	return inkernel(addr, op, val, timeout, addr2, val3);
}
