/* SPDX-License-Identifier: MIT */
/* A program with an allocator of its own, as jemalloc is one: it is first called while libraries are being set up, and
 * takes its lock and calls the system before it is ready. Then threads use it, and are made while others hold its lock, and
 * fork: its handlers, which take the lock too, were there before anybody's. pthread_atfork(3) */
#include "t.h"
#include <sys/mman.h>
#include <sys/wait.h>

enum { ARENA = 64 << 20, ALIGN = 16 };

static pthread_mutex_t lock;
static char *arena;
static size_t used;
static int entered;

static void prefork(void)
{
	pthread_mutex_lock(&lock);
}

static void parent(void)
{
	pthread_mutex_unlock(&lock);
}

static void child(void)
{
	pthread_mutex_init(&lock, NULL);
}

/* Under a lock that must not be entered again, as jemalloc's. */
static void setup(void)
{
	static pthread_mutex_t initlock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&initlock);
	if (arena == NULL) {
		char *p = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		madvise(p, ARENA, MADV_NOHUGEPAGE);
		madvise(p, 4096, MADV_DONTNEED);
		char buf[64];
		int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
		(void)!read(fd, buf, sizeof(buf));
		close(fd);
		pthread_mutex_init(&lock, NULL);
		pthread_atfork(prefork, parent, child);
		arena = p;
	}
	pthread_mutex_unlock(&initlock);
}

void *malloc(size_t n)
{
	if (arena == NULL)
		setup();
	pthread_mutex_lock(&lock);
	entered++;
	size_t at = used + ALIGN;
	used = at + ((n + ALIGN - 1) & ~(size_t)(ALIGN - 1));
	char *p = used <= ARENA ? arena + at : NULL;
	pthread_mutex_unlock(&lock);
	if (p != NULL)
		*(size_t *)(p - ALIGN) = n;
	return p;
}

void free(void *p)
{
	(void)p;
}

void *calloc(size_t n, size_t size)
{
	return malloc(n * size); /* never used before: zero */
}

void *realloc(void *p, size_t n)
{
	void *q = malloc(n);

	if (p != NULL && q != NULL) {
		size_t old = *(size_t *)((char *)p - ALIGN);
		memcpy(q, p, old < n ? old : n);
	}
	return q;
}

static void *worker(void *arg)
{
	long bad = 0;

	for (long i = 0; i < 200; i++) {
		unsigned char *p = malloc(100);
		memset(p, (int)(i + (long)arg), 100);
		sched_yield();
		for (int k = 0; k < 100; k++)
			bad += p[k] != (unsigned char)(i + (long)arg);
		free(p);
	}
	return (void *)bad;
}

static void *forks(void *arg)
{
	int st;

	for (int i = 0; i < 6; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			char *p = malloc(1000);
			pthread_t t;
			_exit(p != NULL && pthread_create(&t, NULL, worker, arg) == 0 && pthread_join(t, NULL) == 0 ? 7 : 8);
		}
		MUST(pid > 0 && waitpid(pid, &st, 0) == pid && WIFEXITED(st) && WEXITSTATUS(st) == 7);
		free(malloc(100));
	}
	return arg;
}

int main(void)
{
	pthread_t t[20], f[3];
	void *bad;

	for (long i = 0; i < 20; i++)
		MUST(pthread_create(&t[i], NULL, worker, (void *)i) == 0);
	for (long i = 0; i < 3; i++)
		MUST(pthread_create(&f[i], NULL, forks, (void *)(50 + i)) == 0);
	long all = 0;
	for (int i = 0; i < 20; i++) {
		MUST(pthread_join(t[i], &bad) == 0);
		all += (long)bad;
	}
	for (int i = 0; i < 3; i++)
		MUST(pthread_join(f[i], NULL) == 0);
	say("%ld bytes were another thread's", all);
	say("the allocator was used: %d", entered >= 4000);
	return 0;
}
