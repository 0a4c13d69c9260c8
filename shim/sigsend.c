/* SPDX-License-Identifier: MIT
 *
 * sigsend.c: sending signals and waiting for them.
 *
 * pthread_kill and its kin find the G by its pthread_t or thread id and never ask the kernel. kill() to this process
 * goes to main or to the caller at once, if one of them takes it (it is delivered before kill() returns, as a
 * single-threaded habit expects); all else is the kernel's: default actions, other processes, signals that all block.
 */
#include "io.h"
#include <string.h>
#include <sys/syscall.h>
#include "arch.h"

static siginfo_t from(int sig, int code)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = sig;
	info.si_code = code;
	info.si_pid = (pid_t)SC0(SYS_getpid);
	info.si_uid = (uid_t)SC0(SYS_getuid);
	return info;
}

static bool badsig(int sig)
{
	return sig < 1 || sig > 64 || sig == 32 || sig == 33;
}

/* ---- sending --------------------------------------------------------------------------------------- */

EXPORT int pthread_kill(pthread_t t, int sig)
{
	struct g *gp = gofthread(t);

	if (gp == NULL || !poolstarted())
		return REAL(pthread_kill)(t, sig);
	if (goended(gp)) /* libc looks at its own two signals only */
		return sig == 32 || sig == 33 ? EINVAL : 0;
	if (sig == 0)
		return 0;
	if (badsig(sig))
		return EINVAL;
	siginfo_t info = from(sig, SI_TKILL);
	return -gosignal(gp, &info);
}

EXPORT int pthread_sigqueue(pthread_t t, int sig, const union sigval value)
{
	struct g *gp = gofthread(t);

	if (gp == NULL || !poolstarted())
		return REAL(pthread_sigqueue)(t, sig, value);
	if (goended(gp))
		return ESRCH;
	if (sig == 0)
		return 0;
	if (badsig(sig))
		return EINVAL;
	siginfo_t info = from(sig, SI_QUEUE);
	info.si_value = value;
	return -gosignal(gp, &info);
}

EXPORT int raise(int sig)
{
	if (getg() == NULL || badsig(sig))
		return REAL(raise)(sig);
	siginfo_t info = from(sig, SI_TKILL);
	return (int)ret_errno(gosignal(getg(), &info));
}

EXPORT int gsignal(int sig)
{
	return raise(sig);
}

EXPORT int tgkill(pid_t pid, pid_t tid, int sig)
{
	struct g *gp = poolstarted() && pid == SC0(SYS_getpid) ? gofid(tid) : NULL;

	if (gp == NULL)
		return REAL(tgkill)(pid, tid, sig);
	if (sig == 0)
		return 0;
	siginfo_t info = from(sig, SI_TKILL);
	return (int)ret_errno(gosignal(gp, &info));
}

static bool self(pid_t pid)
{
	return getg() != NULL && pid > 0 && pid == SC0(SYS_getpid);
}

EXPORT int kill(pid_t pid, int sig)
{
	if (self(pid) && !badsig(sig)) {
		siginfo_t info = from(sig, SI_USER);
		if (gokill(&info) == 0)
			return 0;
	}
	return REAL(kill)(pid, sig);
}

EXPORT int sigqueue(pid_t pid, int sig, const union sigval value)
{
	if (self(pid) && !badsig(sig)) {
		siginfo_t info = from(sig, SI_QUEUE);
		info.si_value = value;
		if (gokill(&info) == 0)
			return 0;
	}
	return REAL(sigqueue)(pid, sig, value);
}

/*
 * After alarm(0) no SIGALRM comes any more. Ours may be on its way through sysmon: if the timer has gone off
 * already (or just now, if it goes off again and again), wait for it.
 */
EXPORT unsigned alarm(unsigned s)
{
	unsigned left = REAL(alarm)(s);

	if (getg() != NULL && s == 0 && left == 0)
		gosigsync();
	return left;
}

EXPORT useconds_t ualarm(useconds_t us, useconds_t interval)
{
	useconds_t left = REAL(ualarm)(us, interval);

	if (getg() != NULL && us == 0 && left == 0)
		gosigsync();
	return left;
}

EXPORT int setitimer(__itimer_which_t which, const struct itimerval *new, struct itimerval *old)
{
	struct itimerval was;
	int r = REAL(setitimer)(which, new, &was);

	if (r != 0)
		return r;
	if (old != NULL && !goodwrite(old, sizeof(*old))) {
		errno = EFAULT;
		r = -1;
	} else if (old != NULL) {
		*old = was;
	}
	if (getg() != NULL && new != NULL && !timerisset(&new->it_value)) {
		struct timeval since;
		timersub(&was.it_interval, &was.it_value, &since);
		if (!timerisset(&was.it_value) || (since.tv_sec == 0 && since.tv_usec < 10000))
			gosigsync();
	}
	return r;
}

/* ---- waiting ----------------------------------------------------------------------------------------- */

static uint64_t bits(const sigset_t *set)
{
	uint64_t b;

	memcpy(&b, set, sizeof(b));
	return b;
}

EXPORT int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	siginfo_t si;

	if (getg() == NULL || !goodread(set, 8) || (timeout != NULL && !goodread(timeout, sizeof(*timeout))))
		return REAL(sigtimedwait)(set, info, timeout);
	testcancel();
	int r = gosigwait(bits(set), &si, timeout);
	if (r > 0 && info != NULL && !goodwrite(info, sizeof(*info)))
		r = -EFAULT; /* it is taken all the same */
	if (r > 0 && info != NULL) {
		*info = si;
		if (si.si_code == SI_TKILL) /* libc folds them here, handlers see which */
			info->si_code = SI_USER;
	}
	return (int)ret_errno(r);
}

EXPORT int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
	return getg() == NULL ? REAL(sigwaitinfo)(set, info) : sigtimedwait(set, info, NULL);
}

EXPORT int sigwait(const sigset_t *set, int *sig)
{
	siginfo_t si;
	int r;

	if (getg() == NULL || !goodread(set, 8))
		return REAL(sigwait)(set, sig);
	do {
		testcancel();
		r = gosigwait(bits(set), &si, NULL);
	} while (r == -EINTR);
	if (r < 0)
		return -r;
	*sig = r;
	return 0;
}

EXPORT int sigsuspend(const sigset_t *set)
{
	if (getg() == NULL || !goodread(set, 8))
		return REAL(sigsuspend)(set);
	testcancel();
	uint64_t mask = bits(set);
	return (int)ret_errno(gosigsuspend(&mask));
}

EXPORT int __sigsuspend(const sigset_t *set)
{
	return sigsuspend(set);
}

EXPORT int pause(void)
{
	testcancel();
	return getg() == NULL ? REAL(pause)() : (int)ret_errno(gosigsuspend(NULL));
}

/* X/Open's: without `sig` in the mask. BSD's takes the mask itself. */
static int pausewith(uint64_t mask)
{
	testcancel();
	return (int)ret_errno(gosigsuspend(&mask));
}

EXPORT int __sigpause(int arg, int issig)
{
	uint64_t mask;

	if (getg() == NULL)
		return REAL(__sigpause)(arg, issig);
	if (!issig)
		return pausewith((uint32_t)arg);
	if (arg < 1 || arg > 64) {
		errno = EINVAL;
		return -1;
	}
	gosigmask(SIG_BLOCK, NULL, &mask);
	return pausewith(mask & ~((uint64_t)1 << (arg - 1)));
}

EXPORT int __xpg_sigpause(int sig)
{
	return getg() == NULL ? REAL(__xpg_sigpause)(sig) : __sigpause(sig, 1);
}

/* signal.h renames it to one of the two above; old binaries ask for it by its name. */
EXPORT int sigpause_(int mask) __asm__("sigpause");
int sigpause_(int mask)
{
	return __sigpause(mask, 0);
}
