/* SPDX-License-Identifier: MIT */
/* Threads made before main, by the constructor of a static object, as libraries do; they outlive
 * main, which ends by pthread_exit. */
#include "t.h"
#include <condition_variable>
#include <mutex>
#include <thread>

namespace
{
struct pool {
	std::mutex m;
	std::condition_variable c;
	int jobs = 0, done = 0;
	bool stop = false;
	std::thread t[4];
	pool()
	{
		for (auto &x : t)
			x = std::thread([this] {
				std::unique_lock<std::mutex> l(m);
				for (;;) {
					c.wait(l, [this] { return jobs > 0 || stop; });
					if (jobs == 0)
						return;
					jobs--;
					done++;
					c.notify_all();
				}
			});
	}
	void run(int n)
	{
		std::unique_lock<std::mutex> l(m);
		jobs += n;
		int until = done + n;
		c.notify_all();
		c.wait(l, [&] { return done >= until; });
	}
	~pool()
	{
		{
			std::lock_guard<std::mutex> l(m);
			stop = true;
			c.notify_all();
		}
		for (auto &x : t)
			x.join();
		say("joined after main: %d", done);
	}
};
pool early;

struct unwound {
	~unwound()
	{
		say("main is unwound");
	}
};
} // namespace

static void *last(void *main_thread)
{
	OK(pthread_join(*(pthread_t *)main_thread, nullptr));
	say("main has gone");
	early.run(3);
	exit(0); // the others wait for work
}

static void *cancels(void *main_thread)
{
	void *r;

	OK(pthread_cancel(*(pthread_t *)main_thread));
	OK(pthread_join(*(pthread_t *)main_thread, &r));
	say("main was cancelled: %d", r == PTHREAD_CANCELED);
	early.run(3);
	exit(0);
}

int main(int argc, char **)
{
	static pthread_t self = pthread_self();
	unwound u;

	early.run(10);
	say("done: %d", early.done);
	int p[2];
	char c;
	MUST(pipe(p) == 0);
	std::thread w([&] { write_all(p[1], "x", 1); });
	MUST(read(p[0], &c, 1) == 1);
	w.join();
	if (argc > 1) {
		start(cancels, &self);
		for (;;)
			pause();
	}
	start(last, &self);
	pthread_exit(nullptr);
}
