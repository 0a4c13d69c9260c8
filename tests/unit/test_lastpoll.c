/* SPDX-License-Identifier: MIT
 *
 * test_lastpoll.c: one M at most sleeps in the netpoller, however long others take to look at it
 * meanwhile: each look here lasts long enough for somebody to go to sleep there before it is over.
 */
#include "netgs.h"

static struct g *watched(int64_t delay, int32_t *n);
#define netpoll watched
#include "proc.c"
#undef netpoll

enum { PAIRS = 12, ROUNDS = 150 };

static _Atomic int nasleep, most;

static struct g *watched(int64_t delay, int32_t *n)
{
	if (delay == 0) {
		struct g *list = netpoll(0, n);
		struct timespec ts = {0, 300000};
		SC2(SYS_nanosleep, &ts, NULL);
		return list;
	}
	int now = atomic_fetch_add(&nasleep, 1) + 1, was = atomic_load(&most);
	while (now > was && !atomic_compare_exchange_weak(&most, &was, now))
		;
	struct g *list = netpoll(delay, n);
	atomic_fetch_sub(&nasleep, 1);
	return list;
}

static int there[PAIRS][2], back[PAIRS][2];

static void *serve(void *arg)
{
	long i = (long)arg;
	char c;

	for (int k = 0; k < ROUNDS; k++) {
		must(gread(there[i][0], &c, 1, 0, false) == 1, "read");
		gwriteall(back[i][1], &c, 1);
	}
	return arg;
}

static void *ask(void *arg)
{
	long i = (long)arg;
	uint64_t dice = mydice();
	char c = 'x';

	for (int k = 0; k < ROUNDS; k++) {
		gwriteall(there[i][1], &c, 1);
		must(gread(back[i][0], &c, 1, 0, false) == 1, "read");
		if (roll(&dice) % 4 == 0)
			gosleep(reldeadline(roll(&dice) % 2000000));
	}
	return arg;
}

static void *either(void *arg)
{
	long i = (long)arg;

	i % 2 ? ask((void *)(i / 2)) : serve((void *)(i / 2));
	return arg;
}

TestAtPs(lastpoll, one_sleeps)
{
	for (long n = times(1); n > 0; n--) {
		for (int i = 0; i < PAIRS; i++) {
			gopipe(there[i]);
			gopipe(back[i]);
		}
		ings(2 * PAIRS, either);
		for (int i = 0; i < PAIRS; i++) {
			for (int end = 0; end < 2; end++) {
				goclose(there[i][end]);
				goclose(back[i][end]);
			}
		}
	}
	cr_assert_leq(most, 1, "%d", most);
}
