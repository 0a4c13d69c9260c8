/* SPDX-License-Identifier: MIT
 *
 * preempt.c: a G that computes gives its M to others (Go's preempt.go).
 *
 * sysmon asks (preemptone): gp->preempt is set, for the G to see when it next leaves the runtime, and its M gets a
 * signal. The handler is the switch: the kernel's frame, with every register, stays on gp's stack, gp goes
 * to the back of a queue, and comes back some time, on some M, by returning from the handler.
 *
 * Async safe point: the G is in program code by its own books (not in the runtime, not in a marked system call, no
 * handler's mask in the frame), the stack pointer is on its own stack with room for the frame, and the program counter
 * is not in libgmp, libc or ld.so: there it may hold a lock of libc's, and is out of it soon. Not there: sysmon asks
 * again at its next tick, and in the end takes the P alone (answer 3 in sysmon.c).
 *
 * Frames. The signal enters on the M's alternate stack, and sigframe() moves the frame to gp's only if there is room:
 * a thread with 16 KB of stack must not die of a signal it knows nothing of. sigreturn sets the kernel thread's
 * alternate stack and mask from the frame, so both are written last, for the M we have come back on.
 *
 * The signal is libc's own 33, which allthreads.c uses too. Unlike Go, not SIGURG: most daemons' workers block all signals, and would never be
 * preempted; a program cannot block 33, since libc keeps it out of every mask. SIGURG stays the program's. A
 * restartable call that it hits goes on (SA_RESTART); sysmon sends it only to what computes.
 *
 * Where the preempted go: sched.hogq, behind the global queue's others : what was woken by the network, a timer or a
 * lock runs first. But each P has them have as much of its time as the others, 10 ms in a row at most (hogdue() in proc.c): a
 * preempted holder of some lock is never kept waiting for long.
 *
 * Rejected: switching in libc too, with its locks known (its static functions are not to be told apart); the
 * frame on the M's alternate stack (it is the M's next signal's as well).
 */
#include "runtime.h"
#include <link.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>

enum {
	ROOM = 4096,	   /* below the frame, for the handler and the switch */
	MAINSTACK = 8 << 20,
};

static struct range {
	uintptr_t lo, hi;
} libctext, rtldtext, mainstack;

/* The executable segment that holds self. */
struct find {
	uintptr_t self;
	struct range *r;
};

static int findtext(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct find *f = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + ph->p_vaddr;
		if (ph->p_type == PT_LOAD && (ph->p_flags & PF_X) && f->self - lo < ph->p_memsz) {
			*f->r = (struct range){lo, lo + ph->p_memsz};
			return 1;
		}
	}
	return 0;
}

static struct range textof(const char *name)
{
	struct range r = {0, UINTPTR_MAX}; /* unknown: nothing is safe */
	struct find f = {(uintptr_t)libcown(name), &r};

	if (f.self != 0)
		dl_iterate_phdr(findtext, &f);
	return r;
}

/* Once, while the process has one thread. */
void preemptinit(void)
{
	struct rlimit rl = {MAINSTACK, MAINSTACK};

	if (libctext.hi != 0)
		return; /* a fork's child */
	libctext = textof("malloc_usable_size");
	rtldtext = textof("__tls_get_addr");
	SC4(SYS_prlimit64, 0, RLIMIT_STACK, NULL, &rl);
	mainstack.hi = getauxval(AT_RANDOM); /* the kernel puts it above main()'s frames */
	mainstack.lo = mainstack.hi - (rl.rlim_cur < MAINSTACK ? rl.rlim_cur : MAINSTACK);
}

static bool in(const struct range *r, uintptr_t x)
{
	return x - r->lo < r->hi - r->lo;
}

static struct range stackof(const struct g *gp)
{
	if (gp->ismain && gp->area == NULL && !gp->userstack)
		return mainstack;
	return (struct range){(uintptr_t)gp->stack.lo, (uintptr_t)gp->stack.hi};
}

/* Is gp, interrupted as uc says, at an async safe point? frame: where the kernel's frame would be. */
static enum counter safepoint(struct g *gp, ucontext_t *uc, uintptr_t frame)
{
	uintptr_t pc = SIGPC(uc), sp = SIGSP(uc);
	struct range st = stackof(gp);

	if (gp->isg0 || gp->inruntime > 0)
		return CountUnsafeRuntime;
	if (atomic_load_explicit(&gp->status, memory_order_relaxed) != Grunning ||
	    *(uint64_t *)&uc->uc_sigmask != atomic_load_explicit(&gp->sigmask, memory_order_relaxed))
		return CountUnsafeRuntime;
	if (pc - sigs.textlo < sigs.texthi - sigs.textlo || in(&libctext, pc) || in(&rtldtext, pc))
		return CountUnsafeText;
	if (!in(&st, sp) || !in(&st, frame) || frame - st.lo < ROOM)
		return CountUnsafeStack;
	return CountPreemptAsync;
}

uintptr_t preemptframe(struct g *gp, void *uc, uintptr_t frame)
{
	uintptr_t to = sigmoved(frame, uc, SIGSP((ucontext_t *)uc) - SIGREDZONE);

	if (!atomic_load_explicit(&gp->preempt, memory_order_relaxed) || safepoint(gp, uc, to) != CountPreemptAsync)
		return frame;
	sigmove(frame, uc, to);
	return to;
}

/* gp gives way on pp, which it owns. */
static void account(struct g *gp, struct p *pp, enum counter how)
{
	uint64_t asked = atomic_load_explicit(&gp->preemptwhen, memory_order_relaxed), now = nanotime();

	countone(pp, how);
	countlatency(pp, now > asked ? now - asked : 0);
}

static struct g *goschedpreempt_m(struct g *gp)
{
	struct m *mp = gp->m;

	dropg(mp, gp);
	gp->waitreason = WaitPreempted;
	mp->p->globalfirst = true; /* we gave way for somebody: he may be there */
	lock(&sched.lock);
	atomic_store_explicit(&gp->status, Grunnable, memory_order_release);
	hogrunqput(gp);
	unlock(&sched.lock);
	return schedule(mp);
}

/* On the way out of the runtime, gp->preempt is set. The P is ours. */
void preemptcoop(struct g *gp)
{
	account(gp, gp->m->p, CountPreemptCall);
	mcall(gp, &gp->m->g0, goschedpreempt_m);
}

void preemptsig(void *ctx)
{
	struct g *gp = getg();
	ucontext_t *uc = ctx;

	if (gp == NULL)
		return;
	tracebacksig(gp, ctx);
	atomic_store(&gp->m->preemptsent, false);
	if (unlikely(gp->point & POINTACCEPT))
		acceptsig(gp, uc);
	else if (sigeintr(uc))
		gp->spurious = true;
	if (!atomic_load_explicit(&gp->preempt, memory_order_relaxed))
		return;
	enum counter k = safepoint(gp, uc, (uintptr_t)ctx);
	if (k != CountPreemptAsync) {
		countone(NULL, k);
		return;
	}
	struct m *mp = gp->m;
	struct p *pp = mp->p;
	uint64_t lent = pstatus(mp, Pforeign);
	gp->inruntime = 1;
	atomic_signal_fence(memory_order_seq_cst);
	bool stray = pp == NULL && mp->stray != 0;
	if (!stray && (pp == NULL || !atomic_compare_exchange_strong_explicit(&pp->status, &lent, pstatus(mp, Prunning),
									      memory_order_acquire, memory_order_relaxed))) {
		gp->inruntime = 0; /* sysmon was quicker and took the P */
		return;
	}
	/* What Ms' masks do not know is blocked in its handler: other Gs run here now. */
	const uint64_t all = ALLSIGS;
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
	mp->sigmask = ALLSIGS;
	if (stray) {
		countone(NULL, CountPreemptAsync);
		mcall(gp, &mp->g0, lostp_m);
	} else {
		account(gp, pp, CountPreemptAsync);
		mcall(gp, &mp->g0, goschedpreempt_m);
	}
	/* Another M, perhaps. Its mask is gp's; handlers of what came meanwhile run in here. */
	enterforeign();
	*(uint64_t *)&uc->uc_sigmask = atomic_load_explicit(&gp->sigmask, memory_order_relaxed);
	uc->uc_stack = sigaltof(gp->m);
	sigtiles(uc);
}

bool gospurious(void)
{
	struct g *gp = getg();
	bool was = gp != NULL && gp->spurious;

	if (was)
		gp->spurious = false;
	return was && !gocancelled();
}

/* ---- asking: sysmon ------------------------------------------------------------------------------------ */

/* Has the G that mp runs give way when it next leaves the runtime. False: it runs none. */
bool preemptsoon(struct m *mp)
{
	struct g *gp = __atomic_load_n(&mp->curg, __ATOMIC_RELAXED);

	if (gp == NULL)
		return false;
	if (!atomic_load_explicit(&gp->preempt, memory_order_relaxed)) {
		atomic_store_explicit(&gp->preemptwhen, nanotime(), memory_order_relaxed);
		atomic_store_explicit(&gp->preempt, true, memory_order_relaxed);
	}
	return true;
}

/* Has the G that mp runs, its P lent, give way soon. False: it runs none. */
bool preemptone(struct m *mp)
{
	if (!preemptsoon(mp))
		return false;
	/* One at a time: it is queued, and the handler does not block it. */
	countone(NULL, CountPreemptAsk);
	if (debug.noasync || atomic_exchange(&mp->preemptsent, true))
		return true;
	countone(NULL, CountPreemptSignal);
	if (!sigkick(mp, SIGPREEMPT))
		atomic_store(&mp->preemptsent, false);
	return true;
}
