/* SPDX-License-Identifier: MIT */
/* futex(2) FUTEX_REQUEUE, CMP_REQUEUE and WAKE_OP by syscall(): counts, errors; who was moved is
 * woken, times out and is interrupted where it is now. */
#include "futex.h"
#include <signal.h>
#include <sys/mman.h>

static uint32_t a, b;
static int norder;

static void *waits(void *arg)
{
	long r = wait_on(arg, 0, NULL);

	MUST(r == 0 || errno == EAGAIN);
	__atomic_fetch_add(&norder, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void until_woken(int n)
{
	while (__atomic_load_n(&norder, __ATOMIC_SEQ_CST) < n)
		usleep(200);
}

static long cmp_requeue(uint32_t *from, int nwake, uint32_t *to, int nmove, uint32_t expect)
{
	return futexn(from, FUTEX_CMP_REQUEUE_PRIVATE, nwake, nmove, to, expect);
}

static void moving(void)
{
	pthread_t t[10];

	for (int i = 0; i < 10; i++)
		t[i] = start(waits, &a);
	until_waiting(&a, 10);
	say("other value: %s", outcome(cmp_requeue(&a, 1, &b, 1, 7)));
	say("negative: %s", outcome(requeue(&a, -1, &b, 1)));
	say("negative: %s", outcome(requeue(&a, 1, &b, -1)));
	say("not aligned: %s", outcome(requeue(&a, 1, (uint32_t *)((char *)&b + 1), 1)));
	say("wake 1, move 2: %s", outcome(requeue(&a, 1, &b, 2)));
	until_woken(1);
	say("there: %ld, here: %ld", waiting(&b), waiting(&a));
	say("wake 0, move 1: %s", outcome(cmp_requeue(&a, 0, &b, 1, 0)));
	say("wake 1, move 0: %s", outcome(cmp_requeue(&a, 1, &b, 0, 0)));
	until_woken(2);
	say("there: %ld, here: %ld", waiting(&b), waiting(&a));
	say("wake there: %ld", wake(&b, 1));
	until_woken(3);
	say("wake 2, move all: %s", outcome(cmp_requeue(&a, 2, &b, INT_MAX, 0)));
	until_woken(5);
	say("there: %ld, here: %ld", waiting(&b), waiting(&a));
	say("back: %s", outcome(requeue(&b, 0, &a, 2)));
	say("wake here: %ld, there: %ld", wake(&a, INT_MAX), wake(&b, INT_MAX));
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	say("nobody: %s", outcome(requeue(&a, 1, &b, 1)));
}

static _Atomic bool over;

static void *waits_a_while(void *arg)
{
	struct timespec ts = {0, 300000000};

	(void)arg;
	const char *how = outcome(wait_on(&a, 0, &ts));
	over = true;
	return !strcmp(how, "ETIMEDOUT") ? "ETIMEDOUT" : "woken";
}

/* On a slow machine its time may be over before it is moved: then once more. */
static const char *moved_in_time(void)
{
	for (;;) {
		over = false;
		pthread_t t = start(waits_a_while, NULL);
		while (!over && waiting(&a) == 0)
			usleep(200);
		long moved = requeue(&a, 0, &b, 1);
		const char *how = finish(t);
		if (moved == 1)
			return how;
	}
}

static void handler(int s)
{
	(void)s;
}

static void *waits_restart(void *arg)
{
	(void)arg;
	say("  %s", outcome(wait_on(&a, 0, NULL)));
	return NULL;
}

static void leaving(void)
{
	say("moved, then its time is over");
	say("  %s", moved_in_time());
	say("left: %ld %ld", waiting(&a), waiting(&b));

	say("moved, then interrupted: starts again where it was");
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	pthread_t t = start(waits_restart, NULL);
	until_waiting(&a, 1);
	requeue(&a, 0, &b, 1);
	until_waiting(&b, 1);
	OK(pthread_kill(t, SIGUSR1));
	until_waiting(&a, 1);
	say("left there: %ld", waiting(&b));
	wake(&a, 1);
	finish(t);

	say("moved, then interrupted: the value has changed");
	t = start(waits_restart, NULL);
	until_waiting(&a, 1);
	requeue(&a, 0, &b, 1);
	until_waiting(&b, 1);
	__atomic_store_n(&a, 1, __ATOMIC_SEQ_CST);
	OK(pthread_kill(t, SIGUSR1));
	finish(t);
	a = 0;
}

static long wake_op(int n1, int n2, int op, int arg, int cmp, int cmparg)
{
	return futexn(&a, FUTEX_WAKE_OP_PRIVATE, n1, n2, &b, FUTEX_OP(op, arg, cmp, cmparg));
}

static void ops(void)
{
	static const struct {
		const char *name;
		int op, arg, cmp, cmparg;
		uint32_t before;
	} o[] = {
	    {"set", FUTEX_OP_SET, 5, FUTEX_OP_CMP_EQ, 3, 3},
	    {"add", FUTEX_OP_ADD, 4, FUTEX_OP_CMP_NE, 3, 3},
	    {"add -1", FUTEX_OP_ADD, 0xfff, FUTEX_OP_CMP_LT, 4, 3},
	    {"or", FUTEX_OP_OR, 12, FUTEX_OP_CMP_LE, 3, 3},
	    {"andn", FUTEX_OP_ANDN, 1, FUTEX_OP_CMP_GT, 2, 3},
	    {"xor", FUTEX_OP_XOR, 6, FUTEX_OP_CMP_GE, 4, 3},
	    {"set, negative", FUTEX_OP_SET, 0x800, FUTEX_OP_CMP_LT, 0xfff, (uint32_t)-5},
	    {"set 1 << 31", FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT, 31, FUTEX_OP_CMP_EQ, 0, 3},
	    {"unknown", 6, 1, FUTEX_OP_CMP_EQ, 3, 3},
	    {"unknown comparison", FUTEX_OP_ADD, 1, 9, 3, 3},
	};
	pthread_t ta[3], tb[3];
	char *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < NELEM(o); i++) {
		norder = 0;
		a = b = 0;
		for (int j = 0; j < 3; j++) {
			ta[j] = start(waits, &a);
			tb[j] = start(waits, &b);
		}
		until_waiting(&a, 3);
		until_waiting(&b, 3);
		b = o[i].before;
		long r = wake_op(1, 2, o[i].op, o[i].arg, o[i].cmp, o[i].cmparg);
		say("%s: %s, word %d, left %ld %ld", o[i].name, outcome(r), (int)b, waiting(&a),
		    waiting(&b));
		wake(&a, INT_MAX);
		wake(&b, INT_MAX);
		for (int j = 0; j < 3; j++) {
			finish(ta[j]);
			finish(tb[j]);
		}
	}
	say("read-only: %s",
	    outcome(futexn(&a, FUTEX_WAKE_OP_PRIVATE, 1, 1, ro, FUTEX_OP(FUTEX_OP_ADD, 1, 0, 0))));
	say("not aligned: %s", outcome(futexn(&a, FUTEX_WAKE_OP_PRIVATE, 1, 1, ro + 2,
					      FUTEX_OP(FUTEX_OP_ADD, 1, 0, 0))));
}

int main(void)
{
	moving();
	leaving();
	ops();
	return 0;
}
