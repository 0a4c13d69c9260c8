/* SPDX-License-Identifier: MIT
 *
 * prompt.c: threads of the runtime's that are to run at once when they wake up, although all CPUs
 * compute: the shortest slice there is (Linux 6.12: who has less to do than the running thread does
 * not wait for the tick), for sysmon the finest timers too.
 *
 * The kernel hands both down, from thread to thread and to all children and what these execute. So
 * sysmon, which makes Ms, has what the process's threads have for as long as it makes one.
 * Rejected: the new M undoes it for itself (its default timer slack is then sysmon's all the same);
 * SCHED_FLAG_RESET_ON_FORK (takes a negative niceness away).
 *
 * Own thread only; blocks nothing.
 */
#include "runtime.h"
#include <sys/prctl.h>
#include <sys/syscall.h>

#define SHORTEST 100000

/* What sysmon had when it began; its own, and its successor's in a fork's child. slice: ns, 0: the
 * kernel's own. */
static struct {
	uint64_t slice, slack;
} usual;

/* Returns the slice that it had. 0, and nothing is changed: an older kernel, or not time-sharing.
 */
static uint64_t setslice(uint64_t ns)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attr = {.size = sizeof(attr)};

	if (SC4(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) < 0 ||
	    attr.policy != 0 /* SCHED_OTHER */)
		return 0;
	uint64_t had = attr.runtime;
	attr.runtime = ns;
	SC3(SYS_sched_setattr, 0, &attr, 0);
	return had;
}

static void setslack(uint64_t ns)
{
	SC5(SYS_prctl, PR_SET_TIMERSLACK, ns, 0, 0, 0);
}

void beprompt(void)
{
	setslice(SHORTEST);
}

void sysmonprompt(void)
{
	uint64_t had = setslice(0);

	usual.slice = setslice(SHORTEST) == had ? 0 : had; /* the kernel says its own slice too */
	usual.slack = (uint64_t)SC5(SYS_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);
	setslack(1);
}

bool sysmonusual(bool yes)
{
	struct g *gp = getg();

	if (gp == NULL || gp->m->mstartfn == NULL)
		return false;
	setslack(yes ? usual.slack : 1);
	if (filtered() == NULL) /* else a filter came since we began, which may forbid it */
		setslice(yes ? usual.slice : SHORTEST);
	return true;
}
