/* SPDX-License-Identifier: MIT */
/* backtrace(3) from a handler: of a thread that crashes, that computes, that waits, of main: the
 * functions on the way are in it, innermost first, and it comes to an end. The same in a thread of
 * a fork's child. */
#include "t.h"
#include <execinfo.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

/* Each in a section of its own, whose bounds the linker knows. */
#define IN(s) __attribute__((noinline, section(#s)))
#define BOUNDS(s) extern char __start_##s[], __stop_##s[]
BOUNDS(inner);
BOUNDS(middle);
BOUNDS(outer);

static atomic_int seen, quit, there;
static __thread sigjmp_buf out;
static int p[2];

static void look(const char *what)
{
	void *pc[200];
	int n = backtrace(pc, NELEM(pc)), in = -1, mid = -1, o = -1;

	for (int i = 0; i < n; i++) {
		char *at = pc[i];
		if (at >= __start_inner && at <= __stop_inner)
			in = i;
		if (at >= __start_middle && at <= __stop_middle)
			mid = i;
		if (at >= __start_outer && at <= __stop_outer)
			o = i;
	}
	say("%s: inner %d middle %d outer %d, in order %d, ends %d", what, in >= 0, mid >= 0,
	    o >= 0, in < mid && mid < o, n < NELEM(pc));
}

static void on_segv(int sig)
{
	(void)sig;
	look("crashes");
	siglongjmp(out, 1);
}

static void on_usr1(int sig)
{
	(void)sig;
	look("interrupted");
	seen = 1;
}

static volatile int *nil, sum;

IN(inner) static int does(int what)
{
	char c;

	switch (what) {
	case 0:
		return *nil;
	case 1:
		there = 1;
		while (!quit)
			sum++;
		return 1;
	case 2:
		there = 1;
		while (read(p[0], &c, 1) < 0)
			;
		return 1;
	default:
		there = 1;
		while (!quit)
			usleep(1000);
		return 1;
	}
}

IN(middle) static int goes(int what)
{
	return does(what) + 1;
}

IN(outer) static void *thread(void *arg)
{
	int what = (int)(intptr_t)arg;

	if (what != 0 || sigsetjmp(out, 1) == 0)
		return (void *)(intptr_t)goes(what);
	return arg;
}

static void interrupt(int what)
{
	seen = quit = there = 0;
	pthread_t t = start(thread, (void *)(intptr_t)what);
	while (!there)
		usleep(100);
	settle();
	OK(pthread_kill(t, SIGUSR1));
	while (!seen)
		usleep(100);
	quit = 1;
	MUST(write(p[1], "x", 1) == 1);
	finish(t);
	if (what != 2)
		MUST(read(p[0], &(char){0}, 1) == 1);
}

static void all(void)
{
	finish(start(thread, (void *)0));
	for (int what = 1; what <= 3; what++)
		interrupt(what);
	thread((void *)0); /* main */
}

static void *forks(void *arg)
{
	int st;

	if (fork() == 0) {
		all();
		_exit(0);
	}
	MUST(wait(&st) > 0 && st == 0);
	return arg;
}

int main(void)
{
	void *pc[1];

	backtrace(pc, 1); /* loads libgcc */
	MUST(pipe(p) == 0);
	signal(SIGSEGV, on_segv);
	signal(SIGUSR1, on_usr1);
	all();
	say("in a child");
	finish(start(forks, NULL));
	return 0;
}
