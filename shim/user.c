/* SPDX-License-Identifier: MIT
 *
 * user.c: may the caller's memory be touched? Where the kernel would say EFAULT we must not crash.
 *
 * A wrapper that reads or writes through a pointer of the program's before the kernel has looked at
 * it asks here, and leaves the call to the kernel (or says EFAULT) if the answer is no. The answer
 * is the kernel's: a mask of signals is read from there by a call that then fails for another
 * reason; nothing is added to a word there, atomically. One system call for a page; afterwards it
 * is known. What is near the stack pointer needs none.
 *
 * Not known: that a page was unmapped since. Then we crash, as libc does in its own such places.
 *
 * Rejected: a handler for faults in our copies: it would have to be in the kernel always, whatever
 * the program's disposition is, and a fault with SIGSEGV blocked is death.
 */
#include "shim.h"
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include "arch.h"

enum { PAGE = 4096, LOGKNOWN = 12, KNOWN = 1 << LOGKNOWN, NEAR = 32 << 10 };

/* Pages that may be read, or written too, by number: plain hints, anyone may overwrite them. */
static _Atomic uintptr_t readable[KNOWN], writable[KNOWN];

/*
 * Not by the number's low bits: malloc's arenas are 64 MB apart, and what threads have in them
 * alike lies at the same place in each. A daemon's connections, each with its own pollfds, drove
 * each other out: a system call for each poll.
 */
static unsigned slot(uintptr_t page)
{
	return (unsigned)(page * 0x9e3779b97f4a7c15u >> (64 - LOGKNOWN));
}

static bool asks(uintptr_t page, bool write)
{
	static uint32_t nobody; /* waits here */
	const int op = FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_LT, -2048);
	void *p = (void *)(page * PAGE);

	if (write)
		return SC6(SYS_futex, &nobody, FUTEX_WAKE_OP_PRIVATE, 0, 0, p, op) != -EFAULT;
	return SC4(SYS_rt_sigprocmask, INT_MAX, p, NULL, 8) != -EFAULT;
}

static __attribute__((noinline)) bool pages(uintptr_t lo, uintptr_t hi, bool write)
{
	for (uintptr_t page = lo / PAGE; page <= hi / PAGE; page++) {
		_Atomic uintptr_t *w = &writable[slot(page)], *r = &readable[slot(page)];
		if (page == 0)
			return false;
		if (likely(atomic_load_explicit(w, memory_order_relaxed) == page) ||
		    (!write && atomic_load_explicit(r, memory_order_relaxed) == page))
			continue;
		if (!asks(page, write))
			return false;
		atomic_store_explicit(write ? w : r, page, memory_order_relaxed);
	}
	return true;
}

static inline bool good(const void *p, size_t n, bool write)
{
	uintptr_t a = (uintptr_t)p;

	if (n == 0 || (likely(a - (uintptr_t)__builtin_frame_address(0) < NEAR) && n < NEAR))
		return true;
	return a + n - 1 >= a && pages(a, a + n - 1, write);
}

bool goodread(const void *p, size_t n)
{
	return good(p, n, false);
}

bool goodwrite(void *p, size_t n)
{
	return good(p, n, true);
}

bool goodname(const char *s, size_t max)
{
	for (size_t i = 0; i < max; i++) {
		if ((i == 0 || (uintptr_t)(s + i) % PAGE == 0) && !goodread(s + i, 1))
			return false;
		if (s[i] == 0)
			break;
	}
	return true;
}
