/* SPDX-License-Identifier: MIT */
/* poll and ppoll on 0, 1, 2 and 300 descriptors, with and without a time-out; POLLHUP, POLLERR,
 * POLLNVAL, POLLRDHUP, negative descriptors. poll(2) */
#include "t.h"

static void show(const char *what, int n, const struct pollfd *p, int np)
{
	char s[256];
	int k = snprintf(s, sizeof s, "%s: %d", what, n);

	for (int i = 0; i < np; i++)
		k += snprintf(s + k, sizeof s - k, " %x", p[i].revents);
	say("%s", s);
}

static void *write_soon(void *arg)
{
	settle();
	MUST(write((int)(intptr_t)arg, "x", 1) == 1);
	return NULL;
}

static void *close_soon(void *arg)
{
	settle();
	MUST(close((int)(intptr_t)arg) == 0);
	return NULL;
}

static struct pollfd *volatile nowhere; /* not known to the compiler */

int main(void)
{
	int a[2], b[2], s[2], many[300][2];
	struct pollfd p[300];
	struct timespec ts = {0, 30000000}, zero = {0, 0};
	char c;

	double begin = ms_now();
	say("no descriptors, 0 ms: %d", poll(NULL, 0, 0));
	say("no descriptors, 30 ms: %d", poll(NULL, 0, 30));
	MUST(ms_now() - begin >= 30);
	say("no descriptors, ppoll: %d", ppoll(NULL, 0, &ts, NULL));

	MUST(pipe(a) == 0 && pipe(b) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	p[0] = (struct pollfd){a[0], POLLIN, -1};
	show("empty, 0 ms", poll(p, 1, 0), p, 1);
	begin = ms_now();
	show("empty, 50 ms", poll(p, 1, 50), p, 1);
	MUST(ms_now() - begin >= 50);
	show("empty, ppoll 0", ppoll(p, 1, &zero, NULL), p, 1);
	pthread_t t = start(write_soon, (void *)(intptr_t)a[1]);
	show("wait for a byte", poll(p, 1, -1), p, 1);
	finish(t);
	show("still there", poll(p, 1, -1), p, 1);
	MUST(read(a[0], &c, 1) == 1);
	show("read, gone", poll(p, 1, 0), p, 1);
	t = start(write_soon, (void *)(intptr_t)a[1]);
	show("ppoll without end", ppoll(p, 1, NULL, NULL), p, 1);
	finish(t);
	MUST(read(a[0], &c, 1) == 1);

	/* Two: the second is ready; both are; a negative one and a bad one. */
	p[1] = (struct pollfd){b[0], POLLIN | POLLPRI, 0};
	t = start(write_soon, (void *)(intptr_t)b[1]);
	show("two, second ready", poll(p, 2, 20000), p, 2);
	finish(t);
	p[1].fd = -b[0];
	p[1].revents = 9;
	show("negative", poll(p, 2, 10), p, 2);
	p[1].fd = 9999;
	show("not open", poll(p, 2, -1), p, 2);
	p[0] = (struct pollfd){a[1], POLLOUT, 0};
	p[1] = (struct pollfd){b[0], POLLIN | POLLOUT, 0};
	show("writable and readable", poll(p, 2, -1), p, 2);
	p[0] = (struct pollfd){s[0], POLLIN | POLLOUT, 0};
	show("socket both", poll(p, 1, -1), p, 1);

	/* The other end goes away while we wait. */
	p[0] = (struct pollfd){a[0], 0, 0};
	t = start(close_soon, (void *)(intptr_t)a[1]);
	show("reader, writer closes, no events asked", poll(p, 1, -1), p, 1);
	finish(t);
	p[0].events = POLLIN;
	show("reader without writer", poll(p, 1, -1), p, 1);
	p[0] = (struct pollfd){b[1], POLLOUT, 0};
	MUST(close(b[0]) == 0);
	show("writer without reader", poll(p, 1, -1), p, 1);
	p[0] = (struct pollfd){s[0], POLLIN | POLLRDHUP, 0};
	t = start(close_soon, (void *)(intptr_t)s[1]);
	show("socket, other end closes", poll(p, 1, -1), p, 1);
	finish(t);

	for (int i = 0; i < 300; i++) {
		MUST(pipe(many[i]) == 0);
		p[i] = (struct pollfd){many[i][0], POLLIN, 0};
	}
	show("300, none, 20 ms", poll(p, 300, 20), NULL, 0);
	for (int i = 299; i >= 0; i -= 23) {
		t = start(write_soon, (void *)(intptr_t)many[i][1]);
		show("300, one", poll(p, 300, -1), &p[i], 1);
		finish(t);
		MUST(read(many[i][0], &c, 1) == 1);
	}
	for (int i = 0; i < 300; i++)
		MUST(write(many[i][1], "x", 1) == 1);
	show("300, all", poll(p, 300, -1), NULL, 0);

	SYS(poll(nowhere, 1, 0));
	ts.tv_nsec = 1000000000;
	SYS(ppoll(p, 1, &ts, NULL));
	return 0;
}
