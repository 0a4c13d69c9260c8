/* SPDX-License-Identifier: MIT */
/* pthread_setname_np and getname_np: own name, another thread's, main's; inherited at creation;
 * errors. pthread_setname_np(3) */
#include "t.h"

static pthread_barrier_t b;

static void show(const char *who, pthread_t t)
{
	char name[16] = "";
	int r = pthread_getname_np(t, name, sizeof name);

	say("%s: %s, %s", who, errname(r), name);
}

static void *own(void *arg)
{
	show("inherited", pthread_self());
	OK(pthread_setname_np(pthread_self(), "fifteen-letters"));
	pthread_barrier_wait(&b); /* main reads it */
	pthread_barrier_wait(&b); /* main has set another */
	show("set by main", pthread_self());
	usleep(1000);
	show("after a sleep", pthread_self());
	return arg;
}

static void *keeps(void *arg)
{
	char name[16], got[16];

	snprintf(name, sizeof name, "thread %d", (int)(intptr_t)arg);
	OK(pthread_setname_np(pthread_self(), name));
	for (int i = 0; i < 20; i++) {
		usleep(100);
		OK(pthread_getname_np(pthread_self(), got, sizeof got));
		MUST(!strcmp(name, got));
	}
	return NULL;
}

int main(void)
{
	pthread_t t[50];
	char name[16];

	show("main", pthread_self());
	RC(pthread_setname_np(pthread_self(), "the main one"));
	show("main", pthread_self());
	OK(pthread_barrier_init(&b, NULL, 2));
	t[0] = start(own, NULL);
	pthread_barrier_wait(&b);
	show("set by itself", t[0]);
	RC(pthread_setname_np(t[0], "from main"));
	RC(pthread_setname_np(t[0], "sixteen letters!"));
	RC(pthread_getname_np(t[0], name, 15));
	pthread_barrier_wait(&b);
	finish(t[0]);
	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(keeps, (void *)(intptr_t)i);
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	show("main at the end", pthread_self());
	return 0;
}
