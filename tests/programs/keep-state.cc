// SPDX-License-Identifier: MIT
// 2,000 threads keep errno, __thread, thread-specific data, malloc'ed memory and C++ thread_local
// objects right across many blocking calls of several kinds; every destructor runs once.
#include "t.h"
#include <memory>
#include <semaphore.h>
#include <string>

#define N 2000
#define GROUP 20 // threads in one ring, which pass tokens to each other

static int pipes[N / GROUP][GROUP][2];
static sem_t sems[N];
static pthread_mutex_t locks[N / GROUP];
static pthread_cond_t conds[N / GROUP];
static pthread_key_t key;
static int made, destroyed, freed;

struct object {
	std::string text;
	std::unique_ptr<int[]> data;
	int id = -1;

	object() : text(100, 'o'), data(new int[50])
	{
		__atomic_add_fetch(&made, 1, __ATOMIC_RELAXED);
	}
	~object()
	{
		MUST(data[49] == id && text == "object " + std::to_string(id));
		__atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
	}
};

static thread_local object obj;
static __thread int number;
static __thread char bytes[256];

struct state {
	int id, error;
	unsigned char *memory;
	size_t size;
	int *const number_at; // where it was at the start: it must stay
};

static void check(const state &s)
{
	MUST(errno == s.error);
	MUST(number == s.id && &number == s.number_at);
	for (int i = 0; i < 256; i += 51)
		MUST(bytes[i] == (char)s.id);
	MUST(pthread_getspecific(key) == s.memory);
	MUST(right(s.memory, s.size, s.id, 0));
	MUST(obj.id == s.id && obj.data[49] == s.id &&
	     obj.text == "object " + std::to_string(s.id));
}

static void *worker(void *arg)
{
	int id = (int)(intptr_t)arg, g = id / GROUP, k = id % GROUP, next = (k + 1) % GROUP;
	state s{id, 0, (unsigned char *)malloc(64 + id % 100), (size_t)(64 + id % 100), &number};
	char c;

	fill(s.memory, s.size, id, 0);
	OK(pthread_setspecific(key, s.memory));
	number = id;
	memset(bytes, id, sizeof bytes);
	obj.id = obj.data[49] = id;
	obj.text = "object " + std::to_string(id);
	for (int i = 0; i < scaled(600); i++) {
		errno = s.error = 1 + (id + i) % 130;
		switch (i % 5) {
		case 0:
		case 1:
			MUST(read(pipes[g][k][0], &c, 1) == 1);
			MUST(write(pipes[g][next][1], &c, 1) == 1);
			break;
		case 2:
			MUST(sem_post(&sems[g * GROUP + next]) == 0);
			MUST(sem_wait(&sems[id]) == 0);
			break;
		case 3:
			sched_yield();
			OK(pthread_mutex_lock(&locks[g]));
			if (i % 4 == 3) {
				struct timespec ts = in_ms(CLOCK_REALTIME, 1);
				pthread_cond_timedwait(&conds[g], &locks[g], &ts);
			} else {
				OK(pthread_cond_broadcast(&conds[g]));
			}
			OK(pthread_mutex_unlock(&locks[g]));
			break;
		case 4:
			if (i % 20 == 4) {
				usleep(1000);
			} else { // memory from one block to another
				s.memory = (unsigned char *)realloc(s.memory, s.size);
				OK(pthread_setspecific(key, s.memory));
				sched_yield();
			}
			break;
		}
		check(s);
	}
	return nullptr;
}

int main()
{
	static pthread_t t[N];

	OK(pthread_key_create(&key, [](void *p) {
		free(p);
		__atomic_add_fetch(&freed, 1, __ATOMIC_RELAXED);
	}));
	for (int g = 0; g < N / GROUP; g++) {
		OK(pthread_mutex_init(&locks[g], nullptr));
		OK(pthread_cond_init(&conds[g], nullptr));
		for (int k = 0; k < GROUP; k++) {
			MUST(pipe(pipes[g][k]) == 0 && sem_init(&sems[g * GROUP + k], 0, 0) == 0);
			if (k % 4 == 0) // five tokens in each ring
				MUST(write(pipes[g][k][1], "t", 1) == 1);
		}
	}
	for (int i = 0; i < N; i++)
		t[i] = start_small(worker, (void *)(intptr_t)i);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	say("objects made %d, destroyed %d; values freed %d", made, destroyed, freed);
	return 0;
}
