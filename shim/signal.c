/* SPDX-License-Identifier: MIT
 *
 * signal.c: handlers and masks by their many names; all end in sigaction() and sigprocmask() here.
 *
 * Before the pool starts everything goes straight to the kernel. Then dispositions are the runtime's
 * (sigtaken()), for any thread; masks are the runtime's for Gs, the kernel's for other threads.
 *
 * longjmp restores a mask inside libc, where no symbol is seen. So the mask in the buffer is restored by us, and libc
 * gets a copy of the buffer that has none. Contexts (ucontext.h) have masks, too, for which libc asks the kernel directly: the
 * G is given the new one first, and its own again when somebody has come back to it.
 */
#include "shim.h"
#include <setjmp.h>
#include <string.h>

_Static_assert(sizeof(sigset_t) >= 8, "the kernel's 64 signals come first");

static inline uint64_t bits(const sigset_t *set)
{
	uint64_t b;

	memcpy(&b, set, sizeof(b));
	return b;
}

static inline void setbits(sigset_t *set, uint64_t b)
{
	memset(set, 0, sizeof(*set));
	memcpy(set, &b, sizeof(b));
}

static uint64_t bit(int sig)
{
	return (uint64_t)1 << (sig - 1);
}

/* 32 and 33 are libc's, and no signals to the program. */
static bool badsig(int sig)
{
	if (sig >= 1 && sig <= 64 && sig != 32 && sig != 33)
		return false;
	errno = EINVAL;
	return true;
}

/* ---- handlers ------------------------------------------------------------------------------------ */

/*
 * In a vfork's child: its dispositions are its own, in the kernel, and the books are its parent's. Those which it has
 * not changed are as the books say.
 */
static int childaction(int sig, const struct sigaction *new, struct sigaction *old)
{
	struct sigaction k;
	int r = REAL(sigaction)(sig, new, &k);

	if (r != 0 || old == NULL)
		return r;
	if (sigisours(&k))
		return (int)ret_errno(gosigaction(sig, NULL, old));
	*old = k;
	return 0;
}

EXPORT int sigaction(int sig, const struct sigaction *new, struct sigaction *old)
{
	if (likely(!sigtaken()) || sig == SIGKILL || sig == SIGSTOP)
		return REAL(sigaction)(sig, new, old);
	if (unlikely(runtime_vforked != NULL))
		return childaction(sig, new, old);
	return (int)ret_errno(gosigaction(sig, new, old));
}

EXPORT int __sigaction(int sig, const struct sigaction *new, struct sigaction *old)
{
	return sigaction(sig, new, old);
}

static uint64_t interrupts; /* siginterrupt(sig, 1) was called: what signal() does from then on */

static __sighandler_t install(int sig, __sighandler_t fn, int flags)
{
	struct sigaction sa = {.sa_flags = flags}, old;

	if (fn == SIG_ERR || badsig(sig)) {
		errno = EINVAL;
		return SIG_ERR;
	}
	sa.sa_handler = fn;
	if (!(flags & SA_NODEFER))
		setbits(&sa.sa_mask, bit(sig));
	return sigaction(sig, &sa, &old) < 0 ? SIG_ERR : old.sa_handler;
}

EXPORT __sighandler_t signal(int sig, __sighandler_t fn)
{
	if (likely(!sigtaken()))
		return REAL(signal)(sig, fn);
	return install(sig, fn, sig >= 1 && sig <= 64 && (interrupts & bit(sig)) ? 0 : SA_RESTART);
}

EXPORT __sighandler_t bsd_signal(int sig, __sighandler_t fn)
{
	return signal(sig, fn);
}

EXPORT __sighandler_t ssignal(int sig, __sighandler_t fn)
{
	return signal(sig, fn);
}

EXPORT __sighandler_t sysv_signal(int sig, __sighandler_t fn)
{
	if (likely(!sigtaken()))
		return REAL(sysv_signal)(sig, fn);
	return install(sig, fn, (int)(SA_RESETHAND | SA_NODEFER));
}

EXPORT __sighandler_t __sysv_signal(int sig, __sighandler_t fn)
{
	return sysv_signal(sig, fn);
}

EXPORT int siginterrupt(int sig, int on)
{
	struct sigaction sa;

	/* Both ways also before the start: signal() asks for it afterwards. */
	if (sig >= 1 && sig <= 64)
		interrupts = on ? interrupts | bit(sig) : interrupts & ~bit(sig);
	if (likely(!sigtaken()))
		return REAL(siginterrupt)(sig, on);
	if (sigaction(sig, NULL, &sa) < 0)
		return -1;
	sa.sa_flags = on ? sa.sa_flags & ~SA_RESTART : sa.sa_flags | SA_RESTART;
	return sigaction(sig, &sa, NULL);
}

EXPORT int sigignore(int sig)
{
	return signal(sig, SIG_IGN) == SIG_ERR ? -1 : 0;
}

/* ---- masks ---------------------------------------------------------------------------------------- */

EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	uint64_t new, was;

	if (getg() == NULL)
		return REAL(pthread_sigmask)(how, set, old);
	if (set != NULL)
		new = bits(set);
	int err = gosigmask(how, set ? &new : NULL, &was);
	if (err == 0 && old != NULL) {
		if (!goodwrite(old, sizeof(was)))
			return EFAULT;
		memcpy(old, &was, sizeof(was)); /* no more than the kernel writes */
	}
	return -err;
}

EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	if (getg() == NULL)
		return REAL(sigprocmask)(how, set, old);
	return (int)ret_errno(-pthread_sigmask(how, set, old));
}

static int maskone(int how, int sig)
{
	sigset_t set;

	if (badsig(sig))
		return -1;
	setbits(&set, bit(sig));
	return sigprocmask(how, &set, NULL);
}

EXPORT int sighold(int sig)
{
	return maskone(SIG_BLOCK, sig);
}

EXPORT int sigrelse(int sig)
{
	return maskone(SIG_UNBLOCK, sig);
}

EXPORT __sighandler_t sigset(int sig, __sighandler_t fn)
{
	struct sigaction sa = {.sa_flags = 0}, old;
	sigset_t set, was;

	if (likely(!sigtaken()))
		return REAL(sigset)(sig, fn);
	if (fn == SIG_ERR || badsig(sig)) {
		errno = EINVAL;
		return SIG_ERR;
	}
	setbits(&set, bit(sig));
	if (fn == SIG_HOLD) {
		if (sigprocmask(SIG_BLOCK, &set, &was) < 0 || sigaction(sig, NULL, &old) < 0)
			return SIG_ERR;
	} else {
		sa.sa_handler = fn;
		if (sigaction(sig, &sa, &old) < 0 || sigprocmask(SIG_UNBLOCK, &set, &was) < 0)
			return SIG_ERR;
	}
	return (bits(&was) & bit(sig)) ? SIG_HOLD : old.sa_handler;
}

/* BSD's: 32 signals in an int. */
static int oldmask(int how, int mask)
{
	sigset_t set, old;

	setbits(&set, (uint32_t)mask);
	return sigprocmask(how, &set, &old) < 0 ? -1 : (int)bits(&old);
}

EXPORT int sigblock(int mask)
{
	return oldmask(SIG_BLOCK, mask);
}

EXPORT int sigsetmask(int mask)
{
	return oldmask(SIG_SETMASK, mask);
}

EXPORT int siggetmask(void)
{
	return oldmask(SIG_BLOCK, 0);
}

EXPORT int sigaltstack(const stack_t *new, stack_t *old)
{
	stack_t was;

	if (getg() == NULL || (new != NULL && !goodread(new, sizeof(*new))))
		return REAL(sigaltstack)(new, old);
	int err = gosigaltstack(new, &was);
	if (err == 0 && old != NULL) {
		if (!goodwrite(old, sizeof(*old)))
			err = -EFAULT;
		else
			*old = was;
	}
	return (int)ret_errno(err);
}

EXPORT int sigpending(sigset_t *set)
{
	int r = REAL(sigpending)(set);

	if (r == 0 && getg() != NULL)
		setbits(set, bits(set) | gosigpending());
	return r;
}

/* ---- longjmp ----------------------------------------------------------------------------------------- */

static _Noreturn void jump(void (*real)(struct __jmp_buf_tag[1], int), struct __jmp_buf_tag *env, int val)
{
	struct __jmp_buf_tag copy = *env;
	uint64_t mask = bits((const sigset_t *)&env->__saved_mask);

	copy.__mask_was_saved = 0;
	gosigmask(SIG_SETMASK, &mask, NULL);
	real(&copy, val);
	__builtin_unreachable();
}

#define JUMP(name)                                                     \
	EXPORT _Noreturn void name(struct __jmp_buf_tag env[1], int val) \
	{                                                              \
		kernelidend(); /* out of a wait for a shared mutex, perhaps */ \
		if (env->__mask_was_saved && getg() != NULL)           \
			jump(REAL(name), env, val);                    \
		REAL(name)(env, val);                                  \
		__builtin_unreachable();                               \
	}

JUMP(longjmp)
JUMP(_longjmp)
JUMP(siglongjmp)
JUMP(__longjmp_chk)

/* ---- contexts ---------------------------------------------------------------------------------------- */

EXPORT int setcontext(const ucontext_t *to)
{
	uint64_t mask = bits(&to->uc_sigmask);

	if (getg() != NULL)
		gosigmask(SIG_SETMASK, &mask, NULL);
	return REAL(setcontext)(to);
}

/* The context may be gone on with in another thread, and by libc itself (uc_link), so the G's mask is set afterwards. */
EXPORT int swapcontext(ucontext_t *from, const ucontext_t *to)
{
	uint64_t mask;
	volatile uint64_t saved;
	volatile bool left = false;
	int r;

	if (getg() == NULL)
		return REAL(swapcontext)(from, to);
	gosigmask(SIG_BLOCK, NULL, &mask);
	saved = mask;
	if (mask == bits(&to->uc_sigmask)) {
		r = REAL(swapcontext)(from, to);
	} else {
		r = getcontext(from);
		if (r == 0 && !left) {
			left = true;
			return setcontext(to); /* which comes back if it fails only */
		}
	}
	mask = saved;
	gosigmask(SIG_SETMASK, &mask, NULL);
	return r;
}
