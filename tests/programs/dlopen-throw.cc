// SPDX-License-Identifier: MIT
// What a module's constructor throws reaches who called dlopen, before there are threads, and in one. dlopen(3)
#include "t.h"
#include <dlfcn.h>
#include <stdexcept>
#include <sys/wait.h>

static void *(*volatile may_throw)(const char *, int) = dlopen; // the header says that it does not
static int what;

extern "C" int thrown();
extern "C" int thrown()
{
	return what;
}

static void tries(int n)
{
	what = n;
	try {
		void *h = may_throw(module_path("module-throw.so"), RTLD_NOW);
		say("no exception: %d", h != NULL);
	} catch (const std::runtime_error &e) {
		say("caught: %s", e.what());
	} catch (int i) {
		say("caught: %d", i);
	}
}

static void *thread(void *arg)
{
	tries((int)(intptr_t)arg);
	return arg;
}

// Each in a process of its own: the module is half loaded for good, and the loader's lock this thread's.
static void child(void (*fn)(int), int n)
{
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0) {
		fn(n);
		_exit(0);
	}
	MUST(pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED) == 0);
	say("status %d", info.si_status);
}

static void in_thread(int n)
{
	finish(start(thread, (void *)(intptr_t)n));
}

int main()
{
	for (int n = 0; n < 3; n++)
		child(tries, n);
	for (int n = 0; n < 3; n++)
		child(in_thread, n);
	in_thread(0);
	child(tries, 0);
	return 0;
}
