/* SPDX-License-Identifier: MIT */
/* futex(2) FUTEX_WAIT, WAKE, WAIT_BITSET, WAKE_BITSET by syscall(): every error, both clocks,
 * counts, order, bits, signals with and without SA_RESTART. */
#include "futex.h"
#include <signal.h>
#include <sys/mman.h>

static uint32_t word, other;

static void errors(void)
{
	struct timespec past = {0, 1}, zero = {0, 0}, badns = {1, 1000000000}, negns = {1, -1},
			neg = {-1, 0};
	struct timespec soon;
	char *bad = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(bad != MAP_FAILED);
	say("mismatch: %s", outcome(wait_on(&word, 1, NULL)));
	say("mismatch, past: %s", outcome(wait_bits(&word, 1, &past, 1)));
	say("zero: %s", outcome(wait_on(&word, 0, &zero)));
	say("1 ns: %s", outcome(wait_on(&word, 0, &past)));
	say("past: %s", outcome(wait_bits(&word, 0, &past, 1)));
	say("past, realtime: %s",
	    outcome(
		futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &past, NULL, 1)));
	say("nsec too large: %s", outcome(wait_on(&word, 0, &badns)));
	say("nsec negative: %s", outcome(wait_on(&word, 0, &negns)));
	say("sec negative: %s", outcome(wait_on(&word, 0, &neg)));
	say("mismatch and nsec too large: %s", outcome(wait_on(&word, 1, &badns)));
	say("no bits: %s", outcome(wait_bits(&word, 0, NULL, 0)));
	say("wake without bits: %s", outcome(wake_bits(&word, 1, 0)));
	say("not aligned: %s", outcome(wait_on((uint32_t *)((char *)&word + 1), 0, NULL)));
	say("wake, not aligned: %s", outcome(wake((uint32_t *)((char *)&word + 2), 1)));
	say("bad address: %s", outcome(wait_on((uint32_t *)bad, 0, NULL)));
	say("nil: %s", outcome(wait_on(NULL, 0, NULL)));
	say("the kernel's: %s", outcome(wait_on((uint32_t *)0xffff800000000000, 0, NULL)));
	say("bad time-out: %s", outcome(wait_on(&word, 0, (struct timespec *)bad)));
	say("wake at a bad address: %s", outcome(wake((uint32_t *)bad, 1)));
	say("wake: %s", outcome(wake(&word, 1)));
	say("unknown: %s", outcome(futex(&word, 99 | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0)));
	say("shared mismatch: %s", outcome(futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0)));
	say("shared past: %s", outcome(futex(&word, FUTEX_WAIT_BITSET, 0, &past, NULL, 1)));
	soon = in_ms(CLOCK_MONOTONIC, 20);
	say("monotonic: %s", outcome(wait_bits(&word, 0, &soon, ~0u)));
	struct timespec n = now(CLOCK_MONOTONIC);
	say("not too early: %d",
	    n.tv_sec > soon.tv_sec || (n.tv_sec == soon.tv_sec && n.tv_nsec >= soon.tv_nsec));
	soon = in_ms(CLOCK_REALTIME, 20);
	say("realtime: %s", outcome(futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME,
					  0, &soon, NULL, 1)));
	struct timespec rel = {0, 20000000};
	say("relative: %s", outcome(wait_on(&word, 0, &rel)));
	say("the time-out is left alone: %ld", rel.tv_nsec);
	munmap(bad, 4096);
}

/* ---- counts, order, bits ----------------------------------------------------------------------
 */

static int order[64], norder;

struct w {
	uint32_t bits;
	int id;
};

static void *waits(void *arg)
{
	struct w *w = arg;

	MUST((w->bits ? wait_bits(&word, 0, NULL, w->bits) : wait_on(&word, 0, NULL)) == 0);
	order[__atomic_fetch_add(&norder, 1, __ATOMIC_SEQ_CST)] = w->id;
	return NULL;
}

static void until_woken(int n)
{
	while (__atomic_load_n(&norder, __ATOMIC_SEQ_CST) < n)
		usleep(200);
}

static void counts(void)
{
	pthread_t t[10];
	struct w w[10];

	for (int i = 0; i < 10; i++) {
		w[i] = (struct w){0, i};
		t[i] = start(waits, &w[i]);
		until_waiting(&word, i + 1);
	}
	say("wake another: %ld", wake(&other, 5));
	say("wake 1: %ld", wake(&word, 1));
	until_woken(1);
	say("the first came first: %d", order[0]);
	say("wake 0: %ld", wake(&word, 0)); /* the kernel wakes one */
	until_woken(2);
	say("wake -1: %ld", wake(&word, -1));
	until_woken(3);
	say("wake 3: %ld", wake(&word, 3));
	until_woken(6);
	say("left: %ld", waiting(&word));
	say("wake all: %ld", wake(&word, INT_MAX));
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	say("and again: %ld", wake(&word, INT_MAX));
}

static void bits(void)
{
	static struct w w[] = {{1, 0}, {2, 1}, {3, 2}, {0, 3}, {4, 4}, {0x80000000, 5}};
	pthread_t t[6];

	norder = 0;
	for (int i = 0; i < 6; i++) {
		t[i] = start(waits, &w[i]);
		until_waiting(&word, i + 1);
	}
	say("bits 8: %ld", wake_bits(&word, 1, 8)); /* who waits without bits has them all */
	until_woken(1);
	say("it was %d", order[0]);
	say("bits 2: %ld", wake_bits(&word, 1, 2));
	until_woken(2);
	say("it was %d", order[1]);
	say("bits 3: %ld", wake_bits(&word, INT_MAX, 3));
	until_woken(4);
	say("bits 3 again: %ld", wake_bits(&word, INT_MAX, 3));
	say("high bit: %ld", wake_bits(&word, INT_MAX, 0x80000000));
	until_woken(5);
	say("it was %d", order[4]);
	say("plain: %ld", wake(&word, INT_MAX));
	for (int i = 0; i < 6; i++)
		finish(t[i]);
}

/* ---- signals ------------------------------------------------------------------------------------
 */

static int handled;

static void handler(int s)
{
	(void)s;
	__atomic_fetch_add(&handled, 1, __ATOMIC_SEQ_CST);
}

static struct timespec far = {100, 0};

static void *interrupted(void *arg)
{
	long r = wait_on(&word, 0, arg);

	say("  %s", outcome(r));
	return NULL;
}

/* end: the wait is expected to go on after the handler. */
static void signals(const char *what, int flags, struct timespec *ts, int goes_on)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	say("%s", what);
	pthread_t t = start(interrupted, ts);
	until_waiting(&word, 1);
	int before = handled;
	OK(pthread_kill(t, SIGUSR1));
	while (__atomic_load_n(&handled, __ATOMIC_SEQ_CST) == before)
		usleep(200);
	if (goes_on) {
		until_waiting(&word, 1);
		wake(&word, 1);
	}
	finish(t);
}

static void *cancellable(void *arg)
{
	say("  %s", outcome(wait_on(&word, 0, NULL)));
	say("  acts at the next point");
	pthread_testcancel();
	say("  never");
	return arg;
}

int main(void)
{
	errors();
	counts();
	bits();
	signals("handler", 0, NULL, 0);
	signals("handler, SA_RESTART", SA_RESTART, NULL, 1);
	signals("handler, time-out", 0, &far, 0);
	signals("handler, SA_RESTART, time-out", SA_RESTART, &far, 0);

	say("no cancellation point");
	pthread_t t = start(cancellable, NULL);
	until_waiting(&word, 1);
	OK(pthread_cancel(t));
	settle();
	until_waiting(&word, 1);
	wake(&word, 1);
	say("cancelled: %d", finish(t) == PTHREAD_CANCELED);
	errors(); /* and with a pool */
	return 0;
}
