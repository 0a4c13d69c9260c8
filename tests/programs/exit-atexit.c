/* SPDX-License-Identifier: MIT */
/* exit() from a thread while others are blocked and main waits: atexit handlers run in that thread,
 * last registered first, and may block; stdio is flushed; the status is 3. exit(3) */
#include "t.h"

static int quiet[2];
static __thread int exiting;

static void first(void)
{
	say("first registered, in the thread that exits: %d", exiting);
}

static void second(void)
{
	usleep(2000);
	say("second registered");
}

static void *blocked(void *arg)
{
	char c;

	pthread_setname_np(pthread_self(), "blocked");
	(void)!read(quiet[0], &c, 1);
	return arg;
}

static void *exits(void *arg)
{
	exiting = 1;
	usleep(3000);
	printf("in the buffer of stdout\n");
	exit(3);
	return arg;
}

int main(void)
{
	MUST(pipe(quiet) == 0);
	atexit(first);
	atexit(second);
	for (int i = 0; i < 50; i++)
		start(blocked, NULL);
	finish(start(exits, NULL));
	return 0;
}
