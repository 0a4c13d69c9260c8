// SPDX-License-Identifier: MIT
// Exceptions thrown and caught across blocking calls, blocking inside a handler while others throw,
// nested ones, and carried to another thread. The current exception and the count of uncaught ones
// belong to the thread.
#include "t.h"
#include <exception>
#include <stdexcept>
#include <string>

static int unwound;

struct guard {
	int id;
	~guard()
	{
		MUST(std::uncaught_exceptions() == 1);
		usleep(30); // blocks during the unwind
		MUST(std::uncaught_exceptions() == 1);
		__atomic_add_fetch(&unwound, 1, __ATOMIC_RELAXED);
	}
};

static __attribute__((noinline)) void thrower(int id, int depth)
{
	guard g{id};
	if (depth == 0) {
		usleep(50);
		throw std::runtime_error("from " + std::to_string(id));
	}
	thrower(id, depth - 1);
	sched_yield();
}

static void *worker(void *arg)
{
	int id = (int)(intptr_t)arg;

	for (int i = 0; i < scaled(20); i++) {
		try {
			try {
				thrower(id, 5);
			} catch (const std::runtime_error &e) {
				MUST(e.what() == "from " + std::to_string(id));
				usleep(100); // others throw and catch meanwhile
				MUST(e.what() == "from " + std::to_string(id));
				try {
					throw id;
				} catch (int inner) {
					sched_yield();
					MUST(inner == id);
				}
				MUST(std::uncaught_exceptions() == 0 && std::current_exception());
				throw; // again the outer one
			}
		} catch (const std::exception &e) {
			MUST(e.what() == "from " + std::to_string(id));
		}
		MUST(!std::current_exception());
	}
	return nullptr;
}

static std::exception_ptr carried;

static void *leaves(void *)
{
	try {
		thrower(7777, 2);
	} catch (...) {
		carried = std::current_exception();
	}
	return nullptr;
}

// pthread_exit unwinds like an exception; catch (...) must rethrow it.
static void *exits(void *arg)
{
	try {
		struct says {
			~says()
			{
				say("object destroyed by pthread_exit");
			}
		} s;
		pthread_exit(arg);
	} catch (...) {
		say("caught the exit, on with it");
		throw;
	}
}

int main()
{
	pthread_t t[60];

	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(worker, (void *)(intptr_t)i);
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	say("guards unwound: %d", unwound == NELEM(t) * scaled(20) * 6);
	finish(start(leaves, nullptr));
	try {
		std::rethrow_exception(carried);
	} catch (const std::exception &e) {
		say("carried here: %s", e.what());
	}
	say("joined: %s", (char *)finish(start(exits, (void *)"value")));
	return 0;
}
