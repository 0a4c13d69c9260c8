/* SPDX-License-Identifier: MIT */
/* C11 threads: thrd_, mtx_, cnd_, tss_, call_once. threads.h, C11 7.26 */
#include "t.h"
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
	mtx_destroy(&rec);
	cnd_destroy(&c);
	tss_delete(key);
	return 0;
}
