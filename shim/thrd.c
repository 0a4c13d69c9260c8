/* SPDX-License-Identifier: MIT
 *
 * thrd.c: the C11 names that block or make threads, on top of the POSIX ones: libc's call functions
 * inside libc, past our wrappers. mtx_init, mtx_destroy, cnd_init, cnd_destroy, thrd_current,
 * thrd_equal and tss_* stay libc's: they only write the object, or the G's own TCB.
 */
#include "shim.h"

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t) && sizeof(cnd_t) == sizeof(pthread_cond_t),
	       "size");

static int result(int err)
{
	switch (err) {
	case 0:
		return thrd_success;
	case ENOMEM:
		return thrd_nomem;
	case ETIMEDOUT:
		return thrd_timedout;
	case EBUSY:
		return thrd_busy;
	default:
		return thrd_error;
	}
}

EXPORT int mtx_lock(mtx_t *mtx)
{
	return result(pthread_mutex_lock((pthread_mutex_t *)mtx));
}

EXPORT int mtx_timedlock(mtx_t *restrict mtx, const struct timespec *restrict ts)
{
	return result(pthread_mutex_timedlock((pthread_mutex_t *)mtx, ts));
}

EXPORT int mtx_trylock(mtx_t *mtx)
{
	return result(pthread_mutex_trylock((pthread_mutex_t *)mtx));
}

EXPORT int mtx_unlock(mtx_t *mtx)
{
	return result(pthread_mutex_unlock((pthread_mutex_t *)mtx));
}

EXPORT int cnd_wait(cnd_t *cnd, mtx_t *mtx)
{
	return result(pthread_cond_wait((pthread_cond_t *)cnd, (pthread_mutex_t *)mtx));
}

EXPORT int cnd_timedwait(cnd_t *restrict cnd, mtx_t *restrict mtx,
			 const struct timespec *restrict ts)
{
	return result(pthread_cond_timedwait((pthread_cond_t *)cnd, (pthread_mutex_t *)mtx, ts));
}

EXPORT int cnd_signal(cnd_t *cnd)
{
	return result(pthread_cond_signal((pthread_cond_t *)cnd));
}

EXPORT int cnd_broadcast(cnd_t *cnd)
{
	return result(pthread_cond_broadcast((pthread_cond_t *)cnd));
}

/*
 * As in libc, the function's int travels as the pthread's pointer: its upper half is whatever the
 * register held, and thrd_join cuts it off.
 */
EXPORT int thrd_create(thrd_t *thr, thrd_start_t fn, void *arg)
{
	return result(pthread_create(thr, NULL, (void *(*)(void *))(void (*)(void))fn, arg));
}

EXPORT int thrd_join(thrd_t thr, int *res)
{
	void *value;
	int err = pthread_join(thr, &value);

	if (err == 0 && res != NULL)
		*res = (int)(intptr_t)value;
	return result(err);
}

EXPORT int thrd_detach(thrd_t thr)
{
	return result(pthread_detach(thr));
}

EXPORT void thrd_exit(int res)
{
	pthread_exit((void *)(intptr_t)res);
}

EXPORT int thrd_sleep(const struct timespec *duration, struct timespec *remaining)
{
	switch (clock_nanosleep(CLOCK_REALTIME, 0, duration, remaining)) {
	case 0:
		return 0;
	case EINTR:
		return -1;
	default:
		return -2;
	}
}

EXPORT void thrd_yield(void)
{
	sched_yield();
}
