/* SPDX-License-Identifier: MIT
 *
 * visible.c: what the runtime shows of itself: the names of its states, and the statistics' sums.
 *
 * Counters are per P and written by its owner with plain stores: no atomic read-modify-write and no
 * shared cache line on a hot path. Readers see each word whole, but not all of them at one moment.
 */
#include "runtime.h"

const char *const gstatusnames[Gdead + 1] = {"idle", "runnable", "running", "syscall", "waiting", "dead"};
const char *const pstatusnames[Pdead + 1] = {"idle", "running", "foreign", "dead"};
const char *const waitreasons[NWAITREASON] = {
	[WaitNone] = "",	   [WaitRead] = "read",	      [WaitWrite] = "write",
	[WaitAccept] = "accept",   [WaitConnect] = "connect", [WaitPoll] = "poll",
	[WaitSleep] = "sleep",	   [WaitSignal] = "signal",   [WaitFutex] = "futex",
	[WaitMutex] = "mutex",	   [WaitCond] = "condition",  [WaitSem] = "semaphore",
	[WaitRdlock] = "rdlock",   [WaitWrlock] = "wrlock",   [WaitBarrier] = "barrier",
	[WaitOnce] = "once",	   [WaitJoin] = "join",
};
const char *const counternames[NCOUNTER] = {
#define C(name, word) word,
	COUNTERS(C)
#undef C
};

uint64_t counted(enum counter c)
{
	uint64_t n = atomic_load_explicit(&sched.count[c], memory_order_relaxed);

	for (int32_t i = 0; i < gomaxprocs && allp != NULL; i++)
		n += atomic_load_explicit(&allp[i]->count[c], memory_order_relaxed);
	return n;
}
