/* SPDX-License-Identifier: MIT
 *
 * deadlock.c: does every thread wait for ever (Go's checkdead)?
 *
 * sysmon asks once all Ps have idled for a second, just before it goes to sleep itself. "For ever" is said only if nothing
 * that we know of could wake anybody:
 *
 *   - every G is parked, for an object of this process's (mutex, condition, semaphore, rwlock, barrier, once, join), with no
 *     time-out and no signal on its way;
 *   - so nobody waits for a descriptor, sleeps, pauses, computes, or sits in the kernel;
 *   - there is no kernel thread that is not ours: libc's for aio or timers, the program's by clone();
 *   - no handler is installed, save for signals that only the program's own doing raises: a handler may sem_post().
 *     (So Python, which handles SIGINT, is never called dead.)
 *
 * Left out: a futex of the program's own, which another process may share; a debugger. A signal may still end the process,
 * which is why the default is to say so, once, and go on. A cycle of locks among threads of a process that is otherwise
 * busy is not seen here: `gmp dump` shows those.
 */
#include "runtime.h"

enum deadlock deadlock = DEADLOCK_WARN;

struct census {
	uint32_t waiting;
	bool alive;
};

static void look(struct g *gp, void *arg)
{
	struct census *c = arg;
	uint32_t st = atomic_load_explicit(&gp->status, memory_order_acquire);

	if (c->alive || st == Gdead || st == Gidle)
		return;
	bool forever = st == Gwaiting && gp->waitreason > WaitFutex && gp->waitreason < NWAITREASON &&
		       (atomic_load(&gp->park) & 0xf) == Parkparked && atomic_load(&gp->timer.when) == 0 &&
		       !atomic_load(&gp->sigwake);
	if (forever)
		c->waiting++;
	else
		c->alive = true;
}

static bool handlers(void)
{
	/* Raised by what a thread does; and what abort() raises. */
	uint64_t own = FAULTS | SIGBIT(SIGPIPE) | SIGBIT(SIGABRT);

	for (int s = 1; s <= 64; s++)
		if (!(SIGBIT(s) & (own | UNBLOCKABLE)) && sigs.act[s].fn != DFL && sigs.act[s].fn != IGN)
			return true;
	return false;
}

static bool ours(int tid)
{
	for (struct m *mp = atomic_load(&sched.allms); mp != NULL; mp = mp->alllink)
		if (atomic_load(&mp->procid) == tid)
			return true;
	return false;
}

static bool stranger(int dir, int tid, void *arg)
{
	(void)dir, (void)arg;
	return !ours(tid);
}

/* Any kernel thread that is no M? True if we cannot tell. */
static void countstrangers(void *arg)
{
	*(bool *)arg = anytask(stranger, NULL) != 0;
}

static bool strangers(void)
{
	bool found = true;

	aside(countstrangers, &found);
	return found;
}

/* sysmon only, all Ps idle. */
void checkdead(void)
{
	static bool told;
	struct census c = {0, false};

	if (deadlock == DEADLOCK_OFF || told || netpollany() || atomic_load(&sched.ngs) == 0)
		return;
	foreachg(look, &c);
	if (c.alive || c.waiting == 0 || c.waiting != (uint64_t)atomic_load(&sched.ngs) || handlers() || strangers() ||
	    atomic_load(&sched.npidle) != gomaxprocs)
		return;
	told = true;
	gprintf("libgmp: deadlock: %s wait%s for ever%s\n\n", c.waiting > 1 ? "all threads" : "the only thread",
		c.waiting > 1 ? "" : "s",
		deadlock == DEADLOCK_WARN ? " (GMP_DEADLOCK=off: not to be told; abort: to end with a core)" : "");
	traceback(NULL);
	if (deadlock == DEADLOCK_ABORT)
		die();
}
