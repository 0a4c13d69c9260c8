/* SPDX-License-Identifier: MIT
 *
 * clone.c: threads and processes which the program makes by clone(2) itself, past libc's
 * pthread_create and fork.
 *
 * The kernel gives the new one its parent's thread pointer unless CLONE_SETTLS says otherwise, and
 * our wrappers believe the thread pointer: two kernel threads would be one G. What is done depends
 * on what is shared:
 *
 *   no memory (a fork)           as fork(): our locks are held across it, the child is a process
 * without a pool memory, CLONE_VFORK          as vfork(): the parent stands still, its TLS is the
 * child's, who is nobody's G memory, CLONE_SETTLS         its TLS is the program's business: a
 * foreign thread memory                       it gets a TLS block of its own, as our Ms have, and
 * is a foreign thread
 *
 * The last differs from the kernel's: the child does not write to its parent's errno. Without
 * CLONE_THREAD or CLONE_FILES it is another process, or has descriptors of its own, which our books
 * must not be told of, and must make no M: there it is a vfork's child for good.
 *
 * Blocks of threads that have ended are used again; the kernel tells by ESRCH. Their ids are looked
 * at only when one more is made. Before the pool starts such a thread shares main's TLS, as it
 * would without us; while it lives the pool does not start (clonedshared()).
 */
#include "runtime.h"
#include <sched.h>
#include <sys/syscall.h>

enum { SHARED = 16 };

/* A thread's TLS block. */
struct block {
	struct block *next; /* append-only, under blocklock */
	struct g *gp;	 /* never a G: it has the area and the TCB, so that dlopen() finds them */
	_Atomic int tid; /* BUSY: being made */
	int group;	 /* its process; 0: its own */
	bool apart;	 /* another process, or other descriptors */
};

enum { BUSY = -1, NOBODY = INT32_MAX };

static mutex blocklock;
static struct block *blocks;
static _Atomic int shared[SHARED]; /* who shares main's TLS, by tid */
static _Atomic bool manyshared;

static bool gone(int group, int tid)
{
	return SC3(SYS_tgkill, group ? group : tid, tid, 0) == -ESRCH;
}

static struct block *newblock(void)
{
	struct block *b = sysalloc(sizeof *b);

	if (b == NULL || (b->gp = galloc()) == NULL)
		return NULL;
	if (stackalloc(b->gp, 0, 0, b) != 0) /* as on its caller's stack: TLS only */
		return NULL;
	if (tlsnew(b->gp) != 0) {
		stackfree(b->gp);
		return NULL;
	}
	atomic_store(&b->tid, BUSY);
	lock(&blocklock);
	b->next = blocks;
	blocks = b;
	unlock(&blocklock);
	return b;
}

static struct block *blockget(void)
{
	lock(&blocklock);
	for (struct block *b = blocks; b != NULL; b = b->next) {
		int tid = atomic_load(&b->tid);
		if (tid != BUSY && gone(b->group, tid)) {
			atomic_store(&b->tid, BUSY);
			unlock(&blocklock);
			tlsreset(b->gp);
			return b;
		}
	}
	unlock(&blocklock);
	return newblock();
}

uintptr_t clonebegin(uint64_t flags)
{
	struct g *self = getg();

	if (runtime_vforked != NULL)
		return CLONED_ALONE;
	if (!(flags & CLONE_VM)) {
		if (!atomic_load(&sched.started))
			return CLONED_ALONE;
		forkprepare();
		return CLONED_FORK;
	}
	if (!(flags & CLONE_VFORK))
		semanotalone();
	if (flags & CLONE_SETTLS)
		return CLONED_ALONE;
	if (flags & CLONE_VFORK) {
		vforkenter();
		return CLONED_VFORK;
	}
	if (!atomic_load(&sched.started))
		return CLONED_SHARED;
	if (self != NULL)
		exitforeign();
	struct block *b = blockget();
	if (self != NULL)
		enterforeign();
	if (b == NULL)
		return CLONED_NOMEM;
	*(struct g **)((char *)b->gp->tcb + tlslayout.runtimeg) = NULL;
	*(int *)((char *)b->gp->tcb + tlslayout.tid) = 0;
	b->group = flags & CLONE_THREAD ? (int)SC0(SYS_getpid) : 0;
	b->apart = (flags & (CLONE_THREAD | CLONE_FILES)) != (CLONE_THREAD | CLONE_FILES);
	return (uintptr_t)b;
}

void clonechild(uintptr_t how)
{
	struct block *b = (struct block *)how;

	switch (how) {
	case CLONED_ALONE:
	case CLONED_SHARED:
		return;
	case CLONED_FORK:
		forkchild();
		return;
	case CLONED_VFORK:
		runtime_vforked = getg() ? getg() : gettls();
		runtime_g = NULL;
		return;
	}
	settls(b->gp->tcb);
	*(int *)((char *)b->gp->tcb + tlslayout.tid) = (int)SC0(SYS_gettid);
	tlstmpl.ctypeinit();
	if (b->apart)
		runtime_vforked = gettls();
}

static void addshared(int tid)
{
	for (int i = 0; i < SHARED; i++) {
		int old = atomic_load(&shared[i]);
		if (old != 0 && SC2(SYS_tkill, old, 0) != -ESRCH)
			continue;
		if (atomic_compare_exchange_strong(&shared[i], &old, tid))
			return;
	}
	atomic_store(&manyshared, true);
}

void cloneparent(uintptr_t how, long tid)
{
	struct block *b = (struct block *)how;

	switch (how) {
	case CLONED_ALONE:
		return;
	case CLONED_SHARED:
		if (tid > 0)
			addshared((int)tid);
		return;
	case CLONED_FORK:
		forkparent();
		return;
	case CLONED_VFORK:
		if (runtime_vforked != NULL) { /* there was a child */
			runtime_g = (void *)runtime_vforked == gettls() ? NULL : runtime_vforked;
			runtime_vforked = NULL;
		}
		vforkleave(getg());
		return;
	}
	atomic_store(&b->tid, tid > 0 ? (int)tid : NOBODY);
}

bool clonedshared(void)
{
	bool any = atomic_load(&manyshared);

	for (int i = 0; i < SHARED; i++) {
		int tid = atomic_load(&shared[i]);
		any |= tid != 0 && SC2(SYS_tkill, tid, 0) != -ESRCH;
	}
	return any;
}

void clonelock(void)
{
	lock(&blocklock);
}

void cloneunlock(void)
{
	unlock(&blocklock);
}
