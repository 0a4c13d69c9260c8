/* SPDX-License-Identifier: MIT
 *
 * stacks.c: a G's stack, without stopping the program, or one of its threads for some tens of
 * microseconds.
 *
 *   waiting, runnable   its registers are on its stack (arch/x86_64/asm.S). It has not moved if
 * park word, status and stack pointer are the same afterwards: parking again takes a new ticket,
 * running a new stack pointer. in a system call    the kernel says where its thread sleeps: sp and
 * pc, and the G has noted the frame pointer of the wrapper. It has not moved if the kernel says the
 * same afterwards. computing           its thread is stopped by ptrace for a copy of registers and
 * stack, and let go; the copy is unwound.
 *
 * A thread that sleeps in the kernel is never stopped: calls like epoll_wait or a recv with a
 * time-out would return EINTR, which no handler of the program's explains.
 */
#define _GNU_SOURCE 1
#include "live.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 5, COPY = 256 << 10 };

static size_t parked(struct target *t, const struct ginfo *g, struct frame *out, size_t max)
{
	uint64_t w[8]; /* control words, r15, r14, r13, r12, rbx, rbp, return address */

	if (!peek(t, g->sp, w, sizeof(w)))
		return 0;
	struct unwinder u = {
	    .regs = {.pc = w[7],
		     .sp = g->sp + sizeof(w),
		     .bp = w[6],
		     .bx = w[5],
		     .r12 = w[4],
		     .r13 = w[3],
		     .r14 = w[2],
		     .r15 = w[1]},
	    .lo = g->sp,
	    .hi = g->hi,
	};
	const struct map *m = g->hi > g->sp ? NULL : mapof(t, g->sp);
	if (m != NULL) /* main's: the runtime does not know where it ends */
		u.hi = m->end;
	return unwind(t, &u, out, max);
}

static bool samestate(const struct kernelstate *a, const struct kernelstate *b)
{
	return a->state == b->state && a->call == b->call && a->sp == b->sp && a->pc == b->pc;
}

static size_t inkernel(struct target *t, const struct ginfo *g, const struct kernelstate *ks,
		       struct frame *out, size_t max)
{
	const struct map *m = mapof(t, ks->sp);
	struct unwinder u = {
	    .regs = {.pc = ks->pc, .sp = ks->sp, .bp = g->syscallbp},
	    .lo = ks->sp,
	    .hi = ks->sp < g->hi ? g->hi
		  : m		 ? m->end
				 : ks->sp + 4096,
	};

	/* Of an earlier call: then the frame pointer is not known. */
	if (u.regs.bp < u.lo || u.regs.bp >= u.hi)
		u.regs.bp = 0;
	return unwind(t, &u, out, max);
}

/*
 * Until the thread stops, which it does as soon as it gets a CPU; false if not within 300 ms. *sig:
 * a signal that was on its way to it.
 */
static bool stopped(int tid, int *sig)
{
	for (int i = 0; i < 3000; i++) {
		int status;
		int r = waitpid(tid, &status, __WALL | WNOHANG);
		if (r == tid) {
			if (!WIFSTOPPED(status))
				return false;
			*sig = status >> 16 == PTRACE_EVENT_STOP ? 0 : WSTOPSIG(status);
			return true;
		}
		if (r < 0)
			return false;
		if (i > 20)
			nanosleep(&(struct timespec){0, 100000}, NULL);
	}
	return false;
}

/*
 * The thread's registers, and its stack from its stack pointer up. 0: it could not be stopped. The
 * thread may be running another G meanwhile, or the scheduler: the caller looks at the stack
 * pointer.
 */
static size_t stopandcopy(struct target *t, int tid, struct user_regs_struct *regs,
			  unsigned char *copy)
{
	int sig = 0;
	size_t n = 0;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0)
		return 0;
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) == 0 && stopped(tid, &sig)) {
		if (ptrace(PTRACE_GETREGS, tid, NULL, regs) == 0) {
			const struct map *m = mapof(t, regs->rsp);
			uint64_t room = m ? m->end - regs->rsp : 65536;
			n = peeksome(t, regs->rsp, copy, room < COPY ? room : COPY);
		}
		ptrace(PTRACE_DETACH, tid, NULL, (void *)(intptr_t)sig);
	} else {
		/* Not stopped, so it cannot be let go by name: a pending stop ends with our
		 * interest in it. */
		ptrace(PTRACE_DETACH, tid, NULL, NULL);
	}
	return n;
}

static size_t computing(struct target *t, const struct ginfo *g, int tid, struct frame *out,
			size_t max, const char **why)
{
	static unsigned char *copy;
	struct user_regs_struct r;

	if (copy == NULL)
		copy = xcalloc(1, COPY);
	size_t n = stopandcopy(t, tid, &r, copy);
	if (n == 0) {
		*why = errno == EPERM
			   ? "running; its thread may not be stopped (it is being traced)"
			   : "running; its thread did not stop";
		return 0;
	}
	const struct map *m = mapof(t, r.rsp);
	uint64_t hi = g->hi > r.rsp ? g->hi : m ? m->end : r.rsp + n;
	if (!g->ismain && (r.rsp < g->lo || r.rsp >= g->hi)) {
		*why = "it was between two turns, or on an alternate stack";
		return 0;
	}
	struct unwinder u = {
	    .regs = {.pc = r.rip,
		     .sp = r.rsp,
		     .bp = r.rbp,
		     .bx = r.rbx,
		     .r12 = r.r12,
		     .r13 = r.r13,
		     .r14 = r.r14,
		     .r15 = r.r15},
	    .lo = r.rsp,
	    .hi = hi,
	    .copy = copy,
	    .copyat = r.rsp,
	    .ncopy = n,
	};
	return unwind(t, &u, out, max);
}

static const struct minfo *mof(const struct snapshot *s, uint64_t addr)
{
	for (size_t i = 0; i < s->nm; i++)
		if (s->m[i].addr == addr)
			return &s->m[i];
	return NULL;
}

/* One attempt; *moved: what was read does not belong together. */
static size_t attempt(struct target *t, const struct snapshot *s, struct ginfo *g,
		      struct frame *out, size_t max, const char **why, struct kernelstate *ks,
		      bool *moved)
{
	struct ginfo after;
	struct kernelstate ks2;
	size_t n = 0;

	*moved = false;
	ks->state = 0;
	switch (g->status) {
	case STATE_WAITING:
	case STATE_RUNNABLE:
		n = parked(t, g, out, max);
		*moved = !readg(t, g->addr, &after) || after.park != g->park ||
			 after.status != g->status || after.sp != g->sp || after.goid != g->goid;
		return n;
	case STATE_RUNNING:
	case STATE_SYSCALL: {
		const struct minfo *m = mof(s, g->m);
		if (m == NULL || !kernelstate(t, m->tid, ks)) {
			*moved = true;
			return 0;
		}
		if (ks->sp != 0 && ks->state != 'R') {
			n = inkernel(t, g, ks, out, max);
			*moved = !kernelstate(t, m->tid, &ks2) || !samestate(ks, &ks2) ||
				 !readg(t, g->addr, &after) || after.m != g->m ||
				 after.status != g->status;
			return n;
		}
		n = computing(t, g, m->tid, out, max, why);
		/* Whose stack it was is certain only if the thread still runs this G. */
		*moved = !readg(t, g->addr, &after) || after.m != g->m;
		return n;
	}
	default:
		*why = "it has ended";
		return 0;
	}
}

size_t stackof(struct target *t, const struct snapshot *s, struct ginfo *g, struct frame *out,
	       size_t max, const char **why, struct kernelstate *ks)
{
	bool moved;

	for (int i = 0; i < TRIES; i++) {
		*why = NULL;
		size_t n = attempt(t, s, g, out, max, why, ks, &moved);
		if (!moved)
			return n;
		uint64_t goid = g->goid;
		if (!readg(t, g->addr, g) || g->goid != goid)
			break;
	}
	*why = "it moves too fast to be seen";
	return 0;
}
