// SPDX-License-Identifier: MIT
// Threads that end by pthread_exit, by cancellation or by their return on the smallest stacks there
// are: unwinding, destructors of objects and keys, exceptions fit. Also on stacks of the caller's.
// pthread_attr_setstacksize(3)
#include "t.h"
#include <climits>
#include <semaphore.h>
#include <stdexcept>
#include <sys/mman.h>

static sem_t ready;
static pthread_key_t key;
static int p[2], destroyed, cleaned, keys, locals;

#define ADD(x) __atomic_add_fetch(&(x), 1, __ATOMIC_SEQ_CST)

struct object {
	~object()
	{
		struct timespec ts = {0, 1000};
		nanosleep(&ts, nullptr);
		ADD(destroyed);
	}
};

struct local {
	int v = 1;
	~local()
	{
		sched_yield();
		ADD(locals);
	}
};
static thread_local local mine;

static void destroy(void *)
{
	ADD(keys);
}

static void clean(void *)
{
	ADD(cleaned);
}

enum how { RETURNS, EXITS, DEFERRED, ASYNC, THROWS, HOWS };
static const char *const names[] = {"returns", "exits", "cancelled", "cancelled asynchronously",
				    "throws and exits"};

static __attribute__((noinline)) void finally(enum how how)
{
	char b;

	switch (how) {
	case RETURNS:
		return;
	case EXITS:
		pthread_exit(PTHREAD_CANCELED);
	case ASYNC:
		OK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr));
		sem_post(&ready);
		for (volatile unsigned i = 0;; i = i + 1)
			;
	case THROWS:
		try {
			object o;
			throw 42;
		} catch (int) {
			pthread_exit(PTHREAD_CANCELED);
		}
	default:
		sem_post(&ready);
		(void)!read(p[0], &b, 1);
	}
}

static void *body(void *arg)
{
	enum how how = (enum how)(intptr_t)arg;
	object o;

	MUST(mine.v == 1);
	OK(pthread_setspecific(key, &key));
	pthread_cleanup_push(clean, nullptr);
	object inner;
	finally(how);
	pthread_cleanup_pop(1);
	return PTHREAD_CANCELED;
}

static void run(pthread_attr_t *a, enum how how)
{
	pthread_t t;
	void *r;

	OK(pthread_create(&t, a, body, (void *)(intptr_t)how));
	if (how == DEFERRED || how == ASYNC) {
		sem_wait(&ready);
		OK(pthread_cancel(t));
	}
	OK(pthread_join(t, &r));
	MUST(r == PTHREAD_CANCELED);
}

int main()
{
	static const size_t sizes[] = {(size_t)PTHREAD_STACK_MIN, 32 << 10, 64 << 10};
	pthread_attr_t a;

	MUST(sem_init(&ready, 0, 0) == 0 && pipe(p) == 0);
	OK(pthread_key_create(&key, destroy));
	OK(pthread_attr_init(&a));
	run(&a, DEFERRED); // once on a large stack: libgcc is loaded, symbols are bound
	run(&a, THROWS);
	for (size_t size : sizes) {
		for (int own = 0; own < 2; own++) {
			pthread_attr_t at;
			OK(pthread_attr_init(&at));
			void *stack = mmap(nullptr, size, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			MUST(stack != MAP_FAILED);
			if (own)
				OK(pthread_attr_setstack(&at, stack, size));
			else
				OK(pthread_attr_setstacksize(&at, size));
			for (int how = 0; how < HOWS; how++) {
				destroyed = cleaned = keys = locals = 0;
				for (int i = 0; i < 6; i++)
					run(&at, (enum how)how);
				say("%zu%s, %s: %d objects, %d handlers, %d keys, %d thread_local",
				    size, own ? " own" : "", names[how], destroyed, cleaned, keys,
				    locals);
			}
			OK(pthread_attr_destroy(&at));
			munmap(stack, size);
		}
	}
	return 0;
}
