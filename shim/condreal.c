/* SPDX-License-Identifier: MIT
 *
 * condreal.c: waiting on a process-shared condition variable with a mutex that is process-shared
 * too, by libc's functions. They unlock and lock the mutex inside, so the caller may have to be
 * known by its kernel thread's id all the while (mutexreal.c), and a cancellation that ends the
 * wait unwinds through here.
 *
 * Without __EXCEPTIONS pthread_cleanup_push() is a jump buffer which libc's unwinder jumps to. With
 * it, it is a cleanup attribute, and such frames of ours are once.c's only: see there.
 */
#undef __EXCEPTIONS
#include "sync.h"

static void endid(void *arg)
{
	kernelidend();
}

static int waiton(pthread_cond_t *c, pthread_mutex_t *mutex, clockid_t clk,
		  const struct timespec *ts)
{
	entersyscallblock();
	int err = ts == NULL ? REAL(pthread_cond_wait)(c, mutex)
			     : REAL(pthread_cond_clockwait)(c, mutex, clk, ts);
	exitsyscall();
	return err;
}

int condreal(pthread_cond_t *c, pthread_mutex_t *mutex, clockid_t clk, const struct timespec *ts)
{
	int err;

	if (!mutexhasid(((struct pmutex *)mutex)->kind))
		return waiton(c, mutex, clk, ts);
	kernelid();
	pthread_cleanup_push(endid, NULL);
	err = waiton(c, mutex, clk, ts);
	pthread_cleanup_pop(1);
	return err;
}
