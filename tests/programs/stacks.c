/* SPDX-License-Identifier: MIT */
/* A caller's own stack, the smallest stacks, and deep recursion on 8 MB. pthread_attr_setstack(3)
 */
#include "t.h"
#include <limits.h>
#include <sys/mman.h>

static __thread int mine;

static void *on_it(void *arg)
{
	char *base = arg, local;
	size_t size = *(size_t *)base;
	char text[64];

	MUST(&local > base && &local < base + size);
	mine++;
	usleep(500);
	snprintf(text, sizeof text, "%d %.3f", mine, 1.5);
	MUST(!strcmp(text, "1 1.500"));
	return base;
}

static void own_stack(const char *name, size_t size)
{
	pthread_attr_t a;
	pthread_t t;
	void *addr;
	size_t got;
	char *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(base != MAP_FAILED);
	OK(pthread_attr_init(&a));
	OK(pthread_attr_setstack(&a, base, size));
	OK(pthread_attr_getstack(&a, &addr, &got));
	MUST(addr == base && got == size);
	for (int i = 0; i < 50; i++) {
		*(size_t *)base = size;
		OK(pthread_create(&t, &a, on_it, base));
		MUST(finish(t) == base);
		memset(base, i, size); /* it is ours again */
	}
	for (size_t i = 0; i < size; i++)
		MUST(base[i] == 49);
	MUST(munmap(base, size) == 0);
	say("own stack, %s: 50 threads", name);
}

static void *little(void *arg)
{
	char c, text[100];
	int *fd = arg;

	MUST(read(fd[0], &c, 1) == 1);
	snprintf(text, sizeof text, "%c %d", c, 42);
	MUST(write(fd[1], text, 1) == 1);
	usleep(100);
	return NULL;
}

static void small(const char *name, size_t size)
{
	pthread_attr_t a;
	pthread_t t[100];
	int fd[2], back[2], io[2];

	MUST(pipe(fd) == 0 && pipe(back) == 0);
	io[0] = fd[0], io[1] = back[1];
	OK(pthread_attr_init(&a));
	OK(pthread_attr_setstacksize(&a, size));
	for (int i = 0; i < 100; i++)
		OK(pthread_create(&t[i], &a, little, io));
	for (int i = 0; i < 100; i++)
		MUST(write(fd[1], "x", 1) == 1);
	for (int i = 0; i < 100; i++)
		finish(t[i]);
	say("100 threads on %s", name);
}

static __attribute__((noinline)) long recurse(long n)
{
	volatile char frame[1000];

	frame[0] = frame[999] = (char)n;
	if (n % 1000 == 0)
		sched_yield();
	long r = n ? 1 + recurse(n - 1) : 0;
	MUST(frame[0] == (char)n && frame[999] == (char)n);
	return r;
}

static void *deep(void *arg)
{
	return (void *)recurse((long)arg);
}

int main(void)
{
	pthread_attr_t a;
	pthread_t t[4];

	own_stack("16 KB", PTHREAD_STACK_MIN);
	own_stack("64 KB", 64 << 10);
	own_stack("1 MB", 1 << 20);
	small("PTHREAD_STACK_MIN", PTHREAD_STACK_MIN);
	small("32 KB", 32 << 10);
	small("33,000 bytes", 33000);

	OK(pthread_attr_init(&a));
	OK(pthread_attr_setstacksize(&a, 8 << 20));
	for (int i = 0; i < 4; i++)
		OK(pthread_create(&t[i], &a, deep, (void *)7000L));
	for (int i = 0; i < 4; i++)
		MUST(finish(t[i]) == (void *)7000L);
	say("7000 frames of 1 KB on 8 MB");
	RC(pthread_attr_setstack(&a, NULL, PTHREAD_STACK_MIN - 1));
	return 0;
}
