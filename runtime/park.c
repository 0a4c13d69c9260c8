/* SPDX-License-Identifier: MIT
 *
 * park.c: how a G goes to sleep and who may wake it (Go's gopark/goready and select's "selectDone").
 *
 * A park has several possible wakers at once: a descriptor's event, a futexwake, the timer, a
 * signal, cancellation. Each holds (gp, ticket). gp->park = ticket << 8 | reason << 4 | state:
 *
 *     Parknone --parkbegin--> Parkpreparing --park_m--> Parkparked
 *                                  \                        |
 *                                   +------> Parkwoken <----+      (parkclaim, once)
 *
 * The G prepares, then makes itself known to its wakers (queues, timer), then commits in park_m on the
 * scheduler's stack. A claim during Preparing makes the commit fail, so the G runs on; a claim of
 * Parked hands gp to the claimer, who must goready() it. So no wake-up is lost (there is no moment
 * when a claim finds neither state) and none is delivered twice (CAS on one word; the ticket keeps
 * wakers of an earlier park out, also after gp died and was used again: tickets never restart).
 *
 * The woken G, not the waker, takes itself off the queues which did not wake it (netpoll.c, sema.c).
 *
 * Rejected: holding the queue's lock until the stack is left (Go's unlockf: one waker kind at a time),
 * and a status CAS on gp->status (says nothing about which park).
 */
#include "runtime.h"

/* Starts a park of the calling G; wakers may be told the ticket now. In the runtime. */
uint64_t parkbegin(struct g *gp)
{
	uint64_t ticket = (atomic_load_explicit(&gp->park, memory_order_relaxed) >> 8) + 1;

	atomic_store_explicit(&gp->park, ticket << 8 | Parkpreparing, memory_order_release);
	return ticket;
}

/* The calling G will not park after all. Late claims fail by the state. */
void parkabort(struct g *gp)
{
	uint64_t w = atomic_load_explicit(&gp->park, memory_order_relaxed);

	atomic_store_explicit(&gp->park, (w & ~(uint64_t)0xff) | Parknone, memory_order_release);
}

bool parkclaim(struct g *gp, uint64_t ticket, enum wakereason r, bool *parked)
{
	uint64_t w = atomic_load_explicit(&gp->park, memory_order_acquire);

	for (;;) {
		uint64_t st = w & 0xf;
		if (w >> 8 != ticket || (st != Parkpreparing && st != Parkparked))
			return false;
		if (atomic_compare_exchange_weak_explicit(
			    &gp->park, &w, ticket << 8 | (uint64_t)r << 4 | Parkwoken,
			    memory_order_acq_rel, memory_order_acquire)) {
			*parked = st == Parkparked;
			return true;
		}
	}
}

bool gowake(struct g *gp, uint64_t ticket, enum wakereason r)
{
	bool parked;

	if (!parkclaim(gp, ticket, r, &parked))
		return false;
	if (parked)
		goready(gp);
	return true;
}
