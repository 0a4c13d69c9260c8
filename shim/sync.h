/* SPDX-License-Identifier: MIT
 *
 * sync.h: what mutex.c, cond.c, rwlock.c, sem.c, barrier.c, once.c share.
 *
 * The objects are the program's, in the size and initial values of libc's headers, and nothing is
 * allocated beside them: waiters queue on an address inside the object (futexwait, runtime/sema.c).
 * The algorithms are ours from the first call, before the pool starts and in foreign threads too,
 * for an object may be locked before the start and unlocked after it. Objects that the kernel or
 * another process must see (process-shared, robust, priority-protecting; told by the bits which
 * libc's init functions leave) go to the real functions, as marked system calls where they may
 * block.
 *
 * Two rules hold for each of them:
 *   - after the store that lets somebody else go on, the object may be freed at once. From there
 *     its address is used as a key for futexwake() only;
 *   - hence a futexwake() may come late and hit a newer object at the same address: every waiter
 *     checks what it waited for. Where a wake-up hands something over, a token in memory says so.
 */
#ifndef SYNC_H
#define SYNC_H

#include "shim.h"

/* libc's layout (bits/struct_mutex.h) as far as we share it; hand is in the robust list's links. */
struct pmutex {
	_Atomic uint32_t lock; /* see mutex.c */
	uint32_t count;	       /* recursive: depth. The owner's */
	_Atomic int32_t owner; /* tid; the owner writes, others compare it with their own */
	uint32_t nusers;       /* 1 while owned, by cond waiters too: destroy's EBUSY. The owner's */
	int32_t kind;	       /* written by init and destroy */
	_Atomic int16_t spins; /* how much spinning paid lately; a hint */
	int16_t elision;
	_Atomic uint32_t hand; /* token for a starving waiter, and the key it waits on */
};

_Static_assert(sizeof(struct pmutex) <= sizeof(pthread_mutex_t) && sizeof(pthread_mutex_t) == 40,
	       "size");
_Static_assert(offsetof(pthread_mutex_t, __data.__owner) == offsetof(struct pmutex, owner),
	       "owner");
_Static_assert(offsetof(pthread_mutex_t, __data.__nusers) == offsetof(struct pmutex, nusers),
	       "nusers");
_Static_assert(offsetof(pthread_mutex_t, __data.__kind) == offsetof(struct pmutex, kind), "kind");
_Static_assert(offsetof(pthread_mutex_t, __data.__list) == offsetof(struct pmutex, hand), "hand");

/*
 * __kind: bits 0 and 1 are the type; 4 robust, 5 priority-inheriting, 6 priority-protecting, 7
 * process-shared; 8 and 9 are about lock elision, which we do not do. A destroyed mutex has all
 * bits set.
 */
enum {
	KIND_TYPE = 3,
	KIND_ROBUST = 0x10,
	KIND_PI = 0x20,
	KIND_PROTECT = 0x40,
	KIND_SHARED = 0x80,
	KIND_ELISION = 0x300
};
static inline bool mutexnormal(int kind)
{
	return (kind & ~KIND_ELISION) == PTHREAD_MUTEX_TIMED_NP;
}
static inline bool mutexours(int kind)
{
	return (kind & ~(KIND_TYPE | KIND_ELISION)) == 0;
}

/* Ours or the kernel's: mutexpi.c */
static inline bool mutexpi(int kind)
{
	return (kind & ~(KIND_TYPE | KIND_ELISION)) == KIND_PI;
}

/* Ours, in another way: mutexrobust.c */
static inline bool mutexrobust(int kind)
{
	return (kind & ~(KIND_TYPE | KIND_PI | KIND_ELISION)) == KIND_ROBUST;
}
/* Of those which are not ours: some word holds a kernel thread's id. */
static inline bool mutexhasid(int kind)
{
	return kind >= 0 && ((kind & (KIND_ROBUST | KIND_PI | KIND_PROTECT)) != 0 ||
			     (kind & KIND_TYPE) == PTHREAD_MUTEX_RECURSIVE ||
			     (kind & KIND_TYPE) == PTHREAD_MUTEX_ERRORCHECK);
}

/* users: 1, or 0 around a condition wait; ts nil: no time-out. mutexrobust.c */
int robustlock(struct pmutex *m, uint32_t users, clockid_t clk, const struct timespec *ts);
int robusttrylock(struct pmutex *m);
int robustunlock(struct pmutex *m, uint32_t users);
int robustconsistent(struct pmutex *m);
bool robustmine(struct pmutex *m);

/* The same: mutexpi.c */
int pilock(struct pmutex *m, uint32_t users, clockid_t clk, const struct timespec *ts);
int pitrylock(struct pmutex *m);
int piunlock(struct pmutex *m, uint32_t users);
bool pimine(struct pmutex *m);

/* mutexreal.c */
int reallock(pthread_mutex_t *mutex);
int realtrylock(pthread_mutex_t *mutex);
int realclocklock(pthread_mutex_t *mutex, clockid_t clk, const struct timespec *ts);
int realunlock(pthread_mutex_t *mutex);
bool realmine(pthread_mutex_t *mutex); /* may the caller unlock it? */

/* condreal.c: ts nil: no time-out */
int condreal(pthread_cond_t *c, pthread_mutex_t *mutex, clockid_t clk, const struct timespec *ts);

/* mutex.c, for cond.c: unlock and lock again around a wait; nusers stays as it is. */
int condmayunlock(pthread_mutex_t *mutex); /* EPERM before anything has happened, or 0 */
int condunlock(pthread_mutex_t *mutex);
int condrelock(pthread_mutex_t *mutex, bool behind); /* behind: others are queued for it */
void *condmutex(pthread_mutex_t *mutex); /* where futexbroadcast() may move a waiter; nil: nowhere */
bool condheld(void *mutex);		 /* its held() */

/*
 * The caller's tid, as its struct pthread has it. tidoffset is 0 until tidslow() has asked libc
 * where that word is; there is no system call in it for a process that never starts the pool.
 */
extern _Atomic int tidoffset; /* written once */
int tidslow(void);
static inline int tidoff(void)
{
	return atomic_load_explicit(&tidoffset, memory_order_relaxed);
}
static inline int tidat(int off)
{
	return *(int *)((char *)__builtin_thread_pointer() + off);
}
static inline int self(void)
{
	int off = tidoff();

	return likely(off != 0) ? tidat(off) : tidslow();
}

static inline bool validnsec(const struct timespec *ts)
{
	return ts->tv_nsec >= 0 && ts->tv_nsec < 1000000000;
}

static inline bool validclock(clockid_t clk)
{
	return clk == CLOCK_REALTIME || clk == CLOCK_MONOTONIC;
}

static inline void spinpause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

#if __has_attribute(copy)
#define COPY(target) __attribute__((copy(target)))
#else
#define COPY(target)
#endif

/* Names which old binaries link to. */
#define ALIAS(name, target)                                                                        \
	extern __typeof__(target) name COPY(target)                                                \
	    __attribute__((alias(#target), visibility("default")))

/* mutex.c: whether somebody else can be running while we spin. */
bool spinnable(void);

/*
 * Handing over, to one who waits on the token's address. The holder stays the holder, and *token
 * is its own, until the store of TOKEN_HERE, which is its last access. True: the object has been
 * given away. False: nobody waits.
 *
 * It rests on the queue alone, never on a count kept in the object: such a count would be wrong in
 * a child after fork, where the waiters do not exist, and the hand-over would go to nobody.
 */
enum { TOKEN_NONE, TOKEN_HERE, TOKEN_COMING };
static inline bool tokengive(_Atomic uint32_t *token)
{
	bool woken;

	atomic_store_explicit(token, TOKEN_COMING, memory_order_relaxed);
	woken = futexwake(token, 1) > 0;
	/* Partner of tokentake's acquire: all that was done under the lock. */
	atomic_store_explicit(token, woken ? TOKEN_HERE : TOKEN_NONE, memory_order_release);
	return woken;
}

/*
 * For a waiter that has come back, though not by its time-out: is it ours? Mostly. Another may have
 * come back for another reason (a signal handler, a late wake-up) and got it first.
 */
bool tokentake(_Atomic uint32_t *token); /* mutex.c */

#endif
