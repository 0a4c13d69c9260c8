/* SPDX-License-Identifier: MIT */
/* Real-time policies: asked for by the thread itself, for a parked and for a running one, inherited, by attribute; priorities;
 * back to time-sharing; wrong values. The kernel is asked too. Who may not set them hears EPERM. sched(7) */
#include "t.h"
#include <sched.h>
#include <semaphore.h>

static sem_t go, done;
static volatile bool stop;
static bool may;

static void show(const char *who)
{
	struct sched_param param, kernel;
	int policy;

	OK(pthread_getschedparam(pthread_self(), &policy, &param));
	MUST(sched_getparam(0, &kernel) == 0);
	say("%s: policy %d priority %d, kernel's %d %d", who, policy, param.sched_priority, sched_getscheduler(0),
	    kernel.sched_priority);
}

static void set(const char *who, pthread_t t, int policy, int prio)
{
	struct sched_param param = {.sched_priority = prio};

	say("%s to %d %d: %s", who, policy, prio, errname(pthread_setschedparam(t, policy, &param)));
}

static void *inherits(void *arg)
{
	show(arg);
	return NULL;
}

static void *itself(void *arg)
{
	(void)arg;
	set("itself", pthread_self(), SCHED_RR, 3);
	show("itself");
	OK(pthread_join(start(inherits, "its thread"), NULL));
	say("priority: %s", errname(pthread_setschedprio(pthread_self(), 4)));
	show("itself");
	say("priority 0: %s", errname(pthread_setschedprio(pthread_self(), may ? 0 : 100)));
	set("itself", pthread_self(), SCHED_OTHER, 0);
	show("itself");
	return NULL;
}

static void *parked(void *arg)
{
	sem_wait(&go);
	show(arg);
	sem_post(&done);
	sem_wait(&go);
	show(arg);
	return NULL;
}

static void *computes(void *arg)
{
	struct sched_param param;
	int policy;

	sem_post(&done);
	while (!stop) {
		OK(pthread_getschedparam(pthread_self(), &policy, &param));
		if (may && policy == SCHED_FIFO && sched_getscheduler(0) == SCHED_FIFO)
			break; /* not for long: a real-time thread has its CPU to itself */
	}
	show(arg);
	return NULL;
}

int main(void)
{
	struct sched_param one = {.sched_priority = 1};
	pthread_attr_t attr;
	pthread_t t;

	may = sched_setscheduler(0, SCHED_FIFO, &one) == 0;
	one.sched_priority = 0;
	MUST(sched_setscheduler(0, SCHED_OTHER, &one) == 0);
	sem_init(&go, 0, 0);
	sem_init(&done, 0, 0);
	show("main");
	OK(pthread_join(start(inherits, "thread"), NULL));
	OK(pthread_join(start(itself, NULL), NULL));

	t = start(parked, "parked");
	usleep(1000);
	set("parked", t, SCHED_FIFO, 2);
	set("wrong", t, SCHED_FIFO, 0);
	set("wrong", t, SCHED_FIFO, 100);
	set("wrong", t, SCHED_OTHER, 1);
	set("wrong", t, 77, 0);
	sem_post(&go);
	sem_wait(&done);
	set("parked", t, SCHED_OTHER, 0);
	sem_post(&go);
	OK(pthread_join(t, NULL));

	t = start(computes, "computing");
	sem_wait(&done);
	one.sched_priority = 1;
	int err = pthread_setschedparam(t, SCHED_FIFO, &one);
	stop = !may;
	OK(pthread_join(t, NULL));
	say("computing to 1 1: %s", errname(err));

	OK(pthread_attr_init(&attr));
	OK(pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED));
	OK(pthread_attr_setschedpolicy(&attr, SCHED_RR));
	one.sched_priority = 5;
	OK(pthread_attr_setschedparam(&attr, &one));
	err = pthread_create(&t, &attr, inherits, "by attribute");
	if (err == 0)
		OK(pthread_join(t, NULL));
	say("create: %s", errname(err));

	set("main", pthread_self(), SCHED_FIFO, 1);
	OK(pthread_join(start(inherits, "of main's"), NULL));
	set("main", pthread_self(), SCHED_OTHER, 0);
	show("main");
	return 0;
}
