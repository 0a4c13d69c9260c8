/* SPDX-License-Identifier: MIT
 *
 * sched.c: policies and priorities, by pthread_t and by thread id. A G that is given others than all have gets a kernel
 * thread of its own, and the threads which it makes are the kernel's and inherit them (runtime/policy.c).
 */
#include "shim.h"
#include <sched.h>
#include <sys/single_threaded.h>

/* A thread that is no G is to have these. Before there are threads, it is what all will have. */
static void tell(int policy, const struct sched_param *param)
{
	if (poolstarted() || !__libc_single_threaded)
		gosetpriority(policy, param->sched_priority);
}

EXPORT int pthread_getschedparam(pthread_t t, int *policy, struct sched_param *param)
{
	struct g *gp = gofthread(t);

	/* A thread of libc's that a G made: it copied the policy from where libc keeps main's, and believes that. */
	if (gp == NULL && poolstarted() && t == pthread_self()) {
		*policy = REAL(sched_getscheduler)(0);
		return REAL(sched_getparam)(0, param) == 0 ? 0 : errno;
	}
	if (gp == NULL)
		return REAL(pthread_getschedparam)(t, policy, param);
	int p, prio, err = gogetsched(gp, &p, &prio);
	if (err == 0) {
		*policy = p;
		param->sched_priority = prio;
	}
	return -err;
}

EXPORT int pthread_setschedparam(pthread_t t, int policy, const struct sched_param *param)
{
	struct g *gp = gofthread(t);

	if (gp == NULL) {
		tell(policy, param);
		return REAL(pthread_setschedparam)(t, policy, param);
	}
	return policy < 0 ? EINVAL : -gosetsched(gp, policy, param->sched_priority);
}

EXPORT int pthread_setschedprio(pthread_t t, int prio)
{
	struct g *gp = gofthread(t);
	struct sched_param param;
	int policy;

	if (gp != NULL)
		return -gosetsched(gp, -1, prio);
	if (REAL(pthread_getschedparam)(t, &policy, &param) == 0) {
		param.sched_priority = prio;
		tell(policy, &param);
	}
	return REAL(pthread_setschedprio)(t, prio);
}

static int result(int err)
{
	if (err == 0)
		return 0;
	errno = -err;
	return -1;
}

EXPORT int sched_setscheduler(pid_t pid, int policy, const struct sched_param *param)
{
	struct g *gp = taskof(pid);

	if (gp == NULL && param != NULL && goodread(param, sizeof(*param)))
		tell(policy, param);
	if (gp == NULL || policy < 0 || param == NULL || !goodread(param, sizeof(*param)))
		return REAL(sched_setscheduler)(gp ? 0 : pid, policy, param);
	return result(gosetsched(gp, policy, param->sched_priority));
}

EXPORT int __sched_setscheduler(pid_t pid, int policy, const struct sched_param *param)
{
	return sched_setscheduler(pid, policy, param);
}

EXPORT int sched_setparam(pid_t pid, const struct sched_param *param)
{
	struct g *gp = taskof(pid);

	if (gp == NULL && param != NULL && goodread(param, sizeof(*param)))
		tell(REAL(sched_getscheduler)(pid), param);
	if (gp == NULL || param == NULL || !goodread(param, sizeof(*param)))
		return REAL(sched_setparam)(gp ? 0 : pid, param);
	return result(gosetsched(gp, -1, param->sched_priority));
}

EXPORT int sched_getscheduler(pid_t pid)
{
	struct g *gp = taskof(pid);
	int policy, prio;

	if (gp == NULL)
		return REAL(sched_getscheduler)(pid);
	int err = gogetsched(gp, &policy, &prio);
	return err == 0 ? policy : result(err);
}

EXPORT int __sched_getscheduler(pid_t pid)
{
	return sched_getscheduler(pid);
}

EXPORT int sched_getparam(pid_t pid, struct sched_param *param)
{
	struct g *gp = taskof(pid);
	int policy;

	if (gp == NULL || param == NULL || !goodwrite(param, sizeof(*param)))
		return REAL(sched_getparam)(gp ? 0 : pid, param);
	return result(gogetsched(gp, &policy, &param->sched_priority));
}

EXPORT int __sched_getparam(pid_t pid, struct sched_param *param)
{
	return sched_getparam(pid, param);
}
