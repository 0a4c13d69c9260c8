/* SPDX-License-Identifier: MIT */
/* Threads that are cut short wherever they are, with libc's locks in hand: malloc's arenas
 * (allocated here, freed there), stdio's streams, the loader's list (with a callback that
 * computes), the exit handlers'; and what jumps: longjmp out of depths and of handlers, vfork with
 * a child that computes, signals whose handlers call what is async-signal-safe. */
#include "t.h"
#include <link.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

enum { BLOCKS = 64 };

static _Atomic bool over;
static _Atomic(unsigned char *) shared[BLOCKS];
static FILE *stream;
static int storm[2];
static _Atomic long handled;

static unsigned long computes(unsigned long n)
{
	volatile unsigned long x = 1;

	for (unsigned long i = 0; i < n; i++)
		x = x * 3 + i;
	return x;
}

/* A block's first byte says what all of it holds. */
static void *allocates(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < scaled(4000); i++) {
		seed = seed * 1103515245 + 12345;
		size_t n = 16 + (seed >> 8) % (seed & 128 ? 300 : 40000);
		unsigned char *p = malloc(n), *old;
		MUST(p != NULL);
		memset(p, (int)(seed >> 16), 16);
		old = atomic_exchange(&shared[(seed >> 4) % BLOCKS], p);
		if (old == NULL)
			continue;
		for (int k = 1; k < 16; k++)
			MUST(old[k] == old[0]);
		if (seed & 64)
			MUST((old = realloc(old, n + 5000)) != NULL && old[15] == old[0]);
		free(old);
	}
	return arg;
}

/* Whole lines, in one stream. */
static void *prints(void *arg)
{
	for (int i = 0; i < scaled(1000); i++)
		MUST(fprintf(stream, "%ld %d %.3f %s\n", (long)arg, i, i / 8.0, "abcdefghij") > 0);
	return arg;
}

static int callback(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)info;
	(void)size;
	++*(long *)arg;
	computes(2000);
	return 0;
}

static void *walks(void *arg)
{
	long first = 0;

	dl_iterate_phdr(callback, &first);
	for (int i = 0; i < scaled(50); i++) {
		long n = 0;
		dl_iterate_phdr(callback, &n);
		MUST(n == first);
	}
	return arg;
}

static __attribute__((noinline)) void deep(jmp_buf env, int n)
{
	volatile char frame[100];

	frame[n] = 1;
	computes(500);
	if (n == 0)
		longjmp(env, 7);
	if (n > 0)
		deep(env, n - 1);
	MUST(frame[n] == 2);
}

static void *jumps(void *arg)
{
	jmp_buf env;

	for (volatile int i = 0; i < scaled(500); i++) {
		volatile double d = i;
		int r = setjmp(env);
		if (r == 0)
			deep(env, 20);
		MUST(r == 7 && d == i);
	}
	return arg;
}

static sigjmp_buf *_Atomic way;
static __thread volatile int tid;

/* Async-signal-safe calls only. */
static void handler(int s, siginfo_t *info, void *ctx)
{
	int e = errno;
	char c = 'x';

	(void)ctx;
	(void)info;
	if (write(storm[1], &c, 1) == 1)
		handled++;
	(void)!getpid();
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	kill(0, 0);
	computes(100);
	if (s == SIGUSR2 && way != NULL) {
		sigjmp_buf *w = atomic_exchange(&way, NULL);
		if (w != NULL && tid == 1)
			siglongjmp(*w, 1);
		way = w;
	}
	errno = e;
}

static void *drains(void *arg)
{
	(void)arg;
	char buf[512];
	long n = 0, r;

	while ((r = read(storm[0], buf, sizeof buf)) > 0)
		n += r;
	return (void *)n;
}

static void *storms(void *arg)
{
	pthread_t *t = arg;

	while (!over) {
		for (int i = 0; i < 2; i++)
			OK(pthread_kill(t[i], SIGUSR1));
		usleep(200);
	}
	return arg;
}

static void *target(void *arg)
{
	while (!over) {
		errno = 77;
		unsigned long x = computes(3000);
		MUST(errno == 77 && x == computes(3000));
	}
	return arg;
}

/* A handler that jumps out of whatever computes. */
static void *leaps(void *arg)
{
	sigjmp_buf env;

	tid = 1;
	for (volatile int i = 0; i < scaled(100); i++) {
		if (sigsetjmp(env, 1) == 0) {
			way = &env;
			OK(pthread_kill(pthread_self(), SIGUSR2));
			MUST(!"it came back");
		}
		computes(1000);
	}
	return arg;
}

static void *vforks(void *arg)
{
	int st;

	for (volatile int i = 0; i < scaled(20); i++) {
		pid_t pid = vfork();
		if (pid == 0) {
			computes(20000);
			_exit(i);
		}
		MUST(pid > 0 && waitpid(pid, &st, 0) == pid && WIFEXITED(st) &&
		     WEXITSTATUS(st) == i);
	}
	return arg;
}

static void lines(void)
{
	char line[100];
	long n = 0, i, k;
	double d;

	MUST(fclose(stream) == 0 && (stream = fopen("out", "r")) != NULL);
	while (fgets(line, sizeof line, stream) != NULL) {
		char tail[20];
		MUST(sscanf(line, "%ld %ld %lf %19s", &i, &k, &d, tail) == 4 &&
		     d - k / 8.0 < 0.001 && k / 8.0 - d < 0.001 && strcmp(tail, "abcdefghij") == 0);
		n++;
	}
	fclose(stream);
	say("%ld whole lines", n);
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
	pthread_t t[12], aim[2], s, d;
	int n = 0;

	MUST(pipe(storm) == 0 && (stream = fopen("out", "w")) != NULL);
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0 && sigaction(SIGUSR2, &sa, NULL) == 0);
	d = start(drains, NULL);
	for (int i = 0; i < 2; i++)
		aim[i] = start(target, NULL);
	s = start(storms, aim);
	for (long i = 1; i <= 3; i++)
		t[n++] = start(allocates, (void *)i);
	for (long i = 0; i < 3; i++)
		t[n++] = start(prints, (void *)i);
	t[n++] = start(walks, NULL);
	t[n++] = start(jumps, NULL);
	t[n++] = start(leaps, NULL);
	t[n++] = start(vforks, NULL);
	for (int i = 0; i < n; i++)
		finish(t[i]);
	over = true;
	finish(s);
	for (int i = 0; i < 2; i++)
		finish(aim[i]);
	MUST(close(storm[1]) == 0 && (long)finish(d) == handled && handled > 0);
	for (int i = 0; i < BLOCKS; i++)
		free(shared[i]);
	lines();
	say("all of it right");
	return 0;
}
