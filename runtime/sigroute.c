/* SPDX-License-Identifier: MIT
 *
 * sigroute.c: whose is a signal? sysmon's part, and sending to a G or to the process.
 *
 * For the process: main if main takes it, else the G that took it last, else any. Nobody: it goes back to the kernel
 * (sigbounce) and sysmon blocks it from then on. See sigmask.c for sysmon's mask.
 *
 * Who looks at masks and who changes them: route() posts, then looks at the G's mask again; the G
 * changes its mask, then looks at what is pending (StoreLoad on both sides). So what came to a G that blocks it meanwhile
 * is taken back by one of the two, and given to another.
 */
#include "runtime.h"
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

/* ---- sysmon: whose is it? ------------------------------------------------------------------------------ */

static bool takes(struct g *gp, uint64_t bit)
{
	uint32_t st = atomic_load(&gp->status);

	return st != Gdead && st != Gidle && !(atomic_load(&gp->sigmask) & bit);
}

static struct g *_Atomic taker; /* a G other than main that blocks little: most questions end with it */

struct want {
	uint64_t bit;
	struct g *gp;
};

static void look(struct g *gp, void *arg)
{
	struct want *w = arg;

	if (w->gp == NULL && takes(gp, w->bit))
		w->gp = gp;
}

/* The G to which a signal for the process goes: main first. nil: all block it. Lock held. */
static struct g *pick(int s)
{
	static struct g *last[65]; /* who took it last time */
	struct want w = {SIGBIT(s), NULL};

	if (sched.maing != NULL && takes(sched.maing, w.bit))
		return sched.maing;
	if (last[s] != NULL && takes(last[s], w.bit))
		return last[s];
	foreachg(look, &w);
	last[s] = w.gp;
	return w.gp;
}

/* A timer's, for that thread alone. */
static void routeto(struct g *gp, const siginfo_t *info)
{
	int s = info->si_signo;
	uint64_t saved = sigenter();
	bool blocked = atomic_load(&gp->sigmask) & SIGBIT(s);
	bool dfl = !blocked && sigs.act[s].fn == DFL && !sigignored(s), post = !dfl && (blocked || !sigignored(s));

	if (post) {
		sigpost(gp, info, false);
		signag(gp);
	}
	sigleave(saved);
	if (dfl)
		sigdefault(s);
	else if (post)
		sigpoke(gp);
}

static void route(struct m *mp, const siginfo_t *info)
{
	int s = info->si_signo;
	struct g *gp;

	if (unlikely(sigtimerof(info, &gp))) {
		if (gp != NULL)
			routeto(gp, info);
		return;
	}
	uint64_t saved = sigenter();
	bool back = false, dfl = sigs.act[s].fn == DFL;
	gp = pick(s);

	if (gp == NULL) {
		/* StoreLoad with sigsetg(): either it sees the bit here and has us reopen, or we see its mask. */
		atomic_fetch_or(&sigs.closed, SIGBIT(s));
		gp = pick(s);
		if (gp != NULL)
			atomic_fetch_and(&sigs.closed, ~SIGBIT(s));
	}
	if (gp == NULL) {
		setsigmask(mp, mp->sigmask | SIGBIT(s));
		atomic_store(&sigs.sysmon, mp->sigmask);
		back = true;
	} else if (sigignored(s)) {
		gp = NULL;
		dfl = false;
	} else if (!dfl) {
		sigpost(gp, info, true);
		signag(gp);
		/* StoreLoad with gosigmask(), which looks at what is pending after it has set its mask. */
		if (atomic_load(&gp->sigmask) & SIGBIT(s))
			sigflush(gp, SIGBIT(s), true);
	}
	sigleave(saved);
	if (back) /* pending in the kernel: for sigwait, signalfd, or whoever unblocks it */
		sigbounce(info);
	else if (dfl)
		sigdefault(s);
	else if (gp != NULL)
		sigpoke(gp);
}

/* What every G blocks. Lock held. */
static uint64_t blockedbyall(void)
{
	struct g *gp = atomic_load(&taker);
	uint64_t set = ALLSIGS;

	if (sched.maing != NULL)
		set = atomic_load(&sched.maing->sigmask);
	if (gp != NULL && atomic_load(&gp->status) != Gdead)
		set &= atomic_load(&gp->sigmask);
	for (gp = atomic_load(&sched.allgs); gp != NULL && set != 0; gp = gp->alllink) {
		uint32_t st = atomic_load(&gp->status);
		if (st == Gdead || st == Gidle || (set & ~atomic_load(&gp->sigmask)) == 0)
			continue;
		set &= atomic_load(&gp->sigmask);
		atomic_store(&taker, gp);
	}
	return set;
}

void sigreopen(void)
{
	/* If it was set, whoever set it has kicked, and sysmon has not come to it yet. */
	if (!atomic_exchange(&sigs.reopen, true) && atomic_load(&sched.started))
		sysmonkick();
}

/* sysmon takes whatever some G takes, and nothing else. */
static void openmask(struct m *mp)
{
	uint64_t saved = sigenter(), set = blockedbyall();

	/* StoreLoad with sigsetg(), as in route(). */
	atomic_store(&sigs.closed, set);
	set &= blockedbyall();
	atomic_store(&sigs.closed, set);
	sigleave(saved);
	setsigmask(mp, set | atomic_load(&sigs.quiet) | SIGBIT(32));
	atomic_store(&sigs.sysmon, mp->sigmask);
}

/* Waits for a whole round of sysmon's. Blocks the M for some 50 us. */
static void sysmonround(void)
{
	uint32_t want = atomic_fetch_add(&sigs.syncwant, 1) + 1, now;
	struct timespec ts = {0, 100000000};

	sysmonkick();
	while ((int32_t)((now = atomic_load(&sigs.synced)) - want) < 0)
		if (SC4(SYS_futex, &sigs.synced, FUTEX_WAIT_PRIVATE, now, &ts) == -ETIMEDOUT &&
		    !atomic_load(&sched.started))
			return; /* there is no sysmon: a fork's child. (Else it may just not have had a CPU) */
}

/*
 * Does some M take one of these, because it has the mask of a G it has left still? It looks for work, or sleeps in the netpoller
 * (where all are blocked, until it wakes): then it is woken, to close them before it sleeps again.
 */
static bool openbetween(uint64_t set)
{
	bool open = false;

	for (struct m *mp = atomic_load(&sched.allms); mp != NULL; mp = mp->alllink) {
		if (__atomic_load_n(&mp->curg, __ATOMIC_RELAXED) != NULL || atomic_load(&mp->exited) == 0 || mp->retired ||
		    mp->mstartfn != NULL || (set & ~__atomic_load_n(&mp->sigmask, __ATOMIC_RELAXED)) == 0)
			continue;
		open = true;
		if (atomic_load(&mp->polls))
			netpollbreak();
	}
	return open;
}

/*
 * All block these, and the next of them must be found pending: the caller is about to send it to the process, or sysmon
 * would take it as ignored. (Others' signals go round by sysmon if they come in the wrong moment.)
 */
void sigawaitclosed(uint64_t set)
{
	static const struct timespec pause = {0, 20000};

	for (int i = 0; i < 3 && (set & ~atomic_load(&sigs.sysmon)) != 0; i++) {
		atomic_store(&sigs.stale, true);
		sysmonround();
	}
	for (int i = 0; i < 500 && openbetween(set); i++)
		SC2(SYS_nanosleep, &pause, NULL);
}

uint64_t sysmonsigs(void)
{
	uint32_t want = atomic_load(&sigs.syncwant);
	bool asked = want != atomic_load_explicit(&sigs.synced, memory_order_relaxed);
	struct m *mp = getg()->m;
	siginfo_t info;

	if (asked)
		SC0(SYS_getpid); /* a signal the kernel has meant for us by now is taken on the way out of it */
	if (sigarrived()) {
		while (sigpull(&info)) {
			route(mp, &info);
			sigrouted();
		}
		atomic_store(&sigs.stale, true); /* the trampoline may have closed what it brought us */
	}
	bool reopen = atomic_exchange(&sigs.reopen, false);
	if (atomic_exchange(&sigs.stale, false) || reopen)
		openmask(mp);
	if (asked) {
		atomic_store(&sigs.synced, want);
		SC3(SYS_futex, &sigs.synced, FUTEX_WAKE_PRIVATE, 100);
	}
	return signags();
}

/* ---- sending -------------------------------------------------------------------------------------------- */

/* gp has something new. The caller is in the runtime if it is a G. */
static void tell(struct g *gp)
{
	uint64_t saved;

	if (gp == getg() || sigpoke(gp))
		return;
	saved = sigenter();
	signag(gp);
	sigleave(saved);
	sysmonkick();
}

int gosignal(struct g *gp, const siginfo_t *info)
{
	int s = info->si_signo, err = 0;
	struct g *self = getg();
	bool dfl = false, told = false;

	if (s < 1 || s > 64 || s == 32 || s == 33)
		return -EINVAL;
	if (self != NULL)
		exitforeign();
	uint64_t saved = sigenter();
	bool blocked = atomic_load(&gp->sigmask) & SIGBIT(s);
	if (atomic_load(&gp->status) == Gdead || (!blocked && sigignored(s))) {
		/* Sent, and without effect. */
	} else if (s == SIGKILL || s == SIGSTOP ||
		   (!blocked && sigs.act[s].fn == DFL)) {
		dfl = true;
	} else {
		if (!sigpost(gp, info, false))
			err = -EAGAIN;
		told = sigpokefor(gp) != 0;
	}
	sigleave(saved);
	if (told)
		tell(gp);
	if (self != NULL)
		enterforeign(); /* runs the handler, if it is ours */
	if (dfl)
		sigdefault(s);
	return err;
}

int gokill(const siginfo_t *info)
{
	int s = info->si_signo, err = 0;
	struct g *self = getg(), *gp = NULL;

	if (s < 1 || s > 64 || self == NULL)
		return -ENOSYS;
	exitforeign();
	uint64_t saved = sigenter();
	/* Real-time signals: all through the kernel's queue, where others may be pending. */
	if (s <= 31 && sigs.act[s].fn != DFL && sigs.act[s].fn != IGN) {
		if (sched.maing != NULL && takes(sched.maing, SIGBIT(s)))
			gp = sched.maing;
		else if (takes(self, SIGBIT(s)))
			gp = self; /* POSIX: then it is delivered before kill() returns */
		else
			gp = pick(s);
	}
	bool nobody = gp == NULL && pick(s) == NULL;
	if (gp == NULL || !sigpost(gp, info, true))
		err = -ENOSYS;
	if (err != 0 && sigs.act[s].fn != DFL && sigs.act[s].fn != IGN)
		atomic_fetch_or(&sigs.sent, SIGBIT(s)); /* before it is sent: partner of gosigends() */
	sigleave(saved);
	if (nobody)
		sigawaitclosed(SIGBIT(s));
	if (err == 0)
		tell(gp);
	enterforeign();
	return err;
}

/*
 * The calling G is about to end, in program code. Under libc a thread runs the handlers of all that the process was sent
 * before its end and that it takes, for the kernel would not have let it go on. Here sysmon may have been chosen instead,
 * and nobody else may take it once gp has ended. So gp looks into the kernel's queue (what is unblocked there is delivered on
 * the way out of the call), waits until sysmon has routed what was on its way, and runs what has come to it.
 *
 * The first two cost some 50 us and are done only for what the process has ever sent to itself like that: no other
 * sender knows of a thread's end. sigs.sent is set before kill(), which is before whatever made gp end.
 */
void gosigends(void)
{
	struct g *gp = getg();
	uint64_t mask = atomic_load_explicit(&gp->sigmask, memory_order_relaxed);

	if (unlikely(atomic_load_explicit(&sigs.sent, memory_order_acquire) & ~mask)) {
		setsigmask(gp->m, ALLSIGS);
		gp->sigdeliver = true;
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
		gp->sigdeliver = false;
		gp->m->sigmask = mask; /* maybe another M by now */
		sysmonround();	       /* sysmon may have left the kernel with one, and not pushed it yet */
	}
	/* More than once: one may be half pushed, by a thread without a CPU. */
	for (int i = 0; i < 50 && unlikely(sigarrived()) && ~mask & ALLSIGS; i++)
		sysmonround();
	if (unlikely(atomic_load_explicit(&gp->sigwake, memory_order_acquire)))
		gosigrun();
}

void gosigsync(void)
{
	sysmonround();
	gosigrun();
}

struct tidlook {
	int tid;
	struct g *gp;
};

static void bytid(struct g *gp, void *arg)
{
	struct tidlook *l = arg;
	uint32_t st = atomic_load(&gp->status);

	if (gp->tid == l->tid && st != Gdead && st != Gidle)
		l->gp = gp;
}

struct g *gofid(int tid)
{
	struct tidlook l = {tid, NULL};

	foreachg(bytid, &l);
	return l.gp;
}
