/* SPDX-License-Identifier: MIT */
/* Locks made of futex(2) as libraries make them: a mutex (0, 1, 2), a condition variable which
 * requeues its waiters to the mutex, time-outs and signals in between, atomic::wait. Nothing is
 * lost: sums come out right and nobody sleeps on. */
#include "futex.h"
#include <atomic>
#include <csignal>

static int rounds;

struct mutex {
	std::atomic<uint32_t> v{0};
	uint32_t *word()
	{
		return reinterpret_cast<uint32_t *>(&v);
	}
	void lock()
	{
		uint32_t c = 0;
		if (v.compare_exchange_strong(c, 1))
			return;
		lock_contended();
	}
	void lock_contended() /* what a woken waiter of the condition variable does: more may wait
				 behind it */
	{
		while (v.exchange(2) != 0) {
			long r = wait_on(word(), 2, nullptr);
			MUST(r == 0 || errno == EAGAIN || errno == EINTR);
		}
	}
	void unlock()
	{
		if (v.exchange(0) == 2)
			MUST(wake(word(), 1) >= 0);
	}
};

struct cond {
	std::atomic<uint32_t> seq{0};
	uint32_t *word()
	{
		return reinterpret_cast<uint32_t *>(&seq);
	}
	bool wait(mutex &m, const timespec *until = nullptr)
	{
		uint32_t s = seq;
		m.unlock();
		long r = wait_bits(word(), s, until, ~0u);
		bool in_time = r == 0 || errno != ETIMEDOUT;
		m.lock_contended();
		return in_time;
	}
	void signal()
	{
		seq++;
		wake(word(), 1);
	}
	void broadcast(mutex &m) /* with the mutex held, which says that somebody waits for it */
	{
		uint32_t s = ++seq;
		m.v = 2;
		long r = futexn(word(), FUTEX_CMP_REQUEUE_PRIVATE, 1, INT_MAX, m.word(), s);
		MUST(r >= 0 || errno == EAGAIN);
	}
};

/* ---- producers and consumers ----------------------------------------------------------------- */

static mutex m;
static cond notempty, notfull;
static long queued, taken, nproduced;
static bool done;

static void *produce(void *arg)
{
	for (int i = 0; i < rounds; i++) {
		m.lock();
		while (queued == 4)
			notfull.wait(m);
		queued++;
		nproduced++;
		if (i % 3)
			notempty.signal();
		else
			notempty.broadcast(m);
		m.unlock();
	}
	return arg;
}

static void *consume(void *arg)
{
	for (;;) {
		m.lock();
		while (queued == 0 && !done) {
			struct timespec until = in_ms(CLOCK_MONOTONIC, 1);
			notempty.wait(m, (uintptr_t)arg % 2 ? &until : nullptr);
		}
		if (queued == 0) {
			m.unlock();
			return nullptr;
		}
		queued--;
		taken++;
		notfull.signal();
		m.unlock();
	}
}

/* ---- a ping-pong, and a pack, by atomic::wait ------------------------------------------------ */

static std::atomic<int> turn, gate;

static void *pong(void *arg)
{
	int n = (int)(uintptr_t)arg;
	for (int i = 0; i < rounds; i++) {
		for (int t; (t = turn.load()) % 3 != n;)
			turn.wait(t);
		turn++;
		turn.notify_all();
	}
	return nullptr;
}

static void *through(void *arg)
{
	for (int i = 0; i < 20; i++) {
		gate.wait(i);
		while (gate.load() <= i)
			;
	}
	return arg;
}

static std::atomic<bool> stop;

static void handler(int)
{
}

static void *disturbs(void *arg)
{
	pthread_t *t = (pthread_t *)arg;
	while (!stop)
		for (int i = 0; i < 6 && !stop; i++) {
			pthread_kill(t[i], SIGUSR1);
			usleep(300);
		}
	return nullptr;
}

int main()
{
	pthread_t t[20], d;
	struct sigaction sa = {};

	sa.sa_handler = handler;
	sa.sa_flags = SA_RESTART;
	MUST(sigaction(SIGUSR1, &sa, nullptr) == 0);
	rounds = scaled(3000);
	for (int i = 0; i < 3; i++)
		t[i] = start(produce, nullptr);
	for (long i = 3; i < 6; i++)
		t[i] = start(consume, (void *)i);
	d = start(disturbs, t);
	for (bool all = false; !all; usleep(1000)) {
		m.lock();
		all = nproduced == 3L * rounds;
		m.unlock();
	}
	stop = true; /* before they are joined: nobody may be told of a thread that is gone */
	finish(d);
	for (int i = 0; i < 3; i++)
		finish(t[i]);
	m.lock();
	done = true;
	notempty.broadcast(m);
	m.unlock();
	for (int i = 3; i < 6; i++)
		finish(t[i]);
	say("all that was made was taken: %d",
	    taken == nproduced && taken == 3L * rounds && queued == 0);

	for (long i = 0; i < 3; i++)
		t[i] = start(pong, (void *)i);
	for (int i = 0; i < 3; i++)
		finish(t[i]);
	say("turns: %d", turn == 3 * rounds);

	for (int i = 0; i < 20; i++)
		t[i] = start(through, nullptr);
	for (int i = 0; i < 20; i++) {
		usleep(500);
		gate++;
		gate.notify_all();
	}
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	say("all went through");
	return 0;
}
