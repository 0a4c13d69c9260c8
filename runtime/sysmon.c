/* SPDX-License-Identifier: MIT
 *
 * sysmon.c: the thread without a P (Go's sysmon and retake).
 *
 * It never runs a G. Each tick it
 *   - hands signals that arrived in the runtime to their Gs (signal.c);
 *   - polls the network if nobody did for 10 ms;
 *   - retakes Ps: (1) in a marked system call since the last tick with work waiting, or for 10 ms;
 *     (3) lent to the same G for 10 ms with work waiting, and the M blocked in the kernel (its CPU clock
 *     stands still and its state is not R);
 *   - has Gs preempted that compute, or are in the runtime at each look: (2) after 1 ms if somebody who was woken waits for the P, after 10 ms for others that
 *     compute (preempt.c); the P is taken if that was asked for in vain for 10 ms more;
 *   - on Ps whose Gs compute, has them preempted when a timer is due there: nobody else looks at these timers;
 *   - sleeps in the netpoller while all Ps compute, so that whom the network wakes runs at once;
 *   - measures how long Gs run on each P, from which maybewake() knows what backlog is worth a wake-up;
 *   - wakes an M if Gs have waited for a whole tick while a P idles: the price of not waking one
 *     at every goready (proc.c).
 *
 * Tick: 40 us while there is something to watch (250 us if no P is in a marked call, nor idle), doubling to 10 ms (500 us while a P idles and another
 * works, since only a tick can see that the idle one is wanted; 2 ms while Gs compute, and not beyond their Ps' timers); asleep until kicked once all Ps have
 * idled for a second. maybewake() and beforesyscall() kick it, at most once a ms.
 *
 * Blocks: its own kernel thread only. Takes sched.lock, pd->lock, timer locks; holds none across a sleep.
 */
#include "runtime.h"
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { MS = 1000000, FINE = 40000, BUSY = 250000, COARSE = 10 * MS, LAZY = 500 * MS, URGENT = MS, PATIENCE = 20, WATCH = 500000, QUIET = 8, ATREST = 100, WORTH = 80000 };

static uint32_t seentick[1024]; /* per P: schedtick + runqhead at the last tick */
static bool seenwork[1024];

void sysmonkick(void)
{
	notewakeup(&sched.sysmonnote);
}

/* ---- is that M computing, or asleep in the kernel? ---------------------------------------------- */

/* Is it on a CPU? Then its clock goes on between two looks. Whether it is asleep, asleep() says (aside.c). */
static bool oncpu(int tid)
{
	return threadcpu(tid) != threadcpu(tid);
}

/* ---- retake ------------------------------------------------------------------------------------- */

static bool workwaits(struct p *pp)
{
	return !runqempty(pp) || atomic_load_explicit(&sched.runqsize, memory_order_relaxed) != 0;
}

static struct m *mofid(int32_t id)
{
	for (struct m *mp = atomic_load_explicit(&sched.allms, memory_order_acquire); mp; mp = mp->alllink)
		if (mp->id == id)
			return mp;
	return NULL;
}

/* Takes pp from whoever has it on loan, if it is still as seen. */
static bool take(struct p *pp, uint64_t seen, enum counter why)
{
	if (!retakep(pp, seen))
		return false;
	countone(pp, why);
	handoffp(pp);
	return true;
}

static bool retakesyscall(struct p *pp, struct m *mp, uint64_t st, uint32_t call, uint64_t now)
{
	if (pp->sysmoncall != call || pp->sysmoncallm != mp->id) {
		pp->sysmoncall = call;
		pp->sysmoncallm = mp->id;
		pp->sysmonsyscallwhen = now;
		return false;
	}
	/* Nothing waits, and others could take what comes: leave it for a while, to spare the M the way
	 * through the idle list. Not for ever: it must not keep sysmon from sleeping. */
	bool early = now < pp->sysmonsyscallwhen + COARSE;
	if (!workwaits(pp) && atomic_load(&sched.nmspinning) + atomic_load(&sched.npidle) > 0 && early)
		return false;
	/* Unlike Go: an M that the kernel took off the CPU in the middle of a short call is not blocked, and one more M
	 * would only wait for the same CPU. On a busy machine that made Ms without end. */
	if (early && !asleep(mp, call, now))
		return false;
	if (!take(pp, st, CountRetakeSyscall))
		return false;
	acceptend(mp);
	return true;
}

/* Somebody who was woken, or is new, waits for pp, and no other P is free for it. Those who were preempted may wait. */
static bool urgent(struct p *pp, uint64_t now)
{
	if (atomic_load(&sched.npidle) + atomic_load(&sched.nmspinning) != 0)
		return false;
	uint64_t when = atomic_load_explicit(&pp->timer0when, memory_order_relaxed);
	return !runqempty(pp) || (when != 0 && when <= now) ||
	       atomic_load_explicit(&sched.runqsize, memory_order_relaxed) >
		       atomic_load_explicit(&sched.hogqsize, memory_order_relaxed);
}

/* Has pp run the same G for a slice? */
static bool longenough(struct p *pp, uint64_t now)
{
	uint32_t t = atomic_load_explicit(&pp->schedtick, memory_order_relaxed);

	if (pp->sysmonschedtick != t) {
		pp->sysmonschedtick = t;
		pp->sysmonschedwhen = now;
		pp->sysmoncputime = 0;
		pp->nasked = 0;
		return false;
	}
	return now >= pp->sysmonschedwhen + (urgent(pp, now) ? URGENT : COARSE);
}

/*
 * The M is in the runtime, as at each of our looks maybe: its G may call what is done there again and again. It is asked to
 * give way on its way out.
 */
static bool askrunning(struct p *pp, uint64_t st, uint64_t now)
{
	if (!longenough(pp, now) || (!workwaits(pp) && !urgent(pp, now)))
		return false;
	struct m *mp = mofid((int32_t)(st >> 8));
	return mp != NULL && preemptsoon(mp);
}

static bool retakeforeign(struct p *pp, struct m *mp, uint64_t st, uint64_t now)
{
	int tid = mp ? atomic_load(&mp->procid) : 0;

	if (unlikely(debug.forcens != 0) && mp != NULL && oncpu(tid))
		preemptone(mp);
	if (!longenough(pp, now) || tid == 0)
		return false;
	/* If Ps idle or spin, others find what comes; only this P's own queue is stuck with it, and can be stolen. But
	 * a thread that sits in the kernel for good must not keep sysmon from resting. */
	bool spare = !workwaits(pp) && atomic_load(&sched.nmspinning) + atomic_load(&sched.npidle) > 0;
	if (spare && now < pp->sysmonschedwhen + 100 * COARSE)
		return false;
	uint64_t cpu = threadcpu(tid);
	if (pp->sysmoncputime == 0) { /* first look: remember, decide a tick later */
		pp->sysmoncputime = cpu;
		return false;
	}
	bool still = cpu == pp->sysmoncputime;
	if (still)
		return now >= pp->sysmonschedwhen + COARSE && asleep(mp, STILL | cpu, now) &&
		       take(pp, st, CountRetakeBlocked);
	/* Computing. */
	pp->sysmoncputime = cpu;
	if (spare)
		return false;
	if (pp->nasked++ < PATIENCE || atmaxm())
		return preemptone(mp);
	/* In vain: the kernel shares the CPU out once another M has the P, if there is another. */
	return now >= pp->sysmonschedwhen + 2 * COARSE && take(pp, st, CountRetakeBusy);
}

static bool retake(uint64_t now)
{
	bool any = false;

	for (int32_t i = 0; i < gomaxprocs; i++) {
		struct p *pp = allp[i];
		uint64_t st = atomic_load_explicit(&pp->status, memory_order_acquire);
		struct m *mp = (st & 0xff) == Pforeign ? mofid((int32_t)(st >> 8)) : NULL;
		uint32_t call = mp ? atomic_load_explicit(&mp->call, memory_order_relaxed) : 0;
		/* It may leave the call before we have its P: then it computes for a moment without one. */
		if (call & INCALL)
			any |= retakesyscall(pp, mp, st, call, now);
		else if ((st & 0xff) == Pforeign)
			any |= retakeforeign(pp, mp, st, now);
		else if ((st & 0xff) == Prunning)
			any |= askrunning(pp, st, now);
	}
	return any;
}

/* Has some P's queue stood still, with work in it, for a whole tick while another P idles? */
static bool backlog(void)
{
	bool stuck = false;

	for (int32_t i = 0; i < gomaxprocs && i < (int32_t)nelem(seentick); i++) {
		struct p *pp = allp[i];
		uint32_t t = atomic_load_explicit(&pp->schedtick, memory_order_relaxed) +
			     atomic_load_explicit(&pp->runqhead, memory_order_relaxed);
		bool work = !runqempty(pp);
		if (work && seenwork[i] && seentick[i] == t)
			stuck = true;
		seentick[i] = t;
		seenwork[i] = work;
	}
	return (stuck || atomic_load(&sched.runqsize) != 0) && atomic_load(&sched.npidle) != 0 &&
	       atomic_load(&sched.nmspinning) == 0;
}

/*
 * How many queued Gs make a wake-up worth while: as many as run for WORTH on average. The average is CPU time of
 * the M by its switches, over a ms or more in which the same M had the P.
 */
static void measure(struct p *pp, uint64_t now)
{
	uint64_t st = atomic_load_explicit(&pp->status, memory_order_relaxed);
	int32_t id = (int32_t)(st >> 8);

	if (id == 0 || now < pp->slicewhen + MS)
		return;
	struct m *mp = mofid(id);
	uint64_t cpu = mp ? threadcpu(atomic_load(&mp->procid)) : 0;
	uint32_t tick = atomic_load_explicit(&pp->schedtick, memory_order_relaxed);
	uint32_t n = tick - pp->slicetick;
	if (id == pp->slicem && n >= 8 && cpu > pp->slicecpu) {
		uint64_t fit = WORTH / ((cpu - pp->slicecpu) / n + 1);
		atomic_store_explicit(&pp->backlog, fit < 1 ? 1 : fit > 64 ? 64 : (uint32_t)fit,
				      memory_order_relaxed);
	}
	pp->slicem = id;
	pp->slicecpu = cpu;
	pp->slicetick = tick;
	pp->slicewhen = now;
}

/* Is a P in a marked call? Only such a one, or an idle P, is worth the fine tick. */
static bool anycall(void)
{
	for (int32_t i = 0; i < gomaxprocs; i++) {
		uint64_t st = atomic_load_explicit(&allp[i]->status, memory_order_acquire);
		struct m *mp = (st & 0xff) == Pforeign ? mofid((int32_t)(st >> 8)) : NULL;
		if (mp != NULL && atomic_load_explicit(&mp->call, memory_order_relaxed) & INCALL)
			return true;
	}
	return false;
}

/* Nobody looks at the network while every M runs something and Ps idle. */
static bool pollnetwork(uint64_t now, uint64_t patience)
{
	uint64_t last = atomic_load(&sched.lastpoll);
	int32_t n;

	if (last == 0 || !netpollany() || last + patience > now ||
	    !atomic_compare_exchange_strong(&sched.lastpoll, &last, now))
		return false;
	struct g *list = netpoll(0, &n);
	if (list == NULL)
		return false;
	injectglist(list, n);
	return true;
}

/* Every P is lent to a G that has run since the last tick: nobody will look at network and timers soon. */
static bool allcompute(uint64_t now)
{
	if (atomic_load(&sched.npidle) != 0)
		return false;
	for (int32_t i = 0; i < gomaxprocs; i++) {
		struct p *pp = allp[i];
		if ((atomic_load_explicit(&pp->status, memory_order_relaxed) & 0xff) != Pforeign ||
		    atomic_load_explicit(&pp->schedtick, memory_order_relaxed) != pp->sysmonschedtick ||
		    now < pp->sysmonschedwhen + WATCH)
			return false;
	}
	return true;
}

/*
 * Do pp's Gs run for WATCH and longer, on average? Such a P has its timers looked at by us. Not told by one G that runs since the last
 * look: where many compute, another one has begun meanwhile more often than not.
 */
static bool longturns(struct p *pp, uint64_t now)
{
	uint32_t t = atomic_load_explicit(&pp->schedtick, memory_order_relaxed);

	if (now >= pp->turnwhen + WATCH) {
		pp->longturns = (uint64_t)(t - pp->turntick) * WATCH < now - pp->turnwhen;
		pp->turntick = t;
		pp->turnwhen = now;
	}
	if (t == pp->sysmonschedtick && now >= pp->sysmonschedwhen + WATCH)
		pp->longturns = true;
	return pp->longturns;
}

static bool anylongturns(uint64_t now)
{
	bool any = false;

	for (int32_t i = 0; i < gomaxprocs; i++)
		any |= longturns(allp[i], now);
	return any;
}

/* When pp's G, which computes, is to give way to whose timer is due there: not before it has had WATCH, or timers could take all. 0: never. */
static uint64_t cutat(struct p *pp)
{
	uint64_t when = atomic_load_explicit(&pp->timer0when, memory_order_relaxed), least = pp->sysmonschedwhen + WATCH;

	if (when == 0 || !pp->longturns)
		return 0;
	return when > least ? when : least;
}

/*
 * Is mp's thread on a CPU, or was it a moment ago? Where CPUs are few it is our own waking up that has taken it off, each
 * time maybe; then its clock has gone on since the last look.
 */
static bool computes(struct p *pp, struct m *mp, uint64_t now)
{
	int tid = atomic_load(&mp->procid);
	bool on = oncpu(tid);
	uint64_t cpu = threadcpu(tid), seen = pp->lookcpu;
	bool recent = now < pp->lookwhen + MS;

	pp->lookcpu = cpu;
	pp->lookwhen = now;
	/* More than that in a ms is another thread's clock. */
	return on || (recent && cpu > seen && cpu - seen < 2 * MS);
}

static void preemptp(struct p *pp, uint64_t now)
{
	uint64_t st = atomic_load(&pp->status);
	struct m *mp = mofid((int32_t)(st >> 8));

	if ((st & 0xff) == Pforeign && mp != NULL && computes(pp, mp, now))
		preemptone(mp);
}

/* Gs that compute give way to those whose timers are due on their Ps. */
static void preemptdue(uint64_t now)
{
	for (int32_t i = 0; i < gomaxprocs; i++) {
		uint64_t cut = cutat(allp[i]);
		if (cut != 0 && cut <= now)
			preemptp(allp[i], now);
	}
}

/* And the one that has run longest to whom the network woke. */
static void preemptlongest(uint64_t now)
{
	struct p *longest = allp[0];

	for (int32_t i = 1; i < gomaxprocs; i++)
		if (allp[i]->sysmonschedwhen < longest->sysmonschedwhen)
			longest = allp[i];
	preemptp(longest, now);
}

/* delay, or less if a G is to be cut short before. Who was asked already needs a moment without us, or cannot be cut short. */
static uint64_t untilcut(uint64_t delay)
{
	uint64_t now = nanotime(), end = now + delay;

	for (int32_t i = 0; i < gomaxprocs; i++) {
		uint64_t cut = cutat(allp[i]), least = now + (allp[i]->nasked < PATIENCE ? FINE : BUSY);
		if (cut != 0 && cut < end)
			end = cut > least ? cut : least;
	}
	return end - now;
}

/*
 * While all compute, sysmon is the one that sleeps in the netpoller (pattern (2) in proc.c), for `delay` at most and not
 * beyond the next timer. Whom the network wakes then runs at once. False: somebody else polls, or nobody waits on the network.
 */
static bool pollasleep(uint64_t delay, uint64_t now)
{
	uint64_t last = atomic_load(&sched.lastpoll);
	int32_t n;

	if (!netpollany() || last == 0 || !atomic_compare_exchange_strong(&sched.lastpoll, &last, 0))
		return false;
	delay = untilcut(delay); /* after lastpoll = 0 */
	atomic_store(&sched.polluntil, now + delay);
	struct g *list = netpoll((int64_t)delay, &n);
	atomic_store(&sched.polluntil, 0);
	now = nanotime();
	atomic_store(&sched.lastpoll, now);
	if (list != NULL)
		injectglist(list, n);
	/*
	 * Who became idle meanwhile found the netpoller taken, and sleeps: one of them has to take it over. Pattern (2): an M
	 * that is idle only after this look at npidle (or spinning at wakep's look at nmspinning) comes to lastpoll after our store.
	 */
	wakep();
	if (list != NULL && atomic_load(&sched.npidle) == 0)
		preemptlongest(now);
	return true;
}

static noreturn void sysmon(void)
{
	uint64_t delay = FINE;
	int quiet = 0, rest = 0;
	bool compute = false, lng = false;

	sysmonprompt();
	SC5(SYS_prctl, PR_SET_NAME, "gmp-sysmon", 0, 0, 0);
	for (;;) {
		bool kicked;
		uint64_t tracens = debug.schedtrace ? schedtrace(nanotime()) : 0;
		if (rest >= ATREST) {
			checkdead();
			atomic_store(&sched.sysmonwait, 1);
			/* StoreLoad with pidleget(), which looks at sysmonwait after npidle--. */
			kicked = atomic_load(&sched.npidle) != gomaxprocs ||
				 notetsleep(&sched.sysmonnote, tracens ? (int64_t)tracens : -1);
			atomic_store(&sched.sysmonwait, 0);
			rest = kicked ? 0 : ATREST; /* woken to print a line only: no need to watch */
		} else if (compute && pollasleep(delay, nanotime())) {
			kicked = false;
		} else {
			if (tracens != 0 && delay > tracens)
				delay = tracens;
			if (lng)
				delay = untilcut(delay);
			atomic_store_explicit(&sched.sysmondelay, delay, memory_order_relaxed);
			kicked = notetsleep(&sched.sysmonnote, (int64_t)delay);
		}
		noteclear(&sched.sysmonnote);
		uint64_t now = setnow(nanotime()), nagns = sysmonsigs(), deadns = lastrites();
		if (deadns != 0 && (nagns == 0 || nagns > deadns))
			nagns = deadns;
		newmwaiting();
		bool strays = straywatch(now);
		bool bound = starved(now);
		int32_t idle = atomic_load(&sched.npidle);
		if (idle == gomaxprocs) {
			if (bound)
				pollnetwork(now, COARSE);
			bool queued = anyrunq(); /* there was no M for it: all were in the kernel, or no thread could be made */
			if (unlikely(queued))
				wakep();
			rest = nagns || strays || bound || queued ? 0 : rest + 1;
			compute = lng = false;
			delay = nagns ? nagns : COARSE;
			if (giveback(nanotime()) && rest >= ATREST) {
				rest = ATREST - 1;
				delay = LAZY;
			}
			continue;
		}
		rest = 0;
		uint64_t next = timersnext();
		for (int32_t i = 0; idle > 0 && i < gomaxprocs; i++)
			measure(allp[i], now);
		giveback(now);
		if (lng && idle == 0)
			preemptdue(now);
		bool did = pollnetwork(now, idle > 0 && delay <= WATCH ? 200000 : COARSE);
		did |= retake(now);
		if (backlog() || (idle > 0 && next != 0 && next <= now &&
				  atomic_load(&sched.lastpoll) != 0 && atomic_load(&sched.nmspinning) == 0)) {
			wakep();
			did |= !atmaxm();
		}
		if (did || kicked) {
			bool watch = idle > 0 || anycall();
			quiet = watch ? 0 : QUIET;
			delay = watch ? FINE : BUSY;
		} else if (++quiet > QUIET && delay < COARSE) {
			delay *= 2;
			uint64_t most = idle > 0 ? WATCH : COARSE;
			if (delay > most)
				delay = most;
		}
		compute = idle == 0 && allcompute(now);
		lng = idle == 0 && anylongturns(now);
		if (lng && delay > 2 * MS)
			delay = 2 * MS;
		if (unlikely(debug.forcens != 0) && delay > (uint64_t)debug.forcens)
			delay = (uint64_t)debug.forcens;
		if (strays && delay > MS)
			delay = MS;
		if (nagns != 0 && delay > nagns)
			delay = nagns;
	}
}

bool mspecial(void (*fn)(void))
{
	struct m *mp = mnew();
	uint64_t all = ALLSIGS, old;

	if (mp == NULL)
		return false;
	mp->mstartfn = fn;
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, 8);
	long tid = clone_m(mp->g0.stack.hi, mp->g0.tcb, (int *)&mp->procid, (int *)&mp->exited, mstart, mp);
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
	return tid > 0;
}

void sysmonstart(void)
{
	if (!mspecial(sysmon))
		throw("cannot create the sysmon thread");
}
