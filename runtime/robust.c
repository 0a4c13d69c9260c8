/* SPDX-License-Identifier: MIT
 *
 * robust.c: what the kernel does with the robust mutexes of a thread that ends, done for Gs; and Gs
 * which the kernel must know by the id of a kernel thread.
 *
 * libc links a thread's robust mutexes into a list in its TCB, so each G has one of its own. For a
 * kernel thread the kernel walks it at the end: the lock word keeps its waiters' bit, gets
 * OWNER_DIED in place of the owner, and one waiter is woken. robustexit() does the same for a G,
 * before its joiner learns of the end. Waiters of private mutexes are in sema.c's queues, those of
 * process-shared ones in the kernel's.
 *
 * A word that other processes read (process-shared recursive, error-checking, robust, priority
 * inheriting), or that the kernel reads (priority inheriting, protecting), must hold a kernel
 * thread's id: our own ids are not unique among processes, and the kernel finds nobody by them.
 * Such a G is bound to its M for good, the M's list is the G's (so that the kernel walks it if the
 * process dies), and while libc works on the object the TCB says the M's id. Only then: the G's own
 * id is in the objects of this process which it holds, and in gettid().
 *
 * What cannot be done from here is to let go of a process-shared priority-inheriting mutex that
 * others wait for: only the end of the kernel thread passes it on with OWNER_DIED. So it is left in
 * the list, the M ends first, and sysmon lets the joiner go after that (lockos.c). Where the M must
 * not end (lockos.c) the waiter may miss OWNER_DIED.
 *
 * The list is the program's memory, and may be gone where a program has forgotten a mutex it held:
 * the kernel is asked to read it, for it answers EFAULT where we would die.
 */
#include "runtime.h"
#include <linux/futex.h>
#include <sys/syscall.h>

enum { PI = 0x20, SHARED = 0x80 };

struct head {
	uintptr_t list; /* of the first mutex's `next`; bit 0: the kernel's priority inheritance */
	long offset;	/* from there to its lock word */
	uintptr_t pending;
};

/* pthread_mutex_t */
struct mutexwords {
	uint32_t lock, count, owner, nusers, kind, spins;
	uintptr_t prev, next;
};

static struct head *headof(struct g *gp)
{
	return tlslayout.robust ? (struct head *)((char *)gp->tcb + tlslayout.robust) : NULL;
}

void *gorobust(void)
{
	static _Atomic ptrdiff_t offset; /* in a thread of libc's; -1: it has none */
	ptrdiff_t off = atomic_load_explicit(&offset, memory_order_relaxed);
	uintptr_t at = 0, n = 0, tcb = (uintptr_t)gettls();
	struct g *gp = getg();

	if (gp != NULL && !gp->isg0)
		return headof(gp);
	if (unlikely(off == 0)) {
		SC3(SYS_get_robust_list, 0, &at, &n);
		off = at > tcb && at < tcb + 65536 ? (ptrdiff_t)(at - tcb) : -1;
		atomic_store_explicit(&offset, off, memory_order_relaxed);
	}
	return off > 0 ? (void *)(tcb + (uintptr_t)off) : NULL;
}

bool isgtid(int tid)
{
	return tid >= (int)TIDFIRST || (sched.maing != NULL && sched.maing->tid == tid);
}

/* The owner of *word, which is `mine`, has died. False: only the end of its M can tell, unless that
 * stays. */
static bool letgo(_Atomic uint32_t *word, uint32_t kind, uint32_t mine, bool stays)
{
	uint32_t v = atomic_load_explicit(word, memory_order_relaxed);

	do {
		if ((v & FUTEX_TID_MASK) != mine)
			return true;
		if ((kind & (PI | SHARED)) == (PI | SHARED) && (v & FUTEX_WAITERS) != 0) {
			if (!stays)
				return false;
			SC4(SYS_futex, word, FUTEX_UNLOCK_PI, 0, NULL);
			atomic_fetch_or_explicit(word, FUTEX_OWNER_DIED, memory_order_release);
			return true;
		}
	} while (
	    !atomic_compare_exchange_weak_explicit(word, &v, (v & FUTEX_WAITERS) | FUTEX_OWNER_DIED,
						   memory_order_release, memory_order_relaxed));
	if ((v & FUTEX_WAITERS) != 0 &&
	    ((kind & SHARED) != 0 || futexwake((const void *)word, 1) == 0))
		SC3(SYS_futex, word, FUTEX_WAKE, 1);
	return true;
}

/* A list which the program gave to the kernel itself, by syscall(): words as gettid() says, of any kind. */
int gosetrobust(void *head, size_t len)
{
	struct g *gp = getg();

	if (len != sizeof(struct head))
		return -EINVAL;
	gp->robustown = head != headof(gp) ? head : NULL;
	if (gp->kernelid != 0)
		SC2(SYS_set_robust_list, head, len);
	return 0;
}

void *gogetrobust(void)
{
	struct g *gp = getg();

	return gp->robustown != NULL ? gp->robustown : headof(gp);
}

static void robustown(struct g *gp)
{
	struct head h;
	uintptr_t at, next;

	if (!peek((uintptr_t)gp->robustown, &h, sizeof h))
		return;
	at = h.list;
	for (int n = 0; n < ROBUST_LIST_LIMIT && (at & ~(uintptr_t)1) != (uintptr_t)gp->robustown; n++) {
		uintptr_t node = at & ~(uintptr_t)1;
		uint32_t v;
		if (!peek(node, &next, sizeof next) || !peek(node + (uintptr_t)h.offset, &v, sizeof v))
			break;
		if (node != (h.pending & ~(uintptr_t)1))
			letgo((_Atomic uint32_t *)(node + (uintptr_t)h.offset), at & 1 ? PI : 0,
			      (uint32_t)gp->tid, true);
		at = next;
	}
	uint32_t v;
	if (h.pending != 0 && peek((h.pending & ~(uintptr_t)1) + (uintptr_t)h.offset, &v, sizeof v))
		letgo((_Atomic uint32_t *)((h.pending & ~(uintptr_t)1) + (uintptr_t)h.offset), 0,
		      (uint32_t)gp->tid, true);
}

void robustexit(struct g *gp)
{
	if (unlikely(gp->robustown != NULL))
		robustown(gp);

	struct head *h = headof(gp);
	const uintptr_t end = h ? (uintptr_t)&h->list : 0;
	uintptr_t at,
	    *keep = h ? &h->list : NULL; /* where the next one left to the kernel is linked */
	struct mutexwords m;
	uint32_t mine;

	if (likely(h == NULL || (h->list == end && gp->kernelid == 0)))
		return;
	bool stays = gp->m->forked || gp->kernelid == (int)SC0(SYS_getpid);
	at = h->list;
	for (int n = 0; n < ROBUST_LIST_LIMIT && (at & ~(uintptr_t)1) != end; n++) {
		uintptr_t node = at & ~(uintptr_t)1,
			  base = node - offsetof(struct mutexwords, next);
		if (!peek(base, &m, sizeof m))
			break;
		mine = (m.kind & SHARED) != 0 && gp->kernelid != 0 ? (uint32_t)gp->kernelid
								   : (uint32_t)gp->tid;
		if (!letgo((_Atomic uint32_t *)(node + (uintptr_t)h->offset), m.kind, mine,
			   stays)) {
			*keep = at;
			keep = (uintptr_t *)node;
		}
		at = m.next;
	}
	gp->robustleft = keep != &h->list;
	*keep = end;
	/* The next to run on this memory is no business of this kernel thread's. */
	if (gp->kernelid != 0 && !gp->robustleft)
		SC2(SYS_set_robust_list, NULL, sizeof *h);
}

void kernelid(void)
{
	struct g *gp = getg();

	if (gp == NULL || !tlslayout.robust)
		return;
	if (unlikely(gp->kernelid == 0)) {
		gp->kernelid = lockosthread();
		SC2(SYS_set_robust_list, headof(gp), sizeof(struct head));
	}
	*(int *)((char *)gp->tcb + tlslayout.tid) = gp->kernelid;
}

bool haskernelid(void)
{
	struct g *gp = getg();

	return gp != NULL && gp->kernelid != 0;
}

void kernelidend(void)
{
	struct g *gp = getg();

	if (gp != NULL && gp->kernelid != 0)
		*(int *)((char *)gp->tcb + tlslayout.tid) = gp->tid;
}
