// SPDX-License-Identifier: MIT
// std::thread, mutexes, condition_variable, future, promise, async, call_once, shared_mutex,
// sleep_for. C++17 33
#include "t.h"
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <numeric>
#include <shared_mutex>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

static void queue()
{
	std::mutex m;
	std::condition_variable c;
	std::deque<int> q;
	std::vector<std::thread> threads;
	long sums[4] = {};

	for (int k = 0; k < 4; k++)
		threads.emplace_back([&, k] {
			for (;;) {
				std::unique_lock<std::mutex> l(m);
				c.wait(l, [&] { return !q.empty(); });
				int v = q.front();
				q.pop_front();
				l.unlock();
				if (v < 0)
					return;
				sums[k] += v;
			}
		});
	for (int i = 1; i <= scaled(3000); i++) {
		{
			std::lock_guard<std::mutex> l(m);
			q.push_back(i);
		}
		c.notify_one();
	}
	{
		std::lock_guard<std::mutex> l(m);
		for (int i = 0; i < 4; i++)
			q.push_back(-1);
	}
	c.notify_all();
	for (auto &t : threads)
		t.join();
	long n = scaled(3000);
	say("queue: %d", std::accumulate(sums, sums + 4, 0L) == n * (n + 1) / 2);
}

static void timed()
{
	std::timed_mutex m;
	std::recursive_timed_mutex r;
	std::shared_mutex s;
	std::mutex plain;
	std::condition_variable c;

	m.lock();
	std::thread([&] { say("try_lock_for: %d", m.try_lock_for(20ms)); }).join();
	m.unlock();
	MUST(r.try_lock_for(1ms));
	say("recursive: %d", r.try_lock_for(1ms));
	s.lock_shared();
	std::thread([&] {
		say("shared: %d", s.try_lock_shared());
		say("exclusive: %d", s.try_lock());
		s.unlock_shared();
	}).join();
	std::unique_lock<std::mutex> l(plain);
	auto begin = std::chrono::steady_clock::now();
	say("wait_for: timeout %d", c.wait_for(l, 30ms) == std::cv_status::timeout);
	say("wait_until, past: timeout %d",
	    c.wait_until(l, std::chrono::system_clock::now() - 1s) == std::cv_status::timeout);
	std::this_thread::sleep_for(20ms);
	std::this_thread::sleep_until(std::chrono::system_clock::now() - 1s);
	MUST(std::chrono::steady_clock::now() - begin >= 50ms);
}

static void futures()
{
	std::promise<std::string> p;
	auto f = p.get_future();
	std::thread t([&p] {
		std::this_thread::sleep_for(10ms);
		p.set_value("kept");
	});
	say("promise %s", f.get().c_str());
	t.join();

	std::vector<std::future<int>> v;
	for (int i = 0; i < 50; i++)
		v.push_back(std::async(std::launch::async, [i] {
			std::this_thread::yield();
			if (i == 33)
				throw std::runtime_error("thirty-three");
			return i * i;
		}));
	int sum = 0;
	for (auto &g : v)
		try {
			sum += g.get();
		} catch (const std::exception &e) {
			say("async threw %s", e.what());
		}
	say("async sum %d", sum);
	std::packaged_task<int(int)> task([](int x) { return x + 1; });
	auto tf = task.get_future();
	std::thread(std::move(task), 41).join();
	say("packaged %d", tf.get());
}

int main()
{
	std::once_flag once;
	int ran = 0;
	std::vector<std::thread> threads;

	queue();
	timed();
	futures();
	for (int i = 0; i < 20; i++)
		threads.emplace_back([&] {
			std::call_once(once, [&] {
				std::this_thread::sleep_for(5ms);
				ran++;
			});
			MUST(ran == 1);
		});
	for (auto &t : threads)
		t.join();
	say("once %d", ran);
	int tries = 0;
	std::once_flag again;
	for (int i = 0; i < 3; i++)
		try {
			std::call_once(again, [&] {
				if (++tries < 2)
					throw 1;
			});
		} catch (int) {
			say("call_once threw");
		}
	say("tries %d, id of no thread: %d", tries, std::thread().get_id() == std::thread::id());
	return 0;
}
