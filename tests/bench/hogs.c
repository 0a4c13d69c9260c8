/* SPDX-License-Identifier: MIT */
/*
 * hogs: a ping-pong over a socketpair and a thread that sleeps for 1 ms over and over, while 8
 * threads compute without a call: how long a round trip and a nap take, how much is computed, and
 * what the slowest of the 8 comes to. What is computed is checked.
 */
#include "beside.h"

enum { HOGS = 8, STEPS = 1 << 16 };

struct hog {
	alignas(64) atomic_ulong steps;
};

static struct hog hogs[HOGS];
static double *nap;

static void *compute(void *arg)
{
	struct hog *h = arg;

	while (!over) {
		uint32_t x = 1;
		for (int i = 0; i < STEPS; i++)
			x = x * 1664525 + 1013904223;
		if (x != 946405377u)
			die("computed %u", x);
		atomic_fetch_add_explicit(&h->steps, STEPS, memory_order_relaxed);
	}
	return NULL;
}

static void *naps(void *arg)
{
	long n = 0;

	while (!over && n < MOST) {
		uint64_t t = nanotime();
		usleep(1000);
		if (begun)
			nap[n++] = (double)(nanotime() - t) / 1000;
	}
	*(long *)arg = n;
	return NULL;
}

static void figures(const char *what, double *us, long n)
{
	char name[64];

	if (n == 0)
		die("not one %s", what);
	qsort(us, (size_t)n, sizeof *us, cmp_double);
	snprintf(name, sizeof name, "hogs.%s-p50", what);
	report(name, us[n / 2], "us");
	snprintf(name, sizeof name, "hogs.%s-p99", what);
	report(name, us[n - 1 - n / 100], "us");
}

int main(int argc, char **argv)
{
	pthread_t h[HOGS], a, b, c;
	long trips = 0, slept = 0, most = 0;
	unsigned long from[HOGS], least = -1ul, all = 0;

	options(argc, argv, NULL);
	trip = malloc(MOST * sizeof *trip);
	nap = malloc(MOST * sizeof *nap);
	sys(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), "socketpair");
	for (int i = 0; i < HOGS; i++)
		must(pthread_create(&h[i], NULL, compute, &hogs[i]), "pthread_create");
	must(pthread_create(&a, NULL, pong, NULL), "pthread_create");
	must(pthread_create(&b, NULL, ping, &trips), "pthread_create");
	must(pthread_create(&c, NULL, naps, &slept), "pthread_create");
	sleep_ms(5 * slice_ms);
	for (int i = 0; i < HOGS; i++)
		from[i] = hogs[i].steps;
	uint64_t start = nanotime();
	begun = true;
	for (int i = 0; i < 50; i++) {
		sleep_ms(slice_ms);
		long k = kernelthreads();
		most = k > most ? k : most;
	}
	double s = (double)(nanotime() - start) / 1e9;
	for (int i = 0; i < HOGS; i++) {
		unsigned long n = hogs[i].steps - from[i];
		all += n;
		least = n < least ? n : least;
	}
	over = true;
	for (int i = 0; i < HOGS; i++)
		must(pthread_join(h[i], NULL), "pthread_join");
	must(pthread_join(c, NULL), "pthread_join");
	must(pthread_join(b, NULL), "pthread_join");
	must(pthread_join(a, NULL), "pthread_join");
	figures("pingpong", trip, trips);
	figures("sleep-1ms", nap, slept);
	report("hogs.kernel-threads", (double)most, "threads");
	report("hogs.computed", (double)all / 1e6 / s, "Msteps/s");
	report("hogs.computed-by-the-slowest", (double)least / 1e6 / s, "Msteps/s");
	return 0;
}
