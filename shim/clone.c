/* SPDX-License-Identifier: MIT
 *
 * clone.c: clone(), and what clone.S asks for syscall(SYS_clone) and its kin. What becomes of the
 * child's TLS is told in runtime/clone.c.
 */
#include "shim.h"
#include <sched.h>
#include <linux/sched.h>
#include <stdarg.h>
#include <sys/syscall.h>

/* On the child's stack: the caller's frame may be gone by the time it runs. */
struct born {
	int (*fn)(void *);
	void *arg;
	uintptr_t how;
};

static int begins(void *p)
{
	struct born *b = p;

	clonechild(b->how);
	int r = b->fn(b->arg);
	/* libc makes the system call exit of it. A fork's child may have a pool by now. */
	if (getg() != NULL)
		goexitraw(r);
	return r;
}

EXPORT int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	va_list ap;

	va_start(ap, arg);
	pid_t *ptid = va_arg(ap, pid_t *);
	void *tls = va_arg(ap, void *);
	pid_t *ctid = va_arg(ap, pid_t *);
	va_end(ap);
	if (fn == NULL || stack == NULL)
		return REAL(clone)(fn, stack, flags, arg, ptid, tls, ctid);
	uintptr_t how = clonebegin((unsigned)flags);
	if (how == CLONED_NOMEM) {
		errno = ENOMEM;
		return -1;
	}
	struct born *b = (struct born *)(((uintptr_t)stack & ~(uintptr_t)15) - 32);
	*b = (struct born){fn, arg, how};
	int r = REAL(clone)(begins, b, flags, b, ptid, tls, ctid), e = errno;
	cloneparent(how, r);
	errno = e;
	return r;
}

_Static_assert(sizeof(struct born) <= 32, "and the stack stays aligned");

/* For clone.S, with the arguments of syscall(): flags are the first one's, or where it points. */
uintptr_t syscloning(long n, long a, long b);
uintptr_t syscloning(long n, long a, long b)
{
	uint64_t flags = 0;

	(void)b;
	if (n == SYS_clone)
		flags = (uint64_t)a;
	else if (n == SYS_clone3 && goodread((const void *)a, sizeof(uint64_t)))
		flags = ((const struct clone_args *)a)->flags;
	return clonebegin(flags);
}
