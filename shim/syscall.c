/* SPDX-License-Identifier: MIT
 *
 * syscall.c: syscall(), once the pool has started. Entered by a jump from syscall.S.
 *
 * What the program asks of the kernel by number behaves as by name: a futex parks
 * (runtime/futex.c), gettid tells the G's id, what has a wrapper goes through it, what may block is
 * marked, what the kernel keeps by thread binds the G to its kernel thread. All else is libc's
 * syscall(), untouched: its text, not ours, so that signals find it as they would.
 *
 * Differences of the kernel's calls from libc's functions of the same name are undone here: they
 * are no cancellation points, sets of signals have 8 bytes (our wrappers read no more), ppoll and
 * pselect6 tell what is left of the time, clock_nanosleep fails as the others do.
 *
 * Not here: what is made by clone and its kin (clone.S).
 */
#include "io.h"
#include <linux/futex.h>
#include <linux/prctl.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include "arch.h"

long syscallraw(long n, ...) __attribute__((visibility("hidden")));
long syscallearly(long n, ...) __attribute__((visibility("hidden")));
long syscallpool(long n, ...) __attribute__((visibility("hidden"))); /* clone.S; goes on to gosyscall() */
long (*syscalllibc)(long n, ...) __attribute__((visibility("hidden")));
long (*syscallentry)(long n, ...) __attribute__((visibility("hidden"))) = syscallraw;
long gosyscall(long n, long a, long b, long c, long d, long e, long f);

__attribute__((constructor)) static void init(void)
{
	syscalllibc = REALFN(syscall);
	syscallentry = syscallearly;
}

void syscallstart(void)
{
	if (unlikely(syscallentry != syscallpool))
		syscallentry = syscallpool;
}

/* Not a cancellation point, although the wrapper is; but whose type is asynchronous ends anywhere. */
#define WITHOUTCANCEL(expr)                                                                        \
	({                                                                                         \
		int state_;                                                                        \
		bool off_ = !goasynctype();                                                        \
		if (likely(off_))                                                                  \
			pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state_);                   \
		long v_ = (long)(expr);                                                            \
		if (likely(off_))                                                                  \
			pthread_setcancelstate(state_, NULL);                                      \
		v_;                                                                                \
	})

/* The kernel's sets of signals, which our wrappers only read. */
static const sigset_t *set(long p)
{
	return (const sigset_t *)p;
}

static bool tome(long tid)
{
	return tid == 0 || (getg() != NULL && tid == selftid());
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* The kernel tells what is left of a time-out, if it can: the caller's may be a constant. */
static void left(struct timespec *ts, uint64_t since)
{
	uint64_t was, now = nanotime();

	if (ts == NULL || (ts->tv_sec | ts->tv_nsec) == 0 || badtime(ts))
		return;
	if ((uint64_t)ts->tv_sec > UINT64_MAX / 2000000000u)
		return;
	was = (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec;
	was = was > now - since ? was - (now - since) : 0;
	if (SC4(SYS_rt_sigprocmask, SIG_BLOCK, NULL, ts, 8) != 0) /* writes there, or says EFAULT */
		return;
	ts->tv_sec = (time_t)(was / 1000000000u);
	ts->tv_nsec = (long)(was % 1000000000u);
}

static long rawppoll(struct pollfd *p, nfds_t n, struct timespec *ts, const sigset_t *mask)
{
	uint64_t since = nanotime();
	long r = WITHOUTCANCEL(ppoll(p, n, ts, mask));
	int e = errno;

	left(ts, since);
	errno = e;
	return r;
}

static long rawpselect(int n, fd_set *r, fd_set *w, fd_set *x, struct timespec *ts,
		       const sigset_t *mask)
{
	uint64_t since = nanotime();
	long res = WITHOUTCANCEL(pselect(n, r, w, x, ts, mask));
	int e = errno;

	left(ts, since);
	errno = e;
	return res;
}

static long rawsleep(clockid_t clk, int flags, const struct timespec *ts, struct timespec *rem)
{
	int err = (int)WITHOUTCANCEL(clock_nanosleep(clk, flags, ts, rem));

	if (err == 0)
		return 0;
	errno = err;
	return -1;
}

/* ---- signals --------------------------------------------------------------------------------- */

/* The kernel's struct sigaction. */
struct ksigaction {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static long rawsigaction(int sig, const struct ksigaction *new, struct ksigaction *old)
{
	struct sigaction sa, was;

	memset(&sa, 0, sizeof(sa));
	if (new != NULL) {
		sa.sa_handler = new->handler;
		sa.sa_flags = (int)new->flags;
		memcpy(&sa.sa_mask, &new->mask, sizeof(new->mask));
	}
	int r = sigaction(sig, new ? &sa : NULL, &was);
	if (r == 0 && old != NULL && !goodwrite(old, sizeof(*old))) {
		errno = EFAULT;
		return -1;
	}
	if (r == 0 && old != NULL) {
		*old = (struct ksigaction){.handler = was.sa_handler,
					   .flags = (unsigned long)was.sa_flags};
		memcpy(&old->mask, &was.sa_mask, sizeof(old->mask));
	}
	return r;
}

static long rawsigpending(uint64_t *p)
{
	long r = SC2(SYS_rt_sigpending, p, 8);

	if (r == 0)
		*p |= gosigpending();
	return ret_errno(r);
}

static long rawsigwait(const uint64_t *p, siginfo_t *info, const struct timespec *ts)
{
	siginfo_t si;
	int r = gosigwait(*p, &si, ts);

	if (r > 0 && info != NULL && !goodwrite(info, sizeof(*info)))
		r = -EFAULT;
	if (r > 0 && info != NULL)
		*info = si;
	testasync(r);
	if (r < 0)
		errno = -r;
	return r < 0 ? -1 : r;
}

/* To a thread by its id: tkill (info nil), rt_tgsigqueueinfo. */
static long totid(struct g *gp, int sig, const siginfo_t *info)
{
	siginfo_t si;

	if (sig == 0)
		return 0;
	memset(&si, 0, sizeof(si));
	if (info != NULL) {
		si = *info;
	} else {
		si.si_code = SI_TKILL;
		si.si_pid = (pid_t)SC0(SYS_getpid);
		si.si_uid = (uid_t)SC0(SYS_getuid);
	}
	si.si_signo = sig;
	return ret_errno(gosignal(gp, &si));
}

/* ---- what the kernel keeps by thread -----------------------------------------------------------
 */

#define REALSYSCALL() REAL(syscall)(n, a, b, c, d, e, f)

enum { STRICT = 0, FILTER = 1, TSYNC = 1, LISTENER = 8 }; /* seccomp(2): operations, flags */

/* arch_prctl(2): GS and FS base, CPUID faulting, shadow stack. The rest asks, or is the process's. */
static bool ofregisters(long op)
{
	return op == 0x1001 || op == 0x1002 || op == 0x1012 || (op >= 0x5001 && op < 0x5005);
}

/* Does n, with its first argument, change something of the calling thread's? */
static bool ofthread(long n, long *a, long *b)
{
	switch (n) {
	case SYS_setuid:
	case SYS_setgid:
	case SYS_setreuid:
	case SYS_setregid:
	case SYS_setresuid:
	case SYS_setresgid:
	case SYS_setfsuid:
	case SYS_setfsgid:
	case SYS_setgroups:
	case SYS_capset:
	case SYS_unshare:
	case SYS_setns:
	case SYS_keyctl:
	case SYS_ptrace:
	case SYS_set_mempolicy:
	case SYS_iopl:
	case SYS_ioperm:
#ifdef SYS_landlock_restrict_self
	case SYS_landlock_restrict_self:
#endif
		return true;
	case SYS_personality:
		return *a != 0xffffffff;
	case SYS_arch_prctl:
		return ofregisters(*a);
	case SYS_perf_event_open: /* attributes, of whom */
		if (!tome(*b))
			return false;
		*b = 0;
		return true;
	case SYS_sched_setaffinity:
	case SYS_sched_setscheduler:
	case SYS_sched_setparam:
	case SYS_sched_setattr:
		if (!tome(*a))
			return false;
		*a = 0; /* the kernel does not know our ids */
		return true;
	case SYS_setpriority: /* which, who */
	case SYS_ioprio_set:
		if (*a != (n == SYS_setpriority ? PRIO_PROCESS : 1 /* IOPRIO_WHO_PROCESS */) ||
		    !tome(*b))
			return false;
		*b = 0;
		return true;
	default:
		return false;
	}
}

/* The kernel's struct sched_attr, its first part. */
struct schedattr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
};

/* sched_set*(a, b, c) may give a thread a priority of its own. Of another one of ours, the wrapper by name says so. */
static void tellpriority(long n, long a, long b, long c)
{
	const int *param = (const int *)(n == SYS_sched_setparam ? b : c);
	const struct schedattr *attr = (const struct schedattr *)b;

	if (n == SYS_sched_setattr && attr != NULL && goodread(attr, sizeof(*attr))) {
		if (attr->policy == 6) /* SCHED_DEADLINE, which only this call knows */
			gosetpriorities();
		else
			gosetpriority((int)attr->policy, (int)attr->priority);
	} else if ((n == SYS_sched_setscheduler || n == SYS_sched_setparam) && param != NULL && goodread(param, sizeof(*param))) {
		int policy = n == SYS_sched_setscheduler ? (int)b : (int)SC1(SYS_sched_getscheduler, tome(a) ? 0 : a);
		if (policy >= 0)
			gosetpriority(policy, *param);
	}
}

static long othersattr(struct g *gp, struct schedattr *attr, long size, long flags)
{
	int policy, prio, tid = golockedtid(gp);
	long r = SC4(SYS_sched_getattr, tid, attr, size, flags);

	if (r == 0 && tid == 0 && (r = gogetsched(gp, &policy, &prio)) == 0) {
		attr->policy = (uint32_t)policy;
		attr->priority = (uint32_t)prio;
	}
	return r;
}

/* sched_*(a, ...) where a is another thread of ours, which the kernel does not know by that id. False: it is not. */
static bool schedother(long n, long a, long b, long c, long d, long *r)
{
	struct g *gp = a > 0 && !tome(a) ? taskof((pid_t)a) : NULL;

	if (gp == NULL)
		return false;
	switch (n) {
	case SYS_sched_setaffinity:
		*r = ret_errno(gosetaffinity(gp, (size_t)b, (const void *)c));
		break;
	case SYS_sched_getaffinity:
		*r = ret_errno(gogetaffinity(gp, (size_t)b, (void *)c));
		break;
	case SYS_sched_setscheduler:
		*r = sched_setscheduler((pid_t)a, (int)b, (const struct sched_param *)c);
		break;
	case SYS_sched_getscheduler:
		*r = sched_getscheduler((pid_t)a);
		break;
	case SYS_sched_setparam:
		*r = sched_setparam((pid_t)a, (const struct sched_param *)b);
		break;
	case SYS_sched_getparam:
		*r = sched_getparam((pid_t)a, (struct sched_param *)b);
		break;
	case SYS_sched_rr_get_interval:
		*r = sched_rr_get_interval((pid_t)a, (struct timespec *)b);
		break;
	case SYS_sched_getattr:
		*r = ret_errno(othersattr(gp, (struct schedattr *)b, c, d));
		break;
	case SYS_sched_setattr: {
		int tid = getg() != NULL ? goown(gp) : -ENOTSUP;
		*r = ret_errno(tid < 0 ? tid : SC3(SYS_sched_setattr, tid, b, c));
		break;
	}
	default:
		return false;
	}
	return true;
}

/* ---- the rest ----------------------------------------------------------------------------------
 */

/* The kernel has EFAULT for it. */
static bool bad(long p, size_t n)
{
	return p != 0 && !goodread((const void *)p, n);
}

/* By their wrappers: descriptors. */
static long fdcall(long n, long a, long b, long c, long d, long e, long f)
{
	switch (n) {
	case SYS_read:
		return read((int)a, (void *)b, (size_t)c);
	case SYS_write:
		return write((int)a, (const void *)b, (size_t)c);
	case SYS_readv:
		return readv((int)a, (const struct iovec *)b, (int)c);
	case SYS_writev:
		return writev((int)a, (const struct iovec *)b, (int)c);
	case SYS_pread64:
		return pread((int)a, (void *)b, (size_t)c, d);
	case SYS_pwrite64:
		return pwrite((int)a, (const void *)b, (size_t)c, d);
	case SYS_recvfrom:
		return recvfrom((int)a, (void *)b, (size_t)c, (int)d, (struct sockaddr *)e,
				(socklen_t *)f);
	case SYS_sendto:
		return sendto((int)a, (const void *)b, (size_t)c, (int)d,
			      (const struct sockaddr *)e, (socklen_t)f);
	case SYS_recvmsg:
		return recvmsg((int)a, (struct msghdr *)b, (int)c);
	case SYS_sendmsg:
		return sendmsg((int)a, (const struct msghdr *)b, (int)c);
	case SYS_recvmmsg:
		return recvmmsg((int)a, (struct mmsghdr *)b, (unsigned)c, (int)d,
				(struct timespec *)e);
	case SYS_sendmmsg:
		return sendmmsg((int)a, (struct mmsghdr *)b, (unsigned)c, (int)d);
	case SYS_accept:
		return accept((int)a, (struct sockaddr *)b, (socklen_t *)c);
	case SYS_accept4:
		return accept4((int)a, (struct sockaddr *)b, (socklen_t *)c, (int)d);
	case SYS_connect:
		return connect((int)a, (const struct sockaddr *)b, (socklen_t)c);
	case SYS_open:
		return open((const char *)a, (int)b, (mode_t)c);
	case SYS_openat:
		return openat((int)a, (const char *)b, (int)c, (mode_t)d);
	case SYS_close:
		return close((int)a);
	case SYS_fcntl:
		return fcntl((int)a, (int)b, c);
	case SYS_poll:
		return poll((struct pollfd *)a, (nfds_t)b, (int)c);
	case SYS_select:
		return select((int)a, (fd_set *)b, (fd_set *)c, (fd_set *)d, (struct timeval *)e);
	case SYS_epoll_wait:
		return epoll_wait((int)a, (struct epoll_event *)b, (int)c, (int)d);
	case SYS_epoll_pwait:
		return epoll_pwait((int)a, (struct epoll_event *)b, (int)c, (int)d, set(e));
	case SYS_epoll_pwait2:
		return epoll_pwait2((int)a, (struct epoll_event *)b, (int)c,
				    (const struct timespec *)d, set(e));
	case SYS_fsync:
		return fsync((int)a);
	default:
		return fdatasync((int)a);
	}
}

long gosyscall(long n, long a, long b, long c, long d, long e, long f)
{
	struct g *gp;
	pid_t pid;
	int err;
	long other, r;

	/* A vfork's child: nothing of its parent's must be touched, but who waits for its wake-ups is in our queues, as with sem_post(). */
	if (unlikely(runtime_vforked != NULL) && n != SYS_futex)
		return REALSYSCALL();
	switch (n) {
	case SYS_futex:
		if (!gofutexes())
			break;
		r = gofutex((uint32_t *)a, (int)b, (uint32_t)c, (uintptr_t)d, (uint32_t *)e,
				 (uint32_t)f);
		testasync((int)r);
		if (r >= 0)
			return r;
		errno = (int)-r;
		return -1;
	case SYS_gettid:
		return gettid();

	case SYS_epoll_pwait:
		if (e != 0 && f != 8)
			break;
		return WITHOUTCANCEL(fdcall(n, a, b, c, d, e, f));
	case SYS_epoll_pwait2:
		if (e != 0 && f != 8)
			break;
		return WITHOUTCANCEL(fdcall(n, a, b, c, d, e, f));
	case SYS_read:
	case SYS_write:
	case SYS_readv:
	case SYS_writev:
	case SYS_pread64:
	case SYS_pwrite64:
	case SYS_recvfrom:
	case SYS_sendto:
	case SYS_recvmsg:
	case SYS_sendmsg:
	case SYS_recvmmsg:
	case SYS_sendmmsg:
	case SYS_accept:
	case SYS_accept4:
	case SYS_connect:
	case SYS_open:
	case SYS_openat:
	case SYS_close:
	case SYS_fcntl:
	case SYS_poll:
	case SYS_select:
	case SYS_epoll_wait:
	case SYS_fsync:
	case SYS_fdatasync:
		return WITHOUTCANCEL(fdcall(n, a, b, c, d, e, f));
	case SYS_ppoll:
		if (getg() == NULL || (d != 0 && e != 8) || bad(c, 16) || bad(d, 8))
			break;
		return rawppoll((struct pollfd *)a, (nfds_t)b, (struct timespec *)c, set(d));
	case SYS_pselect6: {
		const struct {
			const sigset_t *set;
			size_t size;
		} *arg = (const void *)f;
		if (getg() == NULL || bad(e, 16) || bad(f, sizeof(*arg)) ||
		    (arg != NULL && arg->set != NULL && (arg->size != 8 || bad((long)arg->set, 8))))
			break;
		return rawpselect((int)a, (fd_set *)b, (fd_set *)c, (fd_set *)d,
				  (struct timespec *)e, arg ? arg->set : NULL);
	}
	case SYS_listen:
		return listen((int)a, (int)b);
	case SYS_shutdown:
		return shutdown((int)a, (int)b);
	case SYS_setsockopt:
		return setsockopt((int)a, (int)b, (int)c, (const void *)d, (socklen_t)e);
	case SYS_socket:
		return socket((int)a, (int)b, (int)c);
	case SYS_socketpair:
		return socketpair((int)a, (int)b, (int)c, (int *)d);
	case SYS_pipe:
		return pipe((int *)a);
	case SYS_pipe2:
		return pipe2((int *)a, (int)b);
	case SYS_close_range:
		return close_range((unsigned)a, (unsigned)b, (int)c);
	case SYS_dup:
		return dup((int)a);
	case SYS_dup2:
		return dup2((int)a, (int)b);
	case SYS_dup3:
		return dup3((int)a, (int)b, (int)c);
	case SYS_ioctl:
		return ioctl((int)a, (unsigned long)b, (void *)c);

	case SYS_nanosleep:
		return WITHOUTCANCEL(nanosleep((const struct timespec *)a, (struct timespec *)b));
	case SYS_clock_gettime:
	case SYS_clock_getres:
	case SYS_clock_settime:
		if (a != CLOCK_THREAD_CPUTIME_ID && (int)a >= 0)
			break;
		return rawclock(n, (clockid_t)a, (struct timespec *)b);
	case SYS_clock_nanosleep:
		if (a == CLOCK_THREAD_CPUTIME_ID) /* libc says another error than the kernel */
			break;
		return rawsleep((clockid_t)a, (int)b, (const struct timespec *)c,
				(struct timespec *)d);
	case SYS_sched_yield:
		return sched_yield();
	case SYS_pause:
		return WITHOUTCANCEL(pause());

	case SYS_rt_sigaction:
		if (!sigtaken() || a == 32 || a == 33 || d != 8 || bad(b, sizeof(struct ksigaction)))
			break;
		return rawsigaction((int)a, (const struct ksigaction *)b, (struct ksigaction *)c);
	case SYS_rt_sigprocmask:
		if (getg() == NULL || d != 8 || bad(b, 8))
			break;
		uint64_t old;
		err = gosigmask((int)a, (const uint64_t *)b, &old);
		if (err == 0 && c != 0 && !goodwrite((void *)c, 8))
			err = -EFAULT;
		if (err == 0 && c != 0)
			*(uint64_t *)c = old;
		return ret_errno(err);
	case SYS_rt_sigpending:
		if (getg() == NULL || b != 8)
			break;
		return rawsigpending((uint64_t *)a);
	case SYS_rt_sigsuspend:
		if (getg() == NULL || b != 8)
			break;
		return WITHOUTCANCEL(sigsuspend(set(a)));
	case SYS_rt_sigtimedwait:
		if (getg() == NULL || d != 8 || a == 0 || bad(a, 8) || bad(c, 16))
			break;
		return WITHOUTCANCEL(
		    rawsigwait((const uint64_t *)a, (siginfo_t *)b, (const struct timespec *)c));
	case SYS_sigaltstack:
		return sigaltstack((const stack_t *)a, (stack_t *)b);
	case SYS_kill:
		return kill((pid_t)a, (int)b);
	case SYS_tgkill:
		return tgkill((pid_t)a, (pid_t)b, (int)c);
	case SYS_tkill:
		gp = poolstarted() ? gofid((int)a) : NULL;
		if (gp == NULL)
			break;
		return totid(gp, (int)b, NULL);
	case SYS_rt_sigqueueinfo:
		pid = (pid_t)SC0(SYS_getpid);
		if (getg() != NULL && a == pid && b > 0 && b < 65 && c != 0 && !bad(c, sizeof(siginfo_t))) {
			siginfo_t si = *(const siginfo_t *)c;
			si.si_signo = (int)b;
			if (gokill(&si) == 0)
				return 0;
		}
		break;
	case SYS_rt_tgsigqueueinfo:
		pid = (pid_t)SC0(SYS_getpid);
		gp = poolstarted() && a == pid && d != 0 ? gofid((int)b) : NULL;
		if (gp == NULL)
			break;
		if (bad(d, sizeof(siginfo_t)))
			return ret_errno(-EFAULT);
		return totid(gp, (int)c, (const siginfo_t *)d);
	case SYS_timer_create:
		return rawtimer((clockid_t)a, (struct sigevent *)b, (int *)c);
	case SYS_timer_settime:
		return rawtimerset((int)a, (int)b, (const struct itimerspec *)c, (struct itimerspec *)d);
	case SYS_timer_delete:
		r = ret_errno(SC1(SYS_timer_delete, a));
		if (r == 0 && gotimerknown((int)a))
			gotimergone((int)a);
		return r;
	case SYS_setitimer:
		return setitimer((__itimer_which_t)a, (const struct itimerval *)b,
				 (struct itimerval *)c);
	case SYS_alarm:
		return (long)alarm((unsigned)a);

	case SYS_wait4:
		return WITHOUTCANCEL(wait4((pid_t)a, (int *)b, (int)c, (struct rusage *)d));
#ifdef SYS_pkey_alloc
	case SYS_pkey_alloc:
		return pkey_alloc((unsigned)a, (unsigned)b);
#endif
	case SYS_prctl:
		return prctl((int)a, b, c, d, e);
	case SYS_exit:
		if (getg() == NULL)
			break;
		goexitraw((int)a);
	case SYS_rseq:
		/* The kernel would write to it whenever the kernel thread changes its CPU, whoever
		 * runs there. */
		errno = ENOSYS;
		return -1;
	case SYS_set_tid_address:
		if (getg() == NULL)
			break;
		return gettid(); /* the word which libc's join waits for is not the program's to
				    move */
	case SYS_set_robust_list:
		if (getg() == NULL)
			break;
		return ret_errno(gosetrobust((void *)a, (size_t)b));
	case SYS_get_robust_list:
		if (getg() == NULL || !tome(a))
			break;
		a = 0;
		err = (int)SC3(SYS_get_robust_list, 0, b, c); /* or EFAULT */
		if (err == 0)
			*(void **)b = gogetrobust();
		return ret_errno(err);
	case SYS_sched_getaffinity:
	case SYS_sched_getscheduler:
	case SYS_sched_getparam:
	case SYS_sched_getattr:
	case SYS_sched_rr_get_interval:
		if (schedother(n, a, b, c, d, &other))
			return other;
		if (tome(a))
			a = 0;
		break;
	case SYS_getpriority:
	case SYS_ioprio_get:
		if (a == (n == SYS_getpriority ? PRIO_PROCESS : 1) && tome(b))
			b = 0;
		break;

	/* What may block, and has no better place. */
	case SYS_waitid:
		if (d & WNOHANG)
			break;
		return MARKEDBLOCK(REALSYSCALL());
	case SYS_msgrcv:
	case SYS_msgsnd:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_mq_timedreceive:
	case SYS_mq_timedsend:
	case SYS_flock:
	case SYS_io_getevents:
	case SYS_io_pgetevents:
	case SYS_io_uring_enter:
#ifdef SYS_futex_waitv
	case SYS_futex_waitv:
#endif
	case SYS_preadv:
	case SYS_preadv2:
	case SYS_pwritev:
	case SYS_pwritev2:
	case SYS_sendfile:
	case SYS_splice:
	case SYS_tee:
	case SYS_vmsplice:
	case SYS_copy_file_range:
	case SYS_sync:
	case SYS_syncfs:
	case SYS_sync_file_range:
	case SYS_msync:
	case SYS_fallocate:
	case SYS_ftruncate:
	case SYS_truncate:
	case SYS_creat:
	case SYS_openat2:
	case SYS_rename:
	case SYS_renameat:
	case SYS_renameat2:
	case SYS_unlink:
	case SYS_unlinkat:
	case SYS_mkdir:
	case SYS_mkdirat:
	case SYS_rmdir:
	case SYS_link:
	case SYS_linkat:
	case SYS_symlink:
	case SYS_symlinkat:
	case SYS_getdents64:
	case SYS_stat:
	case SYS_lstat:
	case SYS_newfstatat:
	case SYS_statx:
	case SYS_getrandom:
		return MARKED(REALSYSCALL());
	case SYS_seccomp: {
		bool all = a == FILTER && (b & TSYNC);
		if (a != STRICT && a != FILTER)
			break;
		bool mine = getg() != NULL && !all && changesthread();
		r = REALSYSCALL();
		if (r < 0 && mine)
			disownthread();
		if (r == 0 && all && getg() != NULL)
			filtersall();
		if (r == 0 || (r > 0 && (b & LISTENER))) /* else r > 0 is a thread that has another filter */
			filterinstalled(a == FILTER ? (const void *)c : NULL, all);
		return r;
	}
	case SYS_sched_setaffinity:
	case SYS_sched_setscheduler:
	case SYS_sched_setparam:
	case SYS_sched_setattr:
		tellpriority(n, a, b, c);
		if (schedother(n, a, b, c, d, &other))
			return other;
		__attribute__((fallthrough));
	default:
		if (getg() == NULL || !ofthread(n, &a, &b))
			break;
		bool new = changesthread();
		r = REALSYSCALL();
		if (r < 0 && new)
			disownthread();
		return r;
	}
	return REALSYSCALL();
}
