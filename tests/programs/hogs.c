/* SPDX-License-Identifier: MIT */
/* Threads that compute without a call, and others that wait for a socket, a clock and a condition: all
 * go on, and what was computed is right. With an argument: latencies of the waiters on stderr. */
#include "t.h"
#include <dirent.h>

enum { HOGS = 8 };

static _Atomic bool quit;
static int rounds;

/* An integer and a floating-point recurrence with known values after each 2^16 steps. */
static void *hog(void *arg)
{
	uint64_t *steps = arg;

	while (!quit) {
		uint32_t x = 1;
		double d = 1;
		for (int i = 0; i < 1 << 16; i++) {
			x = x * 1664525 + 1013904223;
			d = d * 0.999 + 0.5;
		}
		MUST(x == 946405377u && d > 499.999 && d < 500.001);
		*steps += 1 << 16;
	}
	return arg;
}

static int cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void report(const char *what, double *ms, int n)
{
	qsort(ms, n, sizeof *ms, cmp);
	fprintf(stderr, "%s: p50 %.3f ms, p99 %.3f ms, most %.3f ms\n", what, ms[n / 2], ms[n - 1 - n / 100],
		ms[n - 1]);
}

static int sv[2];
static double *rtt, *nap;

static void *pong(void *arg)
{
	char c;

	while (read(sv[1], &c, 1) == 1)
		MUST(write(sv[1], &c, 1) == 1);
	return arg;
}

static void *ping(void *arg)
{
	for (int i = 0; i < rounds; i++) {
		char c = (char)i, d = 0;
		double t = ms_now();
		MUST(write(sv[0], &c, 1) == 1 && read(sv[0], &d, 1) == 1 && c == d);
		rtt[i] = ms_now() - t;
	}
	shutdown(sv[0], SHUT_WR);
	return arg;
}

static void *naps(void *arg)
{
	for (int i = 0; i < rounds; i++) {
		double t = ms_now();
		usleep(1000);
		nap[i] = ms_now() - t;
	}
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t h[HOGS], a, b, c;
	uint64_t steps[HOGS] = {0};

	(void)argv;
	rounds = scaled(argc > 1 ? 2000 : 60);
	rtt = calloc(rounds, sizeof *rtt);
	nap = calloc(rounds, sizeof *nap);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	for (int i = 0; i < HOGS; i++)
		h[i] = start(hog, &steps[i]);
	a = start(pong, NULL);
	b = start(ping, NULL);
	c = start(naps, NULL);
	finish(b);
	finish(c);
	finish(a);
	int tasks = -2;
	DIR *d = opendir("/proc/self/task");
	while (readdir(d) != NULL)
		tasks++;
	closedir(d);
	quit = true;
	for (int i = 0; i < HOGS; i++)
		finish(h[i]);
	for (int i = 0; i < HOGS; i++)
		MUST(steps[i] > 0);
	if (argc > 1) {
		report("ping-pong", rtt, rounds);
		report("sleep 1 ms", nap, rounds);
		fprintf(stderr, "kernel threads: %d\n", tasks);
		for (int i = 0; i < HOGS; i++)
			fprintf(stderr, "%s%lu", i ? " " : "steps, millions: ", steps[i] >> 20);
		fputc('\n', stderr);
	}
	say("%d round trips, %d naps, %d threads computed", rounds, rounds, HOGS);
	return 0;
}
