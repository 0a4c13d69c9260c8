/* SPDX-License-Identifier: MIT */
/* What a constructor may do besides: load modules itself, in a name space of their own too; end its thread, be cancelled,
 * end the process. Modules loaded by a thread that libc made for a timer, and under a rain of signals whose handler uses
 * TLS. dlopen(3), dlmopen(3), pthread_exit(3), timer_create(2) */
#include "t.h"
#include <dlfcn.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

static int (*swap)(int);
static void (*todo)(void);
static sem_t job, reply, timed;
static int quit;

void loaded(int (*fn)(int));
void unloaded(void);

void loaded(int (*fn)(int))
{
	__atomic_store_n(&swap, fn, __ATOMIC_SEQ_CST);
	if (todo)
		todo();
}

void unloaded(void)
{
}

static void *open_it(void *name)
{
	void *h = dlopen(module_path(name), RTLD_NOW);

	MUST(h);
	return h;
}

static void *nothing(void *arg)
{
	return arg;
}

/* In a thread that was there before the module. */
static void *servant(void *arg)
{
	for (;;) {
		while (sem_wait(&job) != 0)
			;
		if (quit)
			return arg;
		int old = swap(3);
		MUST(old == 77 || old == 3); /* asked before */
		MUST(sem_post(&reply) == 0);
	}
}

static void ask(void)
{
	MUST(sem_post(&job) == 0);
	while (sem_wait(&reply) != 0)
		;
}

/* ---- inside ------------------------------------------------------------------------------------ */

static int depth;

static void nests(void)
{
	static char *const names[] = {"module-live-static.so", "module-live-dynamic.so", "module-live-desc.so"};
	int mine = depth++;

	ask();
	if (mine + 1 < NELEM(names)) {
		void *h = open_it(names[mine + 1]);
		ask();
		if (mine == 0)
			MUST(dlclose(h) == 0);
	}
	MUST(!dlopen("/nonexistent/x.so", RTLD_NOW) && dlerror());
	void *other = dlmopen(LM_ID_NEWLM, module_path("module-tls-late.so"), RTLD_NOW);
	MUST(other);
	MUST(!dlmopen(LM_ID_NEWLM, "/nonexistent/x.so", RTLD_NOW) && dlerror());
	int (*bump)(int) = (int (*)(int))dlsym(other, "bump");
	MUST(bump(5) == 105 && dlclose(other) == 0);
	finish(start(nothing, NULL));
}

static void ends(void)
{
	pthread_exit("ended");
}

static void waits(void)
{
	MUST(sem_post(&reply) == 0);
	for (;;)
		pause();
}

static void *pauses(void *arg)
{
	pause();
	return arg;
}

static void exits(void)
{
	exit(7);
}

/* In a process of its own: the loader's lock is never given back. */
static void child(void (*fn)(void), bool cancel)
{
	pid_t pid = fork();
	int st;

	if (pid == 0) {
		void *r = NULL;
		todo = fn;
		pthread_t t = start(open_it, "module-live-static.so");
		if (cancel) {
			while (sem_wait(&reply) != 0)
				;
			OK(pthread_cancel(t));
		}
		OK(pthread_join(t, &r));
		for (int i = 0; i < 20; i++)
			finish(start_small(nothing, NULL));
		_exit(r == PTHREAD_CANCELED ? 11 : r && strcmp(r, "ended") == 0 ? 12 : 13);
	}
	MUST(waitpid(pid, &st, 0) == pid && WIFEXITED(st));
	say("ends with %d", WEXITSTATUS(st));
}

/* ---- from outside ------------------------------------------------------------------------------ */

static void on_timer(union sigval v)
{
	void *h = open_it(v.sival_ptr);

	MUST(swap(1) == 77 && swap(2) == 1);
	ask();
	MUST(dlclose(h) == 0 && sem_post(&timed) == 0);
}

static void by_timer(char *name)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_timer, .sigev_value.sival_ptr = name};
	struct itimerspec soon = {.it_value.tv_nsec = 1000000};
	timer_t timer;

	MUST(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0 && timer_settime(timer, 0, &soon, NULL) == 0);
	while (sem_wait(&timed) != 0)
		;
	MUST(timer_delete(timer) == 0);
	say("%s, by a timer's thread", name);
}

static __thread int handled;
static int rain;

static void on_alarm(int s)
{
	(void)s;
	handled++;
	__atomic_add_fetch(&rain, 1, __ATOMIC_SEQ_CST);
}

static void *under_signals(void *name)
{
	for (int i = 0; i < scaled(60) || __atomic_load_n(&rain, __ATOMIC_SEQ_CST) < 20; i++) {
		void *h = open_it(name);
		MUST(swap(2) == 77 && swap(1) == 2);
		MUST(dlclose(h) == 0);
	}
	return name;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
	pthread_t s;

	MUST(sem_init(&job, 0, 0) == 0 && sem_init(&reply, 0, 0) == 0 && sem_init(&timed, 0, 0) == 0);
	s = start(pauses, NULL); /* libgcc_s is loaded by it, which waits would be in the way of */
	OK(pthread_cancel(s));
	MUST(finish(s) == PTHREAD_CANCELED);
	s = start(servant, NULL);
	todo = nests;
	for (int i = 0; i < 2; i++) {
		depth = 0;
		void *h = i ? finish(start(open_it, "module-live-static.so")) : open_it("module-live-static.so");
		MUST(dlclose(h) == 0);
		say("nested %d", depth);
	}
	todo = NULL;
	child(ends, false);
	child(waits, true);
	child(exits, false);
	for (int i = 0; i < 3; i++) {
		by_timer("module-live-static.so");
		by_timer("module-live-dynamic.so");
	}
	MUST(sigaction(SIGALRM, &sa, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
	finish(start(under_signals, "module-live-static.so"));
	rain = 0;
	under_signals("module-live-dynamic.so");
	MUST(setitimer(ITIMER_REAL, &never, NULL) == 0);
	say("handlers ran: %d", rain >= 20);
	quit = 1;
	MUST(sem_post(&job) == 0);
	finish(s);
	return 0;
}
