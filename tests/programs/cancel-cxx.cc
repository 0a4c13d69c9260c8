// SPDX-License-Identifier: MIT
// Cancellation and pthread_exit in C++: destructors by forced unwind, catch (...) that throws on,
// catch of abi::__forced_unwind, thread_local objects and keys after the stack, destructors that
// block or throw and catch; not to be stopped by catch (...) or noexcept (an argument says which:
// the process aborts, as bare).
#include "t.h"
#include <cxxabi.h>
#include <exception>
#include <mutex>
#include <condition_variable>
#include <semaphore.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static sem_t ready;
static pthread_key_t key;
static std::mutex order_lock;
static std::string order;
static int p[2];

static void note(const char *what)
{
	std::lock_guard<std::mutex> l(order_lock);
	order += what;
	order += ' ';
}

struct object {
	const char *name;
	explicit object(const char *n) : name(n)
	{
	}
	~object()
	{
		struct timespec ts = {0, 100000};
		nanosleep(&ts, nullptr); // is no point any more
		try {
			throw std::runtime_error(name);
		} catch (const std::exception &e) {
			note(e.what());
		}
	}
};

static thread_local object first("thread_local-1");

struct lazy {
	std::vector<int> v = std::vector<int>(1000, 7);
	~lazy()
	{
		sched_yield();
		note("thread_local-2");
	}
};
static thread_local lazy second;

static void destroy(void *)
{
	struct timespec ts = {0, 100000};
	nanosleep(&ts, nullptr);
	note("key");
}

static void touch()
{
	MUST(first.name && second.v[999] == 7);
	OK(pthread_setspecific(key, &key));
}

static void in_read()
{
	char b;
	(void)!read(p[0], &b, 1);
}

static std::mutex m;
static std::condition_variable cv;

static void in_cond()
{
	std::unique_lock<std::mutex> l(m);
	for (;;)
		cv.wait(l);
}

static void in_pause()
{
	std::vector<std::string> v(10, std::string(100, 'x'));
	for (;;)
		pause();
}

static void in_exit()
{
	pthread_exit(PTHREAD_CANCELED);
}

static void in_loop()
{
	OK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr));
	for (volatile unsigned i = 0;; i = i + 1)
		;
}

static void (*body)();

static __attribute__((noinline)) void deep(int n)
{
	object o(n % 2 ? "odd" : "even");
	if (n == 0) {
		sem_post(&ready);
		body();
	} else {
		deep(n - 1);
	}
	sched_yield();
}

static void *all(void *)
{
	touch();
	object outer("outer");
	try {
		try {
			deep(3);
		} catch (...) {
			note("caught");
			throw;
		}
	} catch (abi::__forced_unwind &) {
		note("forced");
		throw;
	}
	return nullptr;
}

static void *swallows(void *)
{
	try {
		sem_post(&ready);
		in_pause();
	} catch (...) {
		note("swallowed");
	}
	return nullptr;
}

static void cannot() noexcept
{
	object o("noexcept");
	sem_post(&ready);
	in_pause();
}

static void *is_noexcept(void *)
{
	cannot();
	return nullptr;
}

static void run(const char *name, void (*fn)())
{
	for (int i = 0; i < 8; i++) {
		order.clear();
		body = fn;
		pthread_t t = i % 2 ? start_small(all, nullptr) : start(all, nullptr);
		void *r;
		sem_wait(&ready);
		if (i % 4 > 1)
			usleep(1000);
		if (fn != in_exit)
			OK(pthread_cancel(t));
		OK(pthread_join(t, &r));
		MUST(r == PTHREAD_CANCELED);
	}
	say("%s: %s", name, order.c_str());
}

int main(int argc, char **argv)
{
	MUST(sem_init(&ready, 0, 0) == 0 && pipe(p) == 0);
	OK(pthread_key_create(&key, destroy));
	if (argc > 1) {
		pthread_t t = start(!strcmp(argv[1], "noexcept") ? is_noexcept : swallows, nullptr);
		sem_wait(&ready);
		OK(pthread_cancel(t));
		pthread_join(t, nullptr);
		say("not here");
		return 0;
	}
	run("read", in_read);
	run("condition", in_cond);
	MUST(m.try_lock());
	m.unlock();
	run("pause", in_pause);
	run("exit", in_exit);
	run("loop", in_loop);

	// A std::thread, by its handle; join() then returns.
	order.clear();
	std::thread t([] {
		object o("lambda");
		sem_post(&ready);
		in_pause();
	});
	sem_wait(&ready);
	OK(pthread_cancel(t.native_handle()));
	t.join();
	say("std::thread: %s", order.c_str());
	return 0;
}
