/* SPDX-License-Identifier: MIT */
/* Ways to end a process that has threads which run, wait, compute and sit in the kernel: from main
 * and from any thread, from destructors and handlers, twice at once. The parent sees the status;
 * handlers run once and in order, what is in stdio's buffers comes out once. exit(3),
 * quick_exit(3), abort(3), on_exit(3), pthread_exit(3) */
#include "t.h"
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int quiet[2];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_key_t key;
static atomic_int gate;
static int armed, told; /* handlers say nothing where their order is open */

static void at1(void)
{
	told ? (void)0 : say("  atexit 1");
}
static void at2(void)
{
	told ? (void)0 : say("  atexit 2");
}
static void on3(int st, void *arg)
{
	told ? (void)0 : say("  on_exit %d %s", st, (char *)arg);
}
static void quick(void)
{
	say("  at_quick_exit");
}

static __attribute__((destructor)) void last(void)
{
	if (armed && !told)
		say("  destructor of the program");
}

/* ---- the others --------------------------------------------------------------------------- */

static void *waits(void *arg)
{
	pthread_mutex_lock(&lock);
	for (;;)
		pthread_cond_wait(&cond, &lock);
	return arg;
}

static void *reads(void *arg)
{
	char c;

	for (;;)
		(void)!read(quiet[0], &c, 1);
	return arg;
}

static void *computes(void *arg)
{
	for (;;)
		;
	return arg;
}

static void *in_kernel(void *arg)
{
	for (;;)
		(void)!system("exec 2>/dev/null; :");
	return arg;
}

static void *naps(void *arg)
{
	for (;;)
		usleep(100);
	return arg;
}

static void crowd(void)
{
	void *(*const fn[])(void *) = {waits, reads, computes, naps, waits, reads, in_kernel};

	for (int i = 0; i < NELEM(fn); i++)
		OK(pthread_detach(start(fn[i], NULL)));
	usleep(2000);
}

/* ---- the ways ----------------------------------------------------------------------------- */

static void exit3(void *arg)
{
	(void)arg;
	exit(3);
}

static void on_usr1(int sig)
{
	(void)sig;
	exit(4);
}

static void on_abrt(int sig)
{
	(void)sig;
	say("  handler of SIGABRT");
}

static void again(void)
{
	exit(9);
}

static void *exits_at_gate(void *arg)
{
	gate++;
	while (gate < 2)
		;
	exit(5);
	return arg;
}

static void *ends_late(void *arg)
{
	usleep(5000);
	say("  last thread");
	return arg;
}

static void *child_of_nice(void *arg)
{
	usleep(10000);
	say("  a thread of a nice one is last");
	return arg;
}

static void *is_nice(void *arg)
{
	setpriority(PRIO_PROCESS, 0, 1);
	OK(pthread_detach(start(child_of_nice, NULL)));
	return arg;
}

static void way(int how)
{
	switch (how) {
	case 0:
		exit(300); /* & 255 */
	case 1:
		_exit(2);
	case 2:
		_Exit(6);
	case 3:
		quick_exit(7);
	case 4:
		abort();
	case 5:
		signal(SIGABRT, on_abrt);
		abort();
	case 6:
		OK(pthread_setspecific(key, "x")); /* its destructor exits */
		pthread_exit(NULL);
	case 7:
		pthread_cleanup_push(exit3, NULL);
		pthread_exit(NULL);
		pthread_cleanup_pop(0);
	case 8:
		signal(SIGUSR1, on_usr1);
		raise(SIGUSR1);
		break;
	case 9:
		told = 1;
		start(exits_at_gate, NULL);
		exits_at_gate(NULL);
		break;
	case 10:
		MUST(atexit(again) == 0);
		exit(8);
	case 11:
		kill(getpid(), SIGTERM);
		pause();
		break;
	case 12:
		flockfile(stdout); /* another holds it: exit does not wait for him */
		start(waits, NULL);
		exit(10);
	}
}

enum { WAYS = 13 };

static void *goes(void *arg)
{
	printf("  in the buffer\n");
	way((int)(intptr_t)arg);
	return NULL;
}

static void child(int how, int from_main)
{
	/* stdout is a file or a pipe: buffered */
	OK(pthread_key_create(&key, exit3));
	armed = 1;
	MUST(atexit(at1) == 0 && on_exit(on3, "arg") == 0 && atexit(at2) == 0);
	MUST(at_quick_exit(quick) == 0);
	crowd();
	if (from_main) {
		goes((void *)(intptr_t)how);
	} else {
		start(goes, (void *)(intptr_t)how);
		for (;;)
			pause();
	}
}

static void ended(const char *what, int how, pid_t pid)
{
	int st;

	MUST(waitpid(pid, &st, 0) == pid);
	if (WIFEXITED(st))
		say("%s %d: exited %d", what, how, WEXITSTATUS(st));
	else
		say("%s %d: signal %d", what, how, WTERMSIG(st));
}

int main(void)
{
	struct rlimit none = {0, 0};
	pid_t pid;

	MUST(pipe(quiet) == 0);
	setrlimit(RLIMIT_CORE, &none);
	for (int how = 0; how < WAYS; how++)
		for (int m = 0; m < 2; m++) {
			fflush(stdout);
			if ((pid = fork()) == 0)
				child(how, m);
			ended(m ? "main" : "thread", how, pid);
		}
	/* main returns, or ends, before the others. */
	for (int how = 0; how < 4; how++) {
		if ((pid = fork()) == 0) {
			armed = 1;
			MUST(atexit(at1) == 0);
			printf("  in the buffer\n");
			if (how == 0) {
				crowd();
				return 11;
			}
			start(how == 1 ? ends_late : how == 2 ? goes : is_nice, NULL);
			pthread_exit(NULL);
		}
		ended("main ends", how, pid);
	}
	return 0;
}
