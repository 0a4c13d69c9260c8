/* SPDX-License-Identifier: MIT
 *
 * lll.c: the locks libc keeps for itself (malloc's arenas, FILEs, syslog's, its own mutexes): who
 * has to wait for one parks, instead of keeping an M.
 *
 * It must be so once Gs park inside libc: one that waits in fgets() has its FILE locked, and each
 * of those who want that FILE would hold an M, for as long as it likes; with GMP_MAXM of them
 * nobody could feed it.
 *
 * libc calls __lll_lock_wait_private() when it has found the word not free, and
 * __lll_lock_wake_private() when it has set the word to 0 and it was 2; __lll_lock_wait() and
 * __lll_lock_wake() are the same for its mutexes, which may be shared with other processes. deep.c
 * makes these lead here, if every instruction of theirs is as expected: another libc may have
 * another protocol. The word: 0 free, 1 held, 2 held and somebody may wait.
 *
 * No lost wake-up. A waiter exchanges 2 into the word (taking the lock if it was 0) and waits only
 * if it is still 2 when the waiter is queued (futexwait() looks under the queue's lock). Who
 * unlocks exchanges 0 and, if it was 2, looks at the queue: either it finds the waiter, or the
 * waiter sees that the word is not 2. One is woken; it takes the lock as 2, or puts back 2 before
 * it waits again, so the next unlock looks again: while somebody is queued the word is 2, or a
 * woken waiter is on its way. One that is woken and loses keeps no place in the queue, as in libc.
 *
 * Kernel threads wait in the same queue (foreign ones, and Gs that must stay on theirs). Some may
 * wait in the kernel's: who slept there when the entries were patched, or waits with a time limit
 * inside libc. So if our queue is empty, the kernel's is woken; it is the last that a 2 is due to.
 * Conversely all wake-ups must come by here: ld.so has these functions once more, for the locks in
 * its own data, which libc also takes: those are left to the kernel.
 *
 * Who must stay: a G in the runtime, and one whose kernel thread libc has given another signal mask
 * for a while (it takes locks meanwhile in system(), pthread_create(), pthread_kill()). One system
 * call tells, before a wait. Waking never moves the caller (futexwakehere()).
 *
 * Who holds such a lock may be parked, or queued for a P. Hence the rule: who waits for a lock of
 * libc's has neither a P that cannot be taken nor one of the locks that an M with a P waits for
 * (HACKING.md, ranks 2 and more). So the runtime calls what may wait in libc with its P on loan
 * (tlsslow); a new M needs nothing of libc (tlsg0); and a thread that forks lets go while it waits
 * (forkpause). The holder then gets a P in the end. The forking thread keeps three locks that are
 * wanted rarely, or it could not be sure to have them again (ranks 0, 1, virginlock). Who waits for
 * one of these has no P (allthreads(), goexecbegin()) or has it on loan (forkprepare(), tlsslow()).
 *
 * Signals: handlers run during the wait, as they do in the kernel's. Cancellation: not here.
 *
 * Blocks: lllwait() parks the G, or its M sleeps, see above. lllwake() blocks nobody.
 */
#include "runtime.h"
#include <elf.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>

enum { SPINS = 30 }; /* arenas are held for a microsecond, and a wake-up takes fifty */

static uintptr_t ldlo, ldhi; /* ld.so's data */

static bool isld(const void *l)
{
	return (uintptr_t)l - ldlo < ldhi - ldlo;
}

/* In the child of a fork, before it has made a world of its own: one thread. */
static bool newborn(void)
{
	return unlikely(runtime_forking != 0) && SC0(SYS_getpid) != runtime_forking;
}

static void kernelwait(_Atomic uint32_t *l)
{
	while (atomic_exchange_explicit(l, 2, memory_order_acquire) != 0)
		SC4(SYS_futex, l, FUTEX_WAIT_PRIVATE, 2, NULL);
}

static void kernelwake(_Atomic uint32_t *l)
{
	SC3(SYS_futex, l, FUTEX_WAKE_PRIVATE, 1);
}

static bool spin(_Atomic uint32_t *l)
{
	uint32_t v = 0;

	for (int i = 0; i < SPINS && gomaxprocs > 1; i++) {
		procyield(1);
		/* Not below 2: others may be queued. */
		if (atomic_load_explicit(l, memory_order_relaxed) == 0 &&
		    atomic_compare_exchange_strong_explicit(l, &v, 2, memory_order_acquire,
							    memory_order_relaxed))
			return true;
		v = 0;
	}
	return false;
}

static bool staying(const struct g *gp)
{
	uint64_t mask;

	if (gp == NULL || gp->isg0 || gp->inruntime > 0)
		return true;
	SC4(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8);
	return ((mask ^ atomic_load_explicit(&gp->sigmask, memory_order_relaxed)) & ~UNBLOCKABLE) !=
	       0;
}

void lllwait(_Atomic uint32_t *l)
{
	if (isld(l) || newborn()) {
		kernelwait(l);
		return;
	}
	if (spin(l))
		return;
	unsigned flags =
	    FUTEX_NOCANCEL | FUTEX_WHY(WaitLibc, 0) | (staying(getg()) ? FUTEX_THREAD : 0);
	while (atomic_exchange_explicit(l, 2, memory_order_acquire) != 0) {
		bool forking = forkpause();
		futexwait(l, 2, 0, flags);
		if (forking)
			forkresume();
	}
}

void lllwake(_Atomic uint32_t *l)
{
	if (isld(l) || newborn()) {
		kernelwake(l);
		return;
	}
	bool forking = forkpause(); /* waking may want an M to be made */
	if (futexwakehere(l) == 0)
		kernelwake(l); /* the address alone: it may be in use for something else by now */
	if (forking)
		forkresume();
}

/* Of mutexes: `shared` is 0, or what FUTEX_PRIVATE_FLAG must be taken away by. */
static void mutexwait(_Atomic uint32_t *l, uint32_t shared)
{
	if (shared == 0) {
		lllwait(l);
		return;
	}
	while (atomic_exchange_explicit(l, 2, memory_order_acquire) != 0)
		SC4(SYS_futex, l, FUTEX_WAIT, 2, NULL);
}

static void mutexwake(_Atomic uint32_t *l, uint32_t shared)
{
	if (shared == 0)
		lllwake(l);
	else
		SC3(SYS_futex, l, FUTEX_WAKE, 1);
}

/* ---- where they are ----------------------------------------------------------------------------
 */

/* glibc 2.36, gcc 12: all of them, but for how waiting ends the process when the kernel refuses. */
static const uint8_t waitprivate[] = {
    0x8b, 0x07, 0x83, 0xf8, 0x02, 0x74, 0x0b, 0xb8, 0x02, 0x00, 0x00, 0x00, 0x87, 0x07,
    0x85, 0xc0, 0x74, 0x36, 0x45, 0x31, 0xd2, 0xba, 0x02, 0x00, 0x00, 0x00, 0xbe, 0x80,
    0x00, 0x00, 0x00, 0xb8, 0xca, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0,
    0xff, 0xff, 0x76, 0xd9, 0x83, 0xf8, 0xf5, 0x74, 0xd4, 0x83, 0xf8, 0xfc, 0x74, 0xcf};
static const uint8_t wakeprivate[] = {0x45, 0x31, 0xd2, 0xba, 0x01, 0x00, 0x00,
				      0x00, 0xbe, 0x81, 0x00, 0x00, 0x00, 0xb8,
				      0xca, 0x00, 0x00, 0x00, 0x0f, 0x05, 0xc3};
/* Those for mutexes are hidden. They stand right behind the others. */
static const uint8_t waitany[] = {
    0x8b, 0x07, 0x41, 0x89, 0xf0, 0x83, 0xf8, 0x02, 0x74, 0x0b, 0xb8, 0x02, 0x00, 0x00, 0x00, 0x87,
    0x07, 0x85, 0xc0, 0x74, 0x3b, 0x44, 0x89, 0xc6, 0x45, 0x31, 0xd2, 0xba, 0x02, 0x00, 0x00, 0x00,
    0xb8, 0xca, 0x00, 0x00, 0x00, 0x40, 0x80, 0xf6, 0x80, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff,
    0xff, 0x76, 0xd7, 0x83, 0xf8, 0xf5, 0x74, 0xd2, 0x83, 0xf8, 0xfc, 0x74, 0xcd};
static const uint8_t wakeany[] = {0x40, 0x80, 0xf6, 0x81, 0x45, 0x31, 0xd2, 0xba, 0x01, 0x00,
				  0x00, 0x00, 0xb8, 0xca, 0x00, 0x00, 0x00, 0x0f, 0x05, 0xc3};

/* The code, at the function of that name or not more than `far` bytes behind; nil: another libc. */
static void *thecode(const char *name, const uint8_t *code, size_t n, size_t far)
{
	char *from = libcown(name);

	for (char *p = from; from != NULL && p <= from + far; p += 16)
		if (memcmp(p, code, n) == 0)
			return p;
	return NULL;
}

static void *findwaitprivate(void)
{
	return thecode("__lll_lock_wait_private", waitprivate, sizeof(waitprivate), 0);
}

static void *findwakeprivate(void)
{
	return thecode("__lll_lock_wake_private", wakeprivate, sizeof(wakeprivate), 0);
}

static void *findwaitany(void)
{
	return thecode("__lll_lock_wait_private", waitany, sizeof(waitany), 256);
}

static void *findwakeany(void)
{
	return thecode("__lll_lock_wake_private", wakeany, sizeof(wakeany), 256);
}

void lllinit(void)
{
	static const struct deeppoint points[] = {
	    {"__lll_lock_wake_private", (const void *)lllwake, NULL, NULL, findwakeprivate},
	    {"__lll_lock_wait_private", (const void *)lllwait, NULL, "__lll_lock_wake_private",
	     findwaitprivate},
	    {"__lll_lock_wake", (const void *)mutexwake, NULL, NULL, findwakeany},
	    {"__lll_lock_wait", (const void *)mutexwait, NULL, "__lll_lock_wake", findwaitany},
	};

	if (ldhi == 0 && deeprange(libcown("_rtld_global"), PF_W, &ldlo, &ldhi))
		deepregister(points, nelem(points), NULL, 0);
}
