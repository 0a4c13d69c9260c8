/* SPDX-License-Identifier: MIT
 *
 * proc.c: the scheduler. Gs (the program's threads) are run by Ms (kernel threads), and an M needs a
 * P to run program code. The vocabulary and the protocols are those of Go's proc.go.
 *
 *   schedule -> findrunnable -> execute -> (program code) -> gopark | goexit | gosched -> schedule
 *
 * Unlike Go, all program code is foreign code: while it runs its P is only lent (Pforeign), as in a
 * Go system call. Who enters the runtime takes the P back by one CAS (exitforeign) and lends it
 * again on leaving (enterforeign); sysmon may take a lent P from an M that is stuck at any time
 * (retakep), and the M notices at its next exitforeign. A marked system call (mp->call) only differs
 * in how soon sysmon does so. See park.c for how Gs sleep, sysmon.c for who retakes when.
 *
 * Worker Ms. At most half of the busy Ps' number of Ms spin (look for work with a P but no G).
 * Unlike Go, readying a G does not by itself wake an M: a futex wake costs the waker 15 us, more
 * than most Gs run. maybewake() wakes one if the backlog would outlast the wake; otherwise sysmon,
 * kept at a fine tick while Ps idle and queues are not empty, wakes one for what has waited.
 *
 * Ordering (StoreLoad; both sides need the full fence):
 *   (1) submit: queue the G; fence; read nmspinning and npidle.
 *       idle: nmspinning-- (seq_cst); then re-check all queues, timers and the network.
 *       Either the submitter sees no spinner and wakes one, or the spinner sees the G. With priced
 *       wakes the submitter may do neither: then its own P's M runs the G, or sysmon wakes somebody. So who queues on its own
 *       P, and goes on running it, needs no fence either.
 *   (2) idle netpoller: lastpoll = 0 (seq_cst), polluntil; then re-check timers in the sleep's length.
 *       timer: put into the heap; fence; read lastpoll, polluntil; netpollbreak if it sleeps too long.
 *   (3) M to the idle list (under sched.lock) and re-check the global queue under the same lock.
 *
 * Rejected: waking an M at each goready (Go's rule: echo with 10 connections ran 1.5x slower here); running
 * schedule() on the parking G's stack (its stack could be taken by another M meanwhile); keeping the
 * P in program code (an M blocked inside libc would take it along).
 */
#include "runtime.h"
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

struct sched sched = {.lastpoll = 1};
void (*libcexit)(int);
_Atomic uint32_t *libcnthreads;
struct p **allp;
int32_t gomaxprocs;

enum {
	BACKLOG = 8,		   /* what pp->backlog is at first: 8 x ~10 us (recv + send) */
	SPARED = 20000,		   /* cputicks, about 10 us: idlespin() may spend as much on a sleep and a wake-up that it spares */
	OURYIELD = 2000,	   /* and what of a sched_yield() is its own: the rest is others' turns */
	MOSTSPARED = 16 * SPARED,  /* and owe so much at most before it stops */
	RETRY = 64,
	KICKTICKS = 2000000,	   /* cputicks, about 1 ms: kick sysmon no more often */
	LONGTURN = 400000,	   /* cputicks, about 200 us, sysmon's patience with a network that nobody polls */
	LOOKOUTS = 100,
	STALE = 50000,		   /* ns: pollstale() */
	NEXTSTREAK = 64,	   /* runnext may win that often in a row */
	HOGTURN = 20000000,	   /* cputicks, about 10 ms: no one that was preempted waits longer for others */
};

/* ---- P ----------------------------------------------------------------------------------------- */

void acquirep(struct m *mp, struct p *pp)
{
	uint64_t idle = pstatus(NULL, Pidle);

	if (mp->p != NULL)
		throw("acquirep: M has a P already");
	if (!atomic_compare_exchange_strong_explicit(&pp->status, &idle, pstatus(mp, Prunning),
						     memory_order_acquire, memory_order_relaxed))
		throw("acquirep: P is not idle");
	mp->p = pp;
	pp->m = mp;
}

struct p *releasep(struct m *mp)
{
	struct p *pp = mp->p;

	if (pp == NULL || atomic_load_explicit(&pp->status, memory_order_relaxed) !=
				  pstatus(mp, Prunning))
		throw("releasep: M does not own its P");
	mp->p = NULL;
	pp->m = NULL;
	/* Release: pairs with acquirep of whoever gets it next. */
	atomic_store_explicit(&pp->status, pstatus(NULL, Pidle), memory_order_release);
	return pp;
}

/* A stranger takes a lent P, if it still is as seen. The caller then owns it (Pidle, on no list). */
bool retakep(struct p *pp, uint64_t seen)
{
	return atomic_compare_exchange_strong_explicit(&pp->status, &seen, pstatus(NULL, Pidle),
						       memory_order_acq_rel, memory_order_relaxed);
}

/* sched.lock held */
static void pidleput(struct p *pp)
{
	pp->link = sched.pidle;
	sched.pidle = pp;
	atomic_fetch_add_explicit(&sched.npidle, 1, memory_order_seq_cst);
}

/* sched.lock held */
static struct p *pidleget(void)
{
	struct p *pp = sched.pidle;

	if (pp == NULL)
		return NULL;
	sched.pidle = pp->link;
	atomic_fetch_sub_explicit(&sched.npidle, 1, memory_order_seq_cst);
	if (atomic_load_explicit(&sched.sysmonwait, memory_order_relaxed))
		sysmonkick();
	return pp;
}

/* ---- M ----------------------------------------------------------------------------------------- */

/* sched.lock held */
static void mput(struct m *mp)
{
	mp->schedlink = sched.midle;
	sched.midle = mp;
	sched.nmidle++;
}

/* sched.lock held, an M was taken from the idle list */
static void mtaken(void)
{
	if (--sched.nmidle < sched.nmidlelow)
		sched.nmidlelow = sched.nmidle;
}

/* sched.lock held */
static struct m *mget(void)
{
	struct m *mp = sched.midle;

	if (mp != NULL) {
		sched.midle = mp->schedlink;
		mtaken();
	}
	return mp;
}

bool retirem(void)
{
	struct m *mp = NULL;

	lock(&sched.lock);
	for (struct m **l = &sched.midle; *l != NULL; l = &(*l)->schedlink) {
		if ((*l)->forked || atomic_load(&(*l)->procid) == (int32_t)SC0(SYS_getpid))
			continue;
		mp = *l;
		*l = mp->schedlink;
		mtaken();
		break;
	}
	unlock(&sched.lock);
	if (mp == NULL)
		return false;
	mp->retired = true;
	notewakeup(&mp->park);
	return true;
}

void setsigmask(struct m *mp, uint64_t mask)
{
	mask &= ALLSIGS;
	if (mp->sigmask == mask)
		return;
	mp->sigmask = mask;
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
}

/* A new M without a kernel thread: its scheduler stack, TCB and place in sched.allms. NULL: no memory, or GMP_MAXM. */
struct m *mnew(void)
{
	static _Atomic int32_t mids;
	long mem;

	if (!mcount())
		return NULL;
	struct m *mp = mreuse();
	if (mp != NULL) {
		mp->forked = mp->retired = false;
		atomic_store(&mp->preemptsent, false);
		atomic_store(&mp->kicked, 0);
		atomic_store(&mp->procid, 0);
		atomic_store(&mp->xiddone, 0);
		atomic_store(&mp->cancelkicked, false);
		atomic_store(&mp->exited, 1);
		noteclear(&mp->park);
		atomic_fetch_add(&sched.mgen, 1);
		return mp;
	}
	size_t size = sizeof(struct m) + tlstmpl.dtvlen * sizeof(uintptr_t);
	mem = SC6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem < 0 && mem > -4096)
		goto fail;
	mp = (struct m *)mem;
	atomic_store_explicit(&mp->exited, 1, memory_order_relaxed);
	mp->id = atomic_fetch_add(&mids, 1) + 1;
	mp->g0.isg0 = true;
	mp->g0.m = mp;
	mp->g0.inruntime = 1; /* g0 runs the runtime only */
	mp->fastrand = (uint64_t)cputicks() | 1;
	if (stackalloc(&mp->g0, 64 << 10, 4096, NULL) != 0) {
		SC2(SYS_munmap, mem, size);
		goto fail;
	}
	tlsg0(&mp->g0, (uintptr_t *)(mp + 1));
	mp->g0.sched.sp = mp->g0.stack.hi;
	struct m *head = atomic_load(&sched.allms);
	do
		mp->alllink = head;
	while (!atomic_compare_exchange_weak(&sched.allms, &head, mp));
	atomic_fetch_add(&sched.mgen, 1); /* last of all: allthreads.c */
	return mp;
fail:
	atomic_fetch_sub_explicit(&sched.nm, 1, memory_order_relaxed);
	return NULL;
}

/* First code of an M's kernel thread, on g0, all signals blocked. */
void mstart(void *arg)
{
	struct m *mp = arg;

	mp->sigmask = ALLSIGS;
	sigalt(mp);
	if (mp->mstartfn != NULL)
		mp->mstartfn();
	/* The program's name, not that of whichever thread made this one. */
	if (sched.maing != NULL)
		SC5(SYS_prctl, PR_SET_NAME, sched.maing->name, 0, 0, 0);
	if (mp->nextp != NULL) {
		acquirep(mp, mp->nextp);
		mp->nextp = NULL;
	}
	gogo(schedule(mp));
}

/* A vfork's child shares our memory, but a thread of it would be a thread of another process. */
static bool elsewhere(void)
{
	return unlikely(runtime_vforked != NULL) && SC0(SYS_getpid) != sched.pid;
}

static bool newm(struct p *pp, bool spinning)
{
	struct m *mp = elsewhere() ? NULL : mnew();
	uint64_t all = ALLSIGS, old;
	long tid = -1;

	if (mp != NULL) {
		mp->nextp = pp;
		mp->spinning = spinning;
		/* The new thread inherits a full mask: no handler may run on it before it has a G. */
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, 8);
		bool sysmon = sysmonusual(true); /* and it inherits nothing that is sysmon's alone */
		tid = clone_m(mp->g0.stack.hi, mp->g0.tcb, (int *)&mp->procid, (int *)&mp->exited, mstart, mp);
		if (sysmon)
			sysmonusual(false);
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
		if (tid < 0) {
			static _Atomic uint64_t said;
			uint64_t now = nanotime(), last = atomic_exchange(&said, now);
			if (last == 0 || now - last > 1000000000)
				gprintf("libgmp: cannot create a kernel thread (error %d); runnable threads wait until one "
					"is free\n", (int)-tid);
			atomic_store(&mp->exited, 0);
			atomic_fetch_sub_explicit(&sched.nm, 1, memory_order_relaxed);
			lock(&sched.lock);
			mp->nextp = NULL;
			mp->schedlink = sched.mdead;
			sched.mdead = mp;
			unlock(&sched.lock);
		}
	}
	return tid > 0;
}

/* Sleep until startm() hands us a P. */
static void stopm(struct m *mp)
{
	if (mp->p != NULL || mp->spinning)
		throw("stopm: M holds a P or spins");
	setsigmask(mp, ALLSIGS); /* sysmon takes signals in its stead (sigmask.c) */
	lock(&sched.lock);
	if (unlikely(sched.stranded)) {
		struct p *pp = pidleget();
		sched.stranded = false;
		if (pp != NULL) {
			unlock(&sched.lock);
			acquirep(mp, pp);
			return;
		}
	}
	for (;;) {
		mput(mp);
		unlock(&sched.lock);
		notesleep(&mp->park);
		setnow(nanotime());
		noteclear(&mp->park);
		if (likely(!mp->retired))
			break;
		if (!uringworks(atomic_load(&mp->procid)))
			mexit(mp);
		lock(&sched.lock);
		mp->retired = false;
		mp->forked = true; /* for good: back to the idle */
	}
	acquirep(mp, mp->nextp);
	mp->nextp = NULL;
	mp->woke = cputicks();
}

/*
 * Unlike Go: rather than make one more M, let the one that sleeps in the netpoller have pp. False if
 * nobody sleeps there; pp is the caller's still.
 *
 * The poller stores lastpoll when it wakes and only then looks for an idle P, under sched.lock. So if lastpoll is still 0
 * after pp is on the idle list, it will find it there; else it may have looked too early.
 */
static bool givepoller(struct p *pp, bool spinning)
{
	if (atomic_load(&sched.lastpoll) != 0)
		return false;
	lock(&sched.lock);
	if (spinning)
		atomic_fetch_sub(&sched.nmspinning, 1);
	pidleput(pp);
	unlock(&sched.lock);
	if (atomic_load(&sched.lastpoll) == 0) {
		netpollbreak();
		return true;
	}
	lock(&sched.lock);
	for (struct p **l = &sched.pidle; *l != NULL; l = &(*l)->link) {
		if (*l == pp) {
			*l = pp->link;
			atomic_fetch_sub_explicit(&sched.npidle, 1, memory_order_seq_cst);
			if (spinning)
				atomic_fetch_add(&sched.nmspinning, 1);
			unlock(&sched.lock);
			return false;
		}
	}
	unlock(&sched.lock);
	return true; /* somebody has taken it from the list: as good */
}

/*
 * A new kernel thread inherits what the kernel keeps by thread from the one that makes it. Who may have changed
 * that (a bound M, a thread which is no M) does not make Ms: sysmon does it in its stead, as Go's template thread.
 */
static bool plain(void)
{
	struct g *gp = getg();

	return gp != NULL && gp->m->lockedg == NULL && !gp->m->retired;
}

/* sysmon: the Ms that others want. */
void newmwaiting(void)
{
	struct p *pp, *next;

	if (likely(atomic_load_explicit(&sched.newmq, memory_order_relaxed) == NULL))
		return;
	lock(&sched.lock);
	pp = atomic_load(&sched.newmq);
	atomic_store(&sched.newmq, NULL);
	unlock(&sched.lock);
	for (; pp != NULL; pp = next) {
		next = pp->link;
		startm(pp, pp->newspin);
	}
}

/*
 * Runs an M on pp (nil: on an idle P, if there is one). spinning: the caller has counted the M
 * in nmspinning already. Any thread; pp is owned by the caller.
 *
 * Where no M comes of it, the count is taken back before anybody else can find the P idle, under the lock. Later, a G might
 * be queued in between by somebody who relies on the M that was counted, with all Ms gone to sleep.
 */
void startm(struct p *pp, bool spinning)
{
	lock(&sched.lock);
	if (pp == NULL && (pp = pidleget()) == NULL) {
		if (spinning)
			atomic_fetch_sub(&sched.nmspinning, 1);
		unlock(&sched.lock);
		return;
	}
	struct m *mp = mget();
	unlock(&sched.lock);
	if (mp != NULL) {
		mp->spinning = spinning;
		mp->nextp = pp;
		notewakeup(&mp->park);
		return;
	}
	if (atomic_load(&sched.nm) >= gomaxprocs + 3 && givepoller(pp, spinning))
		return;
	if (!plain()) {
		pp->newspin = spinning;
		lock(&sched.lock);
		pp->link = atomic_load(&sched.newmq);
		atomic_store(&sched.newmq, pp);
		unlock(&sched.lock);
		sysmonkick();
		return;
	}
	if (!newm(pp, spinning)) {
		/* Thieves look at idle Ps too, and so does every M before it sleeps; one that has gone to sleep in the
		 * netpoller meanwhile is woken. */
		lock(&sched.lock);
		if (spinning)
			atomic_fetch_sub(&sched.nmspinning, 1);
		pidleput(pp);
		sched.stranded = true; /* an M that is on its way to sleep, beyond its looks at queues, sees it in stopm() */
		unlock(&sched.lock);
		if (atomic_load(&sched.lastpoll) == 0)
			netpollbreak();
		if (!atmaxm())
			sysmonkick(); /* all may be blocked in the kernel, and we be in no position to make one */
	}
}

/* One more M, spinning, if a P idles and nobody spins. Any thread. */
void wakep(void)
{
	int32_t zero = 0;

	if (atomic_load(&sched.npidle) == 0 || atomic_load(&sched.nmspinning) != 0 ||
	    !atomic_compare_exchange_strong(&sched.nmspinning, &zero, 1))
		return;
	countone(NULL, CountWakep);
	startm(NULL, true);
}

static void idlep(struct p *pp);

/*
 * Gives away a P that the caller owns and nobody runs: to an M if there is work, else to the idle list. Unlike Go, no M spins for
 * it if all queues are empty and somebody sleeps in the netpoller. Pattern (1): the P is idle, then the queues again.
 */
void handoffp(struct p *pp)
{
	int32_t zero = 0;

	if (!runqempty(pp) || atomic_load(&sched.runqsize) != 0) {
		startm(pp, false);
		return;
	}
	if (atomic_load(&sched.nmspinning) + atomic_load(&sched.npidle) == 0 &&
	    (anyrunq() || (netpollany() && atomic_load(&sched.lastpoll) != 0)) &&
	    atomic_compare_exchange_strong(&sched.nmspinning, &zero, 1)) {
		startm(pp, true);
		return;
	}
	idlep(pp);
	if (unlikely(anyrunq()))
		wakep();
}

/* The same for who has looked for work. */
static void idlep(struct p *pp)
{
	lock(&sched.lock);
	if (sched.runq.n + sched.backq.n + sched.hogq.n != 0 ||
	    /* The last P that ran, and nobody polls: somebody must. */
	    (atomic_load(&sched.npidle) == gomaxprocs - 1 && atomic_load(&sched.lastpoll) != 0)) {
		unlock(&sched.lock);
		startm(pp, false);
		return;
	}
	uint64_t when = atomic_load(&pp->timer0when);
	pidleput(pp);
	unlock(&sched.lock);
	if (when != 0 && atomic_load(&sched.lastpoll) == 0) {
		uint64_t until = atomic_load(&sched.polluntil);
		if (until == 0 || until > when)
			netpollbreak();
	}
}

/* sysmon sleeps for longer than what waits on pp should wait. A kick is a wake-up too: one in a ms must do. */
static void kicksometimes(struct p *pp)
{
	int64_t now = cputicks();

	if (now - atomic_load_explicit(&pp->lastkick, memory_order_relaxed) > KICKTICKS) {
		atomic_store_explicit(&pp->lastkick, now, memory_order_relaxed);
		sysmonkick();
	}
}

/*
 * Nothing is queued behind what an M that woke up will run, but nobody looks at network and timers meanwhile: is sysmon to
 * watch? It would look at the network after LONGTURN, so only if one in LOOKOUTS has lasted that long of late. Else there was
 * one wake-up more, and two ticks of sysmon's, for each request of a server with little to do. The first that lasts longer, sysmon
 * sees at its next tick, in 10 ms at most.
 */
static bool lookout(void)
{
	int32_t n = atomic_load_explicit(&sched.lookouts, memory_order_relaxed);

	if (n > 0)
		atomic_store_explicit(&sched.lookouts, n - 1, memory_order_relaxed); /* racy: a guess */
	return n > 0;
}

/* mp has nothing to do any more. */
static void turnended(struct m *mp)
{
	if (cputicks() - mp->woke > LONGTURN)
		atomic_store_explicit(&sched.lookouts, LOOKOUTS, memory_order_relaxed);
}

/* After putting a G into pp's queue (owner only): is it worth 15 us to wake an M for it? */
static void maybewake(struct p *pp)
{
	if (atomic_load_explicit(&sched.npidle, memory_order_relaxed) == 0 ||
	    atomic_load_explicit(&sched.nmspinning, memory_order_relaxed) != 0)
		return;
	uint32_t most = atomic_load_explicit(&pp->backlog, memory_order_relaxed);
	if (runqlen(pp) + (uint32_t)atomic_load_explicit(&sched.runqsize, memory_order_relaxed) >=
	    (most ? most : BACKLOG)) {
		wakep();
		return;
	}
	if (atomic_load_explicit(&sched.sysmondelay, memory_order_relaxed) > 100000 && (!runqempty(pp) || lookout()))
		kicksometimes(pp);
}

static struct g *execute(struct m *mp, struct g *gp, bool inherit);

static inline void leavecall(struct m *mp)
{
	uint32_t call = atomic_load_explicit(&mp->call, memory_order_relaxed);

	atomic_store_explicit(&mp->call, call & ~(uint32_t)INCALL, memory_order_relaxed);
	if (unlikely(mp->blocking)) {
		mp->blocking = false;
		atomic_fetch_sub_explicit(&sched.nblocking, 1, memory_order_relaxed);
		if (mp->looping) {
			mp->looping = false;
			atomic_fetch_sub_explicit(&sched.nloops, 1, memory_order_relaxed);
		}
	}
}

/* ---- entering and leaving the runtime ---------------------------------------------------------- */

/* gp has no P: one that idles, or it queues. On g0. */
struct g *lostp_m(struct g *gp)
{
	struct m *mp = gp->m;
	bool hog = mp->stray != 0 && atomic_load_explicit(&gp->preempt, memory_order_relaxed);

	dropg(mp, gp);
	strayleave(mp);
	if (hog)
		gp->waitreason = WaitPreempted;
	lock(&sched.lock);
	struct p *pp = pidleget();
	atomic_store_explicit(&gp->status, Grunnable, memory_order_release);
	if (pp == NULL && gp->fromcall)
		backrunqput(gp);
	else if (pp == NULL && hog)
		hogrunqput(gp);
	else if (pp == NULL)
		globrunqput(gp);
	unlock(&sched.lock);
	if (pp != NULL) {
		acquirep(mp, pp);
		return execute(mp, gp, false);
	}
	countone(NULL, CountLost);
	if (mp->lockedg == NULL)
		stopm(mp);
	return schedule(mp);
}

/* The P was taken from us while program code ran: an idle one, or the back of the queue. */
static __attribute__((noinline)) void exitforeignslow(struct g *gp)
{
	struct m *mp = gp->m;

	mp->p = NULL;
	if (atomic_load(&sched.npidle) != 0) {
		lock(&sched.lock);
		struct p *pp = pidleget();
		unlock(&sched.lock);
		if (pp != NULL) {
			strayleave(mp);
			acquirep(mp, pp);
			return;
		}
	}
	mcall(gp, &mp->g0, lostp_m);
}

struct m *exitforeign(void)
{
	struct g *gp = getg();

	/* From here a signal handler only notes the signal (signal.c), so gp->m and the P hold still. */
	if (gp->inruntime++ > 0)
		return gp->m;
	atomic_signal_fence(memory_order_seq_cst);
	struct m *mp = gp->m;
	struct p *pp = mp->p;
	uint64_t lent = pstatus(mp, Pforeign);
	if (unlikely(pp == NULL || !atomic_compare_exchange_strong_explicit(
					   &pp->status, &lent, pstatus(mp, Prunning),
					   memory_order_acquire, memory_order_relaxed)))
		exitforeignslow(gp);
	return gp->m;
}

int exitforeignhere(void)
{
	struct g *gp = getg();

	gp->inruntime++;
	atomic_signal_fence(memory_order_seq_cst);
	struct m *mp = gp->m;
	uint64_t st = pstatus(mp, Pforeign);
	if (mp->p == NULL)
		return NOP;
	if (atomic_compare_exchange_strong_explicit(&mp->p->status, &st, pstatus(mp, Prunning),
						    memory_order_acquire, memory_order_relaxed))
		return LENTP;
	return st == pstatus(mp, Prunning) ? OURP : NOP;
}

/* What was asked of the G meanwhile waits: a signal is on the nag list, and preempt is seen at the next way out. */
void enterforeignhere(int was)
{
	struct g *gp = getg();

	if (was == LENTP)
		atomic_store_explicit(&gp->m->p->status, pstatus(gp->m, Pforeign), memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	gp->inruntime--;
}

int enterforeign(void)
{
	struct g *gp = getg();

	if (gp->inruntime > 1) {
		gp->inruntime--;
		return 0;
	}
	struct m *mp = gp->m;
	if (unlikely(atomic_load_explicit(&gp->preempt, memory_order_relaxed)) && mp->p != NULL) {
		preemptcoop(gp);
		mp = gp->m;
	}
	/* Release: whoever retakes the P sees what we did with it. */
	if (likely(mp->p != NULL))
		atomic_store_explicit(&mp->p->status, pstatus(mp, Pforeign), memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	gp->inruntime = 0;
	atomic_signal_fence(memory_order_seq_cst);
	if (unlikely(atomic_load_explicit(&gp->sigwake, memory_order_acquire)))
		return runsigs(gp);
	return 0;
}

/*
 * Work waits behind a call that may block: see to it that sysmon looks in time. Nobody is woken for it here: most such
 * calls are over sooner than a wake-up. What is known to block hands its P over instead.
 */
static void beforesyscall(struct p *pp)
{
	if ((!runqempty(pp) || atomic_load_explicit(&sched.runqsize, memory_order_relaxed) != 0) &&
	    atomic_load_explicit(&sched.sysmondelay, memory_order_relaxed) > 100000)
		kicksometimes(pp);
}

/* The frame pointer that the caller's caller has now and during the call. */
static inline __attribute__((always_inline)) void *callerframe(void)
{
	return *(void **)__builtin_frame_address(0);
}

/*
 * Unlike Go: the P's status stays Pforeign, for it is on loan already. The mark is a word of the M's, which tells sysmon to
 * take the P sooner, so that a marked call costs a few plain stores more than the bare one.
 *
 * The order matters to signal handlers, which may run from status = Gsyscall on (signal.c), end the mark and set
 * it anew, perhaps on another M: mp is not read across that store.
 */
void entersyscall(void)
{
	struct g *gp = getg();

	if (gp == NULL || gp->inruntime != 0)
		return;
	struct m *mp = gp->m;
	if (mp->p != NULL)
		beforesyscall(mp->p);
	gp->syscallbp = callerframe();
	gp->waitsince = coarsenow();
	uint32_t call = atomic_load_explicit(&mp->call, memory_order_relaxed);
	atomic_store_explicit(&mp->call, (call + 2) | INCALL, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&gp->status, Gsyscall, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
}

void entersyscallblock(void)
{
	struct g *gp = getg();

	if (gp == NULL || gp->inruntime != 0)
		return;
	gp->inruntime = 1;
	atomic_signal_fence(memory_order_seq_cst);
	struct m *mp = gp->m;
	if (mp->p != NULL) {
		gp->inruntime = 0;
		mp = exitforeign();
	} else { /* nothing to hand over */
		strayleave(mp);
		atomic_store_explicit(&gp->preempt, false, memory_order_relaxed);
	}
	leavecall(mp); /* popen() is one, and calls posix_spawn(), which is another: counted once */
	gp->syscallbp = callerframe();
	gp->waitsince = coarsenow();
	atomic_store_explicit(&gp->status, Gsyscall, memory_order_relaxed);
	mp->blocking = true;
	atomic_fetch_add_explicit(&sched.nblocking, 1, memory_order_relaxed);
	if (mp->p != NULL) {
		countone(mp->p, CountHandover);
		handoffp(releasep(mp));
	}
	atomic_signal_fence(memory_order_seq_cst);
	gp->inruntime = 0;
}

/*
 * As entersyscallblock(), for an M that would be idle: it sleeps in that call instead of the netpoller. False: there is other work, park.
 * Nobody is woken to look for work in its stead, as in findrunnable(); pattern (1): the P is idle, then the queues again.
 */
bool entersyscallidle(void)
{
	struct g *gp = getg();
	struct m *mp = exitforeign();
	struct p *pp = mp->p;

	if (gp->inruntime != 1 || mp->lockedg != NULL || anyrunq() || atomic_load(&sched.hogqsize) > 0) {
		enterforeign();
		return false;
	}
	gp->syscallbp = callerframe();
	gp->waitsince = coarsenow();
	atomic_store_explicit(&gp->status, Gsyscall, memory_order_relaxed);
	countone(pp, CountLoop);
	mp->blocking = mp->looping = true;
	atomic_fetch_add_explicit(&sched.nblocking, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&sched.nloops, 1, memory_order_relaxed);
	idlep(releasep(mp));
	if (unlikely(anyrunq()))
		wakep();
	atomic_signal_fence(memory_order_seq_cst);
	gp->inruntime = 0;
	return true;
}

/* The P is still ours: back in program code. Else exitsyscall() goes the general way. */
bool exitsyscallfast(void)
{
	struct g *gp = getg();

	if (gp == NULL || gp->inruntime != 0)
		return true;
	atomic_store_explicit(&gp->status, Grunning, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	struct m *mp = gp->m;
	struct p *pp = mp->p;
	leavecall(mp);
	/* If sysmon takes it after this look, that is as if we had computed for a moment without it. */
	if (likely(pp != NULL))
		return atomic_load_explicit(&pp->status, memory_order_acquire) == pstatus(mp, Pforeign);
	return straying(mp) && !atomic_load_explicit(&gp->preempt, memory_order_relaxed);
}

/* Back without a P, and none idles: on without one, if that may be. */
static bool goastray(struct g *gp)
{
	gp->inruntime = 1;
	atomic_signal_fence(memory_order_seq_cst);
	struct m *mp = gp->m;
	struct p *pp = mp->p;
	bool may = atomic_load(&sched.npidle) == 0 && !atomic_load_explicit(&gp->preempt, memory_order_relaxed) &&
		   (pp == NULL || atomic_load_explicit(&pp->status, memory_order_relaxed) != pstatus(mp, Pforeign)) &&
		   mp->stray == 0 && strayenter(mp);
	if (may) {
		mp->p = NULL;
		enterforeign();
		return true;
	}
	gp->inruntime = 0;
	return false;
}

void exitsyscall(void)
{
	if (likely(exitsyscallfast()))
		return;
	struct g *gp = getg();
	if (goastray(gp))
		return;
	gp->fromcall = true;
	exitforeign();
	gp->fromcall = false;
	enterforeign();
}

/* ---- schedule ---------------------------------------------------------------------------------- */

void gopkeys(void)
{
	atomic_store(&sched.pkeys, true);
}

/* gp runs on mp from now on: mcall(), or mstart(), goes on with it. */
static struct g *execute(struct m *mp, struct g *gp, bool inherit)
{
	struct p *pp = mp->p;

	gp->m = mp;
	mp->curg = gp;
	if (unlikely(atomic_load_explicit(&sched.cputimes, memory_order_relaxed)))
		cpubegin(mp);
	if (unlikely(atomic_load_explicit(&sched.pkeys, memory_order_relaxed)) && gp->pkrights != pkrights())
		setpkrights(gp->pkrights);
	leavecall(mp); /* who was cancelled inside libc has left its call without a word */
	atomic_store_explicit(&gp->preempt, false, memory_order_relaxed);
	atomic_store_explicit(&gp->status, Grunning, memory_order_relaxed);
	if (!inherit)
		pp->nextstreak = 0;
	atomic_store_explicit(&pp->schedtick,
			      atomic_load_explicit(&pp->schedtick, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	setsigmask(mp, gp->sigmask);
	if (unlikely(atomic_load_explicit(&gp->wish, memory_order_relaxed) != 0))
		affine(mp, gp);
	return gp;
}

static void ready(struct g *gp, bool next)
{
	struct g *self = getg();
	struct m *mp = self ? self->m : NULL;
	struct p *pp = mp ? mp->p : NULL;

	atomic_store_explicit(&gp->status, Grunnable, memory_order_release);
	if (pp != NULL) {
		if (!self->isg0 && self->inruntime == 0)
			throw("goready: the P is lent");
		runqput(pp, gp, next);
		maybewake(pp);
		return;
	}
	lock(&sched.lock);
	globrunqput(gp);
	unlock(&sched.lock);
	wakep();
}

/* Runs next on this P: it was woken by the G that runs, which is about to wait for it more often than not. */
void goready(struct g *gp)
{
	ready(gp, true);
}

/* Behind the others: one of many that become ready together, in the order in which they did. */
void goreadylast(struct g *gp)
{
	ready(gp, false);
}

void goreadyglobal(struct g *gp)
{
	atomic_store_explicit(&gp->status, Grunnable, memory_order_release);
	lock(&sched.lock);
	globrunqput(gp);
	unlock(&sched.lock);
	wakep();
}

/* Readies a list of claimed Gs (linked by schedlink). Any thread. */
void injectglist(struct g *list, int32_t n)
{
	struct g *self = getg();
	struct p *pp = self && self->m ? self->m->p : NULL;
	struct gqueue q = {NULL, NULL, 0};

	(void)n;
	while (list != NULL) {
		struct g *gp = list;
		list = gp->schedlink;
		atomic_store_explicit(&gp->status, Grunnable, memory_order_release);
		if (pp != NULL && runqlen(pp) < nelem(pp->runq) - 1) {
			runqput(pp, gp, false);
			continue;
		}
		gp->schedlink = NULL;
		if (q.tail != NULL)
			q.tail->schedlink = gp;
		else
			q.head = gp;
		q.tail = gp;
		q.n++;
	}
	if (q.n != 0) {
		lock(&sched.lock);
		globrunqputbatch(&q);
		unlock(&sched.lock);
	}
	if (pp != NULL)
		maybewake(pp);
	else if (q.n != 0)
		wakep();
}

static uint64_t fastrand(struct m *mp)
{
	mp->fastrand ^= mp->fastrand << 13;
	mp->fastrand ^= mp->fastrand >> 7;
	mp->fastrand ^= mp->fastrand << 17;
	return mp->fastrand;
}

/* Four rounds over all Ps in random order; the last takes runnext and expired timers too. */
static struct g *stealwork(struct m *mp, uint64_t *now)
{
	struct p *pp = mp->p;
	bool inherit;

	for (int round = 0; round < 4; round++) {
		bool last = round == 3;
		uint32_t start = (uint32_t)(fastrand(mp) % (uint64_t)gomaxprocs);
		for (int32_t i = 0; i < gomaxprocs; i++) {
			struct p *p2 = allp[(start + (uint32_t)i) % (uint32_t)gomaxprocs];
			if (p2 == pp)
				continue;
			if (last && atomic_load(&p2->timer0when) != 0) {
				bool ran = false;
				*now = nanotime();
				checktimers(p2, *now, &ran);
				struct g *gp = ran ? runqget(pp, &inherit) : NULL;
				if (gp != NULL)
					return gp;
			}
			struct g *gp = runqsteal(pp, p2, last);
			if (gp != NULL) {
				countone(pp, CountSteal);
				return gp;
			}
		}
	}
	return NULL;
}

bool anyrunq(void)
{
	for (int32_t i = 0; i < gomaxprocs; i++)
		if (!runqempty(allp[i]))
			return true;
	return atomic_load(&sched.runqsize) != 0;
}

/* Takes an idle P for an M that has seen work after it gave its own up. */
static bool regainp(struct m *mp)
{
	lock(&sched.lock);
	struct p *pp = pidleget();
	unlock(&sched.lock);
	if (pp == NULL)
		return false;
	acquirep(mp, pp);
	return true;
}

/*
 * Looks at the network without waiting. Somebody may go to sleep there meanwhile (lastpoll = 0): that stays, or the next M would
 * believe that nobody polls and sleep there as well, and so on: each of them neither idle nor woken, one more made for each.
 */
static struct g *pollnow(struct m *mp)
{
	uint64_t last = atomic_load(&sched.lastpoll);
	int32_t n;
	struct g *list = netpoll(0, &n);
	uint64_t now = setnow(nanotime());

	if (last != 0)
		atomic_compare_exchange_strong(&sched.lastpoll, &last, now);
	if (list == NULL)
		return NULL;
	struct g *gp = list;
	list = list->schedlink;
	if (mp->p == NULL)
		throw("pollnow: no P");
	countn(mp->p, CountNetpoll, (uint64_t)n);
	injectglist(list, n - 1);
	atomic_store_explicit(&gp->status, Grunnable, memory_order_release);
	return gp;
}

/*
 * Calls that block come back without end, so no queue is ever empty and the network would be looked at each 61 turns: once
 * nobody has looked for some turns' time, do. nil: nothing is ready, or somebody looks.
 */
static struct g *pollstale(struct m *mp)
{
	uint64_t last = atomic_load(&sched.lastpoll);

	if (last == 0 || !netpollany() || nanotime() - last < STALE)
		return NULL;
	return pollnow(mp);
}

/*
 * The last M about to sleep polls for a while first, if that pays: with few connections the answer is often there sooner than
 * a sleep and a wake-up would take. The books are kept in cputicks: what polling costs (what others run meanwhile
 * is theirs) against SPARED for each sleep that it spares. In the red, one time in RETRY is tried.
 * With a CPU to itself the yields are half of that: as long as they were free, a client that came every 30 us kept it going, and
 * memcached took 2.7 times the CPU time for a request.
 * Rejected: hits against misses. A server with a request now and then hit often enough to go on, and polled away as much
 * CPU time as its requests needed.
 */
static struct g *idlespin(struct m *mp, uint64_t nexttimer)
{
	static _Atomic int64_t account = MOSTSPARED;
	static _Atomic uint32_t skip;
	int64_t had = atomic_load_explicit(&account, memory_order_relaxed), cost = 0;

	if (debug.spinns == 0 || (had <= 0 && atomic_fetch_add_explicit(&skip, 1, memory_order_relaxed) % RETRY != 0))
		return NULL;
	uint64_t start = nanotime(), now = start;
	struct g *gp;
	bool hit;
	do {
		int64_t t = cputicks();
		gp = pollnow(mp);
		hit = gp != NULL || anyrunq();
		cost += cputicks() - t;
		if (hit)
			break;
		/* Others (the client on this machine, say) may want the CPU more. */
		t = cputicks();
		SC0(SYS_sched_yield);
		t = cputicks() - t;
		cost += t < OURYIELD ? t : OURYIELD;
		now = nanotime();
	} while (now - start < (uint64_t)debug.spinns && (nexttimer == 0 || now < nexttimer));
	had += (hit ? SPARED : 0) - cost;
	atomic_store_explicit(&account, had > MOSTSPARED ? MOSTSPARED : had < 0 ? 0 : had, memory_order_relaxed);
	return gp;
}

/* Sleep in the netpoller without a P until something is ready or `until` (0: for ever). With a G, a P is held. */
static struct g *pollsleep(struct m *mp, uint64_t until)
{
	int64_t delay = -1;
	int32_t n;

	if (until != 0) {
		uint64_t now = nanotime();
		delay = until > now ? (int64_t)(until - now) : 0;
	}
	struct g *list = netpoll(delay, &n);
	atomic_store(&sched.polluntil, 0);
	atomic_store(&sched.lastpoll, setnow(nanotime()));
	countn(NULL, CountNetpoll, (uint64_t)n);
	if (!regainp(mp)) {
		if (list != NULL)
			injectglist(list, n);
		return NULL;
	}
	mp->woke = cputicks();
	if (list == NULL)
		return NULL;
	struct g *gp = list;
	injectglist(list->schedlink, n - 1);
	atomic_store_explicit(&gp->status, Grunnable, memory_order_release);
	return gp;
}

static struct g *runhog(struct p *pp)
{
	lock(&sched.lock);
	struct g *gp = hogrunqget();
	unlock(&sched.lock);
	if (gp == NULL)
		return NULL;
	pp->hogbegan = cputicks();
	/* It will compute: others wait for sysmon's look, which may be 10 ms away where turns were short so far. */
	if (atomic_load_explicit(&sched.sysmondelay, memory_order_relaxed) > 1000000)
		kicksometimes(pp);
	return gp;
}

/*
 * Is it time for one that was preempted, whoever else waits? Those who compute and those who do not have the CPU for as long
 * as each other, where both want it: after a turn, it is the others' for as long as that was. So no hog starves
 * where some pair keeps waking each other, and one that is cut short for who was woken is soon back.
 * Rejected: a fixed time from the beginning of the last turn (after a long one, the next came before those for whom
 * it had been cut short); from its end (of 10 ms, those who compute had 1).
 */
static bool hogdue(struct p *pp)
{
	int64_t now = cputicks();

	if (pp->hogbegan != 0) {
		int64_t had = now - pp->hogbegan;
		pp->hogbegan = 0;
		pp->nexthog = now + (had < HOGTURN / 100 ? HOGTURN / 100 : had < HOGTURN ? had : HOGTURN);
	}
	return now >= pp->nexthog;
}

/* Finds a G to run; blocks until there is one. Called with a P; returns with one, maybe another. */
static struct g *findrunnable(struct m *mp, bool *inherit)
{
	struct g *gp;
	struct p *pp;
	uint64_t now, next;
	bool ran;
	bool spun = false;

top:
	pp = mp->p;
	*inherit = false;
	ran = false;
	next = 0;
	if (atomic_load_explicit(&pp->timer0when, memory_order_relaxed) != 0) {
		now = setnow(nanotime());
		next = checktimers(pp, now, &ran);
	}
	if (unlikely(pp->globalfirst)) {
		pp->globalfirst = false;
		lock(&sched.lock);
		gp = globrunqget(pp, 1);
		unlock(&sched.lock);
		if (gp != NULL)
			return gp;
	}
	if (unlikely(atomic_load_explicit(&sched.backqsize, memory_order_relaxed) > 0) && (gp = pollstale(mp)) != NULL)
		return gp;
	if (unlikely(atomic_load_explicit(&sched.backqsize, memory_order_relaxed) > 0) && !pp->backlast) {
		/* Every other turn at most, or callers would starve the rest. */
		lock(&sched.lock);
		gp = backrunqget();
		unlock(&sched.lock);
		pp->backlast = gp != NULL;
		if (gp != NULL)
			return gp;
	}
	pp->backlast = false;
	if (unlikely(atomic_load_explicit(&sched.hogqsize, memory_order_relaxed) > 0) &&
	    hogdue(pp) && (gp = runhog(pp)) != NULL)
		return gp;
	/* Once in a while the queues that a busy local queue would starve. */
	if (pp->schedtick % 61 == 0) {
		if (atomic_load_explicit(&sched.runqsize, memory_order_relaxed) > 0) {
			lock(&sched.lock);
			gp = globrunqget(pp, 1);
			unlock(&sched.lock);
			if (gp != NULL)
				return gp;
		}
		if (netpollany() && atomic_load(&sched.lastpoll) != 0 && (gp = pollnow(mp)) != NULL)
			return gp;
	}
	if (pp->nextstreak >= NEXTSTREAK) {
		/* A pair that readies each other for ever goes behind the others for once. */
		gp = atomic_exchange_explicit(&pp->runnext, NULL, memory_order_acq_rel);
		if (gp != NULL)
			runqput(pp, gp, false);
		pp->nextstreak = 0;
	}
	gp = runqget(pp, inherit);
	if (gp != NULL) {
		if (*inherit)
			pp->nextstreak++;
		return gp;
	}
	if (atomic_load_explicit(&sched.runqsize, memory_order_relaxed) != 0) {
		lock(&sched.lock);
		gp = globrunqget(pp, 0);
		unlock(&sched.lock);
		if (gp != NULL)
			return gp;
	}
	if (netpollany() && atomic_load(&sched.lastpoll) != 0 && (gp = pollnow(mp)) != NULL)
		return gp;
	if (unlikely(atomic_load_explicit(&sched.hogqsize, memory_order_relaxed) > 0) && (gp = runhog(pp)) != NULL)
		return gp;

	if (mp->spinning ||
	    2 * atomic_load(&sched.nmspinning) < gomaxprocs - atomic_load(&sched.npidle)) {
		if (!mp->spinning) {
			mp->spinning = true;
			atomic_fetch_add(&sched.nmspinning, 1);
		}
		gp = stealwork(mp, &now);
		if (gp != NULL)
			return gp;
	}
	if (!spun && netpollany() && atomic_load(&sched.npidle) == gomaxprocs - 1 &&
	    atomic_load(&sched.lastpoll) != 0) {
		spun = true;
		gp = idlespin(mp, next);
		if (gp != NULL)
			return gp;
		goto top;
	}

	lock(&sched.lock);
	if (sched.runq.n + sched.backq.n + sched.hogq.n != 0) {
		gp = globrunqget(pp, 0);
		if (gp == NULL) {
			gp = hogrunqget();
			pp->hogbegan = cputicks();
		}
		unlock(&sched.lock);
		return gp;
	}
	releasep(mp);
	pidleput(pp);
	unlock(&sched.lock);
	turnended(mp);

	bool wasspinning = mp->spinning;
	if (mp->spinning) {
		mp->spinning = false;
		/* Pattern (1): seq_cst before the re-checks. */
		if (atomic_fetch_sub(&sched.nmspinning, 1) <= 0)
			throw("findrunnable: nmspinning is negative");
	}
	/* Unlike Go, also when we did not spin: a submitter that saw us busy may not have woken anybody. */
	if (anyrunq() && regainp(mp)) {
		if (wasspinning) {
			mp->spinning = true;
			atomic_fetch_add(&sched.nmspinning, 1);
		}
		goto top;
	}
	/* Pattern (2): who polls takes lastpoll; everybody looks at the timers only afterwards. */
	if (netpollinited() && atomic_exchange(&sched.lastpoll, 0) != 0) {
		next = timersnext();
		atomic_store(&sched.polluntil, next);
		uint64_t again = timersnext();
		if (again != 0 && (next == 0 || again < next)) {
			next = again;
			atomic_store(&sched.polluntil, next);
		}
		if (anyrunq()) { /* queued between our look and lastpoll = 0 */
			atomic_store(&sched.polluntil, 0);
			atomic_store(&sched.lastpoll, nanotime());
			if (regainp(mp))
				goto top;
		} else {
			gp = pollsleep(mp, next);
			if (mp->p != NULL) {
				if (gp != NULL)
					return gp;
				if (wasspinning) {
					mp->spinning = true;
					atomic_fetch_add(&sched.nmspinning, 1);
				}
				goto top;
			}
		}
	} else if (netpollinited()) {
		next = timersnext();
		uint64_t until = atomic_load(&sched.polluntil);
		if (next != 0 && (until == 0 || until > next))
			netpollbreak();
	}
	stopm(mp);
	goto top;
}

struct g *schedule(struct m *mp)
{
	bool inherit;
	struct g *gp;

	if (unlikely(mp->lockedg != NULL)) {
		stoplockedm(mp);
		return execute(mp, mp->lockedg, false);
	}
again:
	if (mp->p == NULL)
		stopm(mp);
	gp = findrunnable(mp, &inherit);
	if (mp->spinning) {
		mp->spinning = false;
		if (atomic_fetch_sub(&sched.nmspinning, 1) <= 0)
			throw("schedule: nmspinning is negative");
		maybewake(mp->p);
	}
	if (unlikely(gp->lockedm != NULL)) {
		startlockedm(mp, gp);
		goto again;
	}
	return execute(mp, gp, inherit);
}

/* ---- ends of a G's turn ------------------------------------------------------------------------ */

static struct g *park_m(struct g *gp)
{
	struct m *mp = gp->m;
	uint64_t w = atomic_load_explicit(&gp->park, memory_order_relaxed);
	uint64_t parked = (w & ~(uint64_t)0xff) | Parkparked;

	dropg(mp, gp);
	countone(mp->p, CountPark);
	atomic_store_explicit(&gp->status, Gwaiting, memory_order_relaxed);
	/* Release: the stack and all of gp belong to the claimer from here on (parkclaim acquires). */
	if ((w & 0xf) != Parkpreparing ||
	    !atomic_compare_exchange_strong_explicit(&gp->park, &w, parked, memory_order_acq_rel,
						     memory_order_acquire)) {
		atomic_store_explicit(&gp->status, Grunnable, memory_order_relaxed);
		return execute(mp, gp, true);
	}
	return schedule(mp);
}

enum wakereason gopark(struct g *gp, enum waitreason why, uintptr_t obj, uint64_t deadline)
{
	struct m *mp = gp->m;
	uint64_t w = atomic_load_explicit(&gp->park, memory_order_acquire);

	if (mp->p == NULL || gp->inruntime == 0)
		throw("gopark: no P");
	gp->waitreason = why;
	gp->waitobj = obj;
	gp->waitsince = coarsenow();
	if ((w & 0xf) == Parkpreparing) {
		if (deadline != 0)
			timerarm(mp->p, &gp->timer, gp, w >> 8, deadline);
		/* Signals that came while we were in the runtime end the wait before it begins. */
		if (unlikely(atomic_load(&gp->sigwake)))
			gowake(gp, w >> 8, WakeSignal);
		mcall(gp, &mp->g0, park_m);
		if (deadline != 0)
			atomic_store_explicit(&gp->timer.when, 0, memory_order_relaxed);
	}
	w = atomic_load_explicit(&gp->park, memory_order_acquire);
	if ((w & 0xf) != Parkwoken)
		throw("gopark: woken by nobody");
	gp->waitreason = WaitNone;
	return (enum wakereason)((w >> 4) & 0xf);
}

static struct g *gosched_m(struct g *gp)
{
	struct m *mp = gp->m;

	dropg(mp, gp);
	countone(mp->p, CountYield);
	atomic_store_explicit(&gp->status, Grunnable, memory_order_release);
	runqput(mp->p, gp, false);
	return schedule(mp);
}

void gosched(void)
{
	struct g *gp = getg();

	if (gp == NULL) {
		SC0(SYS_sched_yield);
		return;
	}
	struct m *mp = exitforeign();
	struct p *pp = mp->p;
	if (!runqempty(pp) || atomic_load_explicit(&sched.runqsize, memory_order_relaxed) != 0 ||
	    atomic_load_explicit(&pp->timer0when, memory_order_relaxed) != 0 || netpollany())
		mcall(gp, &mp->g0, gosched_m);
	enterforeign();
}

static struct g *goexit0(struct g *gp)
{
	struct m *mp = gp->m;

	dropg(mp, gp);
	countone(mp->p, CountEnded);
	if (unlikely(mp->lockedg != NULL))
		goexitlocked(mp, gp);
	gdestroy(mp, gp);
	return schedule(mp);
}

/*
 * libc counts its threads, and calls exit(0) when the last ends. All Gs together are one of them, as main is when the
 * pool starts.
 */
void gcountup(void)
{
	if (unlikely(atomic_fetch_add(&sched.ngs, 1) == 0) && libcnthreads != NULL)
		atomic_fetch_add(libcnthreads, 1);
}

/* True: the caller is the process's last thread. */
static bool gcountdown(void)
{
	if (likely(atomic_fetch_sub(&sched.ngs, 1) != 1))
		return false;
	return libcnthreads == NULL || atomic_fetch_sub(libcnthreads, 1) == 1;
}

static noreturn void goexit1(struct g *gp)
{
	struct m *mp = exitforeign();

	robustexit(gp);
	sigexit(gp);
	timerdel(&gp->timer);
	mcall(gp, &mp->g0, goexit0);
	__builtin_unreachable();
}

/* The calling G is done: its destructors have run, its value is in gp->retval. */
noreturn void goexit(struct g *gp)
{
	/* The last thread's end is the process's: atexit handlers and all, as program code. */
	if (gcountdown()) {
		if (atomic_load(&sched.exitedraw))
			SC1(SYS_exit_group, 0);
		libcexit(0);
	}
	goexit1(gp);
}

noreturn void goexitraw(int status)
{
	struct g *gp = getg();

	tlsdrop(gp);
	gp->retval = NULL;
	atomic_store(&sched.exitedraw, true);
	if (gcountdown())
		SC1(SYS_exit_group, status); /* the last one's counts, since Linux 6.0 */
	goexit1(gp);
}
