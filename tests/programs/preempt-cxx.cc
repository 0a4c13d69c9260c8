// SPDX-License-Identifier: MIT
// Exceptions thrown, caught, rethrown and carried to other threads, by threads that are cut short
// anywhere: in the unwinder, in destructors, in what allocates; thread_local objects and function
// statics beside them.
#include "t.h"
#include <atomic>
#include <exception>
#include <future>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static std::atomic<long> alive;

struct counted {
	std::string what;
	explicit counted(std::string s) : what(std::move(s))
	{
		alive++;
	}
	counted(const counted &o) : what(o.what)
	{
		alive++;
	}
	~counted()
	{
		alive--;
	}
};

static thread_local std::map<int, counted> mine;

static unsigned long computes(unsigned long n)
{
	volatile unsigned long x = 1;

	for (unsigned long i = 0; i < n; i++)
		x = x * 3 + i;
	return x;
}

static __attribute__((noinline)) int down(int n, int id)
{
	counted here("frame " + std::to_string(n));

	computes(200);
	if (n == 0)
		throw std::runtime_error("from " + std::to_string(id));
	try {
		return down(n - 1, id) + 1;
	} catch (const std::runtime_error &) {
		if (n % 3 == 0)
			throw;
		MUST(here.what == "frame " + std::to_string(n));
		throw std::runtime_error("from " + std::to_string(id));
	}
}

static const std::string &once()
{
	static const std::string s = [] {
		computes(100000);
		return std::string("once");
	}();
	return s;
}

static void throws(int id)
{
	for (int i = 0; i < scaled(60); i++) {
		try {
			down(12, id);
			MUST(!"thrown");
		} catch (const std::exception &e) {
			MUST(e.what() == "from " + std::to_string(id));
		}
		mine.insert_or_assign(i % 7, counted(std::to_string(i)));
		MUST(mine.at(i % 7).what == std::to_string(i) && once() == "once");
	}
}

int main()
{
	std::vector<std::thread> t;
	std::vector<std::future<int>> f;
	int carried = 0;

	for (int i = 0; i < 6; i++)
		t.emplace_back(throws, i);
	for (int i = 0; i < 10; i++)
		f.push_back(std::async(std::launch::async, [i] { return down(6, 100 + i); }));
	for (auto &x : f) {
		try {
			x.get();
		} catch (const std::runtime_error &e) {
			carried += std::string(e.what()).find("from 10") == 0;
		}
	}
	for (auto &x : t)
		x.join();
	say("%d carried, %ld left", carried, alive.load());
	return 0;
}
