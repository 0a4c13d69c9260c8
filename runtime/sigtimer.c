/* SPDX-License-Identifier: MIT
 *
 * sigtimer.c: timers that signal one thread (timer_create(2), SIGEV_THREAD_ID), or watch the CPU time of one.
 *
 * The kernel does not know Gs. So it is told to send the signal to the process, and here is kept whose it is, by the
 * timer's id, which is in the siginfo. The trampoline and sysmon ask sigtimerof() before they look for anyone else.
 *
 * Of one that watches a G's CPU time, whose it is: that clock and its kernel thread's do not say the same (timer_settime).
 *
 * A table by id, a few places each; written under lock, read by the trampoline without: an entry is valid while its id is
 * there before and after the rest was read. The kernel counts ids up. So after timer_delete() the entry stays, as nobody's
 * (tid 0), until its place is wanted: what was on its way then is dropped, and not taken for the process's.
 */
#include "runtime.h"

enum { SLOTS = 4096, PROBES = 32, NOTHREAD = -1 };

static struct slot {
	_Atomic int id; /* + 1; 0: free */
	_Atomic int tid; /* 0: deleted. NOTHREAD: signals the process */
	struct g *_Atomic gp;
	struct g *_Atomic watched; /* or nil */
	_Atomic int watchedtid;
} slots[SLOTS];
static mutex timerslock;
static _Atomic bool anytimers; /* ever */

void sigtimerfork(void)
{
	timerslock = (mutex){0};
	for (int i = 0; i < SLOTS && atomic_load(&anytimers); i++)
		atomic_store(&slots[i].id, 0);
	atomic_store(&anytimers, false);
}

static struct slot *find(int id)
{
	for (int i = 0; i < PROBES; i++) {
		struct slot *sl = &slots[(unsigned)(id + i) % SLOTS];
		if (atomic_load(&sl->id) == id + 1)
			return sl;
	}
	return NULL;
}

bool gotimer(int id, struct g *gp, int tid, struct g *watched)
{
	struct slot *sl = NULL;

	lock(&timerslock);
	sl = find(id);
	for (int i = 0; i < PROBES && sl == NULL; i++)
		if (atomic_load(&slots[(unsigned)(id + i) % SLOTS].id) == 0)
			sl = &slots[(unsigned)(id + i) % SLOTS];
	for (int i = 0; i < PROBES && sl == NULL; i++)
		if (atomic_load(&slots[(unsigned)(id + i) % SLOTS].tid) == 0)
			sl = &slots[(unsigned)(id + i) % SLOTS];
	if (sl != NULL) {
		atomic_store(&sl->id, 0);
		atomic_store(&sl->gp, gp);
		atomic_store(&sl->tid, gp != NULL ? tid : NOTHREAD);
		atomic_store(&sl->watched, watched);
		atomic_store(&sl->watchedtid, watched != NULL ? watched->tid : 0);
		atomic_store(&sl->id, id + 1);
		atomic_store(&anytimers, true);
	}
	unlock(&timerslock);
	return sl != NULL;
}

bool gotimerknown(int id)
{
	return atomic_load(&anytimers) && find(id) != NULL;
}

/* Whose CPU time it watches; nil: it does not, or that thread has ended. */
struct g *gotimerwatches(int id)
{
	struct slot *sl = atomic_load(&anytimers) ? find(id) : NULL;
	struct g *gp = sl != NULL ? atomic_load(&sl->watched) : NULL;

	if (gp == NULL || atomic_load(&sl->tid) == 0 || gp->tid != atomic_load(&sl->watchedtid) || atomic_load(&sl->id) != id + 1)
		return NULL;
	return atomic_load(&gp->status) != Gdead ? gp : NULL;
}

void gotimergone(int id)
{
	struct slot *sl;

	lock(&timerslock);
	if ((sl = find(id)) != NULL)
		atomic_store(&sl->tid, 0);
	unlock(&timerslock);
}

/* Is it one thread's? *gp: whose; nil: it has ended, or the timer is deleted. Async-signal-safe. */
bool sigtimerof(const siginfo_t *info, struct g **gp)
{
	if (likely(info->si_code != SI_TIMER) || !atomic_load(&anytimers))
		return false;
	struct slot *sl = find(info->si_timerid);
	if (sl == NULL)
		return false;
	struct g *g = atomic_load(&sl->gp);
	int tid = atomic_load(&sl->tid);
	if (tid == NOTHREAD || atomic_load(&sl->id) != info->si_timerid + 1)
		return false;
	*gp = tid != 0 && g->tid == tid && atomic_load(&g->status) != Gdead ? g : NULL;
	return true;
}
