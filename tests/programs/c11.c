/* SPDX-License-Identifier: MIT */
/* C11 threads: thrd_, mtx_, cnd_, tss_, call_once. threads.h, C11 7.26 */
#include "t.h"
#include <limits.h>
#include <signal.h>
#include <threads.h>

static mtx_t m;
static cnd_t c;
static tss_t key;
static once_flag once = ONCE_FLAG_INIT;
static thread_local int local = 5;
static int ran, dropped, tokens, taken;
static long count;

static const char *result(int r)
{
	return r == thrd_success    ? "success"
	       : r == thrd_busy	    ? "busy"
	       : r == thrd_error    ? "error"
	       : r == thrd_nomem    ? "nomem"
	       : r == thrd_timedout ? "timedout"
				    : "?";
}

static void init(void)
{
	usleep(1000);
	ran++;
}

static void drop(void *p)
{
	free(p);
	__atomic_add_fetch(&dropped, 1, __ATOMIC_RELAXED);
}

static int worker(void *arg)
{
	call_once(&once, init);
	MUST(ran == 1 && local == 5);
	local = (int)(intptr_t)arg;
	MUST(tss_get(key) == NULL && tss_set(key, malloc(8)) == thrd_success);
	for (int i = 0; i < scaled(500); i++) {
		MUST(mtx_lock(&m) == thrd_success);
		count++;
		if (i % 100 == 0)
			thrd_yield();
		MUST(mtx_unlock(&m) == thrd_success);
	}
	MUST(mtx_lock(&m) == thrd_success);
	while (tokens == 0)
		MUST(cnd_wait(&c, &m) == thrd_success);
	tokens--;
	taken++;
	MUST(mtx_unlock(&m) == thrd_success);
	MUST(local == (int)(intptr_t)arg);
	thrd_exit((int)(intptr_t)arg * 3);
}

static int try_it(void *arg)
{
	struct timespec ts = in_ms(CLOCK_REALTIME, 30);

	say("trylock by another: %s", result(mtx_trylock(arg)));
	say("timedlock: %s", result(mtx_timedlock(arg, &ts)));
	return 9;
}

static void on_usr1(int sig)
{
	(void)sig;
}

static _Atomic int awake;

static int sleeper(void *arg)
{
	struct timespec ts = {100, 0}, left = {0, 0};
	int r = thrd_sleep(&ts, &left);

	say("thrd_sleep, interrupted: %d, something left %d", r,
	    left.tv_sec > 0);
	awake = 1;
	return arg != NULL;
}

static int waits(void *arg)
{
	int r = mtx_lock(arg);

	return r == thrd_success ? mtx_unlock(arg) : r;
}

static void errors(void)
{
	static tss_t keys[2 * PTHREAD_KEYS_MAX];
	struct timespec bad = {0, 1000000000}, before = {-1, 0}, past = {0, 0};
	pthread_attr_t a, huge;
	static mtx_t timed, rec; /* a thread that is detached unlocks it in its own time */
	thrd_t t;
	int n = 0, r;

	MUST(mtx_init(&timed, mtx_timed) == thrd_success &&
	     mtx_init(&rec, mtx_timed | mtx_recursive) == thrd_success);
	say("free, bad time: %s", result(mtx_timedlock(&timed, &bad)));
	say("locked, bad time: %s", result(mtx_timedlock(&timed, &bad)));
	say("past: %s", result(mtx_timedlock(&timed, &past)));
	say("before 1970: %s", result(mtx_timedlock(&timed, &before)));
	say("cnd_timedwait, bad time: %s", result(cnd_timedwait(&c, &timed, &bad)));
	say("past: %s", result(cnd_timedwait(&c, &timed, &past)));
	say("before 1970: %s", result(cnd_timedwait(&c, &timed, &before)));
	say("recursive, not locked: %s", result(cnd_timedwait(&c, &rec, &past)));
	say("unlock: %s", result(mtx_unlock(&rec)));
	for (int i = 0; i < 2; i++)
		say("lock: %s", result(mtx_timedlock(&rec, &past)));
	say("trylock: %s", result(mtx_trylock(&rec)));
	for (int i = 0; i < 4; i++)
		say("unlock: %s", result(mtx_unlock(&rec)));

	MUST(thrd_create(&t, waits, &timed) == thrd_success);
	say("detach: %s", result(thrd_detach(t)));
	say("join: %s", result(thrd_join(t, &r)));
	say("detach again: %s", result(thrd_detach(t)));
	say("join oneself: %s", result(thrd_join(thrd_current(), NULL)));
	MUST(mtx_unlock(&timed) == thrd_success);

	while (n < NELEM(keys) && tss_create(&keys[n], NULL) == thrd_success)
		n++;
	say("some keys %d, one more: %s", n > 100 && n < NELEM(keys),
	    result(tss_create(&keys[n], NULL)));
	for (int i = 0; i < n; i++)
		tss_delete(keys[i]);
	say("deleted: %s, %d", result(tss_set(keys[n - 1], &n)), tss_get(keys[n - 1]) == NULL);

	OK(pthread_getattr_default_np(&a));
	OK(pthread_attr_init(&huge));
	OK(pthread_attr_setstacksize(&huge, (size_t)1 << 47));
	OK(pthread_setattr_default_np(&huge));
	say("no room for a thread: %s", result(thrd_create(&t, waits, &timed)));
	OK(pthread_setattr_default_np(&a));

	signal(SIGUSR1, on_usr1);
	MUST(thrd_create(&t, sleeper, NULL) == thrd_success);
	while (!awake) {
		pthread_kill(t, SIGUSR1);
		usleep(1000);
	}
	MUST(thrd_join(t, &r) == thrd_success);
	thrd_sleep(&past, NULL);
	say("thrd_sleep, before now: %d, bad %d", thrd_sleep(&before, NULL) < -1,
	    thrd_sleep(&bad, NULL) < -1);
	struct timespec now;
	say("timespec_get: %d %d", timespec_get(&now, TIME_UTC) == TIME_UTC,
	    timespec_get(&now, 77));
}

int main(void)
{
	thrd_t t[20];
	mtx_t rec, timed;
	int r;
	long sum = 0;

	MUST(mtx_init(&m, mtx_plain) == thrd_success && cnd_init(&c) == thrd_success);
	MUST(tss_create(&key, drop) == thrd_success);
	for (int i = 0; i < NELEM(t); i++)
		MUST(thrd_create(&t[i], worker, (void *)(intptr_t)i) == thrd_success);
	for (int i = 0; i < NELEM(t); i++) {
		mtx_lock(&m);
		tokens++;
		MUST((i % 2 ? cnd_signal(&c) : cnd_broadcast(&c)) == thrd_success);
		mtx_unlock(&m);
	}
	for (int i = 0; i < NELEM(t); i++) {
		MUST(thrd_join(t[i], &r) == thrd_success);
		sum += r;
	}
	say("sum %ld, taken %d, dropped %d, counted right %d", sum, taken, dropped,
	    count == 20L * scaled(500));

	struct timespec ts = in_ms(CLOCK_REALTIME, 30);
	mtx_lock(&m);
	say("cnd_timedwait: %s", result(cnd_timedwait(&c, &m, &ts)));
	mtx_unlock(&m);
	MUST(mtx_init(&rec, mtx_plain | mtx_recursive) == thrd_success &&
	     mtx_init(&timed, mtx_timed) == thrd_success);
	for (int i = 0; i < 2; i++)
		say("recursive lock: %s", result(mtx_lock(&rec)));
	for (int i = 0; i < 3; i++)
		say("unlock: %s", result(mtx_unlock(&rec)));
	for (int i = 0; i < 2; i++)
		say("trylock: %s", result(mtx_trylock(&timed)));
	MUST(thrd_create(&t[0], try_it, &timed) == thrd_success);
	MUST(thrd_join(t[0], &r) == thrd_success);
	say("joined: %d", r);
	ts = (struct timespec){0, 20000000};
	say("thrd_sleep: %d", thrd_sleep(&ts, NULL));
	ts.tv_nsec = -5;
	say("thrd_sleep, bad: %d", thrd_sleep(&ts, NULL) < -1);
	say("current is equal to itself: %d", thrd_equal(thrd_current(), thrd_current()) != 0);
	errors();
	mtx_destroy(&rec);
	cnd_destroy(&c);
	tss_delete(key);
	return 0;
}
