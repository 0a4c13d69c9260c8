/* SPDX-License-Identifier: MIT
 *
 * scavenge.c: what a burst has left behind is given back (Unlike Go, where Ms never end and Gs are kept for good).
 *
 * sysmon asks once a second. What counts is the low-water mark since it asked last: so many were not needed once
 * in that time.
 *
 *   Ms   of the idle ones beyond gomaxprocs, half end each second.
 *   Gs   once more dead Gs are on the global free list than threads live, for two seconds: a G of the
 *        runtime's own takes them in small batches, drops their stacks' pages and gives libc's malloc cache
 *        back (through a short-lived real thread: tlsreap), and puts the shells on sched.gcold, from where they
 *        are used again last of all. It sleeps between batches, and ends when nothing is left to do.
 *
 * Rejected: doing that in sysmon itself. Making a real thread takes locks of libc's and the loader's, and sysmon must
 * not wait for a G that holds one.
 *
 * sched.gflock guards gfree, gcold and the marks; sched.lock nmidlelow. Neither is taken with the other held.
 */
#include "runtime.h"

#define SECOND ((uint64_t)1000000000)
enum { GSECONDS = 2, BATCH = 16, PAUSE = 5000000, SPARE = 64 };

static _Atomic bool scavenging;

static int64_t live(void)
{
	return atomic_load_explicit(&sched.ngs, memory_order_relaxed);
}

/* So many of the dead are too many. gflock held, or a guess. */
static int64_t surplus(int32_t dead)
{
	int64_t keep = live() > SPARE ? live() : SPARE;

	return dead > keep ? dead - keep : 0;
}

static void *scavenge(void *arg)
{
	struct g *self = getg(), *batch;

	gosetname(self, "gmp-scavenger");
	do {
		batch = NULL;
		lock(&sched.gflock);
		for (int i = 0; i < BATCH && surplus(sched.ngfree) > 0; i++) {
			struct g *gp = sched.gfree;
			sched.gfree = gp->schedlink;
			sched.ngfree--;
			gp->schedlink = batch;
			batch = gp;
		}
		unlock(&sched.gflock);
		for (struct g *gp = batch, *next; gp != NULL; gp = next) {
			next = gp->schedlink;
			entersyscall();
			stackscavenge(gp);
			tlsreap(gp);
			exitsyscall();
			lock(&sched.gflock);
			gp->schedlink = sched.gcold;
			sched.gcold = gp;
			unlock(&sched.gflock);
		}
		/* If all others have ended, the process waits for us. */
		if (batch != NULL && live() > 1)
			gosleep(reldeadline(PAUSE));
	} while (batch != NULL && live() > 1);
	atomic_store(&scavenging, false);
	return arg;
}

static void startscavenger(void)
{
	struct newattr attr = {.stacksize = 64 << 10, .guardsize = 4096, .detached = true, .hasmask = true};
	uintptr_t thread;

	sigfillset(&attr.mask);
	if (atomic_exchange(&scavenging, true))
		return;
	if (newproc(&attr, scavenge, NULL, &thread) != 0)
		atomic_store(&scavenging, false);
}

void scavengefork(void)
{
	atomic_store(&scavenging, false);
}

bool giveback(uint64_t now)
{
	static uint64_t next;
	static int rounds, wedged; /* idle Ms that may not end */
	int32_t keep = gomaxprocs, low;

	if (now >= next) {
		next = now + SECOND;
		lock(&sched.lock);
		low = sched.nmidlelow;
		sched.nmidlelow = sched.nmidle;
		unlock(&sched.lock);
		for (int32_t n = low > keep ? (low - keep + 1) / 2 : 0; n > 0; n--) {
			if (!retirem()) {
				wedged = sched.nmidle;
				break;
			}
		}
		if (++rounds >= GSECONDS) {
			rounds = 0;
			/* Nobody will ask an idle P for those on its own list. */
			gfpurge();
			lock(&sched.gflock);
			low = sched.ngfreelow;
			sched.ngfreelow = sched.ngfree;
			unlock(&sched.gflock);
			if (surplus(low) > 0)
				startscavenger();
		}
	}
	return (sched.nmidle > keep && sched.nmidle > wedged) || surplus(sched.ngfree) > 0;
}
