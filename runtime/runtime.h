/* SPDX-License-Identifier: MIT
 *
 * runtime.h: what the files of runtime/ share. Names are those of Go's runtime2.go and proc.go.
 *
 * Who owns what:
 *   struct g   its kernel-facing half (stack, TCB) belongs to whoever runs it: the M while
 *              Grunning/Gsyscall, nobody while Grunnable or Gwaiting, the free list while Gdead. Memory is type-stable: never
 *              unmapped, so that a stale waker may read gp->park.
 *   struct m   its own kernel thread, save for fields marked atomic. Type-stable.
 *   struct p   the M named in its status word; run queue tails only by that M, heads by anyone.
 */
#ifndef RUNTIME_H
#define RUNTIME_H

#include "gmp.h"
#include <errno.h>
#include "arch.h"

#define nelem(x) (sizeof(x) / sizeof((x)[0]))
#define CACHELINE 64
#define noreturn _Noreturn

/* ---- locks: spin a little, then futex. Never held across a park. lock.c ---------------------- */
typedef struct mutex {
	_Atomic uint32_t key; /* 0 free, 1 held, 2 held and somebody sleeps */
} mutex;
void lock(mutex *l);
bool trylock(mutex *l);
void unlock(mutex *l);

/*
 * The same for critical sections of a few dozen instructions: unlocking is a plain store, so nobody is
 * woken by it; who has spun in vain (the holder lost its CPU) naps. Not to be mixed with lock()/unlock().
 */
void lockshortslow(mutex *l);
static inline void lockshort(mutex *l)
{
	uint32_t free = 0;

	if (unlikely(!atomic_compare_exchange_strong_explicit(&l->key, &free, 1, memory_order_acquire,
							      memory_order_relaxed)))
		lockshortslow(l);
}
static inline void unlockshort(mutex *l)
{
	atomic_store_explicit(&l->key, 0, memory_order_release);
}

/* One-shot sleep of one kernel thread. notewakeup may come first. lock.c */
typedef struct note {
	_Atomic uint32_t key;
} note;
void noteclear(note *n);
void notesleep(note *n);
bool notetsleep(note *n, int64_t ns); /* false on timeout; ns < 0: for ever */
void notewakeup(note *n);

/* ---- timers: one 4-ary heap per P. time.c ---------------------------------------------------- */
struct timer {
	_Atomic uint64_t when; /* deadline, 0 when not armed; may be later than key: the heap is mended lazily */
	uint64_t key;	       /* position in the heap; under pp->timerlock */
	struct p *_Atomic pp;  /* the heap it is in, or nil; under that heap's lock */
	int32_t index;	       /* in pp->timers; under pp->timerlock */
	struct g *gp;	       /* whom it wakes */
	_Atomic uint64_t ticket; /* the park it belongs to */
};

/* ---- G --------------------------------------------------------------------------------------- */
enum gstatus {
	Gidle,	   /* never used, or being made */
	Grunnable, /* on a run queue; the queue owns its stack */
	Grunning,  /* an M runs it: program code with the P lent, or the runtime on its behalf */
	Gsyscall,  /* as Grunning, in a marked system call */
	Gwaiting,  /* parked; owned by nobody, the winner of gp->park may ready it */
	Gdead,	   /* finished; on a free list, or waiting for its joiner */
};

/*
 * gp->park: ticket << 8 | state. One park, one ticket; a wake-up is claimed by whoever moves the
 * state from Preparing or Parked to Woken+reason, once. See the top of park.c for the argument.
 */
enum parkstate { Parknone, Parkpreparing, Parkparked, Parkwoken };
enum wakereason { WakeReady, WakeTimeout, WakeSignal, WakeClosed, WakeCancel };

struct stack {
	char *lo, *hi; /* the program's frames: [lo, hi) */
};

struct gobuf {
	void *sp; /* all else is saved on the stack below it */
};

struct g {
	/* line 0: what a switch touches. arch/ knows these three offsets */
	struct gobuf sched;
	void *tcb;    /* FS base: the struct pthread of this thread, also its pthread_t */
	struct m *m;  /* the M that runs it; written by execute() and dropg() only */
	struct g *schedlink;
	_Atomic uint64_t park;
	_Atomic uint32_t status; /* enum gstatus */
	uint32_t waitreason;
	int32_t inruntime; /* > 0 while this G is inside the runtime: no handler runs, P is owned */
	_Atomic bool preempt; /* give way: sysmon sets, execute() clears */
	_Atomic uint32_t sigwake; /* signals (or cancellation) wait for this G: leave the runtime by runsigs() */

	/* line 1 */
	struct stack stack;
	size_t guardsize;
	size_t stacksize;   /* as the program asked */
	int tid;
	bool ismain, isg0, detached, userstack;
	bool issystem;
	bool fromcall; /* in exitsyscall(), for lostp_m() */
	uint64_t goid;
	void *syscallbp;    /* frame pointer of who called entersyscall(), to unwind a G in the kernel */
	_Atomic uint64_t preemptwhen; /* nanotime at which sysmon asked */
	uint64_t waitsince; /* sched.now when it parked, or entered a marked system call */
	uintptr_t waitobj;  /* fd, object or G it waits for */

	struct timer timer;

	void *(*fn)(void *);
	void *arg;
	void *retval;
	_Atomic uint32_t joinword; /* futex: 0 alive, 1 has ended (JOIN_*) */
	_Atomic uint32_t joinstate;
	void *unwindbuf;    /* gexit.c: bottom frame's jump buffer for forced unwinds */
	struct m *lockedm;  /* bound to that M, nil: to none. lockos.c */
	bool owns;	    /* owner: bound for good, with attributes which its threads inherit */
	void *affinity;	    /* the CPUs it is to be bound to when it runs next, if it is wished; under affinity.c's lock */
	uint32_t affsize;
	int policy, prio;   /* and what it is to be scheduled by then; the same lock */
	_Atomic uint8_t wish; /* WISH_* */
	uint32_t pkrights; /* to memory with protection keys, while it does not run, if sched.pkeys */
	_Atomic uint64_t cputime; /* ns, up to its last stop, if sched.cputimes; its M writes. cputime.c */
	uint32_t nlocked;   /* owner: lockosthread() less unlockosthread() */
	int kernelid;	    /* owner: that of the M it is bound to for the sake of mutexes, or 0. robust.c */
	bool explicitsched; /* so said its attributes: told back */
	void *robustown;    /* owner: the list it gave to the kernel by syscall(), or nil. robust.c */
	bool robustleft;    /* its M must end before it is dead */

	/* signals; sigs.lock guards what is not said to be the owner's. Sets have bit sig-1 */
	_Atomic uint64_t sigmask;    /* blocked. Written by the owner, read by whoever looks for a taker */
	_Atomic uint64_t sigpending; /* sent to this G and not yet taken */
	uint64_t sigwait;	     /* what it waits for in gosigwait() */
	struct sigq *sigq;	     /* the siginfos of sigpending, oldest first */
	struct g *signag;	     /* sysmon's list of Gs to be poked until they take what is pending */
	bool signagged;
	bool spurious;	   /* owner: a signal of ours has interrupted a marked call, and none of the program's since */
	bool sigbusy;	   /* owner: in the trampoline, which takes all that is pending before it returns */
	bool sigdeliver;   /* owner: handlers may run although libgmp's own code is interrupted */
	uint8_t sigran;	   /* owner: RAN_* since runsigs() began */
	_Atomic uint8_t cancel; /* cancel.c */
	_Atomic uint8_t point;	/* owner: in a marked system call that is a cancellation point; gopoint(), or POINTACCEPT */
	bool gaveup;		/* owner: goaccept() was told to end */
	bool unwinds;		/* owner: asynchronous cancellation has begun */
	uint32_t sighandled; /* owner: handlers that have run */
	uint32_t sigintr;    /* owner: those of them without SA_RESTART */
	int loopfd;	   /* owner: the epoll set it waited in last. loop.c */
	uint8_t loophot;   /* owner: how many short waits in it there were in a row */
	stack_t sigalt;	   /* owner: its alternate stack as the program knows it; ss_sp nil: none */

	char name[16];
	struct area *area;  /* stack.c: where stack and TLS live; nil for main */
	struct g *alllink;  /* all Gs ever made; under sched.allglock */
};

/* ---- M --------------------------------------------------------------------------------------- */
enum { POINTACCEPT = 2 }; /* in g.point. accept.c */

struct m {
	struct g g0;		/* scheduler stack and TLS of its own */
	struct g *curg;		/* G it runs, or nil. sysmon and dumps read it racily */
	struct p *p;		/* P it owns or has lent to program code; nil if none. Own thread only */
	struct p *nextp;	/* P handed to it before notewakeup(&park) */
	struct p *oldp;		/* P it had before a system call */
	int32_t id;
	_Atomic int32_t procid; /* kernel tid */
	_Atomic uint32_t exited; /* 1; 0 once the kernel thread is gone (CLONE_CHILD_CLEARTID) */
	bool spinning;
	int64_t woke;		/* cputicks when it last woke up to a P; own thread only */
	_Atomic uint32_t blocked; /* asleep in park */
	note park;
	struct m *schedlink;	/* idle list, or sched.mdead; under sched.lock */
	struct m *alllink;	/* all Ms; append-only */
	struct g *dyingg;	/* on mdead: is dead when this thread is. robust.c */
	struct g *lockedg;	/* the G that is bound to it, and the only one it runs; nil: any */
	_Atomic bool preemptsent; /* SIGPREEMPT is on its way; sysmon sets, the handler clears */
	bool forked;		/* has living children, perhaps, or workers of io_uring: must not end */
	bool retired;		/* off the idle list, to end. Written before notewakeup(&park) */
	uint64_t sigmask;	/* what the kernel has for this thread */
	_Atomic bool polls;	/* asleep in the netpoller, with all signals blocked whatever sigmask says */
	_Atomic uint64_t kicked; /* signals that sigkick() has ever sent to it. sigqueue.c */
	_Atomic bool cancelkicked; /* libc's signal for cancellation is on its way to this thread */
	uintptr_t altlo;	/* its alternate stack for the kernel, where frames only pass through; 0: none */
	uint64_t fastrand;
	void (*mstartfn)(void);
	_Atomic uint64_t cpustart; /* CPU time of its thread when curg began, 0: it runs none. cputime.c */
	bool blocking;		/* in entersyscallblock(): counted in sched.nblocking */
	int32_t stray;		/* own thread: its slot in stray.c and 1; 0: it is no stray */
	_Atomic uint32_t strayseq; /* how often it was one; sysmon reads */
	bool looping;		/* in entersyscallidle(): counted in sched.nloops */
	/* asleep(): sysmon's, but for the answer and the file, which are that thread's. aside.c */
	uint64_t askedkey, askedwhen;
	_Atomic uint32_t asked;
	_Atomic uint64_t answer; /* asked << 8 | state letter */
	int statfd, stattid;
	_Atomic uint32_t call;	/* marked system calls: a number, and INCALL while in one. Own thread writes, sysmon reads */
	_Atomic uint32_t xiddone; /* allthreads.c: the call which its thread has made last */
	uint32_t xidtold;	  /* and that the thread xidtid was told to make; under xid.lock */
	int32_t xidtid;
};
enum { INCALL = 1 };

/* ---- P --------------------------------------------------------------------------------------- */

/*
 * What is counted, per P: C(Name, the word that tools print). The first eight say how a G's turn on its P ended.
 */
#define COUNTERS(C)                                                                                                 \
	C(Park, "parked")		    /* it waits */                                                          \
	C(Yield, "yielded")		    /* sched_yield() */                                                     \
	C(PreemptCall, "preempted_call")    /* cut short when it entered the runtime */                             \
	C(PreemptAsync, "preempted_async")  /* cut short in program text, by a signal at a safe point */            \
	C(RetakeSyscall, "retaken_syscall") /* P taken by sysmon: the G sits in a marked system call, */            \
	C(RetakeBlocked, "retaken_blocked") /* in the kernel where no wrapper saw it, */                            \
	C(RetakeBusy, "retaken_busy")	    /* or computes */                                                       \
	C(Handover, "handed_over")	    /* P given away before a call known to block */                         \
	C(Loop, "event_loop")		    /* waits in an epoll set of the program's, in the kernel */             \
	C(Ended, "ended")		    /* threads that ended */                                                \
	C(Created, "created")		    /* threads made */                                                      \
	C(Lost, "lost_p")		    /* came back, found its P taken and had to queue, */                    \
	C(Stray, "strayed")		    /* or went on without one for a while */                                \
	C(PreemptAsk, "preempt_asked")	    /* sysmon wanted a G cut short */                                       \
	C(PreemptSignal, "preempt_signals") /* and sent its M a signal, which found no safe point: */               \
	C(UnsafeRuntime, "unsafe_runtime")  /* in the runtime, a system call or a handler's prologue */             \
	C(UnsafeText, "unsafe_text")	    /* in libgmp, libc or ld.so */                                          \
	C(UnsafeStack, "unsafe_stack")	    /* on another stack than its own, or too little left of it */           \
	C(Steal, "stolen")		    /* times that work was taken from another P */                          \
	C(Netpoll, "netpoll_ready")	    /* Gs that the netpoller readied */                                     \
	C(Timer, "timer_ready")		    /* Gs that a timer readied */                                           \
	C(Wakep, "woken_m")		    /* times that one more M was woken or made to look for work */            \
	C(Mexit, "ended_m")		    /* Ms given back */

enum counter {
#define C(name, word) Count##name,
	COUNTERS(C)
#undef C
	NCOUNTER
};
enum { NLATENCY = 24 }; /* slot i: less than 2^i microseconds; the last: all that is longer */

/*
 * pp->status: mid << 8 | state. Only Pforeign may be taken by a stranger, by CAS on the whole word, so a P that went round and came back to another M is not mistaken (no ABA).
 */
enum pstatus { Pidle, Prunning, Pforeign, Pdead };

struct p {
	_Atomic uint64_t status;
	int32_t id;
	_Atomic uint32_t schedtick;   /* +1 at every execute() */
	bool globalfirst;	      /* one was preempted for those who wait; owner only */
	bool backlast;		      /* the last one came from sched.backq; owner only */
	uint32_t nextstreak;	      /* Gs in a row that came from runnext; owner only */
	int64_t hogbegan;	      /* cputicks when it began to run a G from sched.hogq; 0: it runs another; owner only */
	int64_t nexthog;	      /* cputicks from which the next such G runs first; owner only */
	_Atomic int64_t lastkick;     /* cputicks of the last sysmonkick(); by whoever has it, or thinks so */
	_Atomic uint32_t backlog;     /* queued Gs that outlast a wake-up; sysmon writes, owner reads */
	struct p *link;		      /* idle list, sched.newmq; under sched.lock */
	bool newspin;		      /* on sched.newmq: as in startm() */
	struct m *m;		      /* racy back link, for dumps */

	/* run queue: head by CAS from anyone, tail by the owner */
	_Alignas(CACHELINE) _Atomic uint32_t runqhead;
	_Atomic uint32_t runqtail;
	struct g *_Atomic runnext;
	struct g *_Atomic runq[256];

	/* free Gs; owner only */
	struct g *gfree;
	int32_t gfreecnt;

	_Alignas(CACHELINE) mutex timerlock;
	struct timer **timers;
	_Atomic uint32_t ntimers;
	uint32_t captimers;
	_Atomic uint64_t timer0when; /* key of timers[0], 0 if none; racy readers decide whom to steal from */

	/* statistics: counted by the P's owner only, read by anyone (visible.c) */
	_Alignas(CACHELINE) _Atomic uint64_t count[NCOUNTER];
	_Atomic uint64_t preemptlat[NLATENCY];

	/* sysmon's notes */
	uint32_t nasked;	      /* preemption requests in vain for the present G */
	uint32_t sysmonschedtick, sysmoncall;
	int32_t sysmoncallm; /* whose call sysmoncall is */
	uint64_t sysmonschedwhen, sysmonsyscallwhen, sysmoncputime;
	int32_t slicem;	      /* whose CPU time slicecpu is */
	uint32_t slicetick;
	uint64_t slicewhen, slicecpu;
	bool longturns; /* its Gs compute */
	uint32_t turntick;
	uint64_t turnwhen;
	uint64_t lookcpu, lookwhen; /* what its M's clock said, and when */
};

/* ---- tls.c, stack.c, arch/, gexit.c ----------------------------------------------------------- */
/*
 * One area = guard | stack | static TLS + struct pthread, contiguous, carved from large mappings.
 * stackalloc fills gp->stack, guardsize, stacksize, area and gp->tcb's room; 0 or -ENOMEM.
 */
int tlsinit(void);		    /* once, single-threaded; 0 or -errno with a message */
int stackinit(size_t tlssize, size_t tlsalign, size_t tcbsize, size_t stacksize, size_t guardsize);
int stackalloc(struct g *gp, size_t stacksize, size_t guardsize, void *userstack);
void stackset(struct g *gp, size_t stacksize, size_t guardsize, void *userstack); /* a recycled G that stackfits */
char *stackend(const struct g *gp); /* where gp's area, its TLS and TCB included, ends */
void stackfree(struct g *gp);	    /* area back to its class's free list */
bool stackguards(const struct g *gp, uintptr_t addr); /* addr is in gp's guard */
bool stackfits(const struct g *gp, size_t stacksize, size_t guardsize, void *userstack);
size_t stackscavenge(struct g *gp); /* gives a dead G's stack pages back; bytes dropped */
bool tlsreap(struct g *gp); /* and what libc's malloc keeps for it, by a real thread's end: some 50 us. False: it had nothing */
void stackslabs(uint32_t areas);    /* areas per mapping from now on; 0: the default */
int tlsnew(struct g *gp);	    /* a TCB in gp's area; sets gp->tid, its runtime_g. 0 or -EAGAIN */
void tlsg0(struct g *gp, uintptr_t *dtv); /* an M's g0's: takes no lock. dtv: room for tlstmpl.dtvlen words, kept */
bool tlsquick(void);		    /* tlsreset() will not have to ask ld.so, most likely */
void tlsreset(struct g *gp);	    /* a recycled one: as new, but keeps libc's malloc cache */
void tlsmain(struct g *gp, bool isfork); /* adopt the calling kernel thread's TCB as gp's */
void tlsexit(struct g *gp);	    /* on gp, last of all: thread_local and TSD destructors, libc's leftovers */
void tcacheprobe(void);		    /* in the template thread: is libc's malloc cache as known? tcache.c */
void tcacheflush(char *tcb);	    /* the calling thread's chunks back to their arenas */
void tlsdrop(struct g *gp);	    /* the same without destructors: it ended by SYS_exit */
void gostart(struct g *gp);	    /* first C function of a G: runs gp->fn, ends in goexit() */
bool gexitinit(void);		    /* libc's names a thread's end needs. From tlsinit() */
void unwindmain(struct g *gp);	    /* makes main's forced unwind end in our hands. gexit.c */
bool tlsdlinit(void);		    /* from tlsinit() */
void *programsym(const char *name); /* the program's own, or of a library it is linked with; nil: none. libc.c */
void *libcown(const char *name);    /* libc's own, whoever else is preloaded. libc.c */

/* Offsets from a TCB to glibc's words in it, found at start; written once by tlsinit(). 0: none */
struct tlslayout {
	size_t tcbsize, below; /* struct pthread; static TLS below it */
	ptrdiff_t list, tid, robust, cancelhandling, cleanupjmp, result;
	ptrdiff_t specific, specific1, specificused, stackblock, rseq;
	ptrdiff_t res, strsignal, strerror, resp, dlerror, runtimeg;
};
extern struct tlslayout tlslayout;

/* The TCB every G's is copied from (tlstmpl.c); written once by tlsinit(). */
#define MAXRELOC 64
#define MAXKEEP 8
struct tlstmpl {
	char *tcb;		  /* words in reloc[] hold distances; nil before tlsinit() */
	uint32_t nreloc, nkeep;
	uint32_t reloc[MAXRELOC]; /* offsets of words that move with the TCB */
	int32_t keep[MAXKEEP];	  /* words of libc's TLS that a recycled shell keeps: its malloc cache */
	char *scratch;		  /* a TCB for ld.so to initialise; under tls.c's virginlock */
	uintptr_t *dtv;		  /* the scratch TCB's DTV as ld.so made it, dtvlen words from its length on */
	size_t dtvlen;
	void *(*allocate)(void *);
	void *(*init)(void *, bool);
	void (*ctypeinit)(void);
};
extern struct tlstmpl tlstmpl;
#define TIDFIRST (1u << 23) /* Gs' ids: above PID_MAX_LIMIT */
#define TIDLAST (1u << 30)  /* a futex word has 30 bits for the owner */
ptrdiff_t tlsdesc(const char *name); /* the offset one of libthread_db's descriptors holds; 0: none */
void *sysalloc(size_t n); /* zeroed pages from the kernel, or nil; never given back */

/* ---- env.c: settings ------------------------------------------------------------------------ */
enum guardhow { GUARD_AUTO, GUARD_MADVISE, GUARD_MPROTECT };
extern enum guardhow guardhow; /* stack.c */
enum loader { LOADER_AUTO, LOADER_NAMES };
struct debug {
	int procs;	    /* GMP_PROCS; 0: from affinity and cgroup */
	int maxm;	    /* GMP_MAXM */
	bool verbose;	    /* GMP_VERBOSE */
	bool secure;	    /* AT_SECURE: the pool does not start */
	bool deep;	    /* GMP_DEEP */
	enum fsbase fsbase; /* GMP_FSBASE */
	enum loader loader; /* GMP_LOADER: LOADER_NAMES: ld.so's own pointers are left alone. dlhook.c */
	bool noasync;	    /* GMP_ASYNCPREEMPT=0 */
	int64_t forcens;    /* GMP_FORCEPREEMPT: preempt every running G so often; 0: when somebody waits */
	int64_t spinns;	    /* GMP_SPIN: how long an idle M polls before it sleeps */
	uint64_t schedtrace; /* GMP_SCHEDTRACE: ns between two lines; 0: none */
	const char *schedtracefile; /* nil: stderr. In the environment's memory */
	bool traceback;	    /* GMP_TRACEBACK: threads and stacks before a signal makes a core */
};
extern struct debug debug;
int getproccount(void); /* usable CPUs: affinity mask, cgroup v2 quota rounded up; >= 1 */
long readfile(const char *path, char *buf, size_t size); /* what fits, and a zero byte. Its length or -errno */

/* ---- print.c: to stderr by raw write; %s %d %u %x %p %c, l for 64 bits ------------------------ */
void gprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
struct out { /* the same, collected: {.fd = FD} to begin with */
	int fd;
	bool hurry; /* drop what cannot be written at once */
	size_t n;
	char buf[1024];
};
void outf(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void outflush(struct out *o);
void printsched(void);
/* A broken invariant: says what, prints the scheduler's state and the threads with their stacks, aborts. */
noreturn void throw(const char *what);
noreturn void die(void); /* by SIGABRT, without a handler */

/* ---- unwind.c: stacks, from inside; one caller at a time --------------------------------------- */
struct uregs {
	uint64_t r[17]; /* as DWARF numbers them: rax rdx rcx rbx rsi rdi rbp rsp r8-r15, return address (pc) */
	bool exact;	/* pc is that of an interrupted instruction, not behind a call */
};
void unwindinit(void);
bool unwindstep(struct uregs *u);		   /* to its caller; false: there is none, or it is not known */
void unwindname(struct out *o, uintptr_t pc, bool exact); /* "function+0x1  module+0x2", as far as known */
bool peek(uintptr_t at, void *buf, size_t n); /* false where a load would fault */

/* ---- traceback.c deadlock.c --------------------------------------------------------------------- */
void traceback(struct uregs *u); /* every thread with its stack, to stderr; u: the caller's, or nil. any thread */
void tracebacksig(struct g *gp, const void *ctx); /* handler of SIGPREEMPT, on gp's M: a traceback may want to know where */
enum deadlock { DEADLOCK_WARN, DEADLOCK_ABORT, DEADLOCK_OFF };
extern enum deadlock deadlock; /* GMP_DEADLOCK */
void checkdead(void);	       /* sysmon only */

/* ---- the scheduler's shared state. proc.c ---------------------------------------------------- */
struct gqueue {
	struct g *head, *tail;
	int32_t n;
};

struct sched {
	int policy, prio; /* that the kernel schedules all Ms by; written once, at start. policy.c */
	mutex lock; /* guards what follows up to `free Gs` */
	struct gqueue runq;
	struct gqueue backq; /* back from calls that blocked, before those */
	struct gqueue hogq; /* preempted Gs, behind those */
	_Atomic int32_t runqsize; /* runq.n + backq.n + hogq.n for readers without the lock */
	_Atomic int32_t hogqsize; /* hogq.n */
	_Atomic int32_t backqsize; /* backq.n */
	struct p *pidle;
	_Atomic int32_t npidle;
	struct m *midle;
	int32_t nmidle;
	bool stranded; /* a P with work was put on the idle list because there was no M for it */
	int32_t nmidlelow; /* the least nmidle since sysmon looked last */
	struct m *mdead;   /* Ms whose kernel thread has ended, or is about to */
	_Atomic int32_t ndying; /* of them with a G that ends after them */
	_Atomic int32_t nm; /* Ms that exist */
	_Atomic int32_t nlockedm; /* of them bound to a G */
	struct p *_Atomic newmq; /* Ps that wait for sysmon to make an M; written under the lock */
	_Atomic uint32_t mgen; /* +1 with each M that is about to begin */
	_Atomic int32_t nmspinning;
	_Atomic int32_t nblocking; /* Ms in calls that are known to block */
	_Atomic int32_t nloops;	   /* those that wait in epoll sets of the program's. loop.c */
	_Atomic int32_t needspinning;

	_Alignas(CACHELINE) _Atomic uint64_t lastpoll; /* nanotime of the last netpoll; 0 while an M blocks in it */
	_Atomic uint64_t polluntil; /* when that M will wake by itself; 0: never */
	_Atomic uint64_t now; /* nanotime, not older than sysmon's tick: for what need not be exact (setnow()) */

	mutex gflock; /* free Gs */
	struct g *gfree;
	int32_t ngfree;
	int32_t ngfreelow; /* the least ngfree since sysmon looked last */
	struct g *gcold;   /* dead Gs whose stack and malloc cache were given back */

	mutex allglock;
	struct g *_Atomic allgs; /* linked by alllink; append-only */
	struct m *_Atomic allms;
	_Atomic int64_t ngs; /* threads alive, main included */
	_Atomic bool exitedraw; /* some G has left by SYS_exit: libc still counts it as alive */
	_Atomic uint64_t goidgen;

	_Atomic bool started;
	int32_t pid; /* of the process whose pool this is; written by start() */
	uint64_t startns; /* nanotime when the pool started */
	struct g *maing;

	/* sysmon */
	note sysmonnote;
	_Atomic bool cputimes; /* somebody wants CPU time by G */
	_Atomic bool pkeys;    /* the program has allocated a protection key */
	_Atomic uint32_t sysmonwait;  /* asleep on sysmonnote until kicked */
	_Atomic uint64_t sysmondelay; /* ns, its present tick */
	_Atomic int32_t lookouts;     /* so many Ms that wake up kick it. proc.c */

	_Atomic uint64_t count[NCOUNTER]; /* what happens without a P */
};
extern struct sched sched;
extern struct p **allp;
extern int32_t gomaxprocs;
extern void (*libcexit)(int); /* libc's exit() */
extern _Atomic uint32_t *libcnthreads; /* its count of threads, or nil */

/* Counts one of c (n of them) for pp, which the caller owns; nil: for nobody. */
static inline void countn(struct p *pp, enum counter c, uint64_t n)
{
	if (likely(pp != NULL))
		atomic_store_explicit(&pp->count[c],
				      atomic_load_explicit(&pp->count[c], memory_order_relaxed) + n,
				      memory_order_relaxed);
	else
		atomic_fetch_add_explicit(&sched.count[c], n, memory_order_relaxed);
}
static inline void countone(struct p *pp, enum counter c)
{
	countn(pp, c, 1);
}

/* From sysmon's wish that a G be cut short (CountPreemptAsk) to the end of its turn. pp: as in countn(), never nil. */
static inline void countlatency(struct p *pp, uint64_t ns)
{
	uint64_t us = ns / 1000;
	int i = us ? 64 - __builtin_clzll(us) : 0;

	if (i >= NLATENCY)
		i = NLATENCY - 1;
	atomic_store_explicit(&pp->preemptlat[i],
			      atomic_load_explicit(&pp->preemptlat[i], memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/*
 * sched.now is set by sysmon at its ticks and by every M that looks at the clock anyway or has just
 * slept, so that a G never reads one from before its M slept. A late store of an older time does no harm.
 */
static inline uint64_t setnow(uint64_t now)
{
	atomic_store_explicit(&sched.now, now, memory_order_relaxed);
	return now;
}
static inline uint64_t coarsenow(void)
{
	return atomic_load_explicit(&sched.now, memory_order_relaxed);
}

static inline uint64_t pstatus(const struct m *mp, enum pstatus st)
{
	return (uint64_t)(mp ? mp->id : 0) << 8 | (uint64_t)st;
}

/* ---- visible.c --------------------------------------------------------------------------------- */
extern const char *const gstatusnames[Gdead + 1], *const pstatusnames[Pdead + 1];
extern const char *const waitreasons[NWAITREASON], *const counternames[NCOUNTER];
uint64_t counted(enum counter c); /* over all Ps. any thread */
bool schedtraceinit(void);
uint64_t schedtrace(uint64_t now); /* sysmon only */

/* ---- lll.c: libc's own locks --------------------------------------------------------------------- */
void lllwait(_Atomic uint32_t *l);
void lllwake(_Atomic uint32_t *l);
void lllinit(void);

/* ---- start.c ---------------------------------------------------------------------------------- */
extern __thread int32_t runtime_forking;
bool forkpause(void); /* true: forkresume() must follow */
void forkresume(void);
void semainit(void);  /* sema.c: before main, without a system call */
void semanotalone(void); /* sema.c: a thread is about to be made that libc does not count */
void semafork(void);  /* sema.c: in the child, no waiter of the parent's is left */
void stacklock(void); /* stack.c: around a fork */
void stackunlock(void);
bool hasgolang(void);	 /* golang.c: Go's own runtime is in the process */
bool clonedshared(void); /* clone.c: some kernel thread has main's TLS */
void clonelock(void);	 /* clone.c: around a fork */
void cloneunlock(void);
void tlsforked(void); /* tls.c: tids that other processes' threads are not likely to have */
void tlslock(void); /* tls.c: the same for the virgin blocks */
void tlsunlock(void);
void tlsdllock(void); /* tlsdl.c: libc's list of threads is neither with nor without ours meanwhile */
void tlsdlunlock(void);
void tlsdladd(void *tcb);
void tlsdladopt(void *tcb); /* in a fork's child: out of libc's list, and tlsdladd() */
uint32_t tlsdlopens(void);
void tlsdlblind(void);
void tlsdlbegin(void);
void tlsdlend(void);
void tlsdlforkbegin(struct g *gp);
void tlsdlforkend(void);
void tlsdlforkchild(struct g *gp, bool inside);
/* dlhook.c */
void dlhookinit(void); /* once, before any other thread is a G */
void dlhookforkbegin(void); /* around a fork. In program code (parks) */
void dlhookforkend(void);
bool dlhookforkchild(void); /* instead, in the child: is this thread in the loader? */

/* ---- proc.c ----------------------------------------------------------------------------------- */
struct m *exitforeign(void);  /* program code enters the runtime: take the P back (parks) */
enum { NOP, OURP, LENTP }; /* no P; ours already; lent until now */
int exitforeignhere(void);    /* the same, but never on another M. What the P was */
void enterforeignhere(int was);
struct g *lostp_m(struct g *gp);
int enterforeign(void);	      /* and leaves: lend it, run signal handlers that wait. 0, EINTR or ERESTART */
uint64_t parkbegin(struct g *gp);
enum wakereason gopark(struct g *gp, enum waitreason why, uintptr_t obj, uint64_t deadline);
void parkabort(struct g *gp); /* the park is not wanted after all; late wakers lose */
/* Claims a park; true if this call won, *parked then says that the caller must goready(gp). any thread */
bool parkclaim(struct g *gp, uint64_t ticket, enum wakereason r, bool *parked);
bool gowake(struct g *gp, uint64_t ticket, enum wakereason r); /* parkclaim + goready. any thread */
void goready(struct g *gp);   /* Gwaiting -> Grunnable, soon on this P. any thread */
void goreadylast(struct g *gp); /* the same, behind those already queued */
void goreadyglobal(struct g *gp); /* the same, by who has no P, or has lent it */
void gcountup(void); /* one G more */
noreturn void goexit(struct g *gp);
struct g *schedule(struct m *mp); /* whom mp runs next: for mcall() */
void injectglist(struct g *list, int32_t n); /* linked by schedlink, all Gwaiting. any thread */
void startm(struct p *pp, bool spinning);
bool anyrunq(void); /* some G is runnable. Racy */
void newmwaiting(void);
void wakep(void);
void handoffp(struct p *pp);
bool retakep(struct p *pp, uint64_t seen);
struct g *galloc(void); /* a struct g never used before, known to foreachg */
struct g *gfget(struct m *mp);
void gdestroy(struct m *mp, struct g *gp);
void gfput(struct m *mp, struct g *gp);
void gfpurge(void); /* the dead Gs of idle Ps go to the global list */
void foreachg(void (*fn)(struct g *, void *), void *arg); /* every G ever made */
void mstart(void *mp);
struct m *mnew(void);
bool retirem(void); /* an idle M ends. False: there is none that may */
void setsigmask(struct m *mp, uint64_t mask);
void acquirep(struct m *mp, struct p *pp);
struct p *releasep(struct m *mp);

/* ---- preempt.c ------------------------------------------------------------------------------------ */
enum { SIGPREEMPT = 33 }; /* libc's SIGSETXID; allthreads.c installs the handler */
void preemptinit(void);
void preemptcoop(struct g *gp);
bool preemptone(struct m *mp);
bool preemptsoon(struct m *mp);
void preemptsig(void *ctx);

/* ---- accept.c ------------------------------------------------------------------------------------- */
void acceptend(struct m *mp); /* if its thread sits in goaccept(), that ends. sysmon */
void acceptsig(struct g *gp, void *ctx);
uintptr_t preemptframe(struct g *gp, void *uc, uintptr_t frame);

/* ---- cputime.c ------------------------------------------------------------------------------------- */
void cpubegin(struct m *mp);
void cpuend(struct m *mp, struct g *gp);
uint64_t threadcpu(int tid); /* CPU time of a kernel thread of this process, ns; 0: there is none */

/* gp stops; its M runs the scheduler. On g0 */
static inline void dropg(struct m *mp, struct g *gp)
{
	if (unlikely(atomic_load_explicit(&sched.cputimes, memory_order_relaxed)))
		cpuend(mp, gp);
	if (unlikely(atomic_load_explicit(&sched.pkeys, memory_order_relaxed)))
		gp->pkrights = pkrights();
	mp->curg = NULL;
	gp->m = NULL;
}

/* ---- affinity.c ------------------------------------------------------------------------------------ */
int goinheritaffinity(struct g *gp, size_t size, const void *set);
enum { WISH_CPUS = 1, WISH_POLICY = 2, WISH_OWN = 4 };
extern mutex wishlock;
void wishawait(void);
void wishtell(struct g *gp); /* gp has a wish from outside, and is cut short: it comes true when it runs next */
void affine(struct m *mp, struct g *gp);
void policyinit(void); /* policy.c */
void policyset(struct g *gp);
void affinityfork(void); /* in the child */

/* ---- lockos.c ---------------------------------------------------------------------------------- */
void gobind(struct m *mp, struct g *gp);
void stoplockedm(struct m *mp);
void startlockedm(struct m *mp, struct g *gp);
noreturn void goexitlocked(struct m *mp, struct g *gp);
noreturn void mexit(struct m *mp);
struct m *mreuse(void);
uint64_t lastrites(void); /* sysmon: Gs that are dead once their M is. When to look again, in ns; 0: no need */
/* ---- robust.c ---------------------------------------------------------------------------------- */
void robustexit(struct g *gp);

/* ---- scavenge.c ----------------------------------------------------------------------------------- */
bool giveback(uint64_t now); /* sysmon: Ms and Gs nobody needs. True: there may be more later */
void scavengefork(void);
/* ---- allthreads.c ------------------------------------------------------------------------------ */
void allthreadsinit(void);
void allthreadssig(int s, siginfo_t *info, void *ctx);
void allthreadslock(void); /* around a fork */
void allthreadsunlock(void);

/* ---- runq.c ------------------------------------------------------------------------------------ */
void runqput(struct p *pp, struct g *gp, bool next);
struct g *runqget(struct p *pp, bool *inherit);
struct g *runqsteal(struct p *pp, struct p *p2, bool stealnext);
uint32_t runqlen(struct p *pp); /* racy; runnext not counted */
bool runqempty(struct p *pp);
void globrunqput(struct g *gp);		    /* sched.lock held */
void globrunqputbatch(struct gqueue *q);    /* sched.lock held */
void backrunqput(struct g *gp);		    /* the same: it comes from a call that blocked */
struct g *backrunqget(void);		    /* the same: nil if there is none */
void hogrunqput(struct g *gp);		    /* the same: it was preempted */
struct g *hogrunqget(void);		    /* the same: the one that has waited longest, or nil */
struct g *globrunqget(struct p *pp, int32_t max); /* sched.lock held */

/* ---- time.c ------------------------------------------------------------------------------------ */
void timerarm(struct p *pp, struct timer *t, struct g *gp, uint64_t ticket, uint64_t when);
void timerdel(struct timer *t); /* out of its heap, for a G that dies */
uint64_t checktimers(struct p *pp, uint64_t now, bool *ran); /* runs what is due; when the next is, 0 none */
uint64_t timersnext(void);	/* earliest over all Ps; 0 none */
void timeinit(void);

/* ---- netpoll.c --------------------------------------------------------------------------------- */
int netpollinit(void);
struct g *netpoll(int64_t delay, int32_t *n); /* < 0 block, 0 poll, > 0 ns. Gs that became ready */
void netpollbreak(void);
bool netpollinited(void);
bool netpollany(void); /* somebody waits on the network */
int fdkeep(int fd);    /* fd, elsewhere, is the runtime's from now on (fdours) */
void netpollfork(void);
bool pdunregister(struct polldesc *pd, uint32_t gen);

bool deeprange(const void *p, uint32_t flags, uintptr_t *lo, uintptr_t *hi); /* the segment p is in, if it has these PF_* */
void deepinit(void); /* deep.c: once, single-threaded, when all that may refuse to start has not */

/* ---- sysmon.c ----------------------------------------------------------------------------------- */
void sysmonstart(void);
bool mspecial(void (*fn)(void)); /* an M that runs fn, never a G. False: no memory, or no thread */
void sysmonkick(void); /* let it look again now. any thread, signal handlers too */

/* ---- prompt.c ----------------------------------------------------------------------------------- */
void beprompt(void);	     /* the calling thread runs at once when it wakes up */
void sysmonprompt(void);     /* sysmon: so does it, and its timers are exact */
bool sysmonusual(bool yes); /* sysmon: from now on (no longer) as other threads are. False: not sysmon, nothing done */

/* ---- bound.c ------------------------------------------------------------------------------------- */
bool atmaxm(void);	    /* no M to be had: it is in vain to ask for one. Racy */
bool mcount(void);	    /* counts an M that is to be made. False: it may not be */
bool starved(uint64_t now); /* sysmon: true if atmaxm() */

/* ---- filter.c ------------------------------------------------------------------------------------ */
struct sock_filter;
const char *filterforbids(const struct sock_filter *f, uint32_t n); /* what the runtime needs; nil: nothing */
const char *filtered(void); /* why no pool can start in this process; nil: none of its filters is in the way */

/* ---- stray.c ------------------------------------------------------------------------------------- */
bool strayenter(struct m *mp);
bool straying(struct m *mp);
void strayleave(struct m *mp);
bool straywatch(uint64_t now);
void strayfork(void);

/* ---- aside.c ------------------------------------------------------------------------------------- */
void asidestart(void);
void asidefork(void);
/*
 * sysmon: mp's thread is asleep in the kernel. False: no, or not known yet; then sysmon is kicked when it is. key: what about, a
 * call's number, or STILL and how far the thread's clock has come; an answer holds for one, and for a ms if it is a call's number.
 */
#define STILL ((uint64_t)1 << 63)
bool asleep(struct m *mp, uint64_t key, uint64_t now);
/* fn(arg) by a thread with descriptors of its own. Waits for it; not under a lock. any thread of a pool */
void aside(void (*fn)(void *), void *arg);

/* ---- tasks.c ------------------------------------------------------------------------------------- */
int anytask(bool (*is)(int dir, int tid, void *arg), void *arg); /* see there */
int decimal(const char *s); /* the number that s begins with; 0 without one */
void taskpath(char *path, int tid, const char *file);

/* ---- uring.c ------------------------------------------------------------------------------------- */
bool uringworks(int tid); /* has this kernel thread had work for io_uring? not under a lock */

/* ---- signal.c sigqueue.c sigmask.c: the model is at the top of signal.c ----------------------------- */
#define SIGBIT(s) ((uint64_t)1 << ((s) - 1))
#define ALLSIGS (~((uint64_t)1 << 32)) /* but for libc's SIGSETXID: allthreads.c */
/* Raised by what a thread does; ignored by default; never the program's to handle or block (32 and 33 are libc's). */
#define FAULTS \
	(SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGFPE) | SIGBIT(SIGILL) | SIGBIT(SIGTRAP) | SIGBIT(SIGSYS))
#define IGNORED (SIGBIT(SIGCHLD) | SIGBIT(SIGCONT) | SIGBIT(SIGURG) | SIGBIT(SIGWINCH))
#define UNBLOCKABLE (SIGBIT(SIGKILL) | SIGBIT(SIGSTOP) | SIGBIT(32) | SIGBIT(33))
/* Their default action is to end with a core */
#define COREDUMPS (FAULTS | SIGBIT(SIGQUIT) | SIGBIT(SIGABRT) | SIGBIT(SIGXCPU) | SIGBIT(SIGXFSZ))
enum { RAN_RESTART = 1, RAN_INTR = 2 };

typedef void sighandler(int, siginfo_t *, void *);
#define DFL ((sighandler *)(void *)SIG_DFL)
#define IGN ((sighandler *)(void *)SIG_IGN)

struct sigact {
	sighandler *fn; /* or DFL, IGN */
	unsigned long flags;
	uint64_t mask;
};

/* One signal sent to a G. */
struct sigq {
	struct sigq *next;
	bool process; /* sent to the process: another G may take it instead */
	siginfo_t info;
};

struct sigstate {
	mutex lock; /* a leaf: nothing else is locked under it. Taken by sigenter() only */
	_Atomic bool taken; /* dispositions are in act[], the kernel has the trampoline */
	struct sigact act[65]; /* the program's dispositions; under lock */
	_Atomic uint64_t hard;	 /* default action ends or stops the process, and is the kernel's */
	_Atomic uint64_t quiet;	 /* nothing happens on delivery: ignored */
	_Atomic uint64_t onstack; /* the handler wants the alternate stack */
	_Atomic uint64_t ever;	 /* some G has blocked it */
	_Atomic uint64_t closed; /* no G takes it: sysmon blocks it, so that it stays pending */
	_Atomic uint64_t sysmon; /* what sysmon blocks in the kernel */
	_Atomic bool reopen;	 /* sysmon must compute its mask anew, and has been kicked */
	_Atomic bool stale;	 /* it may block more than it does: at its next tick */
	_Atomic uint64_t sent;	 /* this process sends it to itself by the kernel's queue, and has a handler */
	_Atomic uint32_t syncwant, synced; /* gosigsync() asks for a round of sysmon's */
	uintptr_t textlo, texthi; /* libgmp's own code */
};
extern struct sigstate sigs;

void siginit(uint64_t mask); /* at the start: the first G's mask */
int runsigs(struct g *gp);  /* run the handlers that wait for gp. 0 none, EINTR or ERESTART */
uint64_t sysmonsigs(void);  /* sysmon's part: hand queued signals to Gs. When to come back, in ns; 0: no need */
uint64_t sigenter(void);    /* lock sigs.lock, with the trampoline kept out. any thread */
void sigleave(uint64_t saved);
void siglockfork(void);	    /* around a fork */
void sigunlockfork(void);
void sigfork(struct g *gp); /* in the child */
void sigqueuefork(void);
void sigtimerfork(void); /* sigtimer.c */
bool sigtimerof(const siginfo_t *info, struct g **gp);
void signew(struct g *gp, uint64_t mask); /* gp's first mask */
void sigadopt(struct g *gp); /* the calling kernel thread becomes gp's M: what is pending for that thread alone is gp's */
void gosigends(void);	     /* the calling G is about to end: runs the handlers of what was sent before */
void sigexit(struct g *gp); /* gp ends: what the process was sent goes to another */
/* sigqueue.c */
bool sigpost(struct g *gp, const siginfo_t *info, bool process); /* lock held. False: no memory */
bool sigtake(struct g *gp, uint64_t set, siginfo_t *info);	 /* lock held. The lowest of set */
void sigflush(struct g *gp, uint64_t set, bool retarget);	 /* lock held. Drop, or give to another */
void sigpush(const siginfo_t *info);	 /* for sysmon to route. any thread, the trampoline above all */
bool sigarrived(void);			 /* something was pushed and is not routed yet. any thread */
void sigrouted(void);			 /* sysmon: what it has pulled has been given to a G, or away */
bool sigpull(siginfo_t *info);		 /* sysmon: the next of it */
void sigbounce(const siginfo_t *info);	 /* to the process again. any thread, the trampoline too */
void signag(struct g *gp);		 /* lock held */
uint64_t signags(void);			 /* sysmon: poke who has not taken his; when to come again, in ns */
int sigpokefor(struct g *gp);		 /* what gp should take, 0: nothing. Racy without the lock */
bool sigpoke(struct g *gp);		 /* wake or interrupt gp. True: it was parked. Not under the lock */
bool sigkick(struct m *mp, int s);	 /* interrupt mp by s, as a sign that something is pending. False: no room in the queue */
bool sigiskick(const siginfo_t *info);
void sigunbounce(siginfo_t *info);	 /* the kernel's siginfo, if route() had sent the signal back to it */
void sigreopen(void);			 /* have sysmon compute its mask anew. any thread */
bool sigignored(int s);			 /* lock held */
void sigdefault(int s);			 /* the default action, on the whole process */
void sigtraceback(int s, const siginfo_t *info, const struct ucontext_t *uc); /* before it. traceback.c */
void sigsoften(uint64_t set);
void sigharden(int s);
struct sigact sigtakeact(int s);	 /* the disposition for one delivery: SA_RESETHAND */
void sigalt(struct m *mp);		 /* gives mp an alternate stack. sigstack.c */
stack_t sigaltof(struct m *mp);
bool sigonalt(const struct g *gp, uintptr_t sp);
bool sigwithin(const stack_t *ss, uintptr_t sp);
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif
/* cancel.c */
bool cancelpending(struct g *gp); /* to be poked for */
void cancelnoticed(struct g *gp);
void cancelkick(struct g *gp, struct m *mp);
/* cancelbits.c: of any thread */
void cancelprobe(void);		      /* on the template thread */
bool cancelknown(void);		      /* it has worked */
int cancelhold(void);		      /* the calling thread is not cancelled until cancelrelease(what it gave) */
void cancelrelease(int old);
bool cancelacts(const void *tcb);     /* it has been asked to end, and may. nil: no */
bool cancelasync(const void *tcb);    /* its type is asynchronous */
void cancelmark(void *tcb);	      /* it has been asked to end: as libc notes it */
void cancelunmark(void *tcb);
void cancelarm(void);		      /* from now on points look at the bit */
void cancelmain(struct g *gp);	      /* the pool starts: gp may have been asked to end before */
/* sema.c: a thread that is no G waits in a queue */
enum { THREADWOKEN = 1, THREADCANCEL = 2 };
void threadpoke(void *tcb);  /* if it does: it looks whether it has been asked to end. any thread */
bool threadasync(void);	     /* the same for the calling thread, in a handler. False: it does not wait */
void sigtramp(int s, siginfo_t *info, void *ctx); /* what the kernel enters (arch/); goes on to sigtrampoline() */
void sigtrampoline(int s, siginfo_t *info, void *ctx);
uintptr_t sigframe(int s, siginfo_t *info, void *ctx, uintptr_t frame); /* called by sigtramp */
void sigsetg(struct g *gp, uint64_t mask); /* gp->sigmask, the kernel's not */
uint64_t gosighold(void); /* no handler on the calling G, but for faults, until gosigmask() sets what this gave */
void sigawaitclosed(uint64_t set);	 /* until sysmon blocks them too, if nobody takes them */

#endif
