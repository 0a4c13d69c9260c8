/* SPDX-License-Identifier: MIT */
/* Waits with a time-out in a process that has no second thread, and never had: each lasts until its
 * time, however the stack looks that it waits on. pthread_cond_timedwait(3p), sem_timedwait(3),
 * pthread_mutex_timedlock(3p) ... */
#include "t.h"
#include <semaphore.h>
#include <string.h>
#include <threads.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static sem_t sem;
static pthread_cond_t shared; /* between processes, while the mutex is not */
static mtx_t mt;
static cnd_t cn;

/* Leaves its mark where the next call's frames will be. */
static __attribute__((noinline)) void dirty(int with)
{
	volatile char frame[4096];

	memset((char *)frame, with, sizeof frame);
}

static int over(clockid_t clk, const struct timespec *t)
{
	struct timespec now;

	clock_gettime(clk, &now);
	return now.tv_sec > t->tv_sec || (now.tv_sec == t->tv_sec && now.tv_nsec >= t->tv_nsec);
}

#define WAIT(clk, call)                                                                            \
	do {                                                                                       \
		struct timespec t = in_ms(clk, 2);                                                 \
		dirty(with);                                                                       \
		errno = 0;                                                                         \
		int r = (call);                                                                    \
		say("%s: %s, time is over %d", #call, r == -1 ? errname(errno) : errname(r),       \
		    over(clk, &t));                                                                \
	} while (0)

int main(void)
{
	MUST(sem_init(&sem, 0, 0) == 0 && mtx_init(&mt, mtx_timed) == thrd_success &&
	     cnd_init(&cn) == thrd_success);
	pthread_condattr_t a;

	OK(pthread_condattr_init(&a));
	OK(pthread_condattr_setpshared(&a, PTHREAD_PROCESS_SHARED));
	OK(pthread_cond_init(&shared, &a));
	OK(pthread_mutex_lock(&m));
	OK(pthread_rwlock_rdlock(&rw));
	MUST(mtx_lock(&mt) == thrd_success);
	for (int with = 0; with < 256; with += 85) {
		WAIT(CLOCK_REALTIME, pthread_cond_timedwait(&c, &m, &t));
		WAIT(CLOCK_MONOTONIC, pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &t));
		WAIT(CLOCK_REALTIME, cnd_timedwait(&cn, &mt, &t) == thrd_timedout ? ETIMEDOUT : 0);
		WAIT(CLOCK_REALTIME, pthread_cond_timedwait(&shared, &m, &t));
		WAIT(CLOCK_REALTIME, sem_timedwait(&sem, &t));
		WAIT(CLOCK_MONOTONIC, sem_clockwait(&sem, CLOCK_MONOTONIC, &t));
		WAIT(CLOCK_REALTIME, pthread_mutex_timedlock(&m, &t));
		WAIT(CLOCK_MONOTONIC, pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &t));
		WAIT(CLOCK_REALTIME, mtx_timedlock(&mt, &t) == thrd_timedout ? ETIMEDOUT : 0);
		WAIT(CLOCK_REALTIME, pthread_rwlock_timedwrlock(&rw, &t));
		WAIT(CLOCK_MONOTONIC, pthread_rwlock_clockwrlock(&rw, CLOCK_MONOTONIC, &t));
	}
	return 0;
}
