/* SPDX-License-Identifier: MIT */
/* Threads fork while others load and unload modules with TLS of all kinds, and a constructor itself
 * forks, in all ways there are. In the child the forking thread has its values, makes threads that have fresh ones, and
 * forks again. dlopen(3), fork(2) */
#include "t.h"
#include <dlfcn.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int (*swap)(int);
static int done, fork_in_constructor, children, how;
static char *const names[] = {"module-live-static.so", "module-live-dynamic.so",
			      "module-live-desc.so"};

#define GET(x) __atomic_load_n(&(x), __ATOMIC_SEQ_CST)

static void *fresh(void *arg)
{
	MUST(swap(5) == 77 && swap(77) == 5);
	return arg;
}

static void *nothing(void *arg)
{
	return arg;
}

static int wait_for(pid_t pid)
{
	int st = -1;

	MUST(pid > 0 && waitpid(pid, &st, 0) == pid);
	return WIFEXITED(st) ? WEXITSTATUS(st) : 100 + WTERMSIG(st);
}

/* The child of a thread that has set the module's value to 7. */
static void child(int depth)
{
	for (;;) {
		MUST(swap(8) == 7 && swap(7) == 8);
		for (int i = 0; i < 3; i++)
			finish(start_small(fresh, NULL));
		MUST(swap(7) == 7);
		if (depth-- == 0)
			break;
		pid_t pid = fork();
		if (pid != 0) {
			MUST(wait_for(pid) == 0);
			break;
		}
	}
	_exit(0);
}

void loaded(int (*fn)(int));
void unloaded(void);

void loaded(int (*fn)(int))
{
	__atomic_store_n(&swap, fn, __ATOMIC_SEQ_CST);
	usleep(200);
	if (!fork_in_constructor)
		return;
	pid_t pid = how == 0 ? fork() : how == 1 ? _Fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		fresh(NULL);
		finish(start_small(fresh, NULL));
		if (how == 0) { /* otherwise the loader's lock is the parent's */
			void *h = dlopen(module_path("module-tls-late.so"), RTLD_NOW);
			MUST(h && dlclose(h) == 0);
		}
		_exit(0);
	}
	MUST(wait_for(pid) == 0);
	children++;
}

void unloaded(void)
{
}

/* Loads one after the other; what is loaded stays until nobody uses it. */
static void *loads(void *arg)
{
	for (int i = 0; !GET(done); i++) {
		void *h = dlopen(module_path("module-tls-late.so"), RTLD_NOW);
		MUST(h);
		usleep(50);
		MUST(dlclose(h) == 0);
	}
	return arg;
}

static void *forks(void *arg)
{
	MUST(swap(7) == 77);
	for (int i = 0; i < scaled(6); i++) {
		pid_t pid = fork();
		if (pid == 0)
			child(1);
		MUST(wait_for(pid) == 0);
		__atomic_add_fetch(&children, 1, __ATOMIC_SEQ_CST);
	}
	return arg;
}

static void *opens(void *arg)
{
	void *h = dlopen(module_path(arg), RTLD_NOW);

	MUST(h && dlclose(h) == 0);
	return arg;
}

int main(void)
{
	pthread_t t[4], l;

	finish(start(nothing, NULL));
	for (int i = 0; i < NELEM(names); i++) {
		fork_in_constructor = children = 0;
		void *h = dlopen(module_path(names[i]), RTLD_NOW);
		MUST(h && swap);
		done = 0;
		l = start(loads, NULL);
		for (int k = 0; k < NELEM(t); k++)
			t[k] = start(forks, NULL);
		for (int k = 0; k < NELEM(t); k++)
			finish(t[k]);
		__atomic_store_n(&done, 1, __ATOMIC_SEQ_CST);
		finish(l);
		forks(NULL);
		MUST(dlclose(h) == 0);
		say("%s: children: %d", names[i], children == (NELEM(t) + 1) * scaled(6));
		fork_in_constructor = 1;
		for (how = 0; how < 3; how++) {
			children = 0;
			finish(start(opens, names[i]));
			opens(names[i]);
			say("%s: forked in its constructor: %d", names[i], children);
		}
	}
	return 0;
}
