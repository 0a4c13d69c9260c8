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
 * block (static TLS + TCB), which is remade after the loader has been at work. Dynamic TLS blocks
 * are freed at the thread's end (tlsexit). While the loader is at work (tlsdl.c) ld.so fills the
 * block in itself each time: right, slower.
 *
 * Owners: a TCB is its G's; tlsnew and tlsreset run on behalf of a G that nobody else sees yet, but
 * for its node in tlsdl.c's ring, which they leave alone. There is one virgin block, remade in
 * place: virgin.seq is odd meanwhile, and who has copied it looks at seq again (a seqlock; its plain
 * copy may be torn, and is then not used).
 *
 * Rejected: offsets by glibc version (patched builds move them); a real pthread per G kept as a
 * shell (glibc would list it, and its setxid and fork code would touch it at the wrong time);
 * re-writing only the static images (dynamic TLS keeps the old thread's values); ld.so's own count
 * of TLS changes as the block's version (a module may get its static place without counting).
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

__thread struct g *runtime_g __attribute__((tls_model("initial-exec"), visibility("hidden")));
__thread struct g *runtime_vforked __attribute__((tls_model("initial-exec"), visibility("hidden")));

static struct {
	_Atomic uint32_t seq;	/* odd while it is written */
	_Atomic uint32_t opens; /* tlsdlopens() when it was made; odd: never yet. Under seq */
	char *block;		/* below + tcbsize bytes. Under seq */
} virgin = {.opens = 1};
static mutex virginlock;
static _Atomic uint32_t tidgen;

#define WORD(tcb, off) (*(uintptr_t *)((char *)(tcb) + (off)))
#define INT(tcb, off) (*(int *)((char *)(tcb) + (off)))

static int newtid(void)
{
	uint32_t n = atomic_fetch_add(&tidgen, 1);
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
	gp->tid = newtid(); /* a full fence: pattern in tlsdl.c */
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

/* The template's bytes into a TCB, but not over its node in the ring. */
static void copytcb(char *tcb, const char *from)
{
	size_t at = (size_t)tlslayout.list, after = at + 2 * sizeof(void *);

	memcpy(tcb, from, at);
	memcpy(tcb + after, from + after, tlslayout.tcbsize - after);
}

int tlsnew(struct g *gp)
{
	char *tcb = gp->tcb;

	/* An area that had an owner before has its DTV still: fresh memory is zero. */
	if (WORD(tcb, 8)) {
		tlsreset(gp);
		return 0;
	}
	uint32_t opens = tlsdlopens();
	if (!tlstmpl.allocate(tcb))
		return -EAGAIN;
	uintptr_t dtv = WORD(tcb, 8);
	copytcb(tcb, tlstmpl.tcb);
	WORD(tcb, 8) = dtv;
	settcb(gp);
	tlsdladd(tcb);
	/* From here on the loader knows it. What it has loaded before that: */
	if (unlikely((opens & 1) || tlsdlopens() != opens))
		tlsreset(gp);
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
		WORD(tcb, tlslayout.list) = WORD(tcb, tlslayout.list + 8) = (uintptr_t)tcb + (uintptr_t)tlslayout.list;
	}
	memcpy(tcb - tlslayout.below, tlstmpl.tcb - tlslayout.below, tlslayout.below);
	copytcb(tcb, tlstmpl.tcb); /* not the node: that owner's is in the ring for good, a g0's own is not */
	for (uint32_t i = 0; i < tlstmpl.nkeep; i++)
		WORD(tcb, tlstmpl.keep[i]) = keep[i];
	WORD(tcb, 8) = (uintptr_t)dtv;
	settcb(gp);
}

/* Made by letting ld.so initialise a scratch TCB. */
static bool newvirgin(uint32_t opens)
{
	size_t n = tlslayout.below + tlslayout.tcbsize;
	bool ok;

	lock(&virginlock);
	if (virgin.block == NULL)
		virgin.block = sysalloc(n);
	ok = virgin.block != NULL;
	if (ok && atomic_load_explicit(&virgin.opens, memory_order_relaxed) != opens) {
		uint32_t seq = atomic_load_explicit(&virgin.seq, memory_order_relaxed);
		atomic_store_explicit(&virgin.seq, seq + 1, memory_order_relaxed);
		atomic_thread_fence(memory_order_release); /* partner: virgincopy's acquire fence */
		WORD(WORD(tlstmpl.scratch, 8), 0) = 0;
		tlstmpl.init(tlstmpl.scratch, true);
		memcpy(virgin.block, tlstmpl.scratch - tlslayout.below, tlslayout.below);
		memcpy(virgin.block + tlslayout.below, tlstmpl.tcb, tlslayout.tcbsize);
		/* A dlopen meanwhile makes the count differ: the next life looks again. */
		atomic_store_explicit(&virgin.opens, opens, memory_order_relaxed);
		atomic_store_explicit(&virgin.seq, seq + 2, memory_order_release);
	}
	unlock(&virginlock);
	return ok;
}

bool tlsquick(void)
{
	uint32_t opens = tlsdlopens();

	return (opens & 1) == 0 && atomic_load_explicit(&virgin.opens, memory_order_relaxed) == opens;
}

static bool virgincopy(char *tcb, uint32_t opens)
{
	uint32_t seq = atomic_load_explicit(&virgin.seq, memory_order_acquire);

	if (unlikely(opens & 1))
		return false;
	if (unlikely((seq & 1) || atomic_load_explicit(&virgin.opens, memory_order_relaxed) != opens)) {
		if (!newvirgin(opens))
			return false;
		seq = atomic_load_explicit(&virgin.seq, memory_order_acquire);
		if (atomic_load_explicit(&virgin.opens, memory_order_relaxed) != opens)
			return false;
	}
	memcpy(tcb - tlslayout.below, virgin.block, tlslayout.below);
	copytcb(tcb, virgin.block + tlslayout.below);
	atomic_thread_fence(memory_order_acquire);
	return (seq & 1) == 0 && atomic_load_explicit(&virgin.seq, memory_order_relaxed) == seq;
}

void tlsreset(struct g *gp)
{
	char *tcb = gp->tcb;
	uintptr_t dtv = WORD(tcb, 8), keep[MAXKEEP];
	uint32_t opens;

	for (uint32_t i = 0; i < tlstmpl.nkeep; i++)
		keep[i] = WORD(tcb, tlstmpl.keep[i]);
	do {
		opens = tlsdlopens();
		if (unlikely(!virgincopy(tcb, opens))) {
			WORD(tcb, 8) = dtv;
			WORD(dtv, 0) = 0;
			tlstmpl.init(tcb, true);
			dtv = WORD(tcb, 8); /* it may have grown */
			copytcb(tcb, tlstmpl.tcb);
		}
		WORD(tcb, 8) = dtv;
		for (uint32_t i = 0; i < tlstmpl.nkeep; i++)
			WORD(tcb, tlstmpl.keep[i]) = keep[i];
		settcb(gp);
	} while (unlikely(tlsdlopens() != opens));
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
		if (gp->area)
			tlsdladopt(tcb);
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
