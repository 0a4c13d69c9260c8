/* SPDX-License-Identifier: MIT */
/* The process's default attributes hold for threads made without any: signal mask, detached, stack, policy. What a thread's
 * attributes say of its CPUs and policy. CPUs that do not exist. Room that comes free while threads are made.
 * pthread_setattr_default_np(3), pthread_getattr_np(3) */
#include "t.h"
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>

static sem_t done;

static void *looks(void *arg)
{
	pthread_attr_t attr;
	size_t stack, guard;
	sigset_t set;
	cpu_set_t cpus, mine;
	int detached, inherit, policy;

	OK(pthread_getattr_np(pthread_self(), &attr));
	OK(pthread_attr_getdetachstate(&attr, &detached));
	OK(pthread_attr_getstacksize(&attr, &stack));
	OK(pthread_attr_getguardsize(&attr, &guard));
	OK(pthread_attr_getinheritsched(&attr, &inherit));
	OK(pthread_attr_getschedpolicy(&attr, &policy));
	OK(pthread_attr_getaffinity_np(&attr, sizeof cpus, &cpus));
	OK(pthread_getaffinity_np(pthread_self(), sizeof mine, &mine));
	OK(pthread_sigmask(SIG_BLOCK, NULL, &set));
	say("%s: detached %d, stack %zu KiB, guard %zu, explicit %d, policy %d, CPUs %s, USR1 %d USR2 %d", (char *)arg,
	    detached == PTHREAD_CREATE_DETACHED, stack >> 10, guard, inherit == PTHREAD_EXPLICIT_SCHED, policy,
	    CPU_EQUAL(&cpus, &mine) ? "as they are" : "differ", sigismember(&set, SIGUSR1), sigismember(&set, SIGUSR2));
	pthread_attr_destroy(&attr);
	sem_post(&done);
	return NULL;
}

static void *nop(void *arg)
{
	return arg;
}

/* Big stacks in a small address space: whoever ended makes room for the next. */
static void crowded(void)
{
	struct rlimit old, small;
	pthread_attr_t attr;
	pthread_t t;
	int made = 0;

	OK(pthread_attr_init(&attr));
	OK(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED));
	OK(pthread_attr_setstacksize(&attr, 16 << 20));
	MUST(getrlimit(RLIMIT_AS, &old) == 0);
	small = old;
	small.rlim_cur = 800 << 20;
	MUST(setrlimit(RLIMIT_AS, &small) == 0);
	while (made < 3000)
		made += pthread_create(&t, &attr, nop, NULL) == 0;
	MUST(setrlimit(RLIMIT_AS, &old) == 0);
	pthread_attr_destroy(&attr);
	say("%d threads one after the other", made);
}

int main(void)
{
	pthread_attr_t attr, plain;
	sigset_t set;
	cpu_set_t none;
	pthread_t t;

	sem_init(&done, 0, 0);
	OK(pthread_join(start(looks, "plain"), NULL));

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_attr_init(&plain));
	OK(pthread_attr_init(&attr));
	OK(pthread_attr_setsigmask_np(&attr, &set));
	OK(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED));
	OK(pthread_attr_setstacksize(&attr, 256 << 10));
	OK(pthread_attr_setguardsize(&attr, 8192));
	OK(pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED));
	OK(pthread_setattr_default_np(&attr));
	t = start(looks, "by default");
	while (sem_wait(&done) != 0) /* the plain one's */
		;
	while (sem_wait(&done) != 0)
		;
	say("join: %s", errname(pthread_join(t, NULL)));
	OK(pthread_create(&t, &plain, looks, "with attributes"));
	OK(pthread_join(t, NULL));
	OK(pthread_setattr_default_np(&plain));
	OK(pthread_join(start(looks, "plain again"), NULL));

	CPU_ZERO(&none);
	CPU_SET(1000, &none);
	OK(pthread_attr_setaffinity_np(&plain, sizeof none, &none));
	say("no such CPU: %s", errname(pthread_create(&t, &plain, looks, "nowhere")));
	pthread_attr_destroy(&attr);
	pthread_attr_destroy(&plain);
	crowded();
	return 0;
}
