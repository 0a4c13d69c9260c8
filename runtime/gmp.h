/* SPDX-License-Identifier: MIT
 *
 * gmp.h: what the shim may see of the runtime.
 *
 * Contract. Every function here may be called by a G in program code and, where its comment says
 * "any thread", by kernel threads that are no M (foreign threads, sysmon) too. Times are absolute
 * nanoseconds of CLOCK_MONOTONIC, 0 meaning "no deadline". Errors are returned as -errno; the
 * runtime never touches errno. A G may come back from any function marked (parks) on another M.
 */
#ifndef GMP_H
#define GMP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <signal.h>
#include <sys/types.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

struct g;
struct polldesc;

/* ---- who am I ------------------------------------------------------------------------------ */

/*
 * The current G: a variable in the G's own static TLS, so it travels with the FS base and is
 * nil in foreign threads, before start, and in a vfork child. It is never stale: only getg()->m is.
 */
extern __thread struct g *runtime_g __attribute__((tls_model("initial-exec"),
						    visibility("hidden")));
static inline struct g *getg(void)
{
	return runtime_g;
}

/* The G behind a pthread_t (a TCB address), or nil if it is no thread of ours. any thread */
struct g *gofthread(uintptr_t thread);
bool isgtid(int tid); /* Is it a G's? any thread */
/* The caller's thread id as the program sees it (struct pthread's tid word). any thread */
int selftid(void);

/* ---- start, settings (env.c, proc.c) -------------------------------------------------------- */

/* Looks a libc function up behind our own definitions; nil if libc has none. libc.c */
void *libcsym(const char *name);
/* Reads the GMP_* settings from envp; on a bad value says so on stderr and exits with status 2. */
void envinit(char **envp);
/*
 * Starts the pool with the calling thread as main G, if that has not been done.
 * Returns 0, or -errno with the reason on stderr (GMP_VERBOSE): then threads stay the kernel's.
 */
int schedinit(void);

/* ---- threads (proc.c, gexit.c) --------------------------------------------------------------- */

struct newattr {
	size_t stacksize; /* bytes for the program's frames; 0: the default */
	size_t guardsize; /* bytes, rounded up to pages */
	void *stackaddr;  /* lowest byte of the caller's own stack, or nil */
	bool detached;
	bool hasmask;
	bool explicitsched; /* policy and priority are the attribute's own */
	const void *affinity; /* the CPUs it is to be bound to, or nil */
	size_t affsize;
	sigset_t mask; /* the new G's signal mask, if hasmask */
};

/* Makes a runnable G. *thread is set before it can run. 0, -EAGAIN or -ENOMEM. */
int newproc(const struct newattr *attr, void *(*fn)(void *), void *arg, uintptr_t *thread);
/*
 * Waits for gp's end, takes its value and frees it (parks). Any thread.
 * 0, -EINVAL (detached, or another joiner), -EDEADLK, -ETIMEDOUT, -EBUSY (deadline 1: try), -EINTR (cancelled).
 */
int gojoin(struct g *gp, void **retval, uint64_t deadline);
int godetach(struct g *gp); /* 0 or -EINVAL */
/* Ends the calling G by unwinding its stack: cleanup handlers, C++ destructors (pthread_exit). */
_Noreturn void gounwind(void *retval);
/* Ends it as the kernel ends a thread, by SYS_exit: nothing of it runs any more, its joiner gets NULL. */
_Noreturn void goexitraw(int status);
struct sock_filter;
/* filter.c. The program has installed that seccomp filter (nil: strict mode), for all threads or for the calling one. True: some
 * calls of ours are forbidden now. any thread */
bool gofiltered(const struct sock_filter *f, uint32_t n, bool all);
/*
 * Binds the calling G to the kernel thread it runs on until unlockosthread() as often (Go's LockOSThread): what the
 * kernel keeps by thread stays with the G. A G that ends bound takes its kernel thread along. Returns that thread's kernel
 * id. Without a G nothing is to be done.
 */
int lockosthread(void);
void unlockosthread(void);
/*
 * The same for good, because the caller is about to change what new threads inherit from their creator (niceness,
 * capabilities, namespaces): from now on pthread_create() by it, which asks ownsthread(), must be libc's.
 * True: it was not so before; disownthread() takes it back if the change failed.
 */
bool ownthread(void);
void disownthread(void);
bool ownsthread(void);
/* The kernel id of the thread gp is bound to; 0: it is not bound. Racy for another G than the caller. any thread */
int golockedtid(const struct g *gp);
/*
 * Around libc's work on an object whose words hold the id of a kernel thread: binds the calling G for good, and gives
 * its TCB that thread's id until kernelidend(). Without a G nothing is to be done. (parks)
 */
void kernelid(void);
void kernelidend(void);
bool haskernelid(void); /* the calling G has done so before */
/* libc's struct robust_list_head of the calling thread; nil: cannot be found. any thread */
void *gorobust(void);
/* set_robust_list(2), get_robust_list(2) of the calling G. 0 or -EINVAL; the head */
int gosetrobust(void *head, size_t len);
void *gogetrobust(void);
/*
 * In a marked call, before it makes a child: that may ask for a signal at the end of its parent's kernel thread
 * (PR_SET_PDEATHSIG), so this one is kept.
 */
void gospawns(void);
/*
 * accept4(2) where another process may take the connection first: marked, a cancellation point. -ERESTART: there was
 * none for a while, look again. (parks)
 */
long goaccept(int fd, void *addr, void *len, int flags);
void gosched(void); /* sched_yield: to the back of the queue (parks) */

struct ginfo {
	void *stackaddr;
	size_t stacksize, guardsize;
	bool detached, explicitsched, ismain;
	int tid;
};
void goinfo(struct g *gp, struct ginfo *out);
bool goended(struct g *gp); /* and has not been joined. any thread */
void gosetname(struct g *gp, const char *name); /* at most 15 bytes + NUL are kept */
void gogetname(struct g *gp, char name[16]);
/*
 * CPU time that gp has used, ns (CLOCK_THREAD_CPUTIME_ID). Counted from the first call on: it costs each switch two system
 * calls. any thread
 */
uint64_t gocputime(struct g *gp);
/*
 * The program has a protection key (pkeys(7)) from now on: rights to such memory are a register of the kernel thread's, and
 * each G has its own. Before the caller uses the key; any thread.
 */
void gopkeys(void);
/* The CPUs gp may run on; it gets a kernel thread of its own. 0, or what sched_setaffinity(2) says. any thread */
int gosetaffinity(struct g *gp, size_t size, const void *set);
int gogetaffinity(struct g *gp, size_t size, void *set); /* bytes written, or -errno */
/* Policy and priority (policy.c). 0 or -errno, -ESRCH: it has ended. policy < 0: as it is (parks) */
int gosetsched(struct g *gp, int policy, int prio);
int gogetsched(struct g *gp, int *policy, int *prio);
/*
 * Some thread has had a real-time policy or priority which the others have not, or is about to get one: from now on priorities
 * matter where threads wait for each other. gosetpriority: it is to be that one; nothing if the kernel would not allow it. any
 * thread
 */
extern _Atomic bool runtime_priorities __attribute__((visibility("hidden")));
static inline bool gopriorities(void)
{
	return atomic_load_explicit(&runtime_priorities, memory_order_relaxed);
}
void gosetpriorities(void);
void gosetpriority(int policy, int prio);
int goown(struct g *gp); /* another G gets a kernel thread of its own: that one's id, or -errno */

/* ---- waiting on an address (sema.c): a futex whose waiters are Gs, or foreign threads --------- */

/* What a parked G waits for, as dumps name it. visible.c has the words. */
enum waitreason {
	WaitNone, WaitRead, WaitWrite, WaitAccept, WaitConnect, WaitPoll, WaitSleep, WaitSignal,
	WaitFutex, WaitMutex, WaitCond, WaitSem, WaitRdlock, WaitWrlock, WaitBarrier, WaitOnce, WaitJoin,
	WaitPreempted, WaitLibc, NWAITREASON
};

enum {
	FUTEX_INTR = 1,	      /* a signal handler without SA_RESTART ends the wait with -EINTR */
	FUTEX_INTRANY = 2,    /* any handler does */
	FUTEX_NOCANCEL = 4,   /* no cancellation point: a request does not end it */
	FUTEX_POINT = 8,      /* a cancellation point: a request that came before the wait ends it too */
	FUTEX_THREAD = 16,    /* the kernel thread waits, even if a G runs on it */
};
/* Or'ed into flags: the reason, and where the word that is waited on lies in the object which a dump should name. */
#define FUTEX_WHY(why, offset) ((unsigned)(why) << 8 | (unsigned)(offset) << 16)

/*
 * Waits until futexwake(addr), if *addr == expect still holds once the caller is queued (parks).
 * First in, first out. Any thread. 0 woken, -EAGAIN (*addr differs), -ETIMEDOUT, -EINTR (only with
 * FUTEX_INTR, or on request of cancellation). Spurious 0 does not occur.
 */
int futexwait(_Atomic uint32_t *addr, uint32_t expect, uint64_t deadline, unsigned flags);
/*
 * As futexwait without the check: queues the caller on addr, adds one to *count under the queue's
 * lock (whoever takes the waiter off subtracts it), then calls unlock(arg), then parks. What a
 * condition variable needs: a wake-up after unlock() is never lost, and after a wake-up the
 * waiter does not touch addr or count again.
 */
int futexwaitunlock(const void *addr, _Atomic uint32_t *count, void (*unlock)(void *), void *arg,
		    uint64_t deadline, unsigned flags);
/*
 * As futexwaitunlock, for futexsignal() and futexbroadcast(), which may have the caller wait for `to` in its place. 1: it is to lock
 * `to` as one behind whom others may be queued there. A handler does not end the wait. While it runs the caller is counted,
 * and not queued.
 */
int futexcondwait(const void *addr, _Atomic uint32_t *count, const void *to, void (*unlock)(void *), void *arg,
		  uint64_t deadline, unsigned flags);
/*
 * Wakes the oldest waiter and returns 1; if there is none, 0: those whose handlers are running return then, and *count (if not nil)
 * is 0. Any thread; async-signal-safe as futexwake(), which is not for waiters of futexcondwait().
 */
int futexsignal(const void *addr, _Atomic uint32_t *count);
/*
 * Wakes all waiters; of those of futexcondwait() with a `to` only one, if held(to) says that it is free, and the others
 * are queued there. held() must else make sure that the holder will wake those queued there. It runs in the runtime, under
 * locks. Any thread.
 */
void futexbroadcast(const void *addr, bool (*held)(void *to));
/*
 * As futexwait, for futexhand(): 1: the caller was given what it waits for. want: what the word becomes then (0: stays).
 * since: nanotime when the caller began to wait, maybe several waits ago; 0: now.
 */
int futexwaithand(_Atomic uint32_t *addr, uint32_t expect, uint32_t want, uint64_t since, uint64_t deadline,
		  unsigned flags);
/*
 * Gives to the oldest waiter, if it has waited for minage ns; else calls none(arg), which makes it free for all, and
 * wakes that waiter. Both under the queue's lock: who is about to wait sees what none() did. Returns 1 if given. Any
 * thread; async-signal-safe as futexwake().
 */
int futexhand(_Atomic uint32_t *addr, uint64_t minage, void (*none)(void *), void *arg);
/* Wakes up to n waiters, oldest first; returns how many. Any thread; async-signal-safe by deferral. */
int futexwake(const void *addr, int n);
int futexwakehere(const void *addr); /* the same for one; the caller stays on its kernel thread */
/* The same for those only who share a bit (never 0) with the other side. */
int futexwaitbits(_Atomic uint32_t *addr, uint32_t expect, uint64_t deadline, unsigned flags, uint32_t bits);
int futexwakebits(const void *addr, int n, uint32_t bits);
/*
 * Wakes up to nwake of addr's waiters and has up to nmove more of them wait on `to`, all at once to any other waker.
 * Returns how many were woken, *moved how many were moved; -EAGAIN if expect is not nil and *addr is not *expect. Any
 * thread. Not for waiters of futexwaitunlock().
 */
int futexrequeue(_Atomic uint32_t *addr, int nwake, const void *to, int nmove, const uint32_t *expect, int *moved);
/*
 * futex(2) of the program's (futex.c): the result or -errno. Private waits park and meet others of ours and of the
 * kernel; all else is the kernel's. (parks)
 */
bool gofutexes(void); /* futexes are ours: there are threads, of this process or of one that shares its memory */
long gofutex(uint32_t *addr, int op, uint32_t val, uintptr_t timeout, uint32_t *addr2, uint32_t val3);

/* ---- loading (dlhook.c, arch/), where ld.so's own pointers are not hooked ------------------------- */
extern bool runtime_dlnames __attribute__((visibility("hidden"))); /* that is so; written once, at start */
/* Around the program's dlopen(), then: new modules' static TLS is there in every G (parks) */
void dlnamebegin(void);
void dlnameend(void);
/* fn(a, b, c) with a return address in the code at or after `near`: libc looks up by it who calls. */
void *callas(const void *near, const void *fn, uintptr_t a, uintptr_t b, uintptr_t c);

/* ---- calls inside libc (deep.c) ---------------------------------------------------------------- */

/* A function of libc whose entry is to lead to one of ours. */
struct deeppoint {
	const char *name;
	const void *to;
	void **real;	   /* what we call instead: libc's own, or the function is left alone. nil: nothing */
	const char *needs; /* another point: without it this one is left alone. nil: none */
	void *(*find)(void); /* its address, if it has no symbol. nil: by name */
};
enum deephow {
	DEEP_NOTYET, DEEP_CHOSEN, DEEP_PATCHED, DEEP_SAME, DEEP_OFF, DEEP_MISSING, DEEP_OTHERS, DEEP_BYTES,
	DEEP_BRANCH, DEEP_CHANGED, DEEP_FAR, DEEP_THREADS, DEEP_NEEDS, DEEP_KERNEL,
};
/*
 * Entered functions of libc's are to be libc's own for this thread: it may be a child that borrows it, or libc has changed
 * what the kernel keeps for it. Not in handlers that run meanwhile.
 */
extern __thread bool runtime_stays __attribute__((tls_model("initial-exec"), visibility("hidden")));
/* The calling G is in a marked call: not any longer (parks) */
void goendmark(void);
/*
 * Before the pool starts: what to patch then. Where libc's own addresses stand in real[0..nreal), ways around the jumps
 * are put in their place.
 */
void deepregister(const struct deeppoint *d, int n, void **real, int nreal);
/* Tells of each point whether it is patched, or why not; deepwhy: in words. any thread */
void deepreport(void (*fn)(const char *name, enum deephow how, void *arg), void *arg);
const char *deepwhy(enum deephow how);

/* ---- fork (start.c): around the real call, on the forking thread -------------------------------- */
void forkprepare(void);
void forkparent(void);
void forkchild(void);

/*
 * Around an exec by any thread: afterwards no signal of the runtime's own is on its way to it, until goexecfailed().
 */
void goexecbegin(void);
void goexecfailed(void);

/* ---- time (time.c) -------------------------------------------------------------------------- */

uint64_t nanotime(void); /* CLOCK_MONOTONIC, ns. any thread */
/*
 * An absolute timespec of clock `clk` (REALTIME or MONOTONIC) as a deadline: never 0; 1 if it has passed. any thread
 */
uint64_t absdeadline(clockid_t clk, const struct timespec *ts);
/* now + ns, saturating; never 0. any thread */
uint64_t reldeadline(uint64_t ns);
/* Sleeps until deadline (parks). 0, or -EINTR after a signal handler ran. */
int gosleep(uint64_t deadline);

/* ---- signals (signal.c, sigqueue.c, sigmask.c). Sets are the kernel's: 64 bits, bit sig-1 ------- */

/* Dispositions are kept here: since the pool started, and in the children of such a process. */
bool sigtaken(void);
/* sigaction(2), if sigtaken(). 0 or -EINVAL. any thread */
int gosigaction(int s, const struct sigaction *new, struct sigaction *old);
/* What the kernel has for a signal is our trampoline: the books know more. */
bool sigisours(const struct sigaction *k);
/* The calling G's mask; what it unblocks is delivered before it returns (parks). 0 or -EINVAL */
int gosigmask(int how, const uint64_t *set, uint64_t *old);
/* Another mask for the length of a wait, at no system call unless it does wait; then gosigmask() back. */
void gosigswap(uint64_t mask, uint64_t *old);
/* Runs the handlers of what is pending and not blocked. 0: there were none; -EINTR (parks) */
int gosigrun(void);
/* How many handlers have run on the calling G, or those only without SA_RESTART. */
uint32_t gohandled(bool any);
/* The signals of that timer are gp's, whose thread id is tid. False: no room (sigtimer.c). any thread */
bool gotimer(int id, struct g *gp, int tid, struct g *watched);
struct g *gotimerwatches(int id);
bool gotimerknown(int id);
void gotimergone(int id);
/* The process has stopped sending itself a signal: what is still on its way has arrived afterwards (parks) */
void gosigsync(void);
/* Parks until a handler has run; mask nil: with the present mask (parks). -EINTR */
int gosigsuspend(const uint64_t *mask);
/* sigtimedwait(2) (parks). The signal, or -errno */
int gosigwait(uint64_t set, siginfo_t *info, const struct timespec *timeout);
/* sigaltstack(2) of the calling G. 0, -EPERM, -EINVAL, -ENOMEM */
int gosigaltstack(const stack_t *new, stack_t *old);
/* A write gave EPIPE: if the calling G blocks SIGPIPE, it is pending here, on the M. Right after the system call */
void gosigpipe(void);
uint64_t gosigpending(void); /* sent to the calling G itself, and blocked */
/* Sends info->si_signo to one thread; if that is the caller, delivers it. 0, -EINVAL, -EAGAIN (parks) */
int gosignal(struct g *gp, const siginfo_t *info);
/* Sends it to this process. -ENOSYS: nobody takes it now, or it has no handler: the kernel's business (parks) */
int gokill(const siginfo_t *info);
/* The G with that thread id, or nil. any thread */
struct g *gofid(int tid);
/*
 * vfork.S, around the call: its child shares this thread's memory and must be nobody's G. While it runs, runtime_vforked
 * holds what is runtime_g otherwise (in a thread without a G: its TCB).
 */
extern __thread struct g *runtime_vforked __attribute__((tls_model("initial-exec"), visibility("hidden")));
struct g *vforkenter(void);
void vforkleave(struct g *gp);

/* ---- clone(2) by the program (clone.c) ---------------------------------------------------------- */

/* What clonebegin() says, for the other two; any other value is a pointer. */
enum { CLONED_ALONE, CLONED_FORK, CLONED_VFORK, CLONED_SHARED, CLONED_NOMEM };
/* Before the call. CLONED_NOMEM: there is no thread to be made. any thread */
uintptr_t clonebegin(uint64_t flags);
void clonechild(uintptr_t how);		  /* first in the child; changes its thread pointer */
void cloneparent(uintptr_t how, long tid); /* after the call in the caller; tid < 1: it failed */

/* ---- cancellation (cancel.c) ------------------------------------------------------------------ */

/* Once, before the first of the others, in program code: it loads libgcc_s.so. real: libc's pthread_cancel */
void cancelinit(int (*real)(pthread_t));
/* Asks gp to end. 0. May not return if gp is the caller. */
int gocancel(struct g *gp, int (*real)(pthread_t));
/* The same for a thread that is no G. A positive errno, as libc says. any thread */
int threadcancel(pthread_t thread, int (*real)(pthread_t));
/* Asynchronous cancellation of the calling thread is due: where a wait is no cancellation point. */
bool goasync(void);
bool goasynctype(void); /* it is that thread's type. any thread */
/*
 * Around a system call of libgmp's own which is a cancellation point: while `on`, pthread_cancel() makes it say EINTR. (libc's
 * calls allow asynchronous cancellation for as long; others must not be interrupted.)
 */
void gopoint(bool on);
/* Has the calling thread been asked to end? pthread_testcancel() knows whether it may, and acts. */
extern ptrdiff_t runtime_cancel __attribute__((visibility("hidden"))); /* 0: nobody has ever been */
static inline bool gocancelled(void)
{
	ptrdiff_t off = runtime_cancel;

	return unlikely(off != 0) && (*(volatile int *)((char *)__builtin_thread_pointer() + off) & 8);
}

/* ---- credentials (allthreads.c) -------------------------------------------------------------------- */

/*
 * The system call nr(a, b, c) in every kernel thread of the process. libc(arg) makes libc's, for the caller and the
 * threads that libc knows; it may be called more than once; 0 or what allthreads() is to return, nothing having been
 * changed. Any thread.
 */
int allthreads(long nr, long a, long b, long c, int (*libc)(void *), void *arg);

/* ---- marked system calls (proc.c) ------------------------------------------------------------ */

/*
 * Around a real call that may block the kernel thread: sysmon may take the P after 20 us. Both do
 * nothing without a G. longcall says that the call is known to block long: the P is handed over at once.
 */
void entersyscall(void);
void entersyscallblock(void);
bool entersyscallidle(void);
/* False: GMP_MAXM leaves no M for it (said on stderr once): do not enter a call that may block for long, but poll. */
bool gomayblock(void);
void exitsyscall(void); /* (parks) */
/*
 * After a system call gave EINTR: was it a signal of the runtime's own, and no handler of the program's has run?
 * Then the call is to be made again. (A relative time-out starts anew: sysmon signals only what has just been running.)
 */
bool gospurious(void);
/* exitsyscall() without parking: false if that cannot be, then exitsyscall() must follow. Cannot touch errno. */
bool exitsyscallfast(void);

/* ---- file descriptors (netpoll.c) ------------------------------------------------------------ */

enum fdkind {
	FD_UNKNOWN, /* not looked at yet, or closed */
	FD_TCP,	    /* stream over IP: a short read means that it is drained */
	FD_STREAM,  /* another stream socket */
	FD_DGRAM,   /* any other socket: messages */
	FD_LISTEN,  /* a listening socket */
	FD_PIPE,    /* pipe, FIFO: preadv2(RWF_NOWAIT) works */
	FD_EVENT,   /* eventfd, timerfd, signalfd, inotify...: epoll can wait for it, reads are all or nothing */
	FD_TTY,	    /* character device that epoll can wait for */
	FD_MARKED,  /* a case we leave to the kernel: every call is a marked system call */
	FD_FILE,    /* regular file, directory, device: never "would block", may still take long */
};

/*
 * What we know of a descriptor number; type-stable, found without a lock. Fields are written under
 * pd->lock, the bytes marked atomic are read without.
 */
struct polldesc {
	_Alignas(64) _Atomic uint32_t key; /* runtime lock */
	_Atomic uint32_t gen; /* +1 whenever the number is opened or closed */
	int fd;
	_Atomic uint8_t kind;	  /* enum fdkind */
	_Atomic uint8_t nonblock; /* the program set O_NONBLOCK */
	_Atomic uint8_t rready;	  /* 1: reading may succeed, try; 0: drained, an event will set it */
	_Atomic uint8_t wready;
	_Atomic uint8_t hup;	/* RDHUP, HUP, ERR or PRI was seen: a short read proves nothing */
	_Atomic uint8_t nonowait; /* bit PD_READ, PD_WRITE: the kernel knows no RWF_NOWAIT here */
	_Atomic uint8_t direct;	/* O_DIRECT: reads and writes are the device's */
	_Atomic uint8_t sync;	/* writes are */
	_Atomic uint8_t cold;	/* FD_FILE: > 0: a read has blocked of late */
	_Atomic uint8_t told;	/* FD_UNKNOWN: TOLD_FLAGS: oflags are what it was opened with; TOLD_START: and it is at 0 */
	uint8_t conn;		/* FD_LISTEN: the kind of what accept() gives */
	_Atomic uint8_t timeo;	/* rcvtimeo, sndtimeo are known */
	uint8_t registered;	/* in our epoll set */
	_Atomic uint8_t linger;	/* SO_LINGER was set, with a time: its close may wait */
	_Atomic uint8_t shared; /* another number or process may hold the same description */
	_Atomic uint32_t nwait[2]; /* exclusive waiters: readers, writers */
	_Atomic uint32_t npoll;	   /* poll waiters */
	_Atomic uint32_t edges;	   /* events so far; written under the lock */
	_Atomic uint32_t shares;   /* of netpoll.c's when this life began */
	uint32_t epoch;		   /* of fdepoch when nonblock and timeo were looked up */
	int oflags;
	uint64_t rcvtimeo, sndtimeo; /* ns, 0: none */
	struct pollwaiter *waiters[3]; /* circular lists: readers, writers, pollers */
};

/* nil if fd is negative or beyond what we can track. any thread */
struct polldesc *polldesc(int fd);
/* As polldesc, with kind, nonblock and timeouts looked up. kind stays FD_UNKNOWN for a bad fd. */
struct polldesc *fdlookslow(int fd);
enum { FDCHUNK = 512, FDMAX = 1 << 20 };
extern struct polldesc *_Atomic fdchunks[FDMAX / FDCHUNK] __attribute__((visibility("hidden")));
extern _Atomic uint32_t fdepoch __attribute__((visibility("hidden"))); /* +1 when flags change that duplicates may share */
/* The polldesc if there is room for it already. any thread */
static inline struct polldesc *fdknown(int fd)
{
	struct polldesc *pd = (uint32_t)fd < FDMAX ? atomic_load_explicit(&fdchunks[(uint32_t)fd / FDCHUNK],
									    memory_order_acquire)
						    : NULL;

	return pd != NULL ? pd + (uint32_t)fd % FDCHUNK : NULL;
}
static inline struct polldesc *fdlook(int fd)
{
	struct polldesc *pd = fdknown(fd);

	if (likely(pd != NULL)) {
		if (likely(atomic_load_explicit(&pd->kind, memory_order_acquire) != FD_UNKNOWN &&
			   (pd->epoch == atomic_load_explicit(&fdepoch, memory_order_acquire) ||
			    !atomic_load_explicit(&pd->shared, memory_order_relaxed)) &&
			   atomic_load_explicit(&pd->timeo, memory_order_relaxed)))
			return pd;
	}
	return fdlookslow(fd);
}
/* A descriptor number now names something new (kind may be FD_UNKNOWN). any thread */
void fdopened(int fd, enum fdkind kind, bool nonblock, bool shared);
enum { TOLD_FLAGS = 1, TOLD_START = 2 };
/* The same, opened by its path with these O_* flags: what it is will be looked at when somebody wants to know. any thread */
void fdopenedpath(int fd, int oflags, int told);
/* fstat() has found a regular file under that number, whose generation was gen before the call. any thread */
void fdisfile(int fd, uint32_t gen);
/* Is about to be closed or replaced: its waiters are woken with -EBADF. any thread */
void fdclosing(int fd);
/* listen() succeeded. */
void fdlisten(int fd);
/* The program switched O_NONBLOCK; or set these O_* flags by F_SETFL. */
void fdnonblock(int fd, bool on);
void fdsetfl(int fd, int fl);
/* Reading less than was asked for did not mean what pdtry() assumes; leave fd to the kernel from now on. */
void fdmarked(int fd);
/* fd has, or now gets, a second number or holder. */
void fdshared(int fd);
/* SO_LINGER with a time was switched on or off through fd. */
void fdlinger(int fd, bool on);
static inline bool fdlingers(struct polldesc *pd)
{
	return atomic_load_explicit(&pd->linger, memory_order_relaxed);
}
/* A TCP socket of which no other number and no other process can have the description. */
bool fdalone(struct polldesc *pd);
/* May another process, or another number, have the description, and change its flags? */
bool fdelsewhere(struct polldesc *pd);
/* Is there a pool? (Then descriptors are kept track of.) */
bool poolstarted(void);
/* O_NONBLOCK or a time-out was changed through fd (or its duplicates). */
void fdchanged(int fd);
/* fd is one of the runtime's own, which the program must not close. */
bool fdours(int fd);
/* Is there no number left for another descriptor? */
bool fdnone(void);
/* The lowest of them that is >= fd; -1 if there is none. */
int fdoursnext(int fd);
/* All of [lo, hi] but ours are about to be closed. */
void fdclosingrange(unsigned lo, unsigned hi);
/* Some descriptions are now shared with another process (fork, SCM_RIGHTS). */
void fdshareall(void);

enum { PD_READ = 0, PD_WRITE = 1, PD_CONNECT = 3 /* pdwait(): as PD_WRITE, but dumps say "connect" */ };

/*
 * Before an attempt: true: try it (and say pdleft() if it was not drained); false: known to be
 * drained, wait. One attempt's order: pdtry; the system call; pdleft or pdwait. An event between pdtry and
 * pdwait makes pdwait return at once.
 */
static inline bool pdtry(struct polldesc *pd, int mode)
{
	_Atomic uint8_t *r = mode == PD_READ ? &pd->rready : &pd->wready;
	if (atomic_load_explicit(r, memory_order_acquire) == 0)
		return false;
	return atomic_exchange_explicit(r, 0, memory_order_seq_cst) != 0;
}
void pdwakenext(struct polldesc *pd, int mode);
/* (0 -> 1 always wakes: who found 0 meanwhile took it for "drained" and sleeps.) The attempt did not empty (fill) it, or failed in another way: the next may try, others too. */
static inline void pdleft(struct polldesc *pd, int mode)
{
	_Atomic uint8_t *r = mode == PD_READ ? &pd->rready : &pd->wready;
	atomic_store_explicit(r, 1, memory_order_seq_cst);
	if (unlikely((atomic_load_explicit(&pd->nwait[mode], memory_order_seq_cst) |
		      atomic_load_explicit(&pd->npoll, memory_order_seq_cst)) != 0))
		pdwakenext(pd, mode);
}
/*
 * The other way, for calls that mostly find something: nothing is taken. Order: pdedges; if pdmaybe: the system call; after
 * a success pdmore, after EAGAIN pdempty (false: an event came meanwhile, try again), then pdwait.
 */
static inline uint32_t pdedges(struct polldesc *pd)
{
	return atomic_load_explicit(&pd->edges, memory_order_seq_cst);
}
static inline bool pdmaybe(struct polldesc *pd, int mode)
{
	return atomic_load_explicit(mode == PD_READ ? &pd->rready : &pd->wready, memory_order_seq_cst) != 0;
}
static inline void pdmore(struct polldesc *pd, int mode)
{
	if (unlikely((atomic_load_explicit(&pd->nwait[mode], memory_order_seq_cst) |
		      atomic_load_explicit(&pd->npoll, memory_order_seq_cst)) != 0))
		pdleft(pd, mode);
}
static inline bool pdempty(struct polldesc *pd, int mode, uint32_t edges)
{
	atomic_exchange_explicit(mode == PD_READ ? &pd->rready : &pd->wready, 0, memory_order_seq_cst);
	if (likely(pdedges(pd) == edges))
		return true;
	pdleft(pd, mode);
	return false;
}
/*
 * Parks until the descriptor may be ready. 0: try again; -ETIMEDOUT; -EBADF: closed meanwhile; -EINTR, -ERESTART: a
 * handler ran (all of them SA_RESTART); -EPERM: epoll cannot wait for it, make a marked system call instead.
 */
int pdwait(struct polldesc *pd, uint32_t gen, int mode, uint64_t deadline);

/* One of poll's descriptors. */
struct pollwaiter {
	struct pollwaiter *next, *prev;
	struct polldesc *pd;
	struct g *gp;
	uint64_t ticket;
	uint64_t round;		  /* of the network, before which it was known not to be ready */
	uint32_t gen;
	uint32_t edges;		  /* pdarm() saw so many */
	uint16_t events;	  /* POLL* asked for, those that mean the same as EPOLL* as well */
	_Atomic uint16_t revents; /* what the event said, if it woke us */
	bool looked;		  /* the kernel has said since that it is not ready */
	uint8_t list;	 /* which of pd->waiters; 3: none */
};
/*
 * poll's way: nothing is taken, so that those who poll one descriptor do not disturb each other.
 * For each descriptor pdarm() first: true: known not to be ready, as far as `asked` goes. If one is
 * not, a poll(2) without waiting, and pdlooked() for each: what it has said. Then pdpoll().
 */
bool pdarm(struct pollwaiter *w, struct polldesc *pd, uint16_t asked);
void pdlooked(struct pollwaiter *w, uint16_t asked, uint16_t revents);
/*
 * Parks until one of w[0..n) may be ready; w[i].pd nil: ignored. Not if something has become so
 * since pdarm(). 0 woken, some w[i].revents may be set; else as pdwait.
 */
int pdpoll(struct pollwaiter *w, int n, uint64_t deadline);
/*
 * loop.c. A G has waited in its epoll set pd, parked, for so many cputicks. loopwait: waits there in the kernel, if pd's loop
 * is busy and its M has nothing else to do: the number of events, -EINTR, or 0: park.
 */
struct epoll_event;
void loopwaited(struct polldesc *pd, int64_t ticks);
int loopwait(struct polldesc *pd, uint32_t gen, struct epoll_event *ev, int n, uint64_t deadline);

#endif
