/* SPDX-License-Identifier: MIT
 *
 * affinity.c: which CPUs a thread may run on, by pthread_t and by thread id.
 */
#include "shim.h"
#include <sched.h>
#include <string.h>

/* The G that `pid` means; nil: none of ours, or none at all. */
struct g *taskof(pid_t pid)
{
	struct g *self = getg();

	if (self != NULL && (pid == 0 || pid == selftid()))
		return self;
	return pid > 0 && poolstarted() ? gofid(pid) : NULL;
}

static int failed(int err)
{
	errno = -err;
	return -1;
}

EXPORT int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set)
{
	struct g *gp = taskof(pid);

	if (gp == NULL || !goodread(set, size < 1024 ? size : 1024))
		return REAL(sched_setaffinity)(gp ? 0 : pid, size, set);
	int err = gosetaffinity(gp, size, set);
	return err == 0 ? 0 : failed(err);
}

EXPORT int pthread_setaffinity_np(pthread_t t, size_t size, const cpu_set_t *set)
{
	struct g *gp = gofthread(t);

	if (gp == NULL)
		return REAL(pthread_setaffinity_np)(t, size, set);
	return goodread(set, size < 1024 ? size : 1024) ? -gosetaffinity(gp, size, set) : EFAULT;
}

/* What the kernel did not write is 0, as libc has it. 0 or -errno */
static int get(struct g *gp, size_t size, cpu_set_t *set)
{
	if (!goodwrite(set, size < 1024 ? size : 1024))
		return -EFAULT;
	int n = gogetaffinity(gp, size < INT32_MAX ? size : INT32_MAX, set);

	if (n < 0)
		return n;
	memset((char *)set + n, 0, size - (size_t)n);
	return 0;
}

EXPORT int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	struct g *gp = taskof(pid);

	if (gp == NULL)
		return REAL(sched_getaffinity)(pid, size, set);
	int err = get(gp, size, set);
	return err == 0 ? 0 : failed(err);
}

EXPORT int pthread_getaffinity_np(pthread_t t, size_t size, cpu_set_t *set)
{
	struct g *gp = gofthread(t);

	return gp ? -get(gp, size, set) : REAL(pthread_getaffinity_np)(t, size, set);
}
