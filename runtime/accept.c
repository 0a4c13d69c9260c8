/* SPDX-License-Identifier: MIT
 *
 * accept.c: accept() of a listener that processes share, without an M that waits in it.
 *
 * There is no accept() that does not wait but by O_NONBLOCK, which is the other processes' too. So
 * poll(2) comes first, and now and then another process takes the connection in between: then the
 * call waits, with an M, for the next. Each lost race may cost one; a server with hundreds of
 * threads would lose many.
 *
 * So such a call can be ended. It holds its P until sysmon takes that away, as from any call that
 * blocks, and then sysmon sends the signal that preempts. The kernel would restart the call
 * (SA_RESTART); the handler skips it instead, as cancellation does. Should the signal come while
 * the call is not in the kernel yet, gave tells the caller, or nothing is lost but an M, as before.
 * What has been accepted is never lost: a call that has a result is not at its beginning.
 *
 * A handler of the program's that interrupts the call has point cleared meanwhile (deliver()).
 *
 * Rejected: SO_RCVTIMEO and O_NONBLOCK for the length of the call (other processes see them);
 * io_uring (not everywhere allowed).
 */
#include "runtime.h"
#include <errno.h>
#include <sys/syscall.h>
#include <ucontext.h>

long goaccept(int fd, void *addr, void *len, int flags)
{
	struct g *gp = getg();
	uint32_t interrupts = gohandled(false);
	long r;

	entersyscall();
	gp->gaveup = false;
	atomic_store_explicit(&gp->point, 1 | POINTACCEPT, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	r = gp->gaveup ? -ERESTART : SC4(SYS_accept4, fd, addr, len, flags);
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&gp->point, 0, memory_order_relaxed);
	/* The kernel's own EINTR stays: for a handler without SA_RESTART, or SO_RCVTIMEO is set. Ours is one, where such a handler has
	 * run before the call was ended: we cannot know that the kernel had been in it by then. */
	bool ended = r == -ERESTART && (gohandled(false) != interrupts || gocancelled());
	exitsyscall();
	return ended ? -EINTR : r;
}

/* In the signal's handler: gp is in goaccept(). */
void acceptsig(struct g *gp, void *ctx)
{
	uintptr_t pc = SIGPC((ucontext_t *)ctx);

	gp->gaveup = true;
	if (pc >= sigs.textlo && pc < sigs.texthi)
		sigskip(ctx, -ERESTART);
}

void acceptend(struct m *mp)
{
	struct g *gp = __atomic_load_n(&mp->curg, __ATOMIC_RELAXED);

	if (gp == NULL || !(atomic_load_explicit(&gp->point, memory_order_relaxed) & POINTACCEPT) ||
	    debug.noasync)
		return;
	if (!atomic_exchange(&mp->preemptsent, true) && !sigkick(mp, SIGPREEMPT))
		atomic_store(&mp->preemptsent, false);
}
