/* SPDX-License-Identifier: MIT */
/* sched_yield among 250 threads: those that wait by yielding let the others run, in main and in
 * threads. sched_yield(2) */
#include "t.h"

#define N 250

static volatile int turn;
static int count;

static void *in_turn(void *arg)
{
	int me = (int)(intptr_t)arg;

	for (int round = 0; round < scaled(2); round++) {
		while (turn != round * N + me)
			sched_yield();
		count++;
		turn++;
	}
	return NULL;
}

int main(void)
{
	static pthread_t t[N];

	for (int i = 0; i < N; i++)
		t[i] = start_small(in_turn, (void *)(intptr_t)i);
	while (turn < N * scaled(2))
		sched_yield();
	for (int i = 0; i < N; i++)
		finish(t[i]);
	say("everyone had a turn: %d", count == N * scaled(2));
	SYS(sched_yield());
	return 0;
}
