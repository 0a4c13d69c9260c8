/* SPDX-License-Identifier: MIT */
/* Thread attributes: defaults, setters and their errors, what getattr_np says of a running thread,
 * and the default stack size from RLIMIT_STACK. pthread_attr_init(3), pthread_getattr_np(3) */
#include "t.h"
#include <limits.h>
#include <sched.h>
#include <sys/resource.h>

static void show(const char *who, const pthread_attr_t *a)
{
	int detach, inherit, policy, scope;
	struct sched_param param;
	size_t guard, size;

	OK(pthread_attr_getdetachstate(a, &detach));
	OK(pthread_attr_getinheritsched(a, &inherit));
	OK(pthread_attr_getschedpolicy(a, &policy));
	OK(pthread_attr_getscope(a, &scope));
	OK(pthread_attr_getschedparam(a, &param));
	OK(pthread_attr_getguardsize(a, &guard));
	OK(pthread_attr_getstacksize(a, &size));
	say("%s: detached %d, inherit %d, policy %d, priority %d, scope %d, guard %zu, stack %zu",
	    who, detach, inherit, policy, param.sched_priority, scope, guard, size);
}

/* The stack which getattr_np tells of must hold our variables and be usable over most of its size.
 */
static void *inside(void *arg)
{
	pthread_attr_t a;
	void *addr;
	size_t size;
	char local;

	OK(pthread_getattr_np(pthread_self(), &a));
	show(arg, &a);
	OK(pthread_attr_getstack(&a, &addr, &size));
	MUST(&local > (char *)addr && &local < (char *)addr + size);
	size_t room = &local - (char *)addr;
	say("  a local variable is in it, most of the stack below: %d", room > size - 24 * 1024);
	volatile char *low = (char *)addr + 12 * 1024;
	for (volatile char *p = &local; p > low; p -= 1024)
		*p = 1; /* not ours to use, but nobody else's either */
	usleep(1000);
	OK(pthread_attr_destroy(&a));
	return NULL;
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *waits(void *arg)
{
	OK(pthread_mutex_lock(&gate));
	OK(pthread_mutex_unlock(&gate));
	return arg;
}

static void with_stack(char *name, size_t size, size_t guard)
{
	pthread_attr_t a;
	pthread_t t;

	OK(pthread_attr_init(&a));
	OK(pthread_attr_setstacksize(&a, size));
	OK(pthread_attr_setguardsize(&a, guard));
	OK(pthread_create(&t, &a, inside, name));
	finish(t);
}

int main(int argc, char **argv)
{
	pthread_attr_t a;
	char local;
	void *addr;
	size_t size;

	if (argc > 1) {
		OK(pthread_attr_init(&a));
		show("after exec with RLIMIT_STACK of 1 MB", &a);
		finish(start(inside, "a thread there"));
		return 0;
	}
	OK(pthread_attr_init(&a));
	show("default", &a);
	RC(pthread_attr_setstacksize(&a, PTHREAD_STACK_MIN));
	RC(pthread_attr_setstacksize(&a, PTHREAD_STACK_MIN - 1));
	RC(pthread_attr_setdetachstate(&a, 77));
	RC(pthread_attr_setscope(&a, PTHREAD_SCOPE_PROCESS));
	RC(pthread_attr_setscope(&a, 9));
	RC(pthread_attr_setinheritsched(&a, 9));
	RC(pthread_attr_setschedpolicy(&a, 99));
	RC(pthread_attr_setguardsize(&a, 0));
	RC(pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED));
	show("after", &a);

	with_stack("64 KB", 64 << 10, 4096);
	with_stack("1 MB", 1 << 20, 4096);
	with_stack("1 MB, guard of 64 KB", 1 << 20, 64 << 10);
	with_stack("1 MB without guard", 1 << 20, 0);
	with_stack("100,000 bytes", 100000, 4096);
	with_stack("8 MB", 8 << 20, 4096);
	finish(start(inside, "default thread"));

	/* Another thread's attributes, and main's. */
	OK(pthread_mutex_lock(&gate));
	pthread_t t = start(waits, NULL);
	OK(pthread_getattr_np(t, &a));
	show("blocked thread", &a);
	OK(pthread_detach(t));
	OK(pthread_getattr_np(t, &a));
	show("detached since", &a);
	OK(pthread_mutex_unlock(&gate));
	OK(pthread_getattr_np(pthread_self(), &a));
	OK(pthread_attr_getstack(&a, &addr, &size));
	say("main's stack holds a local variable: %d",
	    &local > (char *)addr && &local < (char *)addr + size);

	/* The default can be changed. */
	OK(pthread_getattr_default_np(&a));
	OK(pthread_attr_setstacksize(&a, 128 << 10));
	RC(pthread_setattr_default_np(&a));
	finish(start(inside, "new default"));

	struct rlimit rl;
	MUST(getrlimit(RLIMIT_STACK, &rl) == 0);
	rl.rlim_cur = 1 << 20;
	MUST(setrlimit(RLIMIT_STACK, &rl) == 0);
	execl("/proc/self/exe", argv[0], "again", NULL);
	return 1;
}
