/* SPDX-License-Identifier: MIT
 *
 * pthread.c: threads made, joined, detached, ended and named. pthread_self, pthread_equal, keys and
 * most of pthread_attr_* are libc's own: they work on the G's TCB and on the caller's object.
 *
 * A pthread_t that is no G (libc's own threads, threads made where the pool could not start) goes to
 * the real function.
 */
#include "shim.h"
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(pthread_t) == sizeof(uintptr_t), "newproc() writes a pthread_t");

/* The waited-for times are valid: pthread functions say EINVAL before they look at anything else. */
static bool validtime(const struct timespec *ts)
{
	return ts->tv_nsec >= 0 && ts->tv_nsec < 1000000000;
}

/* Attributes which only the kernel can give: the caller gets a kernel thread. */
static bool wantskernel(const pthread_attr_t *attr)
{
	int inherit, policy;
	struct sched_param param;

	return pthread_attr_getinheritsched(attr, &inherit) == 0 && inherit == PTHREAD_EXPLICIT_SCHED &&
	       pthread_attr_getschedpolicy(attr, &policy) == 0 &&
	       pthread_attr_getschedparam(attr, &param) == 0 &&
	       (policy != SCHED_OTHER || param.sched_priority != 0);
}

static void tellpriority(const pthread_attr_t *attr)
{
	struct sched_param param;
	int policy;

	if (pthread_attr_getschedpolicy(attr, &policy) == 0 && pthread_attr_getschedparam(attr, &param) == 0)
		gosetpriority(policy, param.sched_priority);
}

static void takeattr(struct newattr *na, const pthread_attr_t *attr, cpu_set_t *cpus)
{
	int detach = PTHREAD_CREATE_JOINABLE;
	size_t size = 0;
	void *addr = NULL;

	/* What an attribute object left unset is the process's default, which may have been changed. */
	pthread_attr_getdetachstate(attr, &detach);
	na->detached = detach == PTHREAD_CREATE_DETACHED;
	pthread_attr_getguardsize(attr, &na->guardsize);
	pthread_attr_getstacksize(attr, &na->stacksize);
	/* getstack gives addr = -size where none was set: only a real address counts. */
	if (pthread_attr_getstack(attr, &addr, &size) == 0 && addr != NULL &&
	    (uintptr_t)addr + size != 0 && (intptr_t)addr > 0) {
		na->stackaddr = addr;
		na->stacksize = size;
	}
	if (pthread_attr_getsigmask_np(attr, &na->mask) == 0)
		na->hasmask = true;
	int inherit;
	na->explicitsched = pthread_attr_getinheritsched(attr, &inherit) == 0 && inherit == PTHREAD_EXPLICIT_SCHED;
	/* All CPUs, if none were set. */
	CPU_ZERO(cpus);
	if (pthread_attr_getaffinity_np(attr, sizeof(*cpus), cpus) == 0 && CPU_COUNT(cpus) != 0 &&
	    CPU_COUNT(cpus) < CPU_SETSIZE) {
		na->affinity = cpus;
		na->affsize = sizeof(*cpus);
	}
}

/* pthread_setattr_default_np() has been called: no attributes are not the same as new ones any more. */
static _Atomic bool defaultset;

EXPORT int pthread_setattr_default_np(const pthread_attr_t *attr)
{
	int err = REAL(pthread_setattr_default_np)(attr);

	if (err == 0)
		atomic_store(&defaultset, true);
	return err;
}

struct birth {
	void *(*fn)(void *);
	void *arg;
};

static void *begins(void *p)
{
	struct birth b = *(struct birth *)p;

	free(p);
	shim_heir = true;
	return b.fn(b.arg);
}

/* A thread of libc's that has what the caller's kernel thread has, as have those which it makes. */
static int createheir(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	struct birth *b = malloc(sizeof(*b));

	if (b == NULL)
		return EAGAIN;
	*b = (struct birth){fn, arg};
	int err = REAL(pthread_create)(thread, attr, begins, b);
	if (err != 0)
		free(b);
	return err;
}

static int create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	struct newattr na = {.guardsize = 4096};
	cpu_set_t cpus;

	bool kernels = attr != NULL && wantskernel(attr);
	if (kernels)
		tellpriority(attr);
	if (ownsthread() || shim_heir)
		return createheir(thread, attr, fn, arg);
	if (kernels)
		return REAL(pthread_create)(thread, attr, fn, arg);
	if (attr != NULL)
		takeattr(&na, attr, &cpus);
	/* No room: those that are about to end give theirs back, but they do not run while we ask again and again. */
	int err, tries = 0;
	while ((err = newproc(&na, fn, arg, (uintptr_t *)thread)) != 0 && err != -EINVAL && tries++ < 3 && getg() != NULL)
		gosched();
	return -err;
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	pthread_attr_t now;
	int err;

	if (schedinit() != 0) {
		if (attr != NULL && wantskernel(attr))
			tellpriority(attr);
		return REAL(pthread_create)(thread, attr, fn, arg);
	}
	syscallstart();
	if (likely(attr != NULL || !atomic_load(&defaultset)))
		return create(thread, attr, fn, arg);
	err = pthread_getattr_default_np(&now);
	if (err == 0) {
		err = create(thread, &now, fn, arg);
		pthread_attr_destroy(&now);
	}
	return err;
}

static int join(struct g *gp, void **retval, uint64_t deadline)
{
	int err;

	/* As in libc, a cancellation point only if there is something to wait for: the caller itself counts. */
	err = gojoin(gp, retval, 1);
	if (err != -EBUSY || deadline == 1)
		return -err;
	testcancel();
	while ((err = gojoin(gp, retval, deadline)) == -EINTR)
		testcancel(); /* comes back if it is not allowed */
	return -err;
}

EXPORT int pthread_join(pthread_t t, void **retval)
{
	struct g *gp = gofthread(t);

	if (gp == NULL) {
		entersyscallblock();
		int err = REAL(pthread_join)(t, retval);
		exitsyscall();
		return err;
	}
	return join(gp, retval, 0);
}

EXPORT int pthread_tryjoin_np(pthread_t t, void **retval)
{
	struct g *gp = gofthread(t);

	if (gp == NULL)
		return REAL(pthread_tryjoin_np)(t, retval);
	int err = join(gp, retval, 1);
	return err == ESRCH ? EBUSY : err; /* so says libc of one that was joined before */
}

static int timedjoin(struct g *gp, void **retval, clockid_t clk, const struct timespec *ts)
{
	if (ts == NULL)
		return join(gp, retval, 0);
	if (!validtime(ts))
		return EINVAL;
	uint64_t d = absdeadline(clk, ts);
	return join(gp, retval, d == 1 ? 2 : d); /* 1 would mean "try" */
}

EXPORT int pthread_timedjoin_np(pthread_t t, void **retval, const struct timespec *ts)
{
	struct g *gp = gofthread(t);

	if (gp == NULL) {
		entersyscallblock();
		int err = REAL(pthread_timedjoin_np)(t, retval, ts);
		exitsyscall();
		return err;
	}
	return timedjoin(gp, retval, CLOCK_REALTIME, ts);
}

EXPORT int pthread_clockjoin_np(pthread_t t, void **retval, clockid_t clk, const struct timespec *ts)
{
	struct g *gp = gofthread(t);

	if (clk != CLOCK_REALTIME && clk != CLOCK_MONOTONIC)
		return EINVAL;
	if (gp == NULL) {
		entersyscallblock();
		int err = REAL(pthread_clockjoin_np)(t, retval, clk, ts);
		exitsyscall();
		return err;
	}
	return timedjoin(gp, retval, clk, ts);
}

static void firstcancel(void)
{
	cancelinit(REALFN(pthread_cancel));
}

EXPORT int pthread_cancel(pthread_t t)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct g *gp = gofthread(t);

	if (!poolstarted())
		return REAL(pthread_cancel)(t);
	pthread_once(&once, firstcancel);
	return gp == NULL ? threadcancel(t, REALFN(pthread_cancel)) : -gocancel(gp, REALFN(pthread_cancel));
}

EXPORT int pthread_detach(pthread_t t)
{
	struct g *gp = gofthread(t);

	return gp == NULL ? REAL(pthread_detach)(t) : -godetach(gp);
}

EXPORT void pthread_exit(void *retval)
{
	if (getg() != NULL)
		gounwind(retval);
	REAL(pthread_exit)(retval);
	__builtin_unreachable();
}

EXPORT int pthread_getattr_np(pthread_t t, pthread_attr_t *attr)
{
	struct g *gp = gofthread(t);
	struct sched_param param;
	struct ginfo gi;
	cpu_set_t cpus;
	int err, n;

	if (gp == NULL || (goinfo(gp, &gi), gi.ismain))
		return REAL(pthread_getattr_np)(t, attr);
	err = pthread_attr_init(attr);
	if (err == 0)
		err = pthread_attr_setstack(attr, gi.stackaddr, gi.stacksize);
	if (err == 0)
		err = pthread_attr_setguardsize(attr, gi.guardsize);
	if (err == 0)
		err = pthread_attr_setdetachstate(attr, gi.detached ? PTHREAD_CREATE_DETACHED
								    : PTHREAD_CREATE_JOINABLE);
	if (err == 0)
		err = pthread_attr_setinheritsched(attr, gi.explicitsched ? PTHREAD_EXPLICIT_SCHED
									  : PTHREAD_INHERIT_SCHED);
	int policy, prio;
	if (err == 0 && gogetsched(gp, &policy, &prio) == 0 && prio != 0) {
		param.sched_priority = prio;
		pthread_attr_setschedpolicy(attr, policy);
		pthread_attr_setschedparam(attr, &param);
	}
	if (err == 0 && (n = gogetaffinity(gp, sizeof(cpus), &cpus)) > 0)
		err = pthread_attr_setaffinity_np(attr, (size_t)n, &cpus);
	return err;
}

EXPORT int pthread_setname_np(pthread_t t, const char *name)
{
	struct g *gp = gofthread(t);

	if (gp == NULL)
		return REAL(pthread_setname_np)(t, name);
	if (strlen(name) > 15)
		return ERANGE;
	if (goended(gp))
		return ENOENT;
	gosetname(gp, name);
	return 0;
}

EXPORT int pthread_getname_np(pthread_t t, char *buf, size_t size)
{
	struct g *gp = gofthread(t);

	if (gp == NULL)
		return REAL(pthread_getname_np)(t, buf, size);
	if (size < 16)
		return ERANGE;
	if (goended(gp))
		return ENOENT;
	gogetname(gp, buf);
	return 0;
}

EXPORT int sched_yield(void)
{
	if (getg() == NULL)
		return REAL(sched_yield)();
	gosched();
	if (unlikely(gocancelled()))
		testasync(-EINTR); /* a loop of these is never seen anywhere else */
	return 0;
}

/* pthread.h makes pthread_yield another name of sched_yield; old binaries still ask for it. */
EXPORT int yield_(void) __asm__("pthread_yield");
int yield_(void)
{
	return sched_yield();
}

EXPORT pid_t gettid(void)
{
	return getg() == NULL ? REAL(gettid)() : selftid();
}
