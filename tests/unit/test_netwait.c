/* SPDX-License-Identifier: MIT
 *
 * test_netwait.c: many Gs on one descriptor, and many descriptors with a G each: no edge and no
 * baton is lost, with time-outs in between. Pollers are test_netpollers.c's matter.
 */
#include "netgs.h"

enum { NPIPE = 50, NREAD = 20 };
static int pipes[NPIPE][2];
static _Atomic long nread, ntimedout;
static long total;

/* ---- many readers on one pipe --------------------------------------------------------------- */

static void *reader(void *arg)
{
	uint64_t dice = mydice();
	char buf[4];

	for (;;) {
		/* Half of them lose patience. */
		uint64_t deadline = (long)arg % 2 ? nanotime() + roll(&dice) % 100000 : 0;
		ssize_t n = gread(pipes[0][0], buf, 1 + roll(&dice) % 3, deadline, false);
		if (n == 0)
			return arg;
		must(n > 0 || n == -ETIMEDOUT, "read: %zd", n);
		atomic_fetch_add(n > 0 ? &nread : &ntimedout, n > 0 ? n : 1);
	}
}

static void *writer(void *arg)
{
	uint64_t dice = mydice();

	for (long left = total; left > 0;) {
		long n = 1 + (long)(roll(&dice) % 16);
		if (n > left)
			n = left;
		gwriteall(pipes[0][1], "abcdefghijklmnop", (size_t)n);
		left -= n;
		if (roll(&dice) % 4 == 0)
			gosleep(reldeadline(roll(&dice) % 20000));
	}
	goclose(pipes[0][1]);
	return arg;
}

/*
 * An edge wakes one reader, who passes the baton on; those that time out at that moment drop none.
 * The end of file goes from one to the next as well.
 */
TestAtPs(netwait, baton_among_readers)
{
	for (long round = times(2); round > 0; round--) {
		total = 10000;
		nread = 0;
		gopipe(pipes[0]);
		struct g *wg = go(writer, NULL);
		ings(NREAD, reader);
		join(wg);
		cr_assert_eq(nread, total, "%ld of %ld", nread, total);
		goclose(pipes[0][0]);
		cr_assert_not(netpollany());
	}
	cr_assert_gt(ntimedout, 0);
}

static void *readone(void *arg)
{
	char c;

	must(gread(pipes[0][0], &c, 1, 0, false) == 1, "read");
	return arg;
}

/* All are asleep, then as many bytes come at once, in one edge. */
TestAtPs(netwait, one_edge_for_all)
{
	struct g *gs[NREAD];

	gopipe(pipes[0]);
	for (long round = times(100); round > 0; round--) {
		for (long i = 0; i < NREAD; i++)
			gs[i] = go(readone, (void *)i);
		while (polldesc(pipes[0][0])->nwait[PD_READ] != NREAD)
			gosched();
		cr_assert_eq(write(pipes[0][1], "abcdefghijklmnopqrst", NREAD), NREAD);
		for (long i = 0; i < NREAD; i++)
			join(gs[i]);
	}
}

/* ---- pairs ---------------------------------------------------------------------------------- */

/* A G per pipe reads what another writes, whole and in order; pipes are small, so both wait. */
static void *source(void *arg)
{
	uint64_t dice = mydice();
	char buf[3000], next = 0;
	int fd = pipes[(long)arg][1];

	for (long left = total; left > 0;) {
		size_t n = 1 + roll(&dice) % sizeof buf;
		if ((long)n > left)
			n = (size_t)left;
		for (size_t i = 0; i < n; i++)
			buf[i] = next++;
		gwriteall(fd, buf, n);
		left -= (long)n;
	}
	goclose(fd);
	return arg;
}

static void *sink(void *arg)
{
	uint64_t dice = mydice();
	char buf[3000], next = 0;
	int fd = pipes[(long)arg][0];
	long got = 0;
	ssize_t n;

	while ((n = gread(fd, buf, 1 + roll(&dice) % sizeof buf, 0, (long)arg % 2)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			must(buf[i] == next++, "pipe %ld at %ld", (long)arg, got + i);
		got += n;
	}
	must(n == 0 && got == total, "pipe %ld: %ld of %ld, then %zd", (long)arg, got, total, n);
	goclose(fd);
	return arg;
}

static void *sourceorsink(void *arg)
{
	long i = (long)arg / 2;

	((long)arg % 2 ? source : sink)((void *)i);
	return arg;
}

TestAtPs(netwait, streams)
{
	total = 100000;
	for (long round = times(1); round > 0; round--) {
		for (int i = 0; i < NPIPE; i++) {
			gopipe(pipes[i]);
			fcntl(pipes[i][0], F_SETPIPE_SZ, 4096);
		}
		ings(2 * NPIPE, sourceorsink);
		cr_assert_not(netpollany());
	}
}

/* A ring of pipes with a few tokens: everybody but them is in the netpoller. */
static void *passer(void *arg)
{
	int i = (int)(long)arg;
	char c;

	for (long turn = 0; turn < total; turn++) {
		must(gread(pipes[i][0], &c, 1, 0, false) == 1, "read");
		gwriteall(pipes[(i + 1) % NPIPE][1], &c, 1);
	}
	return arg;
}

TestAtPs(netwait, tokens)
{
	total = times(200);
	for (int i = 0; i < NPIPE; i++)
		gopipe(pipes[i]);
	for (int i = 0; i < 3; i++)
		gwriteall(pipes[i * 10][1], "x", 1);
	ings(NPIPE, passer);
}
