/* SPDX-License-Identifier: MIT
 *
 * mutexreal.c: mutexes which the kernel or another process must know: process-shared and
 * priority-protecting ones, by libc's functions. They block the kernel thread, as marked system
 * calls.
 *
 * A process-shared one of the plain types holds no id that anybody compares, so any M will do. All
 * others are worked on by a G that is bound to its M, under that M's id: see runtime/robust.c.
 */
#include "sync.h"
#include <linux/futex.h>

/* Around one of libc's functions; end() or a cancellation brings the G's own id back. */
static bool begin(const struct pmutex *m)
{
	bool id = mutexhasid(m->kind);

	if ((m->kind & KIND_PROTECT) != 0) /* its ceiling is a priority */
		gosetpriorities();
	if (id)
		kernelid();
	return id;
}

static void end(bool id)
{
	if (id)
		kernelidend();
}

/* A guess: if the caller will wait, its P is better given away at once. */
static void enter(struct pmutex *m)
{
	uint32_t v = atomic_load_explicit(&m->lock, memory_order_relaxed);

	if ((m->kind & KIND_PROTECT) != 0)
		v &= 0x7ffff; /* the ceiling is above */
	if (v == 0 || (v & FUTEX_OWNER_DIED) != 0 ||
	    atomic_load_explicit(&m->owner, memory_order_relaxed) == self())
		entersyscall();
	else
		entersyscallblock();
}

/* As little as possible is marked: a lock that is free costs no handing over of the P. */
int reallock(pthread_mutex_t *mutex)
{
	struct pmutex *m = (struct pmutex *)mutex;
	int err;

	if (begin(m)) {
		enter(m);
		err = REAL(pthread_mutex_lock)(mutex);
		exitsyscall();
		end(true);
		return err;
	}
	err = REAL(pthread_mutex_trylock)(mutex);
	if (err != EBUSY)
		return err;
	entersyscallblock();
	err = REAL(pthread_mutex_lock)(mutex);
	exitsyscall();
	return err;
}

int realtrylock(pthread_mutex_t *mutex)
{
	bool id = begin((struct pmutex *)mutex);
	int err = REAL(pthread_mutex_trylock)(mutex);

	end(id);
	return err;
}

int realclocklock(pthread_mutex_t *mutex, clockid_t clk, const struct timespec *ts)
{
	bool id = begin((struct pmutex *)mutex);

	enter((struct pmutex *)mutex);
	int err = REAL(pthread_mutex_clocklock)(mutex, clk, ts);
	exitsyscall();
	end(id);
	return err;
}

int realunlock(pthread_mutex_t *mutex)
{
	bool id = begin((struct pmutex *)mutex);
	int err = REAL(pthread_mutex_unlock)(mutex);

	end(id);
	return err;
}

bool realmine(pthread_mutex_t *mutex)
{
	struct pmutex *m = (struct pmutex *)mutex;

	if (!mutexhasid(m->kind))
		return true;
	kernelid();
	uint32_t id = (uint32_t)self();
	bool mine =
	    (m->kind & (KIND_ROBUST | KIND_PI)) != 0
		? (atomic_load_explicit(&m->lock, memory_order_relaxed) & FUTEX_TID_MASK) == id
		: atomic_load_explicit(&m->owner, memory_order_relaxed) == (int)id;
	kernelidend();
	return mine;
}

/* A robust one which nobody asked to share is ours: libc shares them all. mutexrobust.c */
EXPORT int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
	struct pmutex *m = (struct pmutex *)mutex;
	int err = REAL(pthread_mutex_init)(mutex, attr), shared;

	if (err == 0 && unlikely((m->kind & KIND_ROBUST) != 0) &&
	    pthread_mutexattr_getpshared(attr, &shared) == 0 && shared == PTHREAD_PROCESS_PRIVATE &&
	    gorobust() != NULL)
		m->kind &= ~KIND_SHARED;
	return err;
}

EXPORT int pthread_mutex_consistent(pthread_mutex_t *mutex)
{
	struct pmutex *m = (struct pmutex *)mutex;

	if (mutexrobust(m->kind))
		return robustconsistent(m);
	if (mutexpi(m->kind))
		return EINVAL;
	bool id = begin(m);
	int err = REAL(pthread_mutex_consistent)(mutex);
	end(id);
	return err;
}

/* An old name, which pthread.h makes another of the same. */
EXPORT int consistent_np(pthread_mutex_t *mutex) __asm__("pthread_mutex_consistent_np");
int consistent_np(pthread_mutex_t *mutex)
{
	return pthread_mutex_consistent(mutex);
}

/* Locks it, and gives the caller the priority for that long. */
EXPORT int pthread_mutex_setprioceiling(pthread_mutex_t *mutex, int ceiling, int *old)
{
	bool id = begin((struct pmutex *)mutex);

	entersyscall();
	int err = REAL(pthread_mutex_setprioceiling)(mutex, ceiling, old);
	exitsyscall();
	end(id);
	return err;
}

ALIAS(__pthread_mutex_init, pthread_mutex_init);
