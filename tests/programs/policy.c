/* SPDX-License-Identifier: MIT */
/* Policies and priorities of threads: their own, of others that wait, that compute, that are asked about before they have
 * run; by pthread_t and by thread id; inherited. Without the right to them: the same errors. pthread_setschedparam(3),
 * pthread_setschedprio(3), sched_setscheduler(2), sched(7) */
#include "t.h"
#include <sched.h>
#include <semaphore.h>

static sem_t go, done;
static _Atomic int tid, stop;

static const char *name(int policy)
{
	return policy == SCHED_OTHER ? "other" : policy == SCHED_FIFO ? "fifo" : policy == SCHED_RR ? "rr" :
	       policy == SCHED_BATCH ? "batch" : policy == SCHED_IDLE ? "idle" : "?";
}

static void tell(const char *who, pthread_t t)
{
	struct sched_param p = {-1};
	int policy = -1, err = pthread_getschedparam(t, &policy, &p);

	say("%s: %s %s %d", who, errname(err), name(policy), p.sched_priority);
}

static void to(const char *who, pthread_t t, int policy, int prio)
{
	struct sched_param p = {prio};

	say("%s to %s %d: %s", who, name(policy), prio, errname(pthread_setschedparam(t, policy, &p)));
	tell(who, t);
}

/* As the kernel has it, after all kinds of waits. */
static void really(void)
{
	struct sched_param p, q;
	int policy;

	for (int i = 0; i < 10; i++) {
		OK(pthread_getschedparam(pthread_self(), &policy, &q));
		MUST(sched_getscheduler(0) == policy && sched_getscheduler(gettid()) == policy);
		MUST(sched_getparam(0, &p) == 0 && p.sched_priority == q.sched_priority);
		if (i % 2)
			usleep(100);
		else
			sched_yield();
	}
}

static void *child(void *arg)
{
	tell(arg, pthread_self());
	return arg;
}

static void *self(void *arg)
{
	pthread_t t = pthread_self();
	pthread_attr_t a;
	int policy;
	struct sched_param p = {30};

	tell("new", t);
	to("self", t, SCHED_OTHER, 0);
	to("self", t, SCHED_FIFO, 0);
	to("self", t, SCHED_FIFO, 100);
	to("self", t, SCHED_OTHER, 1);
	to("self", t, 77, 0);
	to("self", t, -1, 0);
	to("self", t, SCHED_FIFO, 10);
	really();
	say("prio: %s %s %s", errname(pthread_setschedprio(t, 20)), errname(pthread_setschedprio(t, 0)),
	    errname(pthread_setschedprio(t, 1000)));
	tell("self", t);
	finish(start(child, "its child"));
	OK(pthread_getattr_np(t, &a));
	OK(pthread_attr_getschedpolicy(&a, &policy));
	OK(pthread_attr_getschedparam(&a, &p));
	say("its attributes: %s %d", name(policy), p.sched_priority);
	OK(pthread_attr_destroy(&a));
	p.sched_priority = 30;
	SYS(sched_setscheduler(0, SCHED_RR, &p));
	SYS(sched_setparam(gettid(), &p));
	SYS(sched_setparam(0, NULL));
	SYS(sched_setscheduler(0, -1, &p));
	SYS(sched_setscheduler(-1, SCHED_RR, &p));
	say("now %s %d", name(sched_getscheduler(0)), sched_getparam(gettid(), &p) == 0 ? p.sched_priority : -1);
	to("self", t, SCHED_OTHER, 0);
	really();
	to("self", t, SCHED_BATCH, 0);
	really();
	finish(start(child, "its child"));
	return arg;
}

static void *waits(void *arg)
{
	tid = gettid();
	MUST(sem_post(&done) == 0);
	while (sem_wait(&go) != 0)
		;
	really();
	tell("waited", pthread_self());
	finish(start(child, "its child"));
	return arg;
}

static void *computes(void *arg)
{
	int want = *(int *)arg;

	tid = gettid();
	MUST(sem_post(&done) == 0);
	while (sched_getscheduler(0) != want && !stop)
		;
	really();
	MUST(sem_post(&done) == 0);
	return arg;
}

static void await(sem_t *s)
{
	while (sem_wait(s) != 0)
		;
}

int main(void)
{
	static int batch = SCHED_BATCH;
	struct sched_param p = {3};
	pthread_t t;

	MUST(sem_init(&go, 0, 0) == 0 && sem_init(&done, 0, 0) == 0);
	finish(start(self, NULL));

	t = start(waits, NULL);
	await(&done);
	tell("waiting", t);
	to("waiting", t, SCHED_RR, 7);
	to("waiting", t, SCHED_RR, 0);
	to("waiting", t, SCHED_OTHER, 5);
	to("waiting", t, 77, 0);
	say("prio: %s %s", errname(pthread_setschedprio(t, 8)), errname(pthread_setschedprio(t, 100)));
	tell("waiting", t);
	say("by id: %s %d", name(sched_getscheduler(tid)), sched_getparam(tid, &p) == 0 ? p.sched_priority : -1);
	tell("main", pthread_self());
	MUST(sem_post(&go) == 0);
	finish(t);

	t = start(waits, NULL);
	await(&done);
	p.sched_priority = 0;
	SYS(sched_setscheduler(tid, SCHED_BATCH, &p));
	say("by id: %s", name(sched_getscheduler(tid))); /* libc's pthread_getschedparam() tells what it was told itself */
	to("and back", t, SCHED_OTHER, 0);
	MUST(sem_post(&go) == 0);
	finish(t);

	for (int i = 0; i < 5; i++) {
		t = start(computes, &batch);
		await(&done);
		OK(pthread_setschedparam(t, SCHED_BATCH, &p));
		await(&done);
		finish(t);
	}
	to("main", pthread_self(), SCHED_BATCH, 0);
	really();
	finish(start(child, "its child"));
	return 0;
}
