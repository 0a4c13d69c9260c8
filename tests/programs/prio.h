/* SPDX-License-Identifier: MIT */
/* A thread with a real-time priority, for prio-inherit and prio-mixed. */
#ifndef PRIO_H
#define PRIO_H

#include "t.h"
#include <sched.h>

/* By SCHED_FIFO; cpus nil: anywhere. pthread_create's error, EPERM where that is not allowed. */
static int begin(pthread_t *t, int prio, const cpu_set_t *cpus, void *(*fn)(void *), void *arg)
{
	struct sched_param p = {prio};
	pthread_attr_t a;

	OK(pthread_attr_init(&a));
	OK(pthread_attr_setinheritsched(&a, PTHREAD_EXPLICIT_SCHED));
	OK(pthread_attr_setschedpolicy(&a, SCHED_FIFO));
	OK(pthread_attr_setschedparam(&a, &p));
	if (cpus != NULL)
		OK(pthread_attr_setaffinity_np(&a, sizeof *cpus, cpus));
	int err = pthread_create(t, &a, fn, arg);
	OK(pthread_attr_destroy(&a));
	return err;
}

#endif
