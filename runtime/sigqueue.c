/* SPDX-License-Identifier: MIT
 *
 * sigqueue.c: signals on their way: from any thread to sysmon, and from there (or from pthread_kill) to a G.
 *
 * arrived. The trampoline may find itself anywhere in the runtime, so it only writes into a slot: one per
 * standard signal (a second one merges with the first, as in the kernel), a ring for the real-time
 * ones; if that is full, the signal goes back to the kernel's queue. Slot: free -> (CAS) writing -> (release)
 * full -> sysmon (acquire) copies it, -> free. Then sysmonkick().
 *
 * pending. Per G: a set of bits and a list of siginfos, under sigs.lock. Standard signals merge here too.
 *
 * nag list. Gs with something deliverable that were not parked when it came. A poke may miss: the G may be
 * about to park (after its look at gp->sigwake), its M may run another G by now, the kick may hit
 * libgmp's text. So sysmon pokes each G on the list again at every tick, until nothing is left to take. Hence a
 * poke needs no fence against park or enterforeign, which are the hot paths.
 *
 * Rejected: exact fences instead of the list (5 ns in each park, and kicks into libgmp's text would still
 * need a second try); sysmon reading a signalfd or sitting in sigtimedwait (signals must be blocked
 * everywhere then, and default actions and EINTR would be ours to imitate).
 */
#include "runtime.h"
#include <string.h>
#include <sys/syscall.h>

/* si_code < 0: the kernel lets us write what we like into the rest. */
#define KICK (-1000)
#define BOUNCED (-1001)
enum { CANCEL = 65 /* sigpokefor: not a signal */, STANDARD = 32, RING = 512 };

struct slot {
	_Atomic uint32_t state; /* 0 free, 1 being written, 2 full */
	siginfo_t info;
};

static struct slot standard[STANDARD];
static struct rtslot {
	_Atomic uint32_t seq; /* who may use it next: pos to write, pos + 1 to read */
	siginfo_t info;
} ring[RING]; /* seq counts from the slot's index: kept as seq - index, so that zero is the start */
static _Atomic uint32_t ringtail;
static uint32_t ringhead;	  /* sysmon only */
static _Atomic int32_t nunrouted; /* pushed (or being so), and not routed yet */
static struct sigq *freeq;	  /* sigs.lock */
static const char cookie;

/* Is the user's queue of signals full (RLIMIT_SIGPENDING)? A real-time signal is refused then. Async-signal-safe. */
static bool full(void)
{
	siginfo_t info = {.si_signo = SIGPREEMPT, .si_code = KICK};

	info.si_value.sival_ptr = (void *)(uintptr_t)&cookie;
	return !debug.noasync &&
	       SC4(SYS_rt_tgsigqueueinfo, SC0(SYS_getpid), SC0(SYS_gettid), SIGPREEMPT, &info) == -EAGAIN;
}

/*
 * If it is full a standard signal comes without what it says: from nobody. So do those from outside a container. It
 * was a kick if this M has ever been sent one by that signal, and there is no room still.
 */
static __attribute__((noinline)) bool lostkick(int s)
{
	struct g *gp = getg();
	struct m *mp = gp ? gp->m : NULL;

	return mp != NULL && (atomic_load_explicit(&mp->kicked, memory_order_relaxed) & SIGBIT(s)) && full();
}

bool sigiskick(const siginfo_t *info)
{
	if (unlikely(info->si_code == SI_USER && info->si_pid == 0))
		return info->si_signo < STANDARD && lostkick(info->si_signo);
	return info->si_code == KICK && info->si_value.sival_ptr == &cookie;
}

bool sigkick(struct m *mp, int s)
{
	siginfo_t info = {.si_signo = s, .si_code = KICK};

	info.si_value.sival_ptr = (void *)(uintptr_t)&cookie;
	if (s < STANDARD && !(atomic_load_explicit(&mp->kicked, memory_order_relaxed) & SIGBIT(s)))
		atomic_fetch_or(&mp->kicked, SIGBIT(s));
	return SC4(SYS_rt_tgsigqueueinfo, SC0(SYS_getpid), atomic_load(&mp->procid), s, &info) == 0;
}

/* ---- arrived --------------------------------------------------------------------------------------- */

static bool ringput(const siginfo_t *info)
{
	uint32_t pos = atomic_load_explicit(&ringtail, memory_order_relaxed);

	for (;;) {
		struct rtslot *sl = &ring[pos % RING];
		int32_t d = (int32_t)(atomic_load_explicit(&sl->seq, memory_order_acquire) + pos % RING - pos);
		if (d < 0)
			return false;
		if (d > 0) {
			pos = atomic_load_explicit(&ringtail, memory_order_relaxed);
			continue;
		}
		if (atomic_compare_exchange_weak_explicit(&ringtail, &pos, pos + 1, memory_order_relaxed,
							  memory_order_relaxed)) {
			sl->info = *info;
			/* Partner: ringget's acquire. */
			atomic_store_explicit(&sl->seq, pos + 1 - pos % RING, memory_order_release);
			return true;
		}
	}
}

static bool ringget(siginfo_t *info)
{
	struct rtslot *sl = &ring[ringhead % RING];
	uint32_t at = ringhead % RING;

	if (atomic_load_explicit(&sl->seq, memory_order_acquire) + at != ringhead + 1)
		return false;
	*info = sl->info;
	atomic_store_explicit(&sl->seq, ringhead + RING - at, memory_order_release);
	ringhead++;
	return true;
}

/*
 * Back into the kernel's queue, for the process. Async-signal-safe. The kernel takes no si_code >= 0 from us, and no
 * SI_TKILL, so these travel in si_errno, which none of them uses. It keeps the rest of the siginfo as it is.
 */
void sigbounce(const siginfo_t *info)
{
	siginfo_t out = *info;

	if (out.si_code >= 0 || out.si_code == SI_TKILL) {
		out.si_errno = out.si_code;
		out.si_code = BOUNCED;
	}
	/* No room: without what it said, but from us, or it would pass for a kick. */
	if ((info->si_signo < STANDARD && full()) ||
	    SC3(SYS_rt_sigqueueinfo, SC0(SYS_getpid), info->si_signo, &out) != 0)
		SC2(SYS_kill, SC0(SYS_getpid), info->si_signo);
}

void sigunbounce(siginfo_t *info)
{
	if (likely(info->si_code != BOUNCED))
		return;
	info->si_code = info->si_errno;
	info->si_errno = 0;
}

void sigpush(const siginfo_t *info)
{
	uint32_t empty = 0;
	struct g *gp;

	atomic_fetch_add(&nunrouted, 1);
	if (info->si_signo < STANDARD && !sigtimerof(info, &gp)) { /* those of different threads do not merge */
		struct slot *sl = &standard[info->si_signo];
		if (!atomic_compare_exchange_strong(&sl->state, &empty, 1)) {
			sigrouted(); /* merges with the one that is on its way */
			return;
		}
		sl->info = *info;
		atomic_store_explicit(&sl->state, 2, memory_order_release);
	} else if (!ringput(info)) {
		sigbounce(info);
		sigrouted();
	}
}

bool sigarrived(void)
{
	return atomic_load_explicit(&nunrouted, memory_order_relaxed) != 0;
}

void sigrouted(void)
{
	atomic_fetch_sub(&nunrouted, 1);
}

bool sigpull(siginfo_t *info)
{
	for (int s = 1; s < STANDARD; s++) {
		if (atomic_load_explicit(&standard[s].state, memory_order_acquire) != 2)
			continue;
		*info = standard[s].info;
		atomic_store_explicit(&standard[s].state, 0, memory_order_release);
		return true;
	}
	return ringget(info);
}

/* ---- pending; lock held --------------------------------------------------------------------------------- */

static struct sigq *newq(void)
{
	struct sigq *q = freeq;

	if (q == NULL) {
		size_t n = 4096 / sizeof(*q);
		q = sysalloc(n * sizeof(*q));
		if (q == NULL)
			return NULL;
		for (size_t i = 0; i + 1 < n; i++)
			q[i].next = &q[i + 1];
	}
	freeq = q->next;
	return q;
}

bool sigpost(struct g *gp, const siginfo_t *info, bool process)
{
	uint64_t bit = SIGBIT(info->si_signo);
	struct sigq **pq = &gp->sigq, *q;

	if (info->si_signo >= STANDARD || !(atomic_load(&gp->sigpending) & bit)) {
		if ((q = newq()) == NULL)
			return false;
		*q = (struct sigq){NULL, process, *info};
		while (*pq != NULL)
			pq = &(*pq)->next;
		*pq = q;
		atomic_fetch_or(&gp->sigpending, bit);
	}
	if (!(atomic_load(&gp->sigmask) & bit))
		atomic_store(&gp->sigwake, 1);
	return true;
}

/* Takes the first of signal s off gp's list. */
static struct sigq *unqueue(struct g *gp, int s)
{
	struct sigq **pq = &gp->sigq, *q, *rest;

	while ((q = *pq) != NULL && q->info.si_signo != s)
		pq = &q->next;
	if (q == NULL)
		return NULL;
	*pq = q->next;
	for (rest = q->next; rest != NULL && rest->info.si_signo != s; rest = rest->next)
		;
	if (rest == NULL)
		atomic_fetch_and(&gp->sigpending, ~SIGBIT(s));
	return q;
}

static void freesigq(struct sigq *q)
{
	q->next = freeq;
	freeq = q;
}

bool sigtake(struct g *gp, uint64_t set, siginfo_t *info)
{
	set &= atomic_load(&gp->sigpending);
	if (set == 0)
		return false;
	struct sigq *q = unqueue(gp, __builtin_ctzll(set) + 1);
	*info = q->info;
	freesigq(q);
	return true;
}

void sigflush(struct g *gp, uint64_t set, bool retarget)
{
	struct sigq *keep = NULL, **tail = &keep, *q;
	bool pushed = false;

	set &= atomic_load(&gp->sigpending);
	if (set == 0)
		return;
	while ((q = gp->sigq) != NULL) {
		gp->sigq = q->next;
		bool in = SIGBIT(q->info.si_signo) & set;
		if (!in || (retarget && !q->process)) {
			q->next = NULL;
			*tail = q;
			tail = &q->next;
			continue;
		}
		if (retarget) {
			sigpush(&q->info);
			pushed = true;
		}
		freesigq(q);
	}
	gp->sigq = keep;
	uint64_t left = 0;
	for (q = keep; q != NULL; q = q->next)
		left |= SIGBIT(q->info.si_signo);
	atomic_store(&gp->sigpending, left);
	if (pushed)
		sysmonkick();
}

/* ---- telling the G ------------------------------------------------------------------------------------ */

/* Lock held: the list, oldest first; how many there are; how many of them this round has still to poke; rounds in a row. */
static struct g *nags, *lastnag;
static uint32_t nnags, nagleft, nagrounds;

static void append(struct g *gp)
{
	gp->signagged = true;
	gp->signag = NULL;
	if (nags != NULL)
		lastnag->signag = gp;
	else
		__atomic_store_n(&nags, gp, __ATOMIC_RELAXED);
	lastnag = gp;
	nnags++;
}

void signag(struct g *gp)
{
	if (gp->signagged)
		return;
	append(gp);
	nagleft++;
	nagrounds = 0;
}

/* The first of them off the list. */
static void unnag(void)
{
	struct g *gp = nags;

	__atomic_store_n(&nags, gp->signag, __ATOMIC_RELAXED);
	gp->signagged = false;
	nnags--;
	if (nagleft > 0)
		nagleft--;
}

/* What gp is to be poked for; 0: nothing. Racy without the lock. */
int sigpokefor(struct g *gp)
{
	uint64_t set = atomic_load(&gp->sigpending) & (~atomic_load(&gp->sigmask) | gp->sigwait);

	return set ? __builtin_ctzll(set) + 1 : cancelpending(gp) ? CANCEL : 0;
}

bool sigpoke(struct g *gp)
{
	uint64_t w = atomic_load(&gp->park);
	uint32_t st;
	int s;

	s = sigpokefor(gp);
	if ((w & 0xf) == Parkpreparing || (w & 0xf) == Parkparked) {
		if (s != CANCEL)
			return gowake(gp, w >> 8, WakeSignal);
		/* It may find that it need not wait (parkabort()), and nobody would tell it. The next poke will. */
		if ((w & 0xf) == Parkpreparing)
			return false;
		/* Before: once awake it may be gone. A claim that fails is made up for by the next poke. */
		cancelnoticed(gp);
		if (gowake(gp, w >> 8, WakeCancel))
			return true;
		atomic_store(&gp->cancel, 1);
		return false;
	}
	st = atomic_load(&gp->status);
	/* Racy: gp may leave that M at any time. Then somebody else looks up in vain. */
	struct m *mp = __atomic_load_n(&gp->m, __ATOMIC_RELAXED);
	if ((st != Grunning && st != Gsyscall) || mp == NULL || gp == getg() || s == 0)
		return false;
	if (s == CANCEL)
		cancelkick(gp, mp);
	else
		sigkick(mp, s);
	return false;
}

/*
 * Pokes those who have not taken theirs; when to do so again, in ns. Some may never take theirs (they compute), so who was
 * poked goes to the end of the list, and the pauses grow by the round, not by the G.
 */
uint64_t signags(void)
{
	struct g *some[32], *gp;
	int n = 0;

	if (__atomic_load_n(&nags, __ATOMIC_RELAXED) == NULL)
		return 0;
	uint64_t saved = sigenter();
	while ((gp = nags) != NULL && n < (int)nelem(some) && (n == 0 || gp != some[0])) {
		uint32_t st = atomic_load(&gp->status);
		unnag();
		if (st == Gdead || sigpokefor(gp) == 0)
			continue;
		append(gp);
		some[n++] = gp;
	}
	if (nags == NULL) {
		nagrounds = nagleft = 0;
	} else if (nagleft == 0) {
		nagrounds++;
		nagleft = nnags;
	}
	uint32_t rounds = nagrounds;
	bool any = nags != NULL;
	sigleave(saved);
	for (int i = 0; i < n; i++)
		sigpoke(some[i]);
	if (!any)
		return 0;
	return rounds < 32 ? 40000 : rounds < 128 ? 1000000 : 10000000;
}

/* In a fork's child: nothing of what was on its way is this process's. */
void sigqueuefork(void)
{
	nags = NULL;
	nnags = nagleft = 0;
	atomic_store(&nunrouted, 0);
	ringhead = 0;
	atomic_store(&ringtail, 0);
	for (int s = 0; s < STANDARD; s++)
		atomic_store(&standard[s].state, 0);
	for (int i = 0; i < RING; i++)
		atomic_store(&ring[i].seq, 0);
}
