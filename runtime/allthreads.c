/* SPDX-License-Identifier: MIT
 *
 * allthreads.c: a system call made by every kernel thread of the process (Go's AllThreadsSyscall).
 *
 * The kernel keeps credentials by thread; POSIX by process. libc evens that out with a signal to
 * each thread of its list, but Ms are not in it, and the one that is, the process's first, runs any
 * G: libc waits for a flag in main's struct pthread that its handler clears in another's. So two
 * passes: libc's own call, for the caller and the threads that libc knows; then ours over
 * sched.allms.
 *
 * The signal is libc's own (33): no mask that a program can set contains it, libc keeps it open
 * wherever it can, and so do we: ALLSIGS does not have it, so idle Ms, sysmon and Ms in the
 * trampoline take it. allthreadssig() stands before libc's handler. It locks nothing, looks at nothing but
 * its kernel thread's id, and leaves no trace in what it interrupts, so it may come anywhere: in
 * the runtime, in the middle of a switch, on g0.
 *
 * What libc sends to the first thread is taken there with main's TCB loaded, where libc's handler
 * expects to find its flag.
 *
 * New threads inherit the credentials of who makes them. A pass ends when it has found nobody who
 * was not done and no M was begun meanwhile: who begins one counts sched.mgen before clone(), in
 * the thread that is to be done; that it is done is seen by acquire; so its M is seen too, or the
 * count differs. libc does the same for its threads by its list. Each may begin the other's, so the
 * two passes alternate until ours finds all done.
 *
 * The caller goes first, in libc's call: if the kernel refuses it, nothing has changed. A thread may be told twice, or
 * inherit from one that is done; so what is told must end the same when it is done again. setuid() does not:
 * it gives back the saved id at first, and as root it sets all three. The others are told the three ids
 * that the caller has got instead. A thread whose result differs from the caller's
 * (the program gave it credentials of its own) ends the process, as with libc.
 *
 * A full queue of signals (RLIMIT_SIGPENDING) refuses 33 to a thread, for it is a real-time one; libc then leaves that thread as
 * it is. What the kernel never refuses is kill(), to the process: one thread takes it, the first
 * rather than another. So we drive them: who is done stays in the handler, where 33 is blocked, until all are done, and the next kill()
 * goes to another thread. Not for longer than STAY: it may be about to begin an M, for which the caller waits.
 *
 * Locks: xid.lock, rank 0, held until all are done; a thread that waits for it still takes the
 * signal.
 *
 * Rejected: Ms in libc's list (fork, dlopen and libthread_db walk it); /proc/self/task (there is
 * none after chroot, and it is before setuid that daemons call chroot); marking idle Ms and letting
 * them catch up when they wake (root in ps(1), and in every access check by another process, until
 * then).
 */
#include "runtime.h"
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

enum { SIGALL = 33, STAY = 50000000, WAIT = 10000000, DRIVEWAIT = 1000000 /* ns */ };
static const int32_t MAGIC = 0x676d7078;

/* The kernel's struct sigaction. */
struct ksigaction {
	sighandler *fn;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

static struct {
	mutex lock;
	_Atomic uint32_t
	    seq; /* of the call that is made; 0: none. Arguments are constant meanwhile */
	_Atomic uint32_t count;	 /* futex: +1 with each thread that is done */
	_Atomic uint32_t drive;	 /* futex: seq while threads are driven, else 0 */
	_Atomic int32_t differs; /* what a thread got that did not succeed as the caller did */
	long nr, a, b, c;
	uint32_t lastseq;
} xid;
static int (*libcsetresuid)(uid_t, uid_t, uid_t);
static struct ksigaction libcs;
static bool installed;

static struct m *mofthread(int32_t tid)
{
	struct m *mp = atomic_load_explicit(&sched.allms, memory_order_acquire);

	while (mp != NULL && (atomic_load(&mp->procid) != tid || atomic_load(&mp->exited) == 0))
		mp = mp->alllink;
	return mp;
}

/* mp's kernel thread has made the call. */
static void done(struct m *mp, uint32_t seq, long r)
{
	if (r < 0)
		atomic_store(&xid.differs, (int32_t)r);
	atomic_store(&mp->xiddone, seq);
	atomic_fetch_add(&xid.count, 1);
	SC3(SYS_futex, &xid.count, FUTEX_WAKE_PRIVATE, 1 << 30);
}

/* libc's handler clears a flag in the TCB it finds: on the first thread it must be main's. */
static void libchandler(int s, siginfo_t *info, void *ctx, bool first)
{
	struct g *gp = sched.maing;
	void *tcb = gettls();
	bool move = first && gp != NULL && gp->area == NULL && gp->tcb != tcb;

	if (move)
		settls(gp->tcb);
	libcs.fn(s, info, ctx);
	if (move)
		settls(tcb);
}

/* The handler of SIGALL, for what is no request to preempt. All signals are blocked. */
void allthreadssig(int s, siginfo_t *info, void *ctx)
{
	int32_t tid = (int32_t)SC0(SYS_gettid), pid = (int32_t)SC0(SYS_getpid);
	uint32_t seq = atomic_load(&xid.seq);

	if (seq != 0) {
		struct m *mp = mofthread(tid);
		if (mp != NULL && atomic_load(&mp->xiddone) != seq)
			done(mp, seq, SC3(xid.nr, xid.a, xid.b, xid.c));
		if (unlikely(atomic_load(&xid.drive) == seq)) {
			const struct timespec ts = {0, STAY};
			SC4(SYS_futex, &xid.drive, FUTEX_WAIT_PRIVATE, seq, &ts);
		}
	}
	if (info->si_code == SI_TKILL && info->si_pid == pid && libcs.fn != DFL && libcs.fn != IGN)
		libchandler(s, info, ctx, tid == pid);
}

/* Tells mp's thread. Not 0: it is gone, or was before it could be told; -EAGAIN: the user's queue of signals is full. */
static long tell(int32_t pid, int32_t tid)
{
	siginfo_t info = {.si_signo = SIGALL, .si_code = SI_QUEUE};

	info.si_value.sival_int = MAGIC;
	return SC4(SYS_rt_tgsigqueueinfo, pid, tid, SIGALL, &info);
}

/* What is left to do for mp. 0: nothing; 1: it has been told, or has not begun; 2: told now; 3: it could not be told */
static int ask(struct m *mp, uint32_t seq, int32_t pid, int32_t self)
{
	int32_t tid = atomic_load(&mp->procid);

	if (atomic_load(&mp->xiddone) == seq || atomic_load(&mp->exited) == 0)
		return 0;
	if (tid == 0)
		return 1;
	if (tid == self) { /* in libc's call */
		atomic_store(&mp->xiddone, seq);
		return 0;
	}
	if (mp->xidtold == seq && mp->xidtid == tid) /* its struct m may have been another's */
		return SC3(SYS_tgkill, pid, tid, 0) == -ESRCH ? 0 : 1;
	long r = tell(pid, tid);
	if (r != 0)
		return SC3(SYS_tgkill, pid, tid, 0) == -ESRCH ? 0 : r == -EAGAIN ? 3 : 1;
	mp->xidtold = seq;
	mp->xidtid = tid;
	return 2;
}

/* One pass over all Ms. True if there was one to be told. xid.lock held */
static bool pass(uint32_t seq)
{
	int32_t pid = (int32_t)SC0(SYS_getpid), self = (int32_t)SC0(SYS_gettid);
	uint64_t sigall = (uint64_t)1 << (SIGALL - 1), old;
	uint32_t gen, count;
	bool told = false, driving = false;
	int left;

	do {
		bool refused = false;
		count = atomic_load(&xid.count);
		gen = atomic_load(&sched.mgen);
		left = 0;
		for (struct m *mp = atomic_load(&sched.allms); mp != NULL; mp = mp->alllink) {
			int r = ask(mp, seq, pid, self);
			told |= r >= 2;
			refused |= r == 3;
			left += r != 0;
		}
		if (unlikely(refused)) {
			if (!driving)
				SC4(SYS_rt_sigprocmask, SIG_BLOCK, &sigall, &old, 8); /* not to the caller */
			driving = true;
			atomic_store(&xid.drive, seq);
			SC2(SYS_kill, pid, SIGALL);
		}
		/* Not for ever: one that ends, or does not begin, tells nobody. */
		const struct timespec ts = {0, driving ? DRIVEWAIT : WAIT};
		if (left != 0)
			SC4(SYS_futex, &xid.count, FUTEX_WAIT_PRIVATE, count, &ts);
	} while (left != 0 || gen != atomic_load(&sched.mgen));
	if (unlikely(driving)) {
		atomic_store(&xid.drive, 0);
		SC3(SYS_futex, &xid.drive, FUTEX_WAKE_PRIVATE, 1 << 30);
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8); /* takes the last one, if nobody has */
	}
	return told;
}

/* The caller has called setuid(): what the others are to do. False: its ids cannot be read */
static bool absolute(void)
{
	uint32_t r, e, s;

	if (libcsetresuid == NULL || SC3(SYS_getresuid, &r, &e, &s) != 0)
		return false;
	xid.nr = SYS_setresuid;
	xid.a = (int32_t)r;
	xid.b = (int32_t)e;
	xid.c = (int32_t)s;
	return true;
}

static int callall(int (*libc)(void *), void *arg)
{
	uint32_t seq = ++xid.lastseq ? xid.lastseq : ++xid.lastseq;
	bool abs = false;
	int err;

	for (;;) {
		tlsdllock(); /* libc walks the list into which dlopen() puts Gs */
		err = abs ? libcsetresuid((uid_t)xid.a, (uid_t)xid.b, (uid_t)xid.c) : libc(arg);
		tlsdlunlock();
		if (err != 0)
			break;
		if (xid.nr == SYS_setuid)
			abs = absolute();
		atomic_store(&xid.seq, seq);
		if (!pass(seq))
			break;
	}
	atomic_store(&xid.seq, 0);
	return err;
}

int allthreads(long nr, long a, long b, long c, int (*libc)(void *), void *arg)
{
	struct g *gp = getg();
	uint64_t all = ALLSIGS, old;
	int err;

	if (!atomic_load_explicit(&sched.started, memory_order_acquire) || !installed)
		return libc(arg);
	/* No handler meanwhile: it might not come back, or make the same call. */
	if (gp != NULL) {
		entersyscallblock();
		gp->inruntime++;
	} else {
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, 8);
	}
	atomic_signal_fence(memory_order_seq_cst);
	lock(&xid.lock);
	xid.nr = nr;
	xid.a = a;
	xid.b = b;
	xid.c = c;
	err = callall(libc, arg);
	if (atomic_exchange(&xid.differs, 0) < 0)
		throw("a thread has credentials of its own: set*id() succeeded in one and failed "
		      "in another");
	unlock(&xid.lock);
	atomic_signal_fence(memory_order_seq_cst);
	if (gp != NULL) {
		gp->inruntime--;
		exitsyscall();
	} else {
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
	}
	return err;
}

/* At the pool's start; libc's handler is there since its first thread. */
void allthreadsinit(void)
{
	struct ksigaction k = {.fn = DFL};

	if (installed)
		return; /* a fork's child has it */
	if (SC4(SYS_rt_sigaction, SIGALL, NULL, &k, 8) != 0 || k.restorer == NULL) {
		debug.noasync = true;
		return;
	}
	libcs = k;
	libcsetresuid = (int (*)(uid_t, uid_t, uid_t))libcown("setresuid");
	k.fn = sigtramp;
	k.flags |= SA_SIGINFO | SA_RESTART | SA_ONSTACK;
	k.mask = ~(uint64_t)0; /* itself too: one call may follow the other at once, and the stack is small */
	installed = SC4(SYS_rt_sigaction, SIGALL, &k, NULL, 8) == 0;
	if (!installed)
		debug.noasync = true;
}

/* Around a fork: the child must not find a pass half done. */
void allthreadslock(void)
{
	lock(&xid.lock);
}

void allthreadsunlock(void)
{
	unlock(&xid.lock);
}
