/* SPDX-License-Identifier: MIT
 *
 * test_netclose.c: what a close, or a dup over a number, does to those who wait there, and what is
 * left in the epoll set and of its events.
 */
#include "netgs.h"

#include <signal.h>

static int r, w; /* a pipe's ends */
static struct polldesc *rpd, *wpd;

static void newpipe(void)
{
	int p[2];

	gopipe(p);
	r = p[0];
	w = p[1];
	rpd = fdlook(r);
	wpd = fdlook(w);
}

/* How many descriptors the epoll set holds, the runtime's own not counted. */
static int registered(void)
{
	char path[64], line[256];
	int n = 0, ep = -1;

	for (int fd = fdoursnext(0); fd >= 0; fd = fdoursnext(fd + 1)) {
		char link[64] = "";
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		must(readlink(path, link, sizeof link - 1) > 0, "%s", path);
		if (strstr(link, "eventpoll"))
			ep = fd;
	}
	must(ep >= 0, "no epoll descriptor");
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", ep);
	FILE *f = fopen(path, "r");
	while (fgets(line, sizeof line, f) != NULL)
		n += strstr(line, "tfd:") != NULL;
	fclose(f);
	return n - 1;
}

static _Atomic long results[64];

static void *waitread(void *arg)
{
	char c;

	results[(long)arg] = gread(r, &c, 1, 0, false);
	return arg;
}

static void *waitwrite(void *arg)
{
	static char much[1 << 20];
	int fd = w;
	long n;

	while ((n = gwrite(fd, much, sizeof much)) > 0)
		;
	results[(long)arg] = n;
	return arg;
}

static void *waitpoll(void *arg)
{
	struct pollwaiter pw;

	pdarm(&pw, rpd, POLLIN);
	results[(long)arg] = pdpoll(&pw, 1, 0);
	must(rpd->gen != pw.gen, "revents %x", pw.revents);
	return arg;
}

static struct g *gowaiting(void *(*fn)(void *), long arg)
{
	struct g *gp = go(fn, (void *)arg);

	while (gp->status != Gwaiting || gp->waitreason == WaitNone)
		gosched();
	return gp;
}

TestAtPs(netclose, close_while_waiting)
{
	struct g *gs[30];

	signal(SIGPIPE, SIG_IGN);
	for (long round = times(20); round > 0; round--) {
		newpipe(); /* writers fill one; readers and pollers find the other empty */
		int fullr = r, fullw = w;
		for (long i = 20; i < 30; i++)
			gs[i] = gowaiting(waitwrite, i);
		cr_assert_eq(wpd->nwait[PD_WRITE], 10);
		newpipe();
		for (long i = 0; i < 20; i++)
			gs[i] = gowaiting(i < 10 ? waitread : waitpoll, i);
		cr_assert_eq(rpd->nwait[PD_READ], 10);
		cr_assert_eq(rpd->npoll, 10);
		goclose(r);
		goclose(fullw);
		for (long i = 0; i < 30; i++)
			join(gs[i]);
		for (long i = 0; i < 10; i++)
			cr_assert_eq(results[i], -EBADF, "reader %ld: %ld", i, results[i]);
		for (long i = 10; i < 20; i++)
			cr_assert_eq(results[i], 0, "poller %ld: %ld", i, results[i]);
		for (long i = 20; i < 30; i++)
			cr_assert_eq(results[i], -EBADF, "writer %ld: %ld", i, results[i]);
		goclose(fullr);
		goclose(w);
		cr_assert(!netpollany());
		cr_assert_eq(registered(), 0);
	}
}

/* The old description lives on under another number, of which we know nothing: epoll keeps it. */
TestAtPs(netclose, event_of_an_old_generation_is_dropped)
{
	char c;

	for (long round = times(20); round > 0; round--) {
		newpipe();
		cr_assert_eq(gread(r, &c, 1, reldeadline(1000), false), -ETIMEDOUT);
		int old = r, oldw = w, keep = dup(r);
		goclose(r);
		cr_assert_eq(registered(), 1, "%d", registered());
		newpipe();
		if (r != old)
			dup2(r, old), close(r), r = old, fdopened(r, FD_PIPE, false, false);
		rpd = fdlook(r);
		/* Drained; then an edge of the former pipe, which must not wake us. */
		cr_assert_eq(gread(r, &c, 1, reldeadline(1000), false), -ETIMEDOUT);
		cr_assert_not(rpd->rready);
		write(oldw, "x", 1);
		cr_assert_eq(pdwait(rpd, rpd->gen, PD_READ, reldeadline(3000000)), -ETIMEDOUT);
		cr_assert_not(rpd->rready, "the old pipe's edge");
		write(w, "y", 1);
		cr_assert_eq(gread(r, &c, 1, 0, false), 1);
		cr_assert_eq(c, 'y');
		close(keep);
		goclose(oldw);
		goclose(r);
		goclose(w);
		cr_assert_eq(registered(), 0);
	}
}

/* Known to be shared: it is taken out of the epoll set before the close. */
Test(netclose, shared_ones_leave_the_set)
{
	char c;

	start(1);
	newpipe();
	gread(r, &c, 1, reldeadline(1000), false);
	int keep = dup(r);
	fdshared(r);
	cr_assert_eq(registered(), 1);
	goclose(r);
	cr_assert_eq(registered(), 0);
	close(keep);
	goclose(w);
	/* After a fork everything is. */
	newpipe();
	gread(r, &c, 1, reldeadline(1000), false);
	keep = dup(r);
	fdshareall();
	goclose(r);
	cr_assert_eq(registered(), 0);
}

/* The very same description comes back under its number: epoll still has it, of an old generation.
 */
Test(netclose, same_description_again)
{
	char c;

	start(1);
	newpipe();
	gread(r, &c, 1, reldeadline(1000), false);
	int keep = dup(r);
	goclose(r);
	cr_assert_eq(dup2(keep, r), r);
	fdopened(r, FD_PIPE, false, true);
	gread(r, &c, 1, reldeadline(1000), false);
	cr_assert_eq(registered(), 1);
	write(w, "x", 1);
	cr_assert_eq(pdwait(rpd, rpd->gen, PD_READ, 0), 0);
	cr_assert_eq(gread(r, &c, 1, 0, false), 1);
	close(keep);
}

/* dup2 over a number on which others wait: it is closed for them, and the new one works. */
TestAtPs(netclose, dup_over_a_waited_number)
{
	char c;

	for (long round = times(20); round > 0; round--) {
		struct g *gs[5];
		newpipe();
		int oldw = w, old = r;
		for (long i = 0; i < 5; i++)
			gs[i] = gowaiting(waitread, i);
		newpipe();
		fdshared(r);
		fdclosing(old);
		cr_assert_eq(dup2(r, old), old);
		fdopened(old, FD_PIPE, false, true);
		for (long i = 0; i < 5; i++) {
			join(gs[i]);
			cr_assert_eq(results[i], -EBADF, "reader %ld: %ld", i, results[i]);
		}
		/* An edge comes for both numbers. */
		cr_assert_eq(gread(r, &c, 1, reldeadline(1000), false), -ETIMEDOUT);
		cr_assert_eq(gread(old, &c, 1, reldeadline(1000), false), -ETIMEDOUT);
		write(w, "xy", 2);
		cr_assert_eq(gread(old, &c, 1, 0, false), 1);
		cr_assert_eq(gread(r, &c, 1, 0, false), 1);
		cr_assert_eq(c, 'y');
		goclose(r);
		goclose(old);
		goclose(w);
		goclose(oldw);
		cr_assert_eq(registered(), 0);
	}
}
