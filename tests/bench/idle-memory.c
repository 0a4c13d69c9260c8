/* SPDX-License-Identifier: MIT */
/*
 * idle-memory: what --threads blocked threads cost: resident memory, kernel stacks and page tables
 * per thread, kernel threads, the time until all are blocked and the time until all have finished.
 *
 * They wait in read, half on pipes and half on socketpairs, up to SHARE threads on each, so that
 * the limit on descriptors does not matter; one byte lets one thread go. With --sleep they sleep
 * until a moment fixed beforehand, late enough for all of them to be there first (which is
 * checked).
 *
 * The kernel stacks are those of the whole machine; at 10,000 threads that of others is noise.
 */
#include "bench.h"
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SHARE = 100 };

static long nthreads = 10000, stack_kib, sleeping;
static int (*chan)[2];
static uint64_t wake_at; /* nanotime() */
static _Atomic long arrived;

static void *reader(void *arg)
{
	long i = (long)(intptr_t)arg;
	char c = 0;

	atomic_fetch_add_explicit(&arrived, 1, memory_order_relaxed);
	if (sys(read(chan[i / SHARE][0], &c, 1), "read") != 1 || c != 'x')
		die("read: not the byte that was written");
	return NULL;
}

static void *sleeper(void *arg)
{
	struct timespec ts = {(time_t)(wake_at / 1000000000u), (long)(wake_at % 1000000000u)};

	atomic_fetch_add_explicit(&arrived, 1, memory_order_relaxed);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
	if (nanotime() < wake_at)
		die("clock_nanosleep: woken too early");
	return arg;
}

/* A number from a file of the form "key: number kB". */
static long field(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	char line[256];
	long v = -1;

	if (!f)
		die("%s: %s", path, strerror(errno));
	while (v < 0 && fgets(line, sizeof line, f))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			v = strtol(line + strlen(key) + 1, NULL, 10);
	fclose(f);
	return v < 0 ? 0 : v;
}

struct usage {
	long rss, page_tables, kernel_stacks;
};

static struct usage usage(void)
{
	return (struct usage){
	    .rss = field("/proc/self/smaps_rollup", "Rss"),
	    .page_tables = field("/proc/self/status", "VmPTE"),
	    .kernel_stacks = field("/proc/meminfo", "KernelStack"),
	};
}

int main(int argc, char **argv)
{
	const struct option own[] = {
	    {"--threads", &nthreads, 1, 1000000},
	    {"--stack-kib", &stack_kib, PTHREAD_STACK_MIN / 1024, 1 << 20},
	    {"--sleep", &sleeping, 0, 0},
	    {0},
	};
	pthread_attr_t attr;

	options(argc, argv, own);
	long nchan = (nthreads + SHARE - 1) / SHARE;
	pthread_t *th = calloc((size_t)nthreads, sizeof *th);
	chan = calloc((size_t)nchan, sizeof *chan);
	if (!th || !chan)
		die("out of memory");
	/* Touched now, so that they do not count as the threads'. */
	memset(th, 0xff, (size_t)nthreads * sizeof *th);
	for (long i = 0; i < nchan && !sleeping; i++) {
		if (i % 2)
			sys(socketpair(AF_UNIX, SOCK_STREAM, 0, chan[i]), "socketpair");
		else
			sys(pipe(chan[i]), "pipe");
	}
	must(pthread_attr_init(&attr), "pthread_attr_init");
	if (stack_kib)
		must(pthread_attr_setstacksize(&attr, (size_t)stack_kib * 1024),
		     "pthread_attr_setstacksize");

	struct usage before = usage();
	uint64_t t = nanotime();
	wake_at = t + 2000000000u + (uint64_t)nthreads * 200000u;
	for (long i = 0; i < nthreads; i++) {
		int err =
		    pthread_create(&th[i], &attr, sleeping ? sleeper : reader, (void *)(intptr_t)i);
		if (err)
			die("pthread_create: thread %ld: %s", i + 1, strerror(err));
	}
	while (atomic_load_explicit(&arrived, memory_order_relaxed) < nthreads)
		sleep_ms(1);
	double created = (double)(nanotime() - t);

	sleep_ms(200); /* from "about to wait" to "waiting" */
	struct usage peak = usage();
	long kernel_threads = field("/proc/self/status", "Threads");
	if (sleeping && nanotime() >= wake_at)
		die("creating the threads took so long that the first are awake again");

	if (!sleeping) {
		char x[SHARE];
		memset(x, 'x', sizeof x);
		t = nanotime();
		for (long i = 0; i < nchan; i++) {
			long n = i < nchan - 1 ? SHARE : nthreads - i * SHARE;
			if (sys(write(chan[i][1], x, (size_t)n), "write") != n)
				die("write: short");
		}
	} else {
		t = wake_at;
	}
	for (long i = 0; i < nthreads; i++)
		must(pthread_join(th[i], NULL), "pthread_join");
	double finished = (double)(nanotime() - t);

	double n = (double)nthreads;
	report("rss", (double)(peak.rss - before.rss) / n, "KiB/thread");
	report("kernel-stack", (double)(peak.kernel_stacks - before.kernel_stacks) / n,
	       "KiB/thread");
	report("page-tables", (double)(peak.page_tables - before.page_tables) / n, "KiB/thread");
	report("kernel-threads", (double)kernel_threads, "threads");
	report("create", created / n, "ns/thread");
	report("finish", finished / n, "ns/thread");
	return 0;
}
