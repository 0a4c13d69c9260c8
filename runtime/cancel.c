/* SPDX-License-Identifier: MIT
 *
 * cancel.c: pthread_cancel.
 *
 * libc does what it can see: its pthread_cancel() sets bits in the thread's struct pthread, and its
 * cancellation points, pthread_testcancel() and unwinding act on them as for any thread. What it
 * cannot do is reach a G: its signal would go to a thread id that no kernel thread has. So a G that
 * is asked to end is poked like one that has a signal (sigqueue.c), until it has noticed:
 *
 *   parked           woken with WakeCancel; its call says EINTR, and the wrapper asks
 *                    pthread_testcancel(), off all queues and with its mutex again. If the call is
 *                    no cancellation point it waits on, unless the type is asynchronous (goasync())
 *   in our syscall   that is a point (gopoint()): its M is interrupted, the call says EINTR
 *   in libc's        point: libc allows asynchronous cancellation for that long; as the next
 *   computing        if its type is asynchronous, its M is interrupted and unwinds from there
 *   anything else    nothing: it will come to a point, which looks at the bit before it waits
 *
 * No request is lost. The bit is set before the first poke, and the G stays on the nag list, poked
 * at every tick of sysmon's, for as long as it may be interrupted and has not noticed. So a point
 * that has just looked at the bit, and is about to park or to enter the kernel, is found there by a
 * later poke; no fence is needed in the points. gp->cancel: 0, 1 asked, 2 has noticed. It is 2 only
 * after a park was claimed with WakeCancel, whose wait then tells its wrapper (so not one that is
 * being prepared: it may be called off, and the claim with it); from there on every point that the
 * G comes to looks at the bit first. Asynchronous ones are never taken as noticed.
 *
 * No wake-up is swallowed. Being woken and being cancelled are claims of the same park (park.c): a
 * waiter that learns of its cancellation was not given anything, and who gives it something a
 * moment later finds it gone and takes the next. One that has been woken returns what it got, as if
 * the request had come later: a descriptor from accept(), a byte, a post. A marked system call of
 * ours is interrupted before it has begun, or by the kernel, never after it has a result.
 * Where nothing came of the call (an error, the end of a file, a look by poll()) the bit is looked at
 * once more (ret_point(), shim.h): the request may have come first.
 *
 * libc's handler of its signal would unwind in the runtime too, and mark whoever it finds as
 * cancelled: ours stands before it, and acts only in program code and libc's, on the G that the
 * signal finds, if that one is to be cancelled.
 *
 * Threads that are no G get libc's signal by libc, but it is sent only to those that allow
 * asynchronous cancellation, which our waits do not. threadcancel() looks for them in the queues of
 * sema.c instead, under the lock under which they enter and leave. They look at the bit after they
 * have queued, so one of the two sees the other. An asynchronous one that is interrupted in our
 * queue must not unwind from there: the handler leaves a note in the word it sleeps on.
 *
 * A G that is cancelled on libc's way into a call that our wrapper has marked leaves it marked:
 * that holds until it parks or ends.
 *
 * Rejected: asynchronous cancellation whenever a G leaves the runtime (half-way through an unlock
 * it would take the wake-ups of others along); allowing asynchronous cancellation around our own
 * waits as libc does (a result that comes at the same moment is lost: descriptors leak).
 */
#include "runtime.h"
#include <pthread.h>
#include <sys/syscall.h>
#include <ucontext.h>

enum { SIGCANCEL = 32, NOBODY = 1 << 30 /* no kernel thread's id */ };

/* The kernel's struct sigaction. */
struct ksigaction {
	sighandler *fn;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};
static struct ksigaction libcs;
static void (*libctestcancel)(void);

/* Never unmapped; nil while the G has none. */
static void *tcbof(struct g *gp)
{
	return __atomic_load_n(&gp->tcb, __ATOMIC_RELAXED);
}

bool cancelpending(struct g *gp)
{
	return atomic_load(&gp->cancel) == 1 && cancelacts(tcbof(gp));
}

void cancelnoticed(struct g *gp)
{
	void *tcb = tcbof(gp);

	if (!cancelasync(tcb))
		atomic_store(&gp->cancel, 2);
}

/* gp runs on mp: libc's signal, if something could come of it. */
void cancelkick(struct g *gp, struct m *mp)
{
	void *tcb = tcbof(gp);

	if (!atomic_load_explicit(&gp->point, memory_order_relaxed) && !cancelasync(tcb))
		return;
	/* One at a time: the kernel queues this signal, and a thread that gets no CPU would find thousands of them. */
	if (!atomic_exchange(&mp->cancelkicked, true) &&
	    SC3(SYS_tgkill, SC0(SYS_getpid), atomic_load(&mp->procid), SIGCANCEL) != 0)
		atomic_store(&mp->cancelkicked, false);
}

void gopoint(bool on)
{
	struct g *gp = getg();

	if (gp != NULL)
		atomic_store_explicit(&gp->point, on, memory_order_relaxed);
}

static void oncancel(int s, siginfo_t *info, void *ctx)
{
	struct g *gp = getg();
	ucontext_t *uc = ctx;

	if (gp == NULL) {
		/* Not in a vfork's child, which borrows this thread. */
		if (runtime_vforked == NULL && !threadasync())
			libcs.fn(s, info, ctx);
		return;
	}
	atomic_store(&gp->m->cancelkicked, false);
	/* In the runtime: it will be poked again. */
	if (gp->isg0 || gp->inruntime > 0 || gp->sigbusy || gp->unwinds || !cancelacts(gp->tcb))
		return;
	bool insys = atomic_load_explicit(&gp->status, memory_order_relaxed) == Gsyscall;
	uintptr_t pc = SIGPC(uc);
	if (pc >= sigs.textlo && pc < sigs.texthi) {
		/* A system call of our own, about to begin or to be restarted. */
		if (insys && gp->point)
			sigskip(uc, -EINTR);
		return;
	}
	if (!cancelasync(gp->tcb))
		return;
	/* Not to come back: what sigreturn would do, before this M may be left behind. */
	gp->unwinds = true;
	runtime_stays = false; /* out of system(), perhaps */
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &uc->uc_sigmask, NULL, 8);
	if (insys)
		exitsyscall();
	libctestcancel();
}

/* ---- asking ---------------------------------------------------------------------------------- */

/*
 * libc loads libgcc_s.so, which may have to wait for the loader's lock, and installs its handler at
 * its first pthread_cancel(): here of nobody. Then ours goes before it.
 */
void cancelinit(int (*real)(pthread_t))
{
	int *tid = (int *)(tlstmpl.scratch + tlslayout.tid);
	struct ksigaction k;

	*tid = NOBODY; /* else it does not even begin */
	real((pthread_t)tlstmpl.scratch);
	*tid = 0;
	cancelunmark(tlstmpl.scratch);
	libctestcancel = libcown("pthread_testcancel");
	if (!cancelknown() || libctestcancel == NULL)
		return;
	SC4(SYS_rt_sigaction, SIGCANCEL, NULL, &libcs, 8);
	k = libcs;
	k.fn = oncancel;
	SC4(SYS_rt_sigaction, SIGCANCEL, &k, NULL, 8);
	cancelarm();
}

int threadcancel(pthread_t thread, int (*real)(pthread_t))
{
	int err = real(thread);

	if (err == 0)
		threadpoke((void *)thread);
	return err;
}

int gocancel(struct g *gp, int (*real)(pthread_t))
{
	struct g *self = getg();

	if (atomic_load(&gp->status) == Gdead)
		return 0;
	if (gp->ismain)
		unwindmain(gp);
	int err = real((pthread_t)gp->tcb); /* if it is the caller it may not come back; else what
					       it says of the tid is wrong */
	if (!cancelknown() || gp == self)
		return gp == self ? -err : 0;
	cancelmark(gp->tcb);
	if (self != NULL)
		exitforeign();
	atomic_store(&gp->cancel, 1);
	if (!sigpoke(gp)) {
		uint64_t saved = sigenter();
		signag(gp);
		sigleave(saved);
		sysmonkick();
	}
	if (self != NULL)
		enterforeign();
	return 0;
}
