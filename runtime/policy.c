/* SPDX-License-Identifier: MIT
 *
 * policy.c: by which policy and priority the kernel schedules a G.
 *
 * All Ms have those of the thread that started the pool (sched.policy, sched.prio), and so has a G until it is given others:
 * then it gets a kernel thread of its own. From outside, by a wish that is fulfilled when it runs next, as with CPUs
 * (affinity.c, whose lock guards gp->policy and gp->prio). Whether the kernel would allow it is found out on the
 * calling thread, for the length of two system calls.
 */
#include "runtime.h"
#include <sched.h>
#include <sys/syscall.h>

static int set(int tid, int policy, int prio)
{
	return (int)SC3(SYS_sched_setscheduler, tid, policy, &prio);
}

static int get(int tid, int *policy, int *prio)
{
	int p = (int)SC1(SYS_sched_getscheduler, tid);

	if (p < 0)
		return p;
	*policy = p;
	return (int)SC2(SYS_sched_getparam, tid, prio);
}

/* At the pool's start. */
void policyinit(void)
{
	if (get(0, &sched.policy, &sched.prio) != 0)
		sched.policy = sched.prio = 0;
}

static bool timesharing(int policy)
{
	policy &= ~SCHED_RESET_ON_FORK;
	return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE;
}

static int valid(int policy, int prio)
{
	int mine, p;

	if (timesharing(policy) && prio == 0)
		return 0; /* everybody may; and idle cannot be tried out: not everybody comes back from there */
	int err = get(0, &mine, &p);
	if (err != 0)
		return err;
	if ((mine & ~SCHED_RESET_ON_FORK) != SCHED_OTHER) /* it might not come back either; what it has, others may have */
		return ((policy & ~SCHED_RESET_ON_FORK) == SCHED_FIFO || (policy & ~SCHED_RESET_ON_FORK) == SCHED_RR) &&
				       prio >= 1 && prio <= 99
			       ? 0
			       : -EINVAL;
	err = set(0, policy | (mine & SCHED_RESET_ON_FORK), prio);
	if (err == 0)
		set(0, mine, 0);
	return err;
}

_Atomic bool runtime_priorities;

void gosetpriorities(void)
{
	if (!gopriorities())
		atomic_store(&runtime_priorities, true);
}

/* Niceness and the other policies are nothing that the kernel would lend. */
void gosetpriority(int policy, int prio)
{
	bool ours = getg() != NULL;

	if (gopriorities() || (timesharing(policy) && timesharing(sched.policy)) ||
	    (policy == sched.policy && prio == sched.prio))
		return;
	if (ours)
		exitforeign(); /* no other M in between */
	if (valid(policy, prio) == 0)
		gosetpriorities();
	if (ours)
		enterforeign();
}

static int setown(int policy, int prio)
{
	struct g *gp = getg();
	int p, q;

	wishawait();
	if (!gp->owns && get(0, &p, &q) == 0 && p == policy && q == prio)
		return 0; /* as it is */
	bool new = ownthread();
	gosetpriority(policy, prio);
	int err = set(0, policy, prio);
	if (err != 0 && new)
		disownthread();
	return err;
}

/* policy < 0: as it is. 0 or -errno */
int gosetsched(struct g *gp, int policy, int prio)
{
	struct g *self = getg();
	int err, old, tid;

	if (policy < 0) {
		if ((err = gogetsched(gp, &policy, &old)) != 0)
			return err;
	} else if (goended(gp)) {
		return -ESRCH;
	}
	if (gp == self)
		return setown(policy, prio);
	if (self != NULL)
		exitforeign();
	gosetpriority(policy, prio);
	lock(&wishlock);
	if ((tid = golockedtid(gp)) != 0) {
		err = set(tid, policy, prio);
	} else if ((err = valid(policy, prio)) == 0) {
		gp->policy = policy;
		gp->prio = prio;
		if (policy == sched.policy && prio == sched.prio)
			atomic_fetch_and(&gp->wish, (uint8_t)~WISH_POLICY);
		else
			atomic_fetch_or(&gp->wish, WISH_POLICY);
	}
	unlock(&wishlock);
	if (tid == 0 && err == 0)
		wishtell(gp);
	if (self != NULL)
		enterforeign();
	return err;
}

int gogetsched(struct g *gp, int *policy, int *prio)
{
	int tid, err = 0;

	if (goended(gp))
		return -ESRCH;
	if (gp == getg())
		wishawait();
	lock(&wishlock);
	bool wish = atomic_load(&gp->wish) & WISH_POLICY;
	*policy = wish ? gp->policy : sched.policy;
	*prio = wish ? gp->prio : sched.prio;
	if (!wish && (tid = golockedtid(gp)) != 0)
		err = get(tid, policy, prio);
	unlock(&wishlock);
	return err;
}

/* A wish come true, by affine(). */
void policyset(struct g *gp)
{
	set(0, gp->policy, gp->prio);
}
