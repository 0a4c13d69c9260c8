/* SPDX-License-Identifier: MIT */
/* Read-write locks of each kind and sharing: which of a waiting reader and a waiting writer comes
 * first, recursive readers, errors of the attribute, of try, timed and clock calls to holders and
 * others, the most readers. pthread_rwlockattr_setkind_np(3), pthread_rwlock_clockrdlock(3) */
#include "t.h"

static pthread_rwlock_t rw;
static int order, first;

static void *writer(void *arg)
{
	OK(pthread_rwlock_wrlock(&rw));
	if (__atomic_add_fetch(&order, 1, __ATOMIC_SEQ_CST) == 1)
		first = 'w';
	OK(pthread_rwlock_unlock(&rw));
	return arg;
}

static void *reader(void *arg)
{
	OK(pthread_rwlock_rdlock(&rw));
	if (__atomic_add_fetch(&order, 1, __ATOMIC_SEQ_CST) == 1)
		first = 'r';
	OK(pthread_rwlock_unlock(&rw));
	return arg;
}

/* A writer waits for the reader main: may others read meanwhile? A writer must have begun to wait,
 * so ask until. */
static void with_a_writer_waiting(int nonrecursive)
{
	struct timespec ts = in_ms(CLOCK_MONOTONIC, 10);
	pthread_t t;
	int err;

	OK(pthread_rwlock_rdlock(&rw));
	t = start(writer, NULL);
	settle();
	do {
		err = pthread_rwlock_tryrdlock(&rw);
		if (err == 0)
			OK(pthread_rwlock_unlock(&rw));
		sched_yield();
	} while (nonrecursive && err == 0);
	say("  tryrdlock while a writer waits: %s", errname(err));
	err = pthread_rwlock_clockrdlock(&rw, CLOCK_MONOTONIC, &ts);
	say("  clockrdlock: %s", errname(err));
	if (err == 0)
		OK(pthread_rwlock_unlock(&rw));
	OK(pthread_rwlock_unlock(&rw));
	finish(t);
}

/* Both wait for the writer main. */
static void who_comes_first(void)
{
	pthread_t w, r[5];

	order = 0;
	OK(pthread_rwlock_wrlock(&rw));
	w = start(writer, NULL);
	settle();
	for (int i = 0; i < 5; i++)
		r[i] = start(reader, NULL);
	settle();
	OK(pthread_rwlock_unlock(&rw));
	finish(w);
	for (int i = 0; i < 5; i++)
		finish(r[i]);
	MUST(order == 6 && first != 0);
}

static void times(const char *who)
{
	static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC};
	struct timespec ts;
	int r, w;

	for (int i = 0; i < 2; i++)
		for (int ms = -5; ms <= 5; ms += 10) {
			ts = in_ms(clocks[i], ms);
			r = pthread_rwlock_clockrdlock(&rw, clocks[i], &ts);
			if (r == 0)
				OK(pthread_rwlock_unlock(&rw));
			ts = in_ms(clocks[i], ms);
			w = pthread_rwlock_clockwrlock(&rw, clocks[i], &ts);
			if (w == 0)
				OK(pthread_rwlock_unlock(&rw));
			say("  %s, clock %d, %d ms: read %s, write %s", who, i, ms, errname(r),
			    errname(w));
		}
	for (long bad = -1; bad <= 1000000000; bad += 1000000001) {
		ts.tv_nsec = bad;
		r = pthread_rwlock_timedrdlock(&rw, &ts);
		w = pthread_rwlock_timedwrlock(&rw, &ts);
		say("  %s, nsec %ld: read %s, write %s", who, bad, errname(r), errname(w));
	}
	ts = in_ms(CLOCK_MONOTONIC, 5);
	r = pthread_rwlock_clockrdlock(&rw, CLOCK_BOOTTIME, &ts);
	w = pthread_rwlock_clockwrlock(&rw, CLOCK_PROCESS_CPUTIME_ID, &ts);
	say("  %s, other clocks: read %s, write %s", who, errname(r), errname(w));
	r = pthread_rwlock_tryrdlock(&rw);
	if (r == 0)
		OK(pthread_rwlock_unlock(&rw));
	w = pthread_rwlock_trywrlock(&rw);
	if (w == 0)
		OK(pthread_rwlock_unlock(&rw));
	say("  %s, try: read %s, write %s", who, errname(r), errname(w));
}

static void *other(void *arg)
{
	times(arg);
	return NULL;
}

static void *run(void *arg)
{
	pthread_rwlockattr_t a;

	for (int shared = 0; shared < 2; shared++)
		for (int kind = 0; kind < 3; kind++) {
			int got = -1, pshared = -1;
			say("kind %d%s", kind, shared ? " shared" : "");
			OK(pthread_rwlockattr_init(&a));
			OK(pthread_rwlockattr_setkind_np(&a, kind));
			OK(pthread_rwlockattr_setpshared(&a, shared));
			OK(pthread_rwlockattr_getkind_np(&a, &got));
			OK(pthread_rwlockattr_getpshared(&a, &pshared));
			MUST(got == kind && pshared == shared);
			OK(pthread_rwlock_init(&rw, &a));
			OK(pthread_rwlockattr_destroy(&a));
			with_a_writer_waiting(kind == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
			who_comes_first();
			times("free");
			OK(pthread_rwlock_rdlock(&rw));
			OK(pthread_rwlock_rdlock(&rw));
			OK(pthread_rwlock_unlock(&rw));
			finish(start(other, "read by another"));
			times("read by me");
			OK(pthread_rwlock_unlock(&rw));
			OK(pthread_rwlock_wrlock(&rw));
			say("  written by me: read %s, write %s",
			    errname(pthread_rwlock_rdlock(&rw)),
			    errname(pthread_rwlock_wrlock(&rw)));
			times("written by me");
			finish(start(other, "written by another"));
			OK(pthread_rwlock_unlock(&rw));
			OK(pthread_rwlock_destroy(&rw));
		}
	return arg;
}

int main(void)
{
	pthread_rwlockattr_t a;

	OK(pthread_rwlockattr_init(&a));
	RC(pthread_rwlockattr_setkind_np(&a, 3));
	RC(pthread_rwlockattr_setkind_np(&a, -1));
	RC(pthread_rwlockattr_setpshared(&a, 2));
	run(NULL);
	finish(start(run, NULL));
	return 0;
}
