// SPDX-License-Identifier: MIT
// C++20: atomic wait, counting_semaphore, latch, barrier, jthread with stop tokens. libstdc++ parks
// through syscall(SYS_futex), not through pthread functions.
#include "t.h"
#include <atomic>
#include <barrier>
#include <condition_variable>
#include <latch>
#include <mutex>
#include <semaphore>
#include <stop_token>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

int main()
{
	std::atomic<int> turn{0};
	std::vector<std::jthread> threads;

	for (int k = 0; k < 2; k++)
		threads.emplace_back([&, k] {
			for (int i = 0; i < scaled(300); i++) {
				for (int t; (t = turn.load()) % 2 != k;)
					turn.wait(t);
				turn++;
				turn.notify_all();
			}
		});
	threads.clear();
	say("atomic wait: %d", turn == 2 * scaled(300));

	std::counting_semaphore<100> sem{3};
	std::atomic<int> in{0};
	for (int k = 0; k < 20; k++)
		threads.emplace_back([&] {
			for (int i = 0; i < scaled(20); i++) {
				sem.acquire();
				int n = ++in;
				MUST(n <= 3);
				std::this_thread::sleep_for(50us);
				--in;
				sem.release();
			}
		});
	threads.clear();
	say("semaphore: at most 3");
	std::binary_semaphore none{0};
	say("try_acquire_for: %d", none.try_acquire_for(20ms));

	std::latch latch{30};
	std::atomic<int> rounds{0};
	std::barrier barrier{30, [&]() noexcept { rounds++; }};
	for (int k = 0; k < 30; k++)
		threads.emplace_back([&] {
			latch.arrive_and_wait();
			for (int i = 0; i < scaled(30); i++) {
				barrier.arrive_and_wait();
				MUST(rounds > i);
			}
		});
	threads.clear();
	say("barrier: %d", rounds == scaled(30));

	std::mutex m;
	std::condition_variable_any c;
	for (int k = 0; k < 10; k++)
		threads.emplace_back([&](std::stop_token stop) {
			std::unique_lock l(m);
			MUST(!c.wait(l, stop, [] { return false; }));
		});
	for (auto &t : threads)
		t.request_stop();
	threads.clear();
	say("stopped");
	return 0;
}
