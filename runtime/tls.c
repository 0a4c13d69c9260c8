/* SPDX-License-Identifier: MIT
 *
 * tls.c: a complete glibc thread control block for every G (the template it is copied from:
 * tlstmpl.c).
 *
 * A G's TCB is the template moved to its area, with a DTV of its own, a tid above any of the
 * kernel's, a list node that points at itself (glibc must never meet it in its lists) and rseq
 * marked failed, for restartable sequences belong to kernel threads.
 *
 * Recycling. A dead G's shell keeps what costs to make: DTV, touched pages and libc's malloc cache
 * (the words tlstmpl.keep). Everything else becomes what a new thread sees, by one copy of a virgin
 * block (static TLS + TCB) which is remade when ld.so's count of TLS changes has moved. Dynamic TLS
 * blocks are freed at the thread's end (tlsexit). Where that count cannot be found, ld.so
 * initialises the block each time: right, slower.
 *
 * Owners: a TCB is its G's; tlsnew and tlsreset run on behalf of a G that nobody else sees yet. A
 * virgin block is immutable once published (release, acquire); old ones are never freed, and there
 * are at most MAXVIRGIN.
 *
 * Rejected: offsets by glibc version (patched builds move them); a real pthread per G kept as a
 * shell (glibc would list it, and its setxid and fork code would touch it at the wrong time);
 * re-writing only the static images (dynamic TLS keeps the old thread's values).
 */
#define _GNU_SOURCE 1
#include "runtime.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(offsetof(struct g, sched) == 0 && offsetof(struct gobuf, sp) == 0, "asm.S: G_SP");
_Static_assert(offsetof(struct g, tcb) == 8, "asm.S: G_TCB");

#define RSEQ_FLAG_UNREGISTER 1
#define RSEQ_SIG 0x53053053
#define RSEQ_FAILED (-2)
#define MAXVIRGIN 32

__thread struct g *runtime_g __attribute__((tls_model("initial-exec"), visibility("hidden")));
__thread struct g *runtime_vforked __attribute__((tls_model("initial-exec"), visibility("hidden")));

static struct virgin {
	size_t gen;  /* ld.so's count when it was made: the key */
	size_t made; /* the newest module in it */
	char *block; /* below + tcbsize bytes */
} *_Atomic virgin;
static uint32_t nvirgin; /* under virginlock */
static mutex virginlock;
static _Atomic uint32_t tidgen;

#define WORD(tcb, off) (*(uintptr_t *)((char *)(tcb) + (off)))
#define INT(tcb, off) (*(int *)((char *)(tcb) + (off)))

static int newtid(void)
{
	uint32_t n = atomic_fetch_add_explicit(&tidgen, 1, memory_order_relaxed);
	return (int)(TIDFIRST + n % (TIDLAST - TIDFIRST));
}

/*
 * Where this process's tids start: the owner word of a process-shared lock is compared across processes,
 * so two of them, a parent and its child above all, should not count from the same number.
 */
void tlsforked(void)
{
	atomic_store_explicit(&tidgen, (uint32_t)SC0(SYS_getpid) * 254u, memory_order_relaxed);
}

/* What differs from one thread to the next, into a TCB that holds the template's bytes. */
static void settcb(struct g *gp)
{
	char *tcb = gp->tcb;

	for (uint32_t i = 0; i < tlstmpl.nreloc; i++)
		WORD(tcb, tlstmpl.reloc[i]) += (uintptr_t)tcb;
	char *node = tcb + tlslayout.list;
	WORD(node, 0) = WORD(node, 8) = (uintptr_t)node;
	gp->tid = newtid();
	INT(tcb, tlslayout.tid) = gp->tid;
	WORD(tcb, tlslayout.stackblock) = (uintptr_t)gp->stack.lo;
	WORD(tcb, tlslayout.stackblock + 8) = (uintptr_t)(gp->stack.hi - gp->stack.lo);
	WORD(tcb, tlslayout.stackblock + 16) = gp->guardsize;
	if (tlslayout.resp)
		WORD(tcb, tlslayout.resp) = (uintptr_t)tcb + (uintptr_t)tlslayout.res;
	if (tlslayout.rseq)
		INT(tcb, tlslayout.rseq + 4) = RSEQ_FAILED;
	WORD(tcb, tlslayout.runtimeg) = (uintptr_t)gp;
}

int tlsnew(struct g *gp)
{
	char *tcb = gp->tcb;

	/* An area that had an owner before has its DTV still: fresh memory is zero. */
	if (WORD(tcb, 8)) {
		tlsreset(gp);
		return 0;
	}
	if (!tlstmpl.allocate(tcb))
		return -EAGAIN;
	uintptr_t dtv = WORD(tcb, 8);
	memcpy(tcb, tlstmpl.tcb, tlslayout.tcbsize);
	WORD(tcb, 8) = dtv;
	settcb(gp);
	atomic_store_explicit(&gp->tlsgen, WORD(dtv, 0), memory_order_relaxed);
	return 0;
}

/*
 * Nothing of libc's: its allocator and ld.so's locks are the program's to hold, at a _Fork() above all, whose child makes
 * an M first thing. Modules loaded later are not in it: only the runtime runs on a g0.
 */
void tlsg0(struct g *gp, uintptr_t *dtv)
{
	char *tcb = gp->tcb;
	uintptr_t keep[MAXKEEP] = {0};

	if (WORD(tcb, 8)) { /* of the area's owner before: libc's */
		dtv = (uintptr_t *)WORD(tcb, 8);
		for (uint32_t i = 0; i < tlstmpl.nkeep; i++)
			keep[i] = WORD(tcb, tlstmpl.keep[i]);
	} else {
		for (size_t i = 0; i < tlstmpl.dtvlen; i++) {
			uintptr_t w = tlstmpl.dtv[i];
			dtv[i] = w - (uintptr_t)(tlstmpl.scratch - tlslayout.below) < tlslayout.below
					 ? w - (uintptr_t)tlstmpl.scratch + (uintptr_t)tcb
					 : w;
		}
		dtv += 2;
	}
	memcpy(tcb - tlslayout.below, tlstmpl.tcb - tlslayout.below, tlslayout.below + tlslayout.tcbsize);
	for (uint32_t i = 0; i < tlstmpl.nkeep; i++)
		WORD(tcb, tlstmpl.keep[i]) = keep[i];
	WORD(tcb, 8) = (uintptr_t)dtv;
	settcb(gp);
	atomic_store_explicit(&gp->tlsgen, dtv[0], memory_order_relaxed);
}

/* A virgin block for generation `gen`, made by letting ld.so initialise a scratch TCB. */
static struct virgin *newvirgin(size_t gen)
{
	size_t n = tlslayout.below + tlslayout.tcbsize;
	struct virgin *v = NULL;

	lock(&virginlock);
	if (nvirgin < MAXVIRGIN) {
		v = sysalloc(sizeof *v + n);
		if (v) {
			nvirgin++;
			WORD(WORD(tlstmpl.scratch, 8), 0) = 0;
			tlstmpl.init(tlstmpl.scratch, true);
			v->block = (char *)(v + 1);
			memcpy(v->block, tlstmpl.scratch - tlslayout.below, tlslayout.below);
			memcpy(v->block + tlslayout.below, tlstmpl.tcb, tlslayout.tcbsize);
			/* A dlopen meanwhile makes the count differ: the next life looks again. */
			v->gen = gen;
			v->made = WORD(WORD(tlstmpl.scratch, 8), 0);
			atomic_store_explicit(&virgin, v, memory_order_release);
		}
	}
	unlock(&virginlock);
	return v;
}

void tlsreset(struct g *gp)
{
	char *tcb = gp->tcb;
	uintptr_t dtv = WORD(tcb, 8), keep[MAXKEEP];
	struct virgin *v = NULL;

	for (uint32_t i = 0; i < tlstmpl.nkeep; i++)
		keep[i] = WORD(tcb, tlstmpl.keep[i]);
	if (tlstmpl.generation) {
		/*
		 * Acquire: partner of newvirgin's release. The count itself is ld.so's, written
		 * under its lock.
		 */
		size_t gen = __atomic_load_n(tlstmpl.generation, __ATOMIC_ACQUIRE);
		v = atomic_load_explicit(&virgin, memory_order_acquire);
		if (unlikely(!v || v->gen != gen))
			v = newvirgin(gen);
	}
	if (likely(v != NULL)) {
		memcpy(tcb - tlslayout.below, v->block, tlslayout.below + tlslayout.tcbsize);
	} else {
		WORD(dtv, 0) = 0;
		tlstmpl.init(tcb, true);
		dtv = WORD(tcb, 8); /* it may have grown */
		memcpy(tcb, tlstmpl.tcb, tlslayout.tcbsize);
	}
	WORD(tcb, 8) = dtv;
	/* Relaxed: gp is published later, under a lock or by a release. */
	atomic_store_explicit(&gp->tlsgen, v ? v->made : WORD(dtv, 0), memory_order_relaxed);
	for (uint32_t i = 0; i < tlstmpl.nkeep; i++)
		WORD(tcb, tlstmpl.keep[i]) = keep[i];
	settcb(gp);
}

void tlslock(void)
{
	lock(&virginlock);
}

void tlsunlock(void)
{
	unlock(&virginlock);
}

/* rseq would let the kernel write its CPU into a TCB that the kernel thread has left. */
static void rseqoff(char *tcb)
{
	static const uint32_t sizes[] = {32, 20, 24, 28, 64};

	if (!tlslayout.rseq)
		return;
	char *rs = tcb + tlslayout.rseq;
	for (size_t i = 0; i < nelem(sizes); i++)
		if (SC4(SYS_rseq, rs, sizes[i], RSEQ_FLAG_UNREGISTER, RSEQ_SIG) == 0)
			break;
	INT(rs, 4) = RSEQ_FAILED;
}

void tlsmain(struct g *gp, bool isfork)
{
	char *tcb = gettls();

	gp->tcb = tcb;
	if (isfork) {
		/* fork() has the kernel write it there, clone() need not. */
		gp->tid = INT(tcb, tlslayout.tid) = (int)SC0(SYS_gettid);
		if (gp->area) {
			/*
			 * fork() has put this node into libc's list of threads; a cloned TCB must
			 * not stay in it.
			 */
			uintptr_t n = (uintptr_t)tcb + (uintptr_t)tlslayout.list;
			uintptr_t next = WORD(n, 0), prev = WORD(n, 8);
			WORD(next, 8) = prev;
			WORD(prev, 0) = next;
			WORD(n, 0) = WORD(n, 8) = n;
		}
	} else {
		gp->tid = INT(tcb, tlslayout.tid);
		rseqoff(tcb);
		unwindmain(gp);
	}
	runtime_g = gp;
}

struct g *gofthread(uintptr_t thread)
{
	if (!thread || !tlstmpl.tcb || thread % 16)
		return NULL;
	/* Every thread of this process has the variable there; only ours set it. */
	struct g *gp = (struct g *)WORD(thread, tlslayout.runtimeg);
	if (unlikely(gp == NULL)) /* a vfork's child may be running on it, as nobody's G */
		gp = (struct g *)WORD(thread, (char *)&runtime_vforked - (char *)gettls());
	return gp && (uintptr_t)gp->tcb == thread ? gp : NULL;
}

int selftid(void)
{
	struct g *gp = getg();

	if (gp != NULL) /* its TCB may have another: kernelid() */
		return gp->tid;
	if (unlikely(!tlstmpl.tcb))
		return (int)SC0(SYS_gettid);
	return INT(gettls(), tlslayout.tid);
}
