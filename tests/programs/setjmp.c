/* SPDX-License-Identifier: MIT */
/* setjmp and longjmp, sigsetjmp and siglongjmp, fortified and not, in threads and across blocking
 * calls. setjmp(3) */
#ifdef __OPTIMIZE__
#undef _FORTIFY_SOURCE
#define _FORTIFY_SOURCE 2 /* longjmp becomes __longjmp_chk, which looks at the stack */
#endif
#include "t.h"
#include <setjmp.h>

static __attribute__((noinline)) void deep(jmp_buf env, int n, int value)
{
	volatile char frame[200];

	frame[0] = n;
	if (n < 0)
		return;
	if (n == 0) {
		usleep(200);
		longjmp(env, value);
	}
	deep(env, n - 1, value);
	MUST(frame[0] == n);
}

static void *jumper(void *arg)
{
	jmp_buf env;
	volatile int back = 0;

	for (volatile int i = 1; i <= scaled(30); i++) {
		int r = setjmp(env);
		if (r == 0) {
			sched_yield();
			deep(env, 20 + (int)(intptr_t)arg % 30, i);
		}
		MUST(r == i);
		back++;
	}
	MUST(back == scaled(30));

	sigjmp_buf senv;
	volatile int tries = 0;
	if (sigsetjmp(senv, 1) < 5) {
		usleep(100);
		siglongjmp(senv, ++tries);
	}
	MUST(tries == 5);
	return NULL;
}

int main(void)
{
	pthread_t t[40];

	for (int i = 0; i < NELEM(t); i++)
		t[i] = start_small(jumper, (void *)(intptr_t)i);
	jumper((void *)3);
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	say("%d threads jumped", NELEM(t));
	return 0;
}
