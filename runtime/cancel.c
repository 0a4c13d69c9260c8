/* SPDX-License-Identifier: MIT
 *
 * cancel.c: pthread_cancel of a G.
 *
 * libc does what it can see: its pthread_cancel() sets the bit in the G's struct pthread, and its cancellation points,
 * pthread_testcancel() and unwinding act on it as for any thread. What it cannot do is wake the G: it
 * would signal a thread id that no kernel thread has. So a G that is asked to end is poked like one that has a signal (see
 * sigqueue.c), until it has noticed: parked, it is woken with WakeCancel, its call says EINTR, and the wrapper asks
 * pthread_testcancel(); blocked in the kernel inside a cancellation point of libc, which allows asynchronous
 * cancellation for that long, or computing with it allowed, its M gets libc's signal; blocked in a system call of
 * ours, the call is made to say EINTR. A wrapper that is a cancellation point
 * also looks at the bit on entry (gocancelled()).
 *
 * libc's handler of that signal would unwind in the runtime too, and mark whoever it finds as cancelled: ours stands
 * before it, and asks pthread_testcancel() where that is safe.
 *
 * gp->cancel: 0, 1 asked, 2 has noticed (or need not be woken any more). Set to 1 by the canceller, to 2 by who wakes it.
 *
 * Where libc keeps "disabled" and "asynchronous" in struct pthread is found by changing them and looking.
 */
#include "runtime.h"
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

enum { SIGCANCEL = 32, CANCELED = 8, EXITING = 16, NOBODY = 1 << 30 /* no kernel thread's id */ };

struct where {
	ptrdiff_t off;
	uint8_t bits; /* that change between the two values */
	uint8_t set;  /* their value in the state we ask for */
};

ptrdiff_t runtime_cancel __attribute__((visibility("hidden")));
static struct where disabled, async;
static mutex initlock;

/* The kernel's struct sigaction. */
struct ksigaction {
	sighandler *fn;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};
static struct ksigaction libcs;
static void (*libctestcancel)(void);

static bool is(struct g *gp, const struct where *w)
{
	uint8_t v = __atomic_load_n((uint8_t *)gp->tcb + w->off, __ATOMIC_RELAXED);

	return (v & w->bits) == w->set;
}

static int word(struct g *gp)
{
	return __atomic_load_n((int *)((char *)gp->tcb + tlslayout.cancelhandling), __ATOMIC_RELAXED);
}

/* May it be interrupted now? */
static bool acts(struct g *gp)
{
	return (word(gp) & (CANCELED | EXITING)) == CANCELED && !is(gp, &disabled);
}

bool cancelpending(struct g *gp)
{
	return atomic_load(&gp->cancel) == 1 && acts(gp);
}

void cancelnoticed(struct g *gp)
{
	atomic_store(&gp->cancel, 2);
}

/* gp runs on mp: libc's signal, if something could come of it. */
void cancelkick(struct g *gp, struct m *mp)
{
	if (is(gp, &async) || atomic_load(&gp->status) == Gsyscall)
		SC3(SYS_tgkill, SC0(SYS_getpid), atomic_load(&mp->procid), SIGCANCEL);
}

static void oncancel(int s, siginfo_t *info, void *ctx)
{
	struct g *gp = getg();
	ucontext_t *uc = ctx;
	bool insys = false;

	if (gp != NULL) {
		uintptr_t pc = SIGPC(uc);
		if (gp->isg0 || gp->inruntime > 0 || gp->sigbusy)
			return; /* it will be poked again */
		insys = atomic_load_explicit(&gp->status, memory_order_relaxed) == Gsyscall;
		if (!acts(gp))
			return;
		if (pc >= sigs.textlo && pc < sigs.texthi) {
			/* A blocking system call of our own, about to begin or to be restarted: it says EINTR. */
			if (insys)
				sigskip(uc, -EINTR);
			return;
		}
		if (!is(gp, &async))
			return;
	}
	if (gp == NULL) {
		libcs.fn(s, info, ctx);
		return;
	}
	if (insys)
		exitsyscall();
	libctestcancel();
	if (insys)
		entersyscall();
}

/* ---- asking ------------------------------------------------------------------------------------------- */

static uint8_t before[4096];

/* Which byte of the caller's TCB differs from what it was. */
static bool differs(struct where *w, size_t n)
{
	const uint8_t *tcb = gettls();
	int found = 0;

	for (size_t i = 0; i < n; i++) {
		if (tcb[i] == before[i])
			continue;
		w->off = (ptrdiff_t)i;
		w->bits = tcb[i] ^ before[i];
		w->set = tcb[i] & w->bits;
		found++;
	}
	return found == 1;
}

static bool look(struct where *w, int (*setfn)(int, int *), int want)
{
	size_t n = tlslayout.tcbsize < sizeof(before) ? tlslayout.tcbsize : sizeof(before);
	int old;
	bool ok;

	setfn(!want, &old);
	memcpy(before, gettls(), n);
	setfn(want, NULL);
	ok = differs(w, n);
	setfn(old, NULL);
	return ok;
}

/* libc installs its handler at its first pthread_cancel(): here of nobody. Then ours goes before it. */
static void overlay(int (*real)(pthread_t))
{
	struct ksigaction k;

	int *tid = (int *)(tlstmpl.scratch + tlslayout.tid), was = *tid;
	*tid = NOBODY; /* else it does not even begin */
	real((pthread_t)tlstmpl.scratch);
	*tid = was;
	*(int *)(tlstmpl.scratch + tlslayout.cancelhandling) = 0;
	SC4(SYS_rt_sigaction, SIGCANCEL, NULL, &libcs, 8);
	k = libcs;
	k.fn = oncancel;
	k.flags |= SA_NODEFER; /* who is unwound does not return, and the M goes on */
	SC4(SYS_rt_sigaction, SIGCANCEL, &k, NULL, 8);
}

/* Once; in the runtime, so that no handler of the program's comes in between. */
static bool cancelinit(int (*real)(pthread_t))
{
	static bool done, ok;

	lock(&initlock);
	if (!done) {
		int (*state)(int, int *) = libcown("pthread_setcancelstate");
		int (*type)(int, int *) = libcown("pthread_setcanceltype");
		done = true;
		ok = state && type && look(&disabled, state, PTHREAD_CANCEL_DISABLE) &&
		     look(&async, type, PTHREAD_CANCEL_ASYNCHRONOUS);
		libctestcancel = libcown("pthread_testcancel");
		if (ok && libctestcancel != NULL) {
			overlay(real);
			runtime_cancel = tlslayout.cancelhandling;
		}
	}
	unlock(&initlock);
	return ok;
}

int gocancel(struct g *gp, int (*real)(pthread_t))
{
	struct g *self = getg();
	bool ok;

	if (atomic_load(&gp->status) == Gdead)
		return 0;
	if (self != NULL)
		exitforeign();
	ok = cancelinit(real);
	if (self != NULL)
		enterforeign();
	int err = real((pthread_t)gp->tcb); /* if it is the caller it may not come back; else what it says of the tid is wrong */
	if (!ok || gp == self)
		return gp == self ? -err : 0;
	/* If asynchronous cancellation is allowed, libc leaves this to its handler. */
	atomic_fetch_or((_Atomic int *)((char *)gp->tcb + tlslayout.cancelhandling), CANCELED);
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
