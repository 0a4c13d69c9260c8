/* SPDX-License-Identifier: MIT
 *
 * test_park.c: the park protocol on bare Gs: of several who may wake a G, who prepares to sleep or
 * does, one wins, and none with a ticket of an earlier park.
 */
#include "unit.h"

#include "jitter.h"
#include "park.c"

/* What park_m() does: true if gp sleeps now, and its claimer has to ready it. */
static bool commit(struct g *gp)
{
	uint64_t w = atomic_load(&gp->park);

	return (w & 0xf) == Parkpreparing &&
	       atomic_compare_exchange_strong(&gp->park, &w, (w & ~(uint64_t)0xff) | Parkparked);
}

Test(park, states)
{
	struct g gp = {0};
	bool parked = true;

	cr_assert_not(parkclaim(&gp, 0, WakeReady, &parked), "no park has begun");
	uint64_t t = parkbegin(&gp);
	cr_assert_not(parkclaim(&gp, t - 1, WakeReady, &parked));
	cr_assert_not(parkclaim(&gp, t + 1, WakeReady, &parked));
	cr_assert(parkclaim(&gp, t, WakeTimeout, &parked));
	cr_assert_not(parked, "still preparing");
	cr_assert_not(commit(&gp), "woken before it slept");
	cr_assert_not(parkclaim(&gp, t, WakeReady, &parked), "only once");
	cr_assert_eq(gp.park, t << 8 | WakeTimeout << 4 | Parkwoken, "%lx", gp.park);

	cr_assert_eq(parkbegin(&gp), t + 1);
	cr_assert_not(parkclaim(&gp, t, WakeReady, &parked), "of an earlier park");
	cr_assert(commit(&gp));
	cr_assert(parkclaim(&gp, t + 1, WakeClosed, &parked));
	cr_assert(parked);
	cr_assert_eq(gp.park, (t + 1) << 8 | WakeClosed << 4 | Parkwoken, "%lx", gp.park);

	t = parkbegin(&gp);
	parkabort(&gp);
	cr_assert_not(parkclaim(&gp, t, WakeReady, &parked), "aborted");
	cr_assert_eq(parkbegin(&gp), t + 1, "tickets never come back");
}

enum { NCLAIM = 3, NPARK = 10000 };
static struct g theg;
static _Atomic uint64_t ticket;	     /* what the claimers know */
static _Atomic uint64_t readied;     /* by whoever claimed a sleeper */
static _Atomic uint8_t won[1 << 24]; /* by ticket: claims that won; 0x10: of a sleeper */
static _Atomic bool parkdone;

static void *claimer(void *arg)
{
	uint64_t dice = (uint64_t)cputicks() | 1;
	enum wakereason r = (enum wakereason)((long)arg % 3);

	while (!atomic_load(&parkdone)) {
		uint64_t t = atomic_load(&ticket), late = roll(&dice) % 8 == 0 ? 1 : 0;
		bool parked;
		if (t <= late || !parkclaim(&theg, t - late, r, &parked)) {
			dawdle(&dice);
			continue;
		}
		must((atomic_fetch_add(&won[t - late], parked ? 0x11 : 1) & 0xf) == 0,
		     "ticket %lu was claimed twice", t - late);
		if (parked)
			must(atomic_exchange(&readied, t - late) < t - late, "ticket %lu",
			     t - late);
	}
	return NULL;
}

static void *parker(void *arg)
{
	uint64_t dice = (uint64_t)cputicks() | 1;
	struct g *gp = &theg;
	long rounds = times(NPARK), slept = 0;

	if (arg != NULL)
		return claimer(arg);
	must(rounds < (long)sizeof won, "%ld rounds", rounds);
	for (long i = 0; i < rounds; i++) {
		uint64_t t = parkbegin(gp);
		atomic_store(&ticket, t);
		if (roll(&dice) % 3)
			dawdle(&dice);
		if (roll(&dice) % 16 == 0) {
			/* Somebody may have claimed it before: then it counts as woken. */
			parkabort(gp);
			bool parked;
			must(!parkclaim(gp, t, WakeReady, &parked), "ticket %lu", t);
			continue;
		}
		bool asleep = commit(gp);
		slept += asleep;
		while (asleep && atomic_load(&readied) != t)
			dawdle(&dice);
		uint64_t w = atomic_load(&gp->park);
		must(w >> 8 == t && (w & 0xf) == Parkwoken, "ticket %lu: park %lx", t, w);
		/* The count is the winner's next instruction, or came before readied. */
		while (atomic_load(&won[t]) == 0)
			dawdle(&dice);
		must(atomic_load(&won[t]) == (asleep ? 0x11 : 1), "ticket %lu: asleep %d, won %x",
		     t, asleep, won[t]);
	}
	atomic_store(&parkdone, true);
	must(slept > rounds / 100 && slept < rounds, "slept %ld times of %ld: no race", slept,
	     rounds);
	return NULL;
}

Test(park, one_claimer_wins)
{
	inthreads(1 + NCLAIM, parker);
}
