/* SPDX-License-Identifier: MIT */
/* A burst of threads that use their stacks and malloc, and then end: the memory comes back, and so do
 * the kernel threads which others of them have blocked. */
#include "t.h"
#include <dirent.h>
#include <sys/file.h>

static pthread_barrier_t all;
static int lock;

static long rss_kib(void)
{
	char line[200];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	MUST(f != NULL);
	while (fgets(line, sizeof line, f) != NULL)
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	fclose(f);
	return kib;
}

static int tasks(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = -2;

	MUST(d != NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static __attribute__((noinline)) void touch(void)
{
	char buf[40 << 10];

	memset(buf, 1, sizeof buf);
	__asm__ volatile("" ::"r"(buf) : "memory");
}

static void *uses(void *arg)
{
	void *p[20];

	touch();
	for (int i = 0; i < NELEM(p); i++)
		MUST((p[i] = malloc(500)) != NULL);
	pthread_barrier_wait(&all);
	for (int i = 0; i < NELEM(p); i++)
		free(p[i]);
	return arg;
}

/* Blocks in the kernel, where only a kernel thread can. */
static void *blocks(void *arg)
{
	int fd = open("/proc/self/exe", O_RDONLY);

	MUST(fd >= 0 && flock(fd, LOCK_SH) == 0);
	close(fd);
	return arg;
}

int main(void)
{
	int n = scaled(1500);
	pthread_t *t = calloc(n, sizeof *t);
	long before = rss_kib(), peak;

	OK(pthread_barrier_init(&all, NULL, n + 1));
	for (int i = 0; i < n; i++)
		t[i] = start_small(uses, &t[i]);
	pthread_barrier_wait(&all);
	peak = rss_kib() - before;
	for (int i = 0; i < n; i++)
		MUST(finish(t[i]) == &t[i]);
	say("%d threads have ended", n);
	for (int i = 0; i < 600 && rss_kib() - before > peak / 2; i++)
		usleep(100000);
	say("memory: %s", rss_kib() - before > peak / 2 ? "still in use" : "given back");

	MUST((lock = open("/proc/self/exe", O_RDONLY)) >= 0 && flock(lock, LOCK_EX) == 0);
	for (int i = 0; i < 40; i++)
		t[i] = start_small(blocks, &t[i]);
	settle();
	MUST(flock(lock, LOCK_UN) == 0);
	for (int i = 0; i < 40; i++)
		finish(t[i]);
	for (int i = 0; i < 600 && tasks() > 16; i++)
		usleep(100000);
	say("kernel threads: %s", tasks() > 16 ? "many" : "few");
	/* What was given back is used again. */
	for (int i = 0; i < n; i++)
		t[i] = start_small(uses, &t[i]);
	pthread_barrier_wait(&all);
	for (int i = 0; i < n; i++)
		MUST(finish(t[i]) == &t[i]);
	say("again: %d", n);
	return 0;
}
