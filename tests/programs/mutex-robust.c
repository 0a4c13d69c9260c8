/* SPDX-License-Identifier: MIT */
/* Robust mutexes: an owner that ends (returns, exits, is cancelled, is a process that is killed) is
 * seen by the next locker, whether it comes later, waits already, or waits on a condition variable;
 * consistent or not recoverable. pthread_mutexattr_setrobust(3), pthread_mutex_consistent(3p) */
#include "t.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { NMUTEX = 5, NWAITER = 6 };

static struct world {
	pthread_mutex_t m[NMUTEX];
	pthread_cond_t c;
	pthread_barrier_t b;
	int left;
} * w;

static int type, protocol, shared;

static void init(void)
{
	pthread_mutexattr_t a;
	pthread_barrierattr_t ba;
	pthread_condattr_t ca;

	OK(pthread_mutexattr_init(&a));
	OK(pthread_mutexattr_settype(&a, type));
	OK(pthread_mutexattr_setprotocol(&a, protocol));
	OK(pthread_mutexattr_setpshared(&a, shared));
	OK(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST));
	for (int i = 0; i < NMUTEX; i++)
		OK(pthread_mutex_init(&w->m[i], &a));
	OK(pthread_barrierattr_init(&ba));
	OK(pthread_barrierattr_setpshared(&ba, shared));
	OK(pthread_barrier_init(&w->b, &ba, 2));
	OK(pthread_condattr_init(&ca));
	OK(pthread_condattr_setpshared(&ca, shared));
	OK(pthread_cond_init(&w->c, &ca));
}

/* The ways to end as the owner of all. */
static void *returns(void *arg)
{
	for (int i = 0; i < NMUTEX; i++)
		OK(pthread_mutex_lock(&w->m[i]));
	if (type == PTHREAD_MUTEX_RECURSIVE)
		OK(pthread_mutex_lock(&w->m[0]));
	OK(pthread_mutex_unlock(&w->m[2])); /* out of the middle */
	OK(pthread_mutex_lock(&w->m[2]));
	return arg;
}

static void *exits(void *arg)
{
	returns(NULL);
	pthread_exit(arg);
}

static void *cancelled(void *arg)
{
	returns(NULL);
	pthread_barrier_wait(&w->b);
	for (;;)
		sleep(1);
	return arg;
}

/* One call, one line: arguments of a single say() would be evaluated in any order. */
#define DO(call, m) say("    " #call ": %s", errname(pthread_mutex_##call(m)))

static void show(const char *what, pthread_mutex_t *m)
{
	int err = pthread_mutex_trylock(m);

	say("  %s: trylock %s", what, errname(err));
	if (err == EOWNERDEAD) {
		DO(consistent, m);
		DO(consistent, m);
		DO(unlock, m);
		DO(lock, m);
		DO(unlock, m);
		DO(unlock, m);
	}
}

static void comes_later(const char *how, void *(*fn)(void *))
{
	struct timespec ts = in_ms(CLOCK_REALTIME, 5000);
	pthread_t t = start(fn, NULL);

	if (fn == cancelled) {
		pthread_barrier_wait(&w->b);
		OK(pthread_cancel(t));
	}
	finish(t);
	say(" the owner %s", how);
	show("0", &w->m[0]);
	show("1", &w->m[1]);
	/* Without consistent: lost. */
	pthread_mutex_t *m = &w->m[2];
	say("  2:");
	DO(lock, m);
	if (type != PTHREAD_MUTEX_RECURSIVE)
		DO(trylock, m);
	DO(unlock, m);
	DO(lock, m);
	say("    timedlock: %s", errname(pthread_mutex_timedlock(m, &ts)));
	DO(unlock, m);
	DO(consistent, m);
	DO(trylock, m); /* the last: libc leaves it locked */
	m = &w->m[3];
	say("  3: timedlock: %s", errname(pthread_mutex_timedlock(m, &ts)));
	DO(consistent, m);
	DO(unlock, m);
	say("  4:");
	DO(destroy, &w->m[4]);
}

/* ---- those who wait already ------------------------------------------------------------------ */

static int dead, fine, lost, mend;

static void *waits(void *arg)
{
	struct timespec ts = in_ms(CLOCK_MONOTONIC, 60000);
	int err = arg != NULL ? pthread_mutex_clocklock(&w->m[0], CLOCK_MONOTONIC, &ts)
			      : pthread_mutex_lock(&w->m[0]);

	if (err == EOWNERDEAD) {
		__atomic_add_fetch(&dead, 1, __ATOMIC_SEQ_CST);
		if (mend)
			OK(pthread_mutex_consistent(&w->m[0]));
	} else if (err == ENOTRECOVERABLE) {
		__atomic_add_fetch(&lost, 1, __ATOMIC_SEQ_CST);
		return NULL;
	} else {
		MUST(err == 0);
		__atomic_add_fetch(&fine, 1, __ATOMIC_SEQ_CST);
	}
	OK(pthread_mutex_unlock(&w->m[0]));
	return NULL;
}

static void *holds(void *arg)
{
	OK(pthread_mutex_lock(&w->m[0]));
	pthread_barrier_wait(&w->b);
	settle(); /* they queue */
	return arg;
}

static void wait_already(void)
{
	pthread_t t, ws[NWAITER];
	int n = mend ? NWAITER : 1; /* libc forgets to wake the others of a lost one */

	t = start(holds, NULL);
	pthread_barrier_wait(&w->b);
	dead = fine = lost = 0;
	for (int i = 0; i < n; i++)
		ws[i] = start(waits, (void *)(intptr_t)(i % 2));
	finish(t);
	for (int i = 0; i < n; i++)
		finish(ws[i]);
	say(" waiters: owner dead %d, fine %d, not recoverable %d", dead, fine, lost);
}

/* ---- condition variable ---------------------------------------------------------------------- */

static void *signals(void *arg)
{
	OK(pthread_mutex_lock(&w->m[0]));
	w->left = 1;
	OK(pthread_cond_signal(&w->c));
	return arg; /* and leaves it locked */
}

static void cond_waits(void)
{
	pthread_t t;
	int err = 0;

	w->left = 0;
	OK(pthread_mutex_lock(&w->m[0]));
	t = start(signals, NULL);
	while (!w->left && err == 0)
		err = pthread_cond_wait(&w->c, &w->m[0]);
	say(" cond_wait: %s", errname(err));
	finish(t);
	DO(consistent, &w->m[0]);
	DO(unlock, &w->m[0]);
	DO(destroy, &w->m[0]);
}

/* ---- processes ------------------------------------------------------------------------------- */

static void *in_child(void *arg)
{
	returns(NULL);
	pthread_barrier_wait(&w->b);
	pause();
	return arg;
}

/* A process is killed while one of its threads, or main, is the owner, and we may be waiting. */
static void process_dies(int thread, int waiting)
{
	pid_t pid = fork();
	int status;

	MUST(pid >= 0);
	if (pid == 0) {
		if (thread)
			finish(start(in_child, NULL));
		else
			in_child(NULL);
		_exit(1);
	}
	pthread_barrier_wait(&w->b);
	if (waiting) {
		pthread_t t = start(waits, NULL);
		dead = 0;
		settle();
		MUST(kill(pid, SIGKILL) == 0);
		finish(t);
		MUST(dead == 1);
		say("  the waiter saw it");
	} else {
		MUST(kill(pid, SIGKILL) == 0);
	}
	MUST(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	for (int i = waiting; i < NMUTEX; i++)
		show("of a dead process", &w->m[i]);
}

static const char *types[] = {"normal", "recursive", "errorcheck", "adaptive"};

int main(void)
{
	w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(w != MAP_FAILED);
	for (shared = 0; shared < 2; shared++)
		for (protocol = 0; protocol < 2; protocol++)
			for (type = 0; type < 4; type++) {
				say("%s%s%s", types[type], protocol ? " inherit" : "",
				    shared ? " shared" : "");
				init();
				comes_later("returned", returns);
				init();
				comes_later("exited", exits);
				init();
				comes_later("was cancelled", cancelled);
				for (mend = 0; mend < 2; mend++) {
					init();
					wait_already();
				}
				init();
				cond_waits();
				if (shared)
					for (int i = 0; i < 4; i++) {
						init();
						say(" a process dies, %s",
						    i & 1 ? "a thread's" : "main's");
						mend = 1;
						process_dies(i & 1, i >> 1);
					}
			}
	return 0;
}
