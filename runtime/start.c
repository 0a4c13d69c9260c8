/* SPDX-License-Identifier: MIT
 *
 * start.c: the pool's birth, at the first pthread_create, and its rebirth in a fork's child (Go's schedinit).
 *
 * Nothing happens before: no thread, no descriptor, no system call. Then the calling thread, if it
 * is the process's first, becomes main G on an M of its own; sysmon starts; other Ms come with work.
 * A foreign thread may be the first to create one as well: it stays foreign.
 *
 * If something that we need is not there, threads stay the kernel's: schedinit() says why, once, with GMP_VERBOSE.
 */
#include "runtime.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static mutex startlock;
/* This process, while the thread has forklock()'s locks; 0: it has not. (In the child for a moment the parent.) */
__thread int32_t runtime_forking __attribute__((tls_model("initial-exec"), visibility("hidden")));

static int refuse(const char *why, int err)
{
	static _Atomic bool said;

	if (debug.verbose && !atomic_exchange(&said, true))
		gprintf("libgmp: inactive: %s (error %d); threads are kernel threads\n", why, -err);
	return err;
}

static int makeps(void)
{
	int32_t n = debug.procs ? debug.procs : getproccount();
	size_t each = (sizeof(struct p) + CACHELINE - 1) & ~(size_t)(CACHELINE - 1);

	if (allp == NULL) {
		char *mem = sysalloc((size_t)n * (each + sizeof(struct p *)) + CACHELINE);
		if (mem == NULL)
			return -ENOMEM;
		allp = (struct p **)(mem + (size_t)n * each);
		for (int32_t i = 0; i < n; i++)
			allp[i] = (struct p *)(mem + (size_t)i * each);
		gomaxprocs = n;
	}
	sched.pidle = NULL;
	for (int32_t i = gomaxprocs - 1; i >= 0; i--) {
		struct timer **timers = allp[i]->timers;
		uint32_t cap = allp[i]->captimers;
		memset(allp[i], 0, sizeof(struct p));
		allp[i]->timers = timers;
		allp[i]->captimers = cap;
		allp[i]->id = i;
		allp[i]->link = sched.pidle;
		sched.pidle = allp[i];
	}
	atomic_store(&sched.npidle, gomaxprocs);
	return 0;
}

/* The calling kernel thread becomes M, its program thread gp, with that mask. It comes out inside the runtime. */
static int adopt(struct g *gp, uint64_t mask)
{
	struct m *mp = mnew();

	if (mp == NULL)
		return -ENOMEM;
	atomic_store(&mp->procid, (int32_t)SC0(SYS_gettid));
	atomic_store(&mp->kicked, 0);
	mp->sigmask = ALLSIGS;
	signew(gp, mask);
	SC2(SYS_sigaltstack, NULL, &gp->sigalt);
	if (gp->sigalt.ss_flags & SS_DISABLE)
		gp->sigalt.ss_sp = NULL;
	sigalt(mp);
	gp->m = mp;
	atomic_store(&gp->cputime, threadcpu(atomic_load(&mp->procid)));
	gp->inruntime = 1;
	mp->curg = gp;
	atomic_store(&gp->status, Grunning);
	struct p *pp = sched.pidle;
	sched.pidle = pp->link;
	atomic_fetch_sub(&sched.npidle, 1);
	acquirep(mp, pp);
	atomic_store(&sched.ngs, 1);
	return 0;
}

/* All signals are blocked; mask is the caller's. If it is the process's first thread it comes out inside the runtime. */
static int start(uint64_t mask)
{
	bool first = SC0(SYS_gettid) == SC0(SYS_getpid);

	sched.pid = (int32_t)SC0(SYS_getpid);
	int err;

	if (debug.secure)
		return refuse("the process has more rights than who started it (AT_SECURE)", -EPERM);
	if (clonedshared())
		return refuse("a thread made by clone() shares main's TLS", -EBUSY);
	timeinit();
	if (libcexit == NULL) { /* not again in a child, which _Fork() may have left with the loader's lock taken */
		libcexit = (void (*)(int))libcsym("exit");
		libcnthreads = libcown("__nptl_nthreads");
		if (hasgolang())
			return refuse("it is a Go program: Go has a scheduler of its own", -EBUSY);
	}
	if (libcexit == NULL)
		return refuse("libc has no exit", -ENOSYS);
	if (!archinit(debug.fsbase))
		return refuse("GMP_FSBASE=wrfsbase, but this machine does not let programs write it", -ENOSYS);
	tlsforked();
	if (tlstmpl.tcb == NULL && (err = tlsinit()) != 0)
		return refuse("this libc's threads are not understood", err);
	dlhookinit();
	if ((err = makeps()) != 0)
		return refuse("no memory", err);
	if ((err = netpollinit()) != 0)
		return refuse("no epoll descriptor", err);
	siginit(mask);
	policyinit();
	schedtraceinit();
	allthreadsinit();
	preemptinit();
	if (first) {
		struct g *gp = sched.maing;
		if (gp == NULL && (gp = galloc()) == NULL)
			return refuse("no memory", -ENOMEM);
		if ((err = adopt(gp, mask)) != 0)
			return refuse("no memory", err);
		gp->ismain = true;
		sched.maing = gp;
		sigadopt(gp);
		SC5(SYS_prctl, PR_GET_NAME, gp->name, 0, 0, 0);
		if (gp->tcb == NULL)
			tlsmain(gp, false);
		runtime_g = gp;
		cancelmain(gp);
	}
	deepinit();
	atomic_store(&sched.lastpoll, nanotime());
	asidestart();
	sysmonstart();
	atomic_store_explicit(&sched.started, true, memory_order_release);
	return 0;
}

int schedinit(void)
{
	static int failed;
	uint64_t all = ALLSIGS, mask;
	int err = 0, e;

	if (likely(atomic_load_explicit(&sched.started, memory_order_acquire)))
		return 0;
	if (unlikely(filtered() != NULL))
		return refuse(filtered(), -EPERM);
	e = errno; /* the start asks libc and ld.so many things, not all of which they know */
	/* A handler would find the pool half made, and might fork. */
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, 8);
	lock(&startlock);
	if (!atomic_load(&sched.started)) {
		err = failed ? failed : start(mask);
		failed = err;
	}
	unlock(&startlock);
	if (getg() != NULL) {
		setsigmask(getg()->m, mask);
		enterforeign();
	} else {
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
	}
	errno = e;
	return err;
}

/* ---- fork -------------------------------------------------------------------------------------- */

/* The G that forks, also in a fork's child, where it is nobody's G until the pool starts. */
static struct g *forker(void)
{
	struct g *gp = sched.maing;

	return getg() != NULL ? getg() : gp != NULL && gp->tcb == gettls() ? gp : NULL;
}

/*
 * The locks which Ms with Ps wait for (HACKING.md, ranks 2 and more). Between forkprepare() and the fork itself libc takes
 * locks of its own. Who has one may want these, or a P that is with somebody who does; so forkpause() gives them back while
 * the thread waits for a lock of libc's (lll.c).
 */
static void forklock(void)
{
	clonelock();
	lock(&sched.allglock);
	lock(&sched.gflock);
	tlsdlforkbegin(forker());
	stacklock();
	siglockfork();
	runtime_forking = atomic_load(&sched.started) ? sched.pid : 0;
}

static void forkunlock(void)
{
	runtime_forking = 0;
	stackunlock();
	tlsdlforkend();
	unlock(&sched.gflock);
	unlock(&sched.allglock);
	cloneunlock();
}

bool forkpause(void)
{
	if (likely(runtime_forking == 0))
		return false;
	forkunlock();
	sigunlockfork();
	return true;
}

void forkresume(void)
{
	forklock();
}

/*
 * Before the real fork: nobody else may be inside an allocator of ours, for the child will use it.
 * All else the child makes anew. Called by a G in program code or by any thread. What waits until forkparent() must
 * not park, which inruntime says: its P is on loan, and may be taken.
 *
 * Who has one of the first three may wait for a lock of libc's meanwhile. So they are taken before any of libc's, and kept.
 */
void forkprepare(void)
{
	struct g *gp = getg();

	dlhookforkbegin();
	tlslock();
	allthreadslock();
	lock(&startlock);
	forklock();
	if (gp != NULL)
		gp->inruntime++;
}

static void forkdone(void)
{
	forkunlock();
	unlock(&startlock);
	allthreadsunlock();
	tlsunlock();
	fdshareall();
}

void forkparent(void)
{
	struct g *gp = getg();

	if (gp != NULL) {
		gp->m->forked = true;
		gp->inruntime--;
	}
	forkdone();
	sigunlockfork();
	dlhookforkend();
}

/*
 * Both senders are kept out: set*id by its lock, sysmon by preemptsent, which is clear only when none is on its way. The G
 * stays in the runtime, on this M, with no handler run; without a P, for who forks has that lock too, and may wait for one of
 * libc's whose holder needs a P to go on (lll.c).
 */
void goexecbegin(void)
{
	struct g *gp = getg();

	if (gp == NULL)
		return;
	entersyscallblock();
	gp->inruntime++;
	atomic_signal_fence(memory_order_seq_cst);
	allthreadslock();
	while (atomic_exchange(&gp->m->preemptsent, true))
		SC0(SYS_sched_yield);
}

void goexecfailed(void)
{
	struct g *gp = getg();

	if (gp == NULL)
		return;
	atomic_store(&gp->m->preemptsent, false);
	allthreadsunlock();
	atomic_signal_fence(memory_order_seq_cst);
	gp->inruntime--;
	exitsyscall();
}

void gospawns(void)
{
	struct g *gp = getg();

	if (gp != NULL)
		gp->m->forked = true; /* its own word; the M is ours as long as the call lasts */
}

static void forget(struct g *gp, void *arg)
{
	uint32_t st = atomic_load(&gp->status);

	if (gp == arg || st == Gdead || st == Gidle)
		return;
	/* Its thread does not exist here. Its stack and TLS stay: the program may point into them. */
	atomic_store(&gp->status, Gdead);
	gp->m = NULL;
	gp->lockedm = NULL;
	gp->nlocked = 0;
	gp->owns = false;
	gp->timer.pp = NULL;
}

/*
 * In the child, on the forking thread: it is the only one. It becomes the main G of a pool of one M; sysmon and more Ms
 * start with the next pthread_create. Until then all wrappers pass through.
 */
void forkchild(void)
{
	struct g *gp = getg();

	tlsdlforkchild(forker(), dlhookforkchild());
	forkdone();
	semafork(); /* kernel threads wait there too, with or without a pool */
	if (!atomic_load(&sched.started)) {
		if (forker() != NULL && forker()->area != NULL)
			tlsdladopt(forker()->tcb);
		sigunlockfork();
		return; /* and not a system call more: filter.c */
	}
	tlsforked();
	atomic_store(&sched.started, false);
	atomic_store(&sched.exitedraw, false);
	foreachg(forget, gp);
	for (int32_t i = 0; i < gomaxprocs; i++)
		allp[i]->ntimers = 0;
	sched.lock = (mutex){0};
	sched.runq = sched.backq = sched.hogq = (struct gqueue){NULL, NULL, 0};
	atomic_store(&sched.hogqsize, 0);
	atomic_store(&sched.backqsize, 0);
	atomic_store(&sched.runqsize, 0);
	sched.midle = sched.mdead = NULL;
	sched.nmidle = 0;
	atomic_store(&sched.nlockedm, 0);
	atomic_store(&sched.ndying, 0);
	atomic_store(&sched.allms, NULL);
	atomic_store(&sched.newmq, NULL);
	atomic_store(&sched.nm, 0);
	atomic_store(&sched.nmspinning, 0);
	atomic_store(&sched.nblocking, 0);
	atomic_store(&sched.nloops, 0);
	for (int i = 0; i < NCOUNTER; i++)
		atomic_store(&sched.count[i], 0);
	atomic_store(&sched.polluntil, 0);
	scavengefork();
	affinityfork();
	strayfork();
	asidefork();
	atomic_store(&sched.sysmonwait, 0);
	noteclear(&sched.sysmonnote);
	netpollfork();
	sched.maing = gp;
	if (gp != NULL) {
		gp->ismain = true;
		gp->inruntime = 0;
		gp->m = NULL;
		gp->lockedm = NULL; /* what was bound to its thread is this process's only thread now */
		gp->nlocked = 0;
		gp->kernelid = 0;
		gp->robustown = NULL; /* nor has the child a list in the kernel */
		gp->owns = false;
		gp->timer.pp = NULL;
		atomic_store(&gp->timer.when, 0);
		tlsmain(gp, true);
		SC5(SYS_prctl, PR_SET_NAME, gp->name, 0, 0, 0); /* the kernel's was that of any M */
		runtime_g = NULL; /* no pool, no G: schedinit() makes us one again */
	}
	sigfork(gp);
	sigunlockfork();
}
