/* SPDX-License-Identifier: MIT */
/*
 * bench.h: what the benchmarks share: options, a clock, three ways to measure, one way to report.
 *
 * A figure is the median of SLICES short slices, so that one burst of somebody else's load does not
 * decide it; the runner then takes the median over rounds. Three shapes of measurement:
 *
 *	nsperop()	run(n) does n operations and returns the nanoseconds they took;
 *			n grows until a slice is long enough (as testing.B of Go does).
 *	nsperop_alone()	the same for one thread which never waits: the lower quartile of many slices
 *			of half a millisecond, most of which fit between two preemptions even on a
 *			busy machine.
 *	opspersec()	nthreads threads repeat op() until told to stop; their operations are
 *			counted over windows of time, so that neither start nor end matters.
 *
 * One .c file per program includes this; the functions are static for that reason.
 */
#ifndef BENCH_H
#define BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SLICES = 5 };

static long slice_ms = 40;

/* An option "--name NUMBER", or a flag "--name" which sets *value to 1 (max is 0). */
struct option {
	const char *name;
	long *value;
	long min, max;
};

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

/* For calls that return 0 or an error number. */
static inline void must(int err, const char *what)
{
	if (err)
		die("%s: %s", what, strerror(err));
}

/* For calls that return -1 and set errno. Returns ret. */
static inline long sys(long ret, const char *what)
{
	if (ret < 0)
		die("%s: %s", what, strerror(errno));
	return ret;
}

static inline void options(int argc, char **argv, const struct option *own)
{
	const struct option common[] = {{"--slice-ms", &slice_ms, 1, 10000}, {0}};

	for (int i = 1; i < argc; i++) {
		const struct option *o = NULL;

		for (const struct option *p = own; p && p->name; p++)
			if (!strcmp(argv[i], p->name))
				o = p;
		if (!o && !strcmp(argv[i], common[0].name))
			o = &common[0];
		if (!o) {
			fprintf(stderr,
				"%s: unknown option '%s'; allowed:", program_invocation_short_name,
				argv[i]);
			for (const struct option *p = own; p && p->name; p++)
				fprintf(stderr, p->max ? " %s N" : " %s", p->name);
			fprintf(stderr, " %s N\n", common[0].name);
			exit(2);
		}
		if (o->max == 0) {
			*o->value = 1;
			continue;
		}
		char *end = "?";
		const char *text = i + 1 < argc ? argv[++i] : "";
		long v = *text ? strtol(text, &end, 10) : 0;
		if (*end || v < o->min || v > o->max) {
			fprintf(stderr, "%s: %s '%s': a number from %ld to %ld is allowed\n",
				program_invocation_short_name, o->name, text, o->min, o->max);
			exit(2);
		}
		*o->value = v;
	}
}

static inline uint64_t nanotime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void sleep_ms(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* One line per figure, at once: what was measured before a crash is still seen. */
static inline void report(const char *name, double value, const char *unit)
{
	printf("%s %.6g %s\n", name, value, unit);
	fflush(stdout);
}

static inline int cmp_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static inline double median(double *v, size_t n)
{
	qsort(v, n, sizeof *v, cmp_double);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* How many operations take goal nanoseconds. */
static inline uint64_t fit(uint64_t (*run)(uint64_t n), uint64_t goal)
{
	for (uint64_t n = 1;;) {
		uint64_t t = run(n);
		/* A short run is not trusted for more than a factor of 20. */
		uint64_t most = t >= goal / 2 ? UINT64_MAX : n * 20;
		uint64_t next = t ? (uint64_t)((double)n * (double)goal / (double)t) : most;

		if (t >= goal / 2)
			return next ? next : 1;
		next = next < most ? next : most;
		n = next > n ? next : n + 1;
	}
}

static inline double nsperop(uint64_t (*run)(uint64_t n))
{
	uint64_t n = fit(run, (uint64_t)slice_ms * 1000000u);
	double v[SLICES];

	for (int i = 0; i < SLICES; i++)
		v[i] = (double)run(n) / (double)n;
	return median(v, SLICES);
}

static inline double nsperop_alone(uint64_t (*run)(uint64_t n))
{
	uint64_t n = fit(run, 500000);
	size_t slices = (size_t)slice_ms * SLICES * 2;
	double *v = malloc(slices * sizeof *v);

	if (!v)
		die("out of memory");
	for (size_t i = 0; i < slices; i++)
		v[i] = (double)run(n) / (double)n;
	qsort(v, slices, sizeof *v, cmp_double);
	double quartile = v[slices / 4];
	free(v);
	return quartile;
}

struct worker {
	alignas(128) _Atomic uint64_t ops; /* writer: its thread; reader: opspersec */
	void (*op)(void);
	pthread_t thread;
};

static atomic_bool workers_stop;

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load_explicit(&workers_stop, memory_order_relaxed)) {
		w->op();
		uint64_t n = atomic_load_explicit(&w->ops, memory_order_relaxed);
		atomic_store_explicit(&w->ops, n + 1, memory_order_relaxed);
	}
	return NULL;
}

static inline uint64_t workers_ops(struct worker *w, long nthreads, long *running)
{
	uint64_t sum = 0;

	*running = 0;
	for (long i = 0; i < nthreads; i++) {
		uint64_t n = atomic_load_explicit(&w[i].ops, memory_order_relaxed);
		sum += n;
		*running += n != 0;
	}
	return sum;
}

/* *total, if asked for, is the number of operations that were done altogether. */
static inline double opspersec(long nthreads, void (*op)(void), uint64_t *total)
{
	struct worker *w = aligned_alloc(alignof(struct worker), (size_t)nthreads * sizeof *w);
	double v[SLICES];
	long running;

	if (!w)
		die("out of memory");
	memset(w, 0, (size_t)nthreads * sizeof *w);
	atomic_store_explicit(&workers_stop, false, memory_order_relaxed);
	for (long i = 0; i < nthreads; i++) {
		w[i].op = op;
		must(pthread_create(&w[i].thread, NULL, worker_main, &w[i]), "pthread_create");
	}
	do {
		sleep_ms(2);
		workers_ops(w, nthreads, &running);
	} while (running < nthreads);
	sleep_ms(slice_ms / 4);

	uint64_t t0 = nanotime(), n0 = workers_ops(w, nthreads, &running);
	for (int i = 0; i < SLICES; i++) {
		sleep_ms(slice_ms);
		uint64_t t1 = nanotime(), n1 = workers_ops(w, nthreads, &running);
		v[i] = (double)(n1 - n0) * 1e9 / (double)(t1 - t0);
		t0 = t1;
		n0 = n1;
	}
	atomic_store_explicit(&workers_stop, true, memory_order_relaxed);
	for (long i = 0; i < nthreads; i++)
		must(pthread_join(w[i].thread, NULL), "pthread_join");
	if (total)
		*total = workers_ops(w, nthreads, &running);
	free(w);
	return median(v, SLICES);
}

#endif
