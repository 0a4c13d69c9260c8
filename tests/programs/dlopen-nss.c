/* SPDX-License-Identifier: MIT */
/* libc loads a module by itself, for a name service: one with static TLS. It is initialised in
 * every thread that lives, as for the program's own dlopen. getpwnam_r(3), nss(5) */
#include "t.h"
#include <nss.h>
#include <pwd.h>
#include <semaphore.h>

enum { OLD = 100 };

static int (*swap)(int);
static sem_t job, reply;
static pthread_barrier_t bar;
static int wrong, ups;

#define ADD(x) __atomic_add_fetch(&(x), 1, __ATOMIC_SEQ_CST)

void loaded(int (*fn)(int));
void unloaded(void);

static void fresh(int id)
{
	if (swap(id) != 77 || swap(77) != id)
		ADD(wrong);
}

static void *new_thread(void *arg)
{
	fresh(9);
	return arg;
}

void loaded(int (*fn)(int))
{
	ups++;
	swap = fn;
	sem_post(&job);
	while (sem_wait(&reply) != 0)
		;
	finish(start_small(new_thread, NULL));
}

void unloaded(void)
{
}

static void *servant(void *arg)
{
	while (sem_wait(&job) != 0)
		;
	fresh(1);
	sem_post(&reply);
	return arg;
}

static void look_up(void)
{
	struct passwd pw, *found;
	char buf[200];

	OK(getpwnam_r("live-user", &pw, buf, sizeof buf, &found));
	MUST(found && !strcmp(found->pw_name, "live-user"));
	if (found->pw_uid != 77)
		ADD(wrong);
}

static void *old_thread(void *arg)
{
	pthread_barrier_wait(&bar);
	pthread_barrier_wait(&bar);
	look_up();
	return arg;
}

static void *first(void *arg)
{
	look_up();
	return arg;
}

int main(void)
{
	pthread_t t[OLD];

	MUST(__nss_configure_lookup("passwd", "live") == 0);
	MUST(sem_init(&job, 0, 0) == 0 && sem_init(&reply, 0, 0) == 0);
	OK(pthread_barrier_init(&bar, NULL, OLD + 1));
	for (int i = 0; i < OLD; i++)
		t[i] = start_small(old_thread, NULL);
	pthread_t s = start(servant, NULL);
	pthread_barrier_wait(&bar);
	finish(start(first, NULL));
	pthread_barrier_wait(&bar);
	for (int i = 0; i < OLD; i++)
		finish(t[i]);
	finish(s);
	look_up();
	say("loaded %d, wrong values %d", ups, wrong);
	return 0;
}
