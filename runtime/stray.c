/* SPDX-License-Identifier: MIT
 *
 * stray.c: Gs back from a call that blocked, which go on without a P (Go has nothing like it).
 *
 * In Go's place such a G queues, and its M sleeps until it is wanted: for each call that blocks,
 * the M sleeps and is woken twice, by the kernel and by us. Threads that write, fsync and read made
 * 0.6 of the blocks per second that they make bare. Most of them do little between two calls. So a
 * G may stray: it goes on in program code on the M it has, without a P, as one does whose P sysmon
 * took while it computed. The kernel shares the CPUs out. Its next marked calls cost nothing more,
 * for there is no P to hand over; if a P idles then, it takes that.
 *
 * The bound. A stray is in a slot, and there are few slots per P; who finds none queues. sysmon
 * looks at the slots (straywatch()): who has strayed for a ms is preempted like a G that computes,
 * and queues. Who was asked in vain TIMES times, because it is inside libc or blocked there, loses
 * the slot: another may have it, and its next marked call is the end.
 *
 * A slot is taken by its M, by CAS from nil, and freed by its M or by sysmon, by CAS to nil. Each
 * time has a number (mp->strayseq), so that sysmon does not take two for a long one. If it frees
 * the next one's slot all the same, that G queues a little early.
 *
 * To the rest of the runtime a stray is program code whose P was taken: exitforeign() finds mp->p
 * nil.
 *
 * Rejected: no bound (the network's Gs then have a small share of the CPUs); waiting a little for a
 * P to become idle (nobody gives one up sooner for it).
 */
#include "runtime.h"

enum { SLOTS = 64, PERP = 2, TRIES = 4, MS = 1000000, TIMES = 20 };

static struct {
	struct m *_Atomic mp;
	/* sysmon's */
	struct m *seen;
	uint32_t seq, asked;
	uint64_t when;
} slots[SLOTS];

static _Atomic int32_t nstrays; /* slots that are taken */

static bool freeslot(int i, struct m *mp)
{
	if (!atomic_compare_exchange_strong(&slots[i].mp, &mp, NULL))
		return false;
	atomic_fetch_sub_explicit(&nstrays, 1, memory_order_relaxed);
	return true;
}

static int nslots(void)
{
	return gomaxprocs * PERP < SLOTS ? gomaxprocs * PERP : SLOTS;
}

/* The calling G has no P and is in the runtime by its books (inruntime). May it leave it without
 * one? */
bool strayenter(struct m *mp)
{
	int n = nslots();

	for (int i = 0; i < TRIES; i++) {
		int s = (mp->id + i) % n;
		struct m *none = NULL;
		if (atomic_load_explicit(&slots[s].mp, memory_order_relaxed) != NULL ||
		    !atomic_compare_exchange_strong(&slots[s].mp, &none, mp))
			continue;
		atomic_fetch_add_explicit(&nstrays, 1, memory_order_relaxed);
		atomic_store_explicit(&mp->strayseq,
				      atomic_load_explicit(&mp->strayseq, memory_order_relaxed) + 1,
				      memory_order_relaxed);
		mp->stray = s + 1;
		countone(NULL, CountStray);
		return true;
	}
	return false;
}

/* It was let out, and may go on. */
bool straying(struct m *mp)
{
	return mp->stray != 0 &&
	       atomic_load_explicit(&slots[mp->stray - 1].mp, memory_order_relaxed) == mp &&
	       atomic_load(&sched.npidle) == 0;
}

void strayleave(struct m *mp)
{
	if (mp->stray != 0)
		freeslot(mp->stray - 1, mp);
	mp->stray = 0;
}

/* sysmon, at each tick. True: look again in a ms. */
bool straywatch(uint64_t now)
{
	if (likely(atomic_load_explicit(&nstrays, memory_order_relaxed) == 0))
		return false;
	for (int i = 0; i < SLOTS; i++) {
		struct m *mp = atomic_load(&slots[i].mp);
		uint32_t seq = mp ? atomic_load_explicit(&mp->strayseq, memory_order_relaxed) : 0;
		if (mp == NULL)
			continue;
		if (slots[i].seen != mp || slots[i].seq != seq) {
			slots[i].seen = mp;
			slots[i].seq = seq;
			slots[i].asked = 0;
			slots[i].when = now;
		}
		if (likely(debug.forcens == 0) && now - slots[i].when < MS)
			continue;
		if (slots[i].asked++ >= TIMES)
			freeslot(i, mp);
		else
			preemptone(mp);
	}
	return true;
}

/* In a fork's child: the Ms are the parent's. */
void strayfork(void)
{
	for (int i = 0; i < SLOTS; i++)
		atomic_store(&slots[i].mp, NULL);
	atomic_store(&nstrays, 0);
}
