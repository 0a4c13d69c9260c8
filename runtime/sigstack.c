/* SPDX-License-Identifier: MIT
 *
 * sigstack.c: sigaltstack per G.
 *
 * The kernel keeps one alternate stack per M. Were it the G's, each switch between Gs that have one (all threads of a
 * Rust program) would cost a system call, and a G parked in a handler would leave its frames on a stack that the kernel
 * takes for free. So an M has a small one of its own, given to the kernel once. A signal with SA_ONSTACK enters
 * there, with everything blocked, and sigtramp moves the kernel's frame at once to where the program
 * wants it: the G's alternate stack, or the stack that was interrupted. Nothing stays on the M's.
 *
 * An M gets one when a G that has called sigaltstack() first runs on it. sigreturn sets the thread's alternate
 * stack from the frame, so signal.c writes the present M's there last.
 */
#include "runtime.h"
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <ucontext.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif
enum { OWN = 16 << 10 };

static size_t altsize(void)
{
	return OWN + ((getauxval(AT_MINSIGSTKSZ) + 4095) & ~(size_t)4095);
}

stack_t sigaltof(struct m *mp)
{
	if (mp->altlo == 0)
		return (stack_t){.ss_flags = SS_DISABLE};
	return (stack_t){.ss_sp = (void *)mp->altlo, .ss_size = altsize()};
}

void sigalt(struct m *mp)
{
	stack_t ss;

	if (mp->altlo == 0 && (mp->altlo = (uintptr_t)sysalloc(altsize())) == 0)
		return; /* no memory: handlers run on the stack that is interrupted */
	ss = sigaltof(mp);
	SC2(SYS_sigaltstack, &ss, NULL);
}

bool sigwithin(const stack_t *ss, uintptr_t sp)
{
	uintptr_t lo = (uintptr_t)ss->ss_sp;

	return lo != 0 && sp > lo && sp - lo <= ss->ss_size;
}

bool sigonalt(const struct g *gp, uintptr_t sp)
{
	/* One that disarms itself is never in use: while it is, there is none. */
	return ((unsigned)gp->sigalt.ss_flags & SS_AUTODISARM) == 0 && sigwithin(&gp->sigalt, sp);
}

int gosigaltstack(const stack_t *new, stack_t *old)
{
	struct g *gp = getg();
	bool on = sigonalt(gp, (uintptr_t)__builtin_frame_address(0));
	stack_t was = gp->sigalt;

	if (new != NULL) {
		stack_t ss = *new;
		if (on)
			return -EPERM;
		/* The kernel knows what is too small. Nothing of its state is ours: back to the M's own at once. */
		long r = SC2(SYS_sigaltstack, &ss, NULL);
		if (r == 0)
			gp->sigalt = (ss.ss_flags & SS_DISABLE) ? (stack_t){.ss_flags = 0} : ss;
		if (gp->sigalt.ss_sp != NULL || gp->m->altlo != 0)
			sigalt(gp->m);
		if (r != 0)
			return (int)r;
	}
	if (old != NULL) {
		*old = was;
		old->ss_flags = was.ss_sp == NULL ? SS_DISABLE
						  : (int)((unsigned)was.ss_flags & SS_AUTODISARM) | (on ? SS_ONSTACK : 0);
	}
	return 0;
}

/*
 * Where the frame at `frame` (its return address) is to be. Runs on it; all signals are blocked. The runtime stays:
 * its handlers never park.
 */
uintptr_t sigframe(int s, siginfo_t *info, void *ctx, uintptr_t frame)
{
	struct g *gp = getg();
	ucontext_t *uc = ctx;

	if (gp == NULL || gp->isg0 || gp->inruntime > 0 || gp->m->altlo == 0 || frame - gp->m->altlo >= altsize())
		return frame;
	if (s == SIGPREEMPT)
		return sigiskick(info) ? preemptframe(gp, uc, frame) : frame;
	/* The stack that was interrupted may be full: its end is told of from here. */
	if (unlikely(debug.traceback) && (SIGBIT(s) & FAULTS) && info->si_code > 0 && sigs.act[s].fn == DFL) {
		sigtraceback(s, info, uc);
		return frame;
	}
	uintptr_t sp = SIGSP(uc), top = sp - SIGREDZONE, floor = 0;
	if (gp->sigalt.ss_sp != NULL && !sigonalt(gp, sp)) {
		floor = (uintptr_t)gp->sigalt.ss_sp;
		top = floor + gp->sigalt.ss_size;
	}
	uintptr_t to = sigmoved(frame, uc, top);
	if (to < floor)
		sigdefault(SIGSEGV); /* as the kernel does when the frame does not fit */
	sigmove(frame, uc, to);
	return to;
}
