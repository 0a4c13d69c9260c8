/* SPDX-License-Identifier: MIT */
/*
 * deep: what libc calls and locks inside itself. Nanoseconds per line of 64 bytes that fgets finds
 * ready in a pipe (with the write to it), that fprintf and fflush put there (with the read from
 * it), per opened and closed stream; blocks of 2,000 bytes allocated and freed, and characters put,
 * by 2 and 8 threads at one arena, one FILE.
 */
#include "bench.h"
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

enum { LINE = 64, BLOCK = 2000 };

static int p[2];
static FILE *in, *out, *sink;
static char line[LINE + 1];

static uint64_t fgets_ready(uint64_t n)
{
	char buf[LINE + 1];
	uint64_t t = nanotime();

	for (uint64_t i = 0; i < n; i++)
		if (write(p[1], line, LINE) != LINE || !fgets(buf, sizeof buf, in))
			die("fgets");
	return nanotime() - t;
}

static uint64_t fprintf_flush(uint64_t n)
{
	char buf[LINE];
	uint64_t t = nanotime();

	for (uint64_t i = 0; i < n; i++)
		if (fprintf(out, "%s", line) != LINE || fflush(out) ||
		    read(p[0], buf, LINE) != LINE)
			die("fprintf");
	return nanotime() - t;
}

static uint64_t fopen_fclose(uint64_t n)
{
	uint64_t t = nanotime();

	for (uint64_t i = 0; i < n; i++) {
		FILE *f = fopen("/dev/null", "r");
		if (!f || fclose(f))
			die("fopen");
	}
	return nanotime() - t;
}

static void *alone(void *arg)
{
	report("deep.fgets-pipe", nsperop_alone(fgets_ready), "ns");
	report("deep.fprintf-pipe", nsperop_alone(fprintf_flush), "ns");
	report("deep.fopen", nsperop_alone(fopen_fclose), "ns");
	return arg;
}

static void op_malloc(void)
{
	char *a = malloc(BLOCK), *b = malloc(BLOCK);

	a[0] = b[0] = 1;
	free(a);
	free(b);
}

static void op_putc(void)
{
	putc('x', sink);
}

static void contend(const char *what, void (*op)(void), long threads)
{
	char name[60];
	uint64_t total;

	snprintf(name, sizeof name, "deep.%s.%ld", what, threads);
	report(name, opspersec(threads, op, &total), "ops/s");
}

int main(int argc, char **argv)
{
	pthread_t th;

	options(argc, argv, NULL);
	mallopt(M_ARENA_MAX, 1);
	memset(line, 'a', LINE - 1);
	line[LINE - 1] = '\n';
	sys(pipe(p), "pipe");
	in = fdopen(p[0], "r");
	out = fdopen(dup(p[1]), "w");
	sink = fopen("/dev/null", "w");
	must(pthread_create(&th, NULL, alone, NULL), "pthread_create");
	must(pthread_join(th, NULL), "pthread_join");
	for (long n = 2; n <= 8; n *= 4) {
		contend("malloc", op_malloc, n);
		contend("putc", op_putc, n);
	}
	return 0;
}
