/* SPDX-License-Identifier: MIT */
/* Who alone reads a pipe empties it and polls it: nothing is there, whatever the runtime has been
 * told before and by whom. Others keep the network busy meanwhile. */
#include "t.h"

static int p[2], q[2];
static _Atomic bool over;

static void *pong(void *arg)
{
	char c;

	while (read(q[0], &c, 1) == 1) {
		write_all(q[0], &c, 1);
		usleep(20);
	}
	return arg;
}

static void *ping(void *arg)
{
	char c = 'x';

	while (!over) {
		write_all(q[1], &c, 1);
		MUST(read(q[1], &c, 1) == 1);
	}
	MUST(shutdown(q[1], SHUT_RDWR) == 0);
	return arg;
}

static void linger(int n)
{
	for (volatile int i = 0; i < n; i++)
		;
}

int main(void)
{
	MUST(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, q) == 0);
	pthread_t a = start(pong, NULL), b = start(ping, NULL);
	for (int i = 0; i < scaled(3000); i++) {
		struct pollfd f = {p[0], POLLIN, 0};
		char c;
		for (int k = 0; k < 3; k++) {
			write_all(p[1], "x", 1);
			linger(i % 2 * 20000);
			MUST(read(p[0], &c, 1) == 1);
		}
		MUST(poll(&f, 1, 1) == 0 && f.revents == 0);
		write_all(p[1], "x", 1);
		MUST(poll(&f, 1, -1) == 1 && f.revents == POLLIN);
		MUST(read(p[0], &c, 1) == 1);
	}
	over = true;
	finish(a);
	finish(b);
	say("never ready without data");
	return 0;
}
