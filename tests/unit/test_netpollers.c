/* SPDX-License-Identifier: MIT
 *
 * test_netpollers.c: Gs that wait on several descriptors at once, beside others that read them; and
 * numbers that are closed and opened again under those who wait.
 */
#include "netgs.h"

enum { NPIPE = 5 };
static int pipes[NPIPE][2];
static _Atomic long nread, ntimedout;
static _Atomic bool finished;
static long total;

static void closepipe(int i)
{
	goclose(pipes[i][0]);
	goclose(pipes[i][1]);
}

/* poll(2) over n descriptors, as the shim does it: the first that is readable, or -errno. */
static int gpoll(const int *fds, int n, uint64_t deadline)
{
	struct pollwaiter pw[NPIPE];
	struct pollfd p[NPIPE];

	for (;;) {
		bool clear = true;
		for (int i = 0; i < n; i++) {
			p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
			if (!pdarm(&pw[i], fdlook(fds[i]), POLLIN))
				clear = false;
		}
		if (!clear) {
			long r = SC3(SYS_poll, p, n, 0);
			for (int i = 0; i < n; i++)
				pdlooked(&pw[i], POLLIN, (uint16_t)p[i].revents);
			for (int i = 0; r > 0 && i < n; i++)
				if (p[i].revents)
					return i;
		}
		int err = pdpoll(pw, n, deadline);
		if (err != 0)
			return err;
	}
}

/* Several Gs poll the same pipes, each reads what it finds; single readers compete with them. */
static void *poller(void *arg)
{
	uint64_t dice = mydice();
	int fds[5];
	char c;

	for (int i = 0; i < 5; i++)
		fds[i] = pipes[i][0];
	while (!atomic_load(&finished)) {
		uint64_t deadline = nanotime() + roll(&dice) % ((long)arg % 2 ? 100000 : 50000000);
		int i;
		ssize_t n = -ETIMEDOUT;
		if ((long)arg == 0)
			n = gread(fds[2], &c, 1, deadline, false);
		else if ((i = gpoll(fds, 5, deadline)) >= 0)
			n = gread(fds[i], &c, 1, 1, false); /* another may have been faster */
		if (n == 1) {
			if (atomic_fetch_add(&nread, 1) + 1 == total)
				atomic_store(&finished, true);
		} else {
			must(n == -ETIMEDOUT, "%zd", n);
			atomic_fetch_add(&ntimedout, 1);
		}
	}
	return arg;
}

static void *feeder(void *arg)
{
	uint64_t dice = mydice();

	for (long i = 0; i < total; i++) {
		gwriteall(pipes[roll(&dice) % 5][1], "x", 1);
		if (roll(&dice) % 4 == 0)
			gosleep(reldeadline(roll(&dice) % 20000));
	}
	return arg;
}

TestAtPs(netpollers, pollers_find_everything)
{
	for (long round = times(1); round > 0; round--) {
		total = 3000;
		nread = 0;
		finished = false;
		for (int i = 0; i < 5; i++)
			gopipe(pipes[i]);
		struct g *f = go(feeder, NULL);
		ings(8, poller);
		join(f);
		cr_assert_eq(nread, total);
		for (int i = 0; i < 5; i++)
			closepipe(i);
		cr_assert_not(netpollany());
	}
}

/* A poll that nothing but its own descriptor ends: a lost edge hangs it. */
static void *lonelypoller(void *arg)
{
	for (long i = 0; i < total; i++) {
		char c;
		int k = gpoll(pipes[0], 1, 0);
		must(k == 0, "%d", k);
		must(gread(pipes[0][0], &c, 1, 0, false) == 1, "read");
		atomic_fetch_add(&nread, 1);
	}
	return arg;
}

TestAtPs(netpollers, poll_for_ever)
{
	uint64_t dice = mydice();

	gopipe(pipes[0]);
	total = times(3000);
	struct g *gp = go(lonelypoller, NULL);
	for (long i = 0; i < total; i++) {
		dawdle(&dice);
		cr_assert_eq(write(pipes[0][1], "x", 1), 1);
		if (roll(&dice) % 8 != 0)
			while (atomic_load(&nread) <= i)
				gosched();
		else
			gosleep(reldeadline(roll(&dice) % 50000));
	}
	join(gp);
}

/* ---- numbers that come and go --------------------------------------------------------------- */

static _Atomic long nbadf, nready;

/* Waits on whatever has the number just now; 0 and -EBADF are fine, a hang is not. */
static void *squatter(void *arg)
{
	while (!atomic_load(&finished)) {
		struct polldesc *pd = polldesc(pipes[0][0]);
		uint32_t gen = atomic_load(&pd->gen);
		if (atomic_load(&pd->kind) != FD_PIPE || atomic_load(&pd->gen) != gen) {
			gosched();
			continue;
		}
		pdtry(pd, PD_READ);
		int err = pdwait(pd, gen, PD_READ, 0);
		must(err == 0 || err == -EBADF, "%d", err);
		if (err == 0)
			must(atomic_load(&pd->rready) || atomic_load(&pd->gen) != gen || true,
			     "woken");
		atomic_fetch_add(err == 0 ? &nready : &nbadf, 1);
	}
	return arg;
}

TestAtPs(netpollers, close_and_open_under_waiters)
{
	struct g *gs[6];
	uint64_t dice = mydice();

	gopipe(pipes[0]);
	int want = pipes[0][0];
	for (long i = 0; i < 6; i++)
		gs[i] = go(squatter, (void *)i);
	for (long round = times(1000); round > 0; round--) {
		if (roll(&dice) % 2)
			write(pipes[0][1], "x", 1);
		if (roll(&dice) % 2)
			gosched();
		closepipe(0);
		gopipe(pipes[0]);
		must(pipes[0][0] == want, "number %d, not %d", pipes[0][0], want);
		if (roll(&dice) % 2)
			gosched();
		if (roll(&dice) % 8 == 0)
			gosleep(reldeadline(roll(&dice) % 50000));
	}
	atomic_store(&finished, true);
	closepipe(0);
	for (int i = 0; i < 6; i++)
		join(gs[i]);
	cr_assert(nready > 0 && nbadf > 0, "%ld ready, %ld closed", nready, nbadf);
	cr_assert_not(netpollany());
}
