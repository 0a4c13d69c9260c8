/* SPDX-License-Identifier: MIT
 *
 * test_newproc.c: starts and ends of Gs: join, detach, time-outs of joins, recycled shells, and Gs
 * made and joined by kernel threads that have none.
 */
#include "gs.h"

static _Atomic long ended;
static _Atomic bool release;

static void *nop(void *arg)
{
	atomic_fetch_add(&ended, 1);
	return arg;
}

static void *untilreleased(void *arg)
{
	while (!atomic_load(&release))
		gosleep(reldeadline(100000));
	return nop(arg);
}

TestAtPs(newproc, results)
{
	void *ret = NULL;

	cr_assert_eq(gojoin(getg(), &ret, 0), -EDEADLK);
	struct g *gp = go(untilreleased, (void *)7);
	cr_assert_eq(gojoin(gp, &ret, 1), -EBUSY);
	cr_assert_eq(gojoin(gp, &ret, reldeadline(1000000)), -ETIMEDOUT);
	cr_assert_eq(gojoin(gp, &ret, 2), -ETIMEDOUT);
	atomic_store(&release, true);
	cr_assert_eq(gojoin(gp, &ret, reldeadline(60000000000)), 0);
	cr_assert_eq(ret, (void *)7);

	gp = gowith(true, nop, NULL);
	gp = go(nop, (void *)8);
	while (gp->status != Gdead || gp->joinstate == 0)
		gosched();
	cr_assert_eq(gojoin(gp, &ret, 1), 0, "has ended");
	cr_assert_eq(ret, (void *)8);

	release = false;
	gp = gowith(true, untilreleased, NULL);
	cr_assert_eq(gojoin(gp, &ret, 0), -EINVAL, "detached");
	cr_assert_eq(godetach(gp), -EINVAL, "already detached");
	gp = go(untilreleased, NULL);
	cr_assert_eq(godetach(gp), 0);
	cr_assert_eq(gojoin(gp, &ret, 0), -EINVAL);
	release = true;
	while (sched.ngs > 1)
		gosched();
}

static void *joiner(void *arg)
{
	void *ret;

	must(gojoin(arg, &ret, 0) == 0 && ret == (void *)5, "%p", ret);
	return NULL;
}

TestAtPs(newproc, second_joiner_is_turned_away)
{
	struct g *gp = go(untilreleased, (void *)5), *j = go(joiner, gp);

	while (j->status != Gwaiting)
		gosched();
	cr_assert_eq(gojoin(gp, NULL, 0), -EINVAL);
	cr_assert_eq(godetach(gp), 0, "as in libc: it is joined all the same");
	release = true;
	join(j);
}

/*
 * Who ends a G wakes its joiner last of all, and may be late: the joiner did not sleep yet, saw the
 * end, and the G is used again and joined again by then. That join must go on waiting.
 */
TestAtPs(newproc, late_wakeup_of_a_former_life)
{
	struct g *gp = go(untilreleased, (void *)5), *j = go(joiner, gp);

	for (int i = 0; i < 10; i++) {
		while (j->status != Gwaiting)
			gosched();
		futexwake(&gp->joinword, 1);
		gosleep(reldeadline(100000));
		must(j->status != Gdead, "joined a G that runs: status %u, joinstate %u",
		     gp->status, gp->joinstate);
	}
	release = true;
	join(j);
}

static void *quick(void *arg)
{
	uint64_t dice = mydice();

	switch (roll(&dice) % 4) {
	case 0:
		gosched();
		break;
	case 1:
		gosleep(reldeadline(roll(&dice) % 100000));
		break;
	}
	return nop(arg);
}

/* Ends that race with whatever their maker wants of them. */
static void *maker(void *arg)
{
	uint64_t dice = mydice();
	long made = 0;

	for (int i = 0; i < 500; i++) {
		void *want = (void *)(long)roll(&dice), *ret = NULL;
		bool detached = roll(&dice) % 8 == 0;
		struct g *gp = gowith(detached, quick, want);
		int err;
		made++;
		if (detached)
			continue;
		dawdle(&dice);
		switch (roll(&dice) % 5) {
		case 0:
			must((err = godetach(gp)) == 0, "%d", err);
			break;
		case 1:
			while ((err = gojoin(gp, &ret, reldeadline(roll(&dice) % 50000))) ==
			       -ETIMEDOUT)
				;
			must(err == 0 && ret == want, "%d, %p not %p", err, ret, want);
			break;
		case 2:
			while ((err = gojoin(gp, &ret, 1)) == -EBUSY)
				gosched();
			must(err == 0 && ret == want, "%d, %p not %p", err, ret, want);
			break;
		case 3:
			err = gojoin(gp, &ret, reldeadline(1));
			if (err == -ETIMEDOUT) {
				must((err = godetach(gp)) == 0, "%d", err);
				break;
			}
			must(err == 0 && ret == want, "%d, %p not %p", err, ret, want);
			break;
		default:
			must((err = gojoin(gp, &ret, 0)) == 0 && ret == want, "%d, %p not %p", err,
			     ret, want);
		}
	}
	must(made == 500, "%ld", made);
	return arg;
}

static void settle(long want)
{
	while (sched.ngs > 1)
		gosched();
	cr_assert_eq(ended, want, "%ld of %ld", ended, want);
}

TestAtPs(newproc, ends_race_with_joins_and_detaches)
{
	for (long i = times(1); i > 0; i--) {
		ended = 0;
		ings(10, maker);
		settle(10 * 500);
	}
}

static void *makerthread(void *arg)
{
	must(getg() == NULL, "no G");
	return maker(arg);
}

/* Kernel threads without a G (pthread_create is libc's here) and Gs side by side. */
TestAtPs(newproc, threads_without_a_g_make_and_join)
{
	pthread_t t[3];

	for (long i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, makerthread, NULL);
	ings(3, maker);
	for (int i = 0; i < 3; i++) {
		entersyscallblock();
		pthread_join(t[i], NULL);
		exitsyscall();
	}
	settle(6 * 500);
}

static void *unwinder(void *arg)
{
	gosched();
	gounwind(arg);
}

TestAtPs(newproc, pthread_exit)
{
	ings(100, unwinder);
}

/* Each has its own errno, stack and TLS, and what it wrote there is gone for the next. */
static __thread long tls = 42;

static void *whole(void *arg)
{
	must(tls == 42 && errno == 0, "tls %ld errno %d", tls, errno);
	for (int i = 0; i < 20; i++) {
		tls = (long)arg + i;
		errno = (int)(long)arg + i;
		if (i % 4 == 0)
			gosleep(reldeadline(10000));
		else
			gosched();
		must(tls == (long)arg + i && errno == (int)(long)arg + i, "tls %ld errno %d", tls,
		     errno);
	}
	must(gofthread(pthread_self()) == getg() && selftid() == getg()->tid, "tid %d", selftid());
	return arg;
}

TestAtPs(newproc, own_errno_and_tls)
{
	for (long i = times(5); i > 0; i--)
		ings(200, whole);
}
