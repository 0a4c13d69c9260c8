/* SPDX-License-Identifier: MIT
 *
 * bound.c: GMP_MAXM, the most kernel threads of the pool.
 *
 * At the bound Gs that are runnable wait until an M is free, and that must not wait for one of
 * them. So the last Ms may not enter a call known to block, whose wrapper asks gomayblock() and
 * polls instead, napping. There are as many of these as may pass gomayblock() at a time, by Ps.
 *
 * A call that nobody knows to block (a FIFO's open, a read of a terminal) can take these too. Then
 * all would wait for ever, if what ends the calls is a thread of this process. Nobody can tell that
 * from the outside. So sysmon looks (starved()): if for LONG there was work, a P for it and no M,
 * and no G was switched to, there may be one M more than was said, and so on each LONG. A program
 * that hangs is worse than one which has more kernel threads than it was to have. The bound is back
 * as soon as Ms were given back.
 *
 * Where Gs are bound to Ms it is SHORT: each of them needs its own, however long one waits.
 *
 * Rejected: refusing small values (any number of such calls may come); ending the process.
 */
#include "runtime.h"

enum { LONG = 200000000, SHORT = 5000000 };

static _Atomic int32_t extra; /* Ms allowed beyond the bound; sysmon writes */

static int32_t bound(void)
{
	return debug.maxm + atomic_load_explicit(&extra, memory_order_relaxed);
}

static void saymaxm(void)
{
	static _Atomic bool said;

	if (!atomic_exchange(&said, true))
		gprintf("libgmp: GMP_MAXM=%d kernel threads are in use, most of them blocked in "
			"system calls; "
			"runnable threads wait until one is free\n",
			debug.maxm);
}

bool gomayblock(void)
{
	/* Two never run a G: sysmon, and that of aside.c. */
	if (likely(getg() == NULL || atomic_load_explicit(&sched.nblocking, memory_order_relaxed) <
					 debug.maxm - 2 - gomaxprocs))
		return true;
	saymaxm();
	return false;
}

bool atmaxm(void)
{
	return unlikely(atomic_load_explicit(&sched.nm, memory_order_relaxed) >= bound()) &&
	       sched.nmidle == 0;
}

bool mcount(void)
{
	if (likely(atomic_fetch_add_explicit(&sched.nm, 1, memory_order_relaxed) < bound()))
		return true;
	atomic_fetch_sub_explicit(&sched.nm, 1, memory_order_relaxed);
	saymaxm();
	return false;
}

static bool work(uint64_t now)
{
	uint64_t next = timersnext();

	return anyrunq() || (next != 0 && next <= now);
}

bool starved(uint64_t now)
{
	static uint64_t since;
	static uint32_t seen;
	static bool said;
	uint32_t ticks = 0;

	if (likely(!atmaxm())) {
		if (atomic_load_explicit(&sched.nm, memory_order_relaxed) <= debug.maxm)
			atomic_store_explicit(&extra, 0, memory_order_relaxed);
		since = 0;
		return false;
	}
	for (int32_t i = 0; i < gomaxprocs; i++)
		ticks += atomic_load_explicit(&allp[i]->schedtick, memory_order_relaxed);
	if (since == 0 || ticks != seen || atomic_load(&sched.npidle) == 0 || !work(now)) {
		since = now;
		seen = ticks;
	} else if (now >= since + (atomic_load(&sched.nlockedm) != 0 ? SHORT : LONG)) {
		since = now;
		if (!said)
			gprintf("libgmp: GMP_MAXM=%d: all kernel threads are blocked in system "
				"calls, and threads wait that might "
				"end these: there will be more than that\n",
				debug.maxm);
		said = true;
		atomic_fetch_add_explicit(&extra, 1, memory_order_relaxed);
		startm(NULL, false);
	}
	return true;
}
