/* SPDX-License-Identifier: MIT
 *
 * stack.c: where a G's stack and TLS live.
 *
 *	base        base+guard                        tcb - static TLS   tcb      base+size
 *	| guard     | stack, grows down                | static TLS       | struct pthread |
 *
 * One contiguous area per G, carved from slabs of up to 64 areas: 100,000 threads of 8 MiB need
 * some 1,600 mappings where one per thread (two with a guard) ends at vm.max_map_count, 65,530.
 * Frames begin right below the TLS block, so a blocked thread touches two or three pages in all,
 * and the guard of one area lies in the page table of the TLS below it. Areas are carved in order
 * and never touched before use: a fresh page is zero.
 *
 * The program gets all of the stack size it asked for; unlike glibc, TLS comes on top of it.
 *
 * Owners: an area belongs to the G in whose gp->area it is, or to its class's free list
 * (class->lock). Slabs are never unmapped. Classes are append-only: readers walk them without a
 * lock.
 *
 * Rejected: munmap or MADV_DONTNEED at every exit (5-8 us each, and page faults for the next
 * thread); descriptors inside the areas (a scavenger could not give the whole area back).
 */
#define _GNU_SOURCE 1
#include "runtime.h"

#include <errno.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PAGE 4096ul
#define SLABAREAS 64u
#define MINSTACK 16384ul /* PTHREAD_STACK_MIN */

struct class {
	size_t stack, guard; /* rounded; the key */
	size_t size;	     /* of an area, whole pages */
	mutex lock;
	struct area *free;   /* under lock */
	uint32_t nfree;	     /* under lock */
	char *slab;	     /* next area to carve; under lock */
	uint32_t left, next; /* areas left in the slab; how many the next one gets. under lock */
	struct class *link;  /* set before the class is published */
};

struct area {
	char *base;
	struct class *class;
	struct area *link; /* free list; under class->lock */
};

enum guardhow guardhow;

static struct {
	/* make classes; carve meta. Order: classlock, any class->lock, lock */
	mutex classlock, lock;
	struct class *_Atomic classes; /* release on push, acquire on walk */
	char *meta;
	size_t metaleft;
	size_t tlssize, tlsalign, tcbsize; /* written once by stackinit() */
	size_t defaultsize, defaultguard;
	uint32_t slabareas;
	bool toldguard;
} stk = {.slabareas = SLABAREAS};

static size_t roundup(size_t n, size_t to)
{
	return (n + to - 1) & ~(to - 1);
}

static void *sysreserve(size_t n)
{
	long p = SC6(SYS_mmap, 0, n, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (p < 0 && p > -4096)
		return NULL;
	/*
	 * A huge page would make every thread cost 2 MiB. Fails without THP: nothing to forbid
	 * then.
	 */
	SC3(SYS_madvise, p, n, MADV_NOHUGEPAGE);
	return (void *)p;
}

/* Memory for descriptors: zero, never freed. */
static void *metaalloc(size_t n)
{
	n = roundup(n, 16);
	lock(&stk.lock);
	if (stk.metaleft < n) {
		size_t chunk = 256 << 10;
		char *p = sysalloc(chunk);
		if (!p) {
			unlock(&stk.lock);
			return NULL;
		}
		stk.meta = p;
		stk.metaleft = chunk;
	}
	void *p = stk.meta;
	stk.meta += n;
	stk.metaleft -= n;
	unlock(&stk.lock);
	return p;
}

/* Whether this kernel knows MADV_GUARD_INSTALL: 6.13 and later. */
static bool guardprobe(void)
{
	char *p = sysreserve(PAGE);

	if (!p)
		return false;
	bool ok = SC3(SYS_madvise, p, PAGE, MADV_GUARD_INSTALL) == 0;
	SC2(SYS_munmap, p, PAGE);
	return ok;
}

/*
 * Once, from tlsinit(): what libc needs above each stack, and what a thread gets that asks for
 * nothing. 0, or -EOPNOTSUPP if GMP_GUARD=madvise was asked for and is not to be had.
 */
int stackinit(size_t tlssize, size_t tlsalign, size_t tcbsize, size_t stacksize, size_t guardsize)
{
	stk.tlssize = tlssize;
	stk.tlsalign = tlsalign < CACHELINE ? CACHELINE : tlsalign;
	stk.tcbsize = tcbsize;
	stk.defaultsize = stacksize;
	stk.defaultguard = guardsize;
	if (guardhow != GUARD_MPROTECT) {
		bool have = guardprobe();
		if (!have && guardhow == GUARD_MADVISE)
			return -EOPNOTSUPP;
		guardhow = have ? GUARD_MADVISE : GUARD_MPROTECT;
	}
	return 0;
}

/* Around a fork: the child will allocate stacks. */
void stacklock(void)
{
	lock(&stk.classlock);
	for (struct class *c = stk.classes; c; c = c->link)
		lock(&c->lock);
	lock(&stk.lock);
}

void stackunlock(void)
{
	unlock(&stk.lock);
	for (struct class *c = stk.classes; c; c = c->link)
		unlock(&c->lock);
	unlock(&stk.classlock);
}

/* For a program that locks all its future memory: then a slab would be paged in whole. */
void stackslabs(uint32_t areas)
{
	lock(&stk.lock);
	stk.slabareas = areas ? areas : SLABAREAS;
	unlock(&stk.lock);
}

/*
 * Sizes are rounded to eighths of a power of two above 64 KiB, so that a program which asks for
 * ever other sizes makes a bounded number of classes. Only address space is lost.
 */
static bool classkey(size_t *stack, size_t *guard, void *userstack)
{
	if (userstack) {
		*stack = *guard = 0;
		return true;
	}
	if (!*stack)
		*stack = stk.defaultsize;
	if (*stack < MINSTACK)
		*stack = MINSTACK;
	if (*stack > (size_t)1 << 46 || *guard > (size_t)1 << 46)
		return false;
	*guard = roundup(*guard, PAGE);
	size_t step = PAGE;
	while (*stack > step * 16)
		step *= 2;
	*stack = roundup(*stack, step);
	return true;
}

static struct class *classof(size_t stack, size_t guard)
{
	struct class *c;

	for (c = atomic_load_explicit(&stk.classes, memory_order_acquire); c; c = c->link)
		if (c->stack == stack && c->guard == guard)
			return c;
	lock(&stk.classlock);
	for (c = atomic_load_explicit(&stk.classes, memory_order_relaxed); c; c = c->link)
		if (c->stack == stack && c->guard == guard)
			break;
	if (!c && (c = metaalloc(sizeof *c))) {
		c->stack = stack;
		c->guard = guard;
		c->size = roundup(guard + stack + stk.tlssize + stk.tlsalign, PAGE);
		if (stk.tlsalign > PAGE)
			c->size = roundup(c->size, stk.tlsalign);
		/* Most programs have few threads: do not reserve half a gigabyte for them. */
		c->next = 4;
		c->link = atomic_load_explicit(&stk.classes, memory_order_relaxed);
		atomic_store_explicit(&stk.classes, c, memory_order_release);
	}
	unlock(&stk.classlock);
	return c;
}

static void toldlimit(void)
{
	if (stk.toldguard)
		return;
	stk.toldguard = true;
	gprintf("libgmp: no more thread stacks: a guard page could not be set up. Without "
		"MADV_GUARD_INSTALL (Linux 6.13) each stack takes two of the vm.max_map_count "
		"mappings a process may have: raise that limit\n");
}

static int guardset(char *base, size_t n)
{
	if (guardhow == GUARD_MADVISE && SC3(SYS_madvise, base, n, MADV_GUARD_INSTALL) == 0)
		return 0;
	/* Also for locked memory (mlockall), where guards may not be installed. */
	if (SC3(SYS_mprotect, base, n, PROT_NONE) == 0)
		return 0;
	toldlimit();
	return -EAGAIN;
}

/* A fresh area of class c, or nil. Under c->lock. */
static struct area *carve(struct class *c, int *err)
{
	*err = -EAGAIN;
	if (!c->left) {
		uint32_t n = c->next < stk.slabareas ? c->next : stk.slabareas;
		char *p;

		/* ulimit -v, strict overcommit: take less rather than fail. */
		while (!(p = sysreserve(n * c->size)) && n > 1)
			n /= 2;
		if (!p)
			return NULL;
		c->slab = p;
		c->left = n;
		c->next = n * 2;
	}
	if (c->guard && guardset(c->slab, c->guard) < 0)
		return NULL;
	struct area *a = metaalloc(sizeof *a);
	if (!a)
		return NULL;
	a->base = c->slab;
	a->class = c;
	c->slab += c->size;
	c->left--;
	return a;
}

/*
 * The pages of TLS and first frames in one call: a page fault for each is a fifth dearer. It may
 * fail (Linux before 5.14); large static TLS is left to what libc touches of it.
 */
static void populate(struct area *a)
{
	size_t top = roundup(stk.tlssize + 512, PAGE);

	if (top <= 4 * PAGE)
		SC3(SYS_madvise, a->base + a->class->size - top, top, MADV_POPULATE_WRITE);
}

int stackalloc(struct g *gp, size_t stacksize, size_t guardsize, void *userstack)
{
	size_t stack = stacksize, guard = guardsize;
	int err;

	if (!classkey(&stack, &guard, userstack))
		return -EAGAIN;
	struct class *c = classof(stack, guard);
	if (!c)
		return -EAGAIN;
	lock(&c->lock);
	struct area *a = c->free;
	bool fresh = !a;
	if (a) {
		c->free = a->link;
		c->nfree--;
	} else {
		a = carve(c, &err);
	}
	unlock(&c->lock);
	if (!a)
		return err;
	if (fresh)
		populate(a);

	/* The same sum for every life of the area: a recycled shell keeps its TCB's address. */
	uintptr_t tcb = ((uintptr_t)a->base + c->size - stk.tcbsize) & ~(stk.tlsalign - 1);
	gp->area = a;
	gp->tcb = (void *)tcb;
	stackset(gp, stacksize, guardsize, userstack);
	return 0;
}

/*
 * What the program asked for this time: areas of one class serve slightly different requests.
 * The program's frames on its own memory if it brought some.
 */
void stackset(struct g *gp, size_t stacksize, size_t guardsize, void *userstack)
{
	struct area *a = gp->area;

	gp->userstack = userstack != NULL;
	gp->stacksize = stacksize ? stacksize : stk.defaultsize;
	gp->guardsize = userstack ? 0 : roundup(guardsize, PAGE);
	if (userstack) {
		gp->stack.lo = userstack;
		gp->stack.hi = (char *)userstack + stacksize;
		return;
	}
	gp->stack.hi = (char *)gp->tcb - (stk.tlssize - stk.tcbsize);
	/*
	 * [lo, lo + stacksize) is what pthread_getattr_np() will say: like glibc's it ends at a
	 * page boundary above the first frame, so that it holds every stack pointer. Below lo the
	 * rest of the class's size follows.
	 */
	char *lo = (char *)roundup((uintptr_t)gp->stack.hi, PAGE) - gp->stacksize;
	gp->stack.lo = lo > a->base + a->class->guard ? lo : a->base + a->class->guard;
}

bool stackguards(const struct g *gp, uintptr_t addr)
{
	const struct area *a = gp->area;

	return a != NULL && addr - (uintptr_t)a->base < a->class->guard;
}

bool stackfits(const struct g *gp, size_t stacksize, size_t guardsize, void *userstack)
{
	return gp->area && classkey(&stacksize, &guardsize, userstack) &&
	       gp->area->class->stack == stacksize && gp->area->class->guard == guardsize;
}

char *stackend(const struct g *gp)
{
	return gp->area->base + gp->area->class->size;
}

void stackfree(struct g *gp)
{
	struct area *a = gp->area;
	struct class *c = a->class;

	gp->area = NULL;
	gp->tcb = NULL;
	gp->stack = (struct stack){0};
	lock(&c->lock);
	a->link = c->free;
	c->free = a;
	c->nfree++;
	unlock(&c->lock);
}

/*
 * Gives the stack pages of a dead G back, all but the one its TLS begins in; returns how many
 * bytes the kernel was asked to drop. Guards stay. gp must be on no list but the caller's.
 */
size_t stackscavenge(struct g *gp)
{
	struct area *a = gp->area;

	if (!a || gp->userstack || a->class->stack == 0)
		return 0;
	char *lo = a->base + a->class->guard;
	char *hi = (char *)((uintptr_t)gp->stack.hi & ~(PAGE - 1));
	if (hi <= lo)
		return 0;
	SC3(SYS_madvise, lo, hi - lo, MADV_DONTNEED);
	return hi - lo;
}
