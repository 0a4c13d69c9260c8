// SPDX-License-Identifier: MIT
// C++ thread_local objects: made at first use in each thread, destroyed once at its end, last made
// first, before the thread-specific data. C++17 6.6.3.2
#include "t.h"
#include <string>
#include <vector>

static int made, destroyed, tsd_after;
static pthread_key_t key;

struct counted {
	std::vector<std::string> words;
	int id = 0;

	counted()
	{
		__atomic_add_fetch(&made, 1, __ATOMIC_RELAXED);
	}
	~counted()
	{
		usleep(50); // a destructor may block
		for (auto &w : words)
			MUST(w == "word " + std::to_string(id));
		__atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
		pthread_setspecific(key, this); // seen by the key's destructor, which comes after
	}
};

static thread_local counted object;
static thread_local std::string text = "begins so";

struct talks {
	const char *name;
	~talks()
	{
		say("~%s", name);
	}
};

static void *worker(void *arg)
{
	MUST(text == "begins so" && object.words.empty());
	object.id = (int)(intptr_t)arg;
	text += std::to_string(object.id);
	for (int i = 0; i < 20; i++) {
		object.words.push_back("word " + std::to_string(object.id));
		if (i % 5 == 0)
			usleep(100);
		else
			sched_yield();
		MUST(object.words.size() == (size_t)i + 1 &&
		     text == "begins so" + std::to_string(object.id));
	}
	return nullptr;
}

static void *untouched(void *arg)
{
	return arg;
}

static void *order(void *arg)
{
	static thread_local talks a{"first"};
	static thread_local talks b{"second"};
	if (arg) {
		static thread_local talks c{"third"};
		(void)c;
	}
	(void)a, (void)b;
	say("end of function");
	pthread_exit(nullptr);
}

int main()
{
	pthread_t t[300];

	OK(pthread_key_create(&key,
			      [](void *) { __atomic_add_fetch(&tsd_after, 1, __ATOMIC_RELAXED); }));
	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(i % 3 ? worker : untouched, (void *)(intptr_t)i);
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	say("made %d, destroyed %d, key destructors after %d", made, destroyed, tsd_after);
	finish(start(order, nullptr));
	finish(start(order, &t));
	static thread_local talks of_main{"object of main"};
	(void)of_main;
	return 0;
}
