/* SPDX-License-Identifier: MIT
 *
 * newproc.c: a G's life: made, joined or detached, buried, used again (Go's newproc, gfget, gfput).
 *
 * Dead Gs keep their stack and TLS ("shell") and are kept in a free list per P and a global one.
 * struct g itself is never freed (park.c says why). A G's end has two parties, itself and whoever joins or
 * detaches it: gp->joinstate decides by one CAS who buries it.
 */
#include "runtime.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum joinstate { Joinable, Detached, Joining, Exited, Joined };
enum { GFCACHE = 64 /* free Gs kept per P */, GSLAB = 256 << 10 };

/* A struct g that was never used. sched.allglock orders the slab. */
struct g *galloc(void)
{
	static char *slab, *end;

	lock(&sched.allglock);
	if (slab == end || (size_t)(end - slab) < sizeof(struct g)) {
		long mem = SC6(SYS_mmap, 0, GSLAB, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (mem < 0 && mem > -4096) {
			unlock(&sched.allglock);
			return NULL;
		}
		slab = (char *)mem;
		end = slab + GSLAB;
	}
	struct g *gp = (struct g *)slab;
	slab += (sizeof(struct g) + CACHELINE - 1) & ~(size_t)(CACHELINE - 1);
	gp->goid = atomic_fetch_add(&sched.goidgen, 1) + 1;
	gp->alllink = atomic_load_explicit(&sched.allgs, memory_order_relaxed);
	atomic_store_explicit(&sched.allgs, gp, memory_order_release);
	unlock(&sched.allglock);
	return gp;
}

void foreachg(void (*fn)(struct g *, void *), void *arg)
{
	for (struct g *gp = atomic_load_explicit(&sched.allgs, memory_order_acquire); gp; gp = gp->alllink)
		fn(gp, arg);
}

/* gflock held, one was taken from gfree */
static void gfreetaken(void)
{
	if (--sched.ngfree < sched.ngfreelow)
		sched.ngfreelow = sched.ngfree;
}

/* One from the global lists, the cold ones last. */
static struct g *gfgetglobal(void)
{
	struct g *gp;

	lock(&sched.gflock);
	if ((gp = sched.gfree) != NULL) {
		sched.gfree = gp->schedlink;
		gfreetaken();
	} else if ((gp = sched.gcold) != NULL) {
		sched.gcold = gp->schedlink;
	}
	unlock(&sched.gflock);
	return gp;
}

/* A dead G from mp's P or the global list; nil if there is none. */
struct g *gfget(struct m *mp)
{
	struct p *pp = mp ? mp->p : NULL;
	struct g *gp;

	if (pp != NULL && pp->gfree == NULL && sched.ngfree != 0) {
		lock(&sched.gflock);
		while (pp->gfreecnt < GFCACHE / 2 && (gp = sched.gfree) != NULL) {
			sched.gfree = gp->schedlink;
			gfreetaken();
			gp->schedlink = pp->gfree;
			pp->gfree = gp;
			pp->gfreecnt++;
		}
		unlock(&sched.gflock);
	}
	if (pp != NULL && (gp = pp->gfree) != NULL) {
		pp->gfree = gp->schedlink;
		pp->gfreecnt--;
		return gp;
	}
	if (pp != NULL && sched.gcold == NULL) /* a guess: one too many is made at worst */
		return NULL;
	return gfgetglobal();
}

static void gfputglobal(struct g *gp)
{
	lock(&sched.gflock);
	gp->schedlink = sched.gfree;
	sched.gfree = gp;
	sched.ngfree++;
	unlock(&sched.gflock);
}

/* Not gflock inside sched.lock: a fork holds gflock for as long as libc likes, and all Ms want the other. */
void gfpurge(void)
{
	struct g *dead = NULL, *gp;

	lock(&sched.lock);
	for (struct p *pp = sched.pidle; pp != NULL; pp = pp->link) {
		while ((gp = pp->gfree) != NULL) {
			pp->gfree = gp->schedlink;
			pp->gfreecnt--;
			gp->schedlink = dead;
			dead = gp;
		}
	}
	unlock(&sched.lock);
	while ((gp = dead) != NULL) {
		dead = gp->schedlink;
		gfputglobal(gp);
	}
}

/* A finished G nobody will ask for again. */
void gfput(struct m *mp, struct g *gp)
{
	struct p *pp = mp ? mp->p : NULL;

	if (gp->ismain)
		return;
	if (gp->userstack && gp->area != NULL) {
		*(int *)((char *)gp->tcb + tlslayout.tid) = -1; /* as libc marks what was joined: nobody waits for it */
		stackfree(gp); /* the caller's stack must not be used again */
	}
	if (pp == NULL) {
		gfputglobal(gp);
		return;
	}
	if (pp->gfreecnt >= GFCACHE) {
		while (pp->gfreecnt > GFCACHE / 2) {
			struct g *x = pp->gfree;
			pp->gfree = x->schedlink;
			pp->gfreecnt--;
			gfputglobal(x);
		}
	}
	gp->schedlink = pp->gfree;
	pp->gfree = gp;
	pp->gfreecnt++;
}

/*
 * gp's TLS where ld.so must make it, under a lock of its own and with the program's allocator: a marked system call with no
 * handler run and no cancellation acted upon, as either might not come back. Who holds that lock (in dlopen) may have parked
 * for the allocator's, and need this P. The allocator may call all that we wrap, and park: so this is program code to the
 * wrappers (inruntime is 0), and may come back on another M.
 */
static int tlsslow(struct g *gp, bool made, struct m **mp)
{
	struct g *self = getg();
	int err = 0, state = 0;
	uint64_t mask = 0;

	if (self != NULL) {
		enterforeign();
		state = cancelhold();
		mask = gosighold();
		entersyscall();
	}
	if (made)
		tlsreset(gp);
	else
		err = tlsnew(gp);
	if (self != NULL) {
		exitsyscall();
		gosigmask(SIG_SETMASK, &mask, NULL);
		cancelrelease(state);
		*mp = exitforeign();
	}
	return err;
}

/* The first of a list that has a stack, taken off it. */
static struct g *takewitharea(struct g **list)
{
	for (; *list != NULL; list = &(*list)->schedlink) {
		struct g *gp = *list;
		if (gp->area == NULL)
			continue;
		*list = gp->schedlink;
		return gp;
	}
	return NULL;
}

/* A dead G with a stack, wherever nobody else uses the list: mp's P, the global ones, idle Ps. For when memory is short. */
static struct g *gfwitharea(struct m *mp)
{
	struct g *gp = NULL;

	if (mp != NULL && mp->p != NULL && (gp = takewitharea(&mp->p->gfree)) != NULL) {
		mp->p->gfreecnt--;
		return gp;
	}
	lock(&sched.gflock);
	if ((gp = takewitharea(&sched.gfree)) != NULL)
		gfreetaken();
	else
		gp = takewitharea(&sched.gcold);
	unlock(&sched.gflock);
	if (gp != NULL)
		return gp;
	lock(&sched.lock);
	for (struct p *pp = sched.pidle; pp != NULL && gp == NULL; pp = pp->link)
		if ((gp = takewitharea(&pp->gfree)) != NULL)
			pp->gfreecnt--;
	unlock(&sched.lock);
	return gp;
}

/* Stack and TLS for gp, those it has if they fit. 0, -EAGAIN or -ENOMEM: it has none. */
static int shell(struct g *gp, const struct newattr *attr, struct m **mp)
{
	if (gp->area != NULL && !stackfits(gp, attr->stacksize, attr->guardsize, attr->stackaddr))
		stackfree(gp);
	if (gp->area != NULL) {
		stackset(gp, attr->stacksize, attr->guardsize, attr->stackaddr);
		if (likely(tlsquick()))
			tlsreset(gp);
		else
			tlsslow(gp, true, mp);
		return 0;
	}
	int err = stackalloc(gp, attr->stacksize, attr->guardsize, attr->stackaddr);
	if (err == 0 && (err = tlsslow(gp, false, mp)) != 0)
		stackfree(gp);
	return err;
}

int newproc(const struct newattr *attr, void *(*fn)(void *), void *arg, uintptr_t *thread)
{
	struct g *self = getg();
	struct m *mp = self ? exitforeign() : NULL;
	int err = 0;

	struct g *gp = gfget(mp);
	if (gp == NULL && (gp = galloc()) == NULL) {
		err = -EAGAIN;
		goto out;
	}
	while ((err = shell(gp, attr, &mp)) != 0) { /* no room: is there a dead G that has some? */
		struct g *dead = gfwitharea(mp);
		gfputglobal(gp);
		if ((gp = dead) == NULL)
			goto out;
	}
	gp->fn = fn;
	gp->arg = arg;
	gp->retval = NULL;
	gp->kernelid = 0;
	gp->robustleft = false;
	gp->robustown = NULL;
	atomic_store_explicit(&gp->cputime, 0, memory_order_relaxed);
	atomic_store(&gp->wish, 0);
	if (unlikely(attr->affinity != NULL) &&
	    (err = goinheritaffinity(gp, attr->affsize, attr->affinity)) != 0) {
		gfput(mp, gp);
		goto out;
	}
	gp->detached = attr->detached;
	gp->explicitsched = attr->explicitsched;
	if (arch_pkeys) /* inherited. Of whoever is asleep when the first key is made, it is what all have till then */
		gp->pkrights = pkrights();
	if (self != NULL) /* inherited, as the kernel's comm is */
		memcpy(gp->name, self->name, sizeof(gp->name));
	else
		gp->name[0] = 0;
	gp->inruntime = 1; /* until gostart's enterforeign() */
	atomic_store_explicit(&gp->sigwake, 0, memory_order_relaxed);
	uint64_t mask;
	if (attr->hasmask)
		mask = *(const uint64_t *)&attr->mask;
	else if (self != NULL)
		mask = atomic_load_explicit(&self->sigmask, memory_order_relaxed);
	else
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &mask, 8);
	signew(gp, mask);
	atomic_store_explicit(&gp->joinword, 0, memory_order_relaxed);
	atomic_store_explicit(&gp->joinstate, attr->detached ? Detached : Joinable, memory_order_relaxed);
	gostartcall(gp, gp->stack.hi);
	countone(mp ? mp->p : NULL, CountCreated);
	gcountup();
	atomic_store_explicit(&gp->status, Gwaiting, memory_order_relaxed);
	*thread = (uintptr_t)gp->tcb;
	/* Unlike Go, not next: threads start in the order in which they were made, as the kernel's mostly do. */
	goreadylast(gp);
out:
	if (self != NULL)
		enterforeign();
	return err;
}

/* On g0, gp's stack is not in use any more. Called by goexit(). */
void gdestroy(struct m *mp, struct g *gp)
{
	uint32_t joinable = Joinable;

	atomic_store_explicit(&gp->status, Gdead, memory_order_release);
	if (atomic_compare_exchange_strong_explicit(&gp->joinstate, &joinable, Exited,
						    memory_order_acq_rel, memory_order_acquire))
		return; /* whoever joins or detaches it buries it */
	if (joinable == Detached) {
		gfput(mp, gp);
		return;
	}
	/* Joining: the joiner may bury gp as soon as it sees this. */
	atomic_store_explicit(&gp->joinword, 1, memory_order_release);
	futexwake(&gp->joinword, 1);
}

static void bury(struct g *gp)
{
	struct m *mp = getg() ? exitforeign() : NULL;

	gfput(mp, gp);
	if (mp != NULL)
		enterforeign();
}

int gojoin(struct g *gp, void **retval, uint64_t deadline)
{
	uint32_t st = Joinable;

	if (deadline == 1 && atomic_load_explicit(&gp->status, memory_order_acquire) != Gdead)
		return -EBUSY;
	if (gp == getg())
		return -EDEADLK;
	if (atomic_compare_exchange_strong_explicit(&gp->joinstate, &st, Joining, memory_order_acq_rel,
						    memory_order_acquire)) {
		int err;
		do
			err = futexwait(&gp->joinword, 0, deadline,
					FUTEX_INTR | FUTEX_POINT | FUTEX_WHY(WaitJoin, offsetof(struct g, joinword)));
		/* 0 is no proof: the late wake-up of gp's former life (gdestroy) may have hit us. */
		while (err != -ETIMEDOUT && !atomic_load(&gp->joinword) && !(err == -EINTR && gocancelled()));
		if (err < 0 && err != -EAGAIN && atomic_load_explicit(&gp->joinword, memory_order_acquire) == 0) {
			/* Give the right to join back, unless it ends just now: then its end is sure to come. */
			st = Joining;
			if (atomic_compare_exchange_strong(&gp->joinstate, &st, Joinable) &&
			    atomic_load(&gp->status) != Gdead)
				return err;
			while (atomic_load_explicit(&gp->joinword, memory_order_acquire) == 0 &&
			       atomic_load(&gp->joinstate) != Exited)
				futexwait(&gp->joinword, 0, reldeadline(1000000),
					  FUTEX_WHY(WaitJoin, offsetof(struct g, joinword)));
		}
	} else if (st != Exited || !atomic_compare_exchange_strong(&gp->joinstate, &st, Joining)) {
		return st == Joined ? -ESRCH : -EINVAL;
	}
	if (retval != NULL)
		*retval = gp->retval;
	atomic_store(&gp->joinstate, Joined);
	bury(gp);
	return 0;
}

int godetach(struct g *gp)
{
	uint32_t st = Joinable;

	if (atomic_compare_exchange_strong_explicit(&gp->joinstate, &st, Detached, memory_order_acq_rel,
						    memory_order_acquire)) {
		gp->detached = true;
		return 0;
	}
	if (st == Joining)
		return 0; /* as in libc: it is joined all the same */
	if (st != Exited || !atomic_compare_exchange_strong(&gp->joinstate, &st, Detached))
		return st == Joined ? -ESRCH : -EINVAL;
	bury(gp);
	return 0;
}

bool goended(struct g *gp)
{
	return atomic_load_explicit(&gp->status, memory_order_acquire) == Gdead;
}

void goinfo(struct g *gp, struct ginfo *out)
{
	/* As glibc reports it: TLS and TCB are the top of the stack (collectors that scan stacks rely on it). The
	 * frames' lowest bytes, as many as TLS takes, are then not reported, and to spare. */
	out->stacksize = gp->stacksize & ~(size_t)63;
	out->stackaddr = gp->userstack || gp->area == NULL ? gp->stack.lo : stackend(gp) - out->stacksize;
	out->guardsize = gp->guardsize;
	out->detached = atomic_load(&gp->joinstate) == Detached;
	out->explicitsched = gp->explicitsched;
	out->ismain = gp->ismain;
	out->tid = gp->tid;
}

/* The process's name as ps(1) shows it: that of its first kernel thread. */
static void setcomm(void *name)
{
	long fd = SC4(SYS_openat, AT_FDCWD, "/proc/self/comm", O_WRONLY | O_CLOEXEC, 0);

	if (fd >= 0) {
		SC3(SYS_write, fd, name, strlen(name));
		SC1(SYS_close, fd);
	}
}

void gosetname(struct g *gp, const char *name)
{
	size_t n = strnlen(name, sizeof(gp->name) - 1);

	memcpy(gp->name, name, n);
	gp->name[n] = 0;
	if (!gp->ismain)
		return;
	if (SC0(SYS_gettid) == SC0(SYS_getpid))
		SC5(SYS_prctl, PR_SET_NAME, gp->name, 0, 0, 0);
	else
		aside(setcomm, gp->name);
}

void gogetname(struct g *gp, char name[16])
{
	memcpy(name, gp->name, sizeof(gp->name));
}
