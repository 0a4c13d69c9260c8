/* SPDX-License-Identifier: MIT */
/* libc's own locks, wanted by many at once: one malloc arena, one FILE, the list of all FILEs, the
 * time zone, the locale, the users; held by who sleeps, computes in a stream's callback or is
 * blocked in a read; with forks in between. malloc(3), flockfile(3), fopencookie(3) */
#include "few.h"
#include <locale.h>
#include <malloc.h>
#include <pwd.h>
#include <sys/wait.h>

enum { GS = 60 };

static FILE *shared;
static int rounds;

/* ---- one arena ------------------------------------------------------------------------------- */

static void *allocates(void *arg)
{
	unsigned char *keep[64] = {0};
	size_t size[64] = {0};
	unsigned dice = (unsigned)(intptr_t)arg * 2654435761u + 1;

	for (int i = 0; i < rounds * 20; i++) {
		int k = (dice = dice * 1103515245 + 12345) >> 16 & 63;
		if (keep[k]) {
			MUST(right(keep[k], size[k], k, 7));
			free(keep[k]);
			keep[k] = NULL;
		} else {
			size[k] = 1 + (dice >> 8) % 5000; /* beyond the thread's own cache, often */
			MUST((keep[k] = malloc(size[k])));
			fill(keep[k], size[k], k, 7);
		}
		if (i % 500 == 0)
			sched_yield();
	}
	for (int k = 0; k < 64; k++)
		free(keep[k]);
	return arg;
}

/* ---- one FILE -------------------------------------------------------------------------------- */

static void *prints(void *arg)
{
	int id = (int)(intptr_t)arg;

	for (int i = 0; i < rounds; i++) {
		if (i % 50 == 0) {
			flockfile(shared);
			fprintf(shared, "%d %d begin\n", id, i);
			usleep(10);
			fprintf(shared, "%d %d end\n", id, i);
			funlockfile(shared);
		} else {
			fprintf(shared, "%d %d whole %s\n", id, i, "line");
		}
		if (i % 100 == 7)
			fflush(NULL); /* all FILEs, and the lock of their list */
	}
	return arg;
}

static void check(void)
{
	int next[GS] = {0}, id, i, n = 0;
	char line[100], word[20];

	rewind(shared);
	while (fgets(line, sizeof line, shared)) {
		MUST(sscanf(line, "%d %d %19s", &id, &i, word) == 3 && id >= 0 && id < GS &&
		     i == next[id]);
		if (!strcmp(word, "begin")) {
			int id2, i2;
			MUST(fgets(line, sizeof line, shared));
			MUST(sscanf(line, "%d %d %19s", &id2, &i2, word) == 3 && id2 == id &&
			     i2 == i);
			MUST(!strcmp(word, "end"));
		}
		next[id]++;
		n++;
	}
	say("lines whole and in order: %d", n == GS * rounds);
}

/* ---- a callback of the program's, under the FILE's lock -------------------------------------- */

static long written;

static ssize_t computes(void *cookie, const char *buf, size_t n)
{
	(void)buf;
	for (volatile int i = 0; i < 200000; i++)
		;
	*(long *)cookie += (long)n;
	return (ssize_t)n;
}

static FILE *slow;

static void *writes_slowly(void *arg)
{
	for (int i = 0; i < 20; i++)
		MUST(fputs("0123456789", slow) >= 0 && fflush(slow) == 0);
	return arg;
}

/* ---- other locks ----------------------------------------------------------------------------- */

static void *asks(void *arg)
{
	struct passwd pw, *res;
	char buf[2000], day[60];
	struct tm tm;

	for (int i = 0; i < rounds / 5 + 1; i++) {
		time_t when = 86400L * i;
		MUST(getpwuid_r(0, &pw, buf, sizeof buf, &res) == 0 && res &&
		     !strcmp(pw.pw_name, "root"));
		MUST(localtime_r(&when, &tm) && strftime(day, sizeof day, "%c", &tm) > 0);
		MUST(setlocale(LC_ALL, NULL));
		FILE *f = fopen("/dev/null", "w");
		MUST(f && fprintf(f, "%s", day) > 0 && fclose(f) == 0);
	}
	return arg;
}

static void *forks(void *arg)
{
	for (int i = 0; i < rounds / 20 + 1; i++) {
		pid_t pid = fork();
		MUST(pid >= 0);
		if (pid == 0) {
			/* The child's allocator and stdio are whole. */
			char *p = malloc(3000), line[40];
			FILE *f = tmpfile();
			MUST(p && f && fprintf(f, "child\n") == 6);
			rewind(f);
			MUST(fgets(line, sizeof line, f) && !strcmp(line, "child\n"));
			free(p);
			_exit(7);
		}
		int st;
		MUST(waitpid(pid, &st, 0) == pid && WIFEXITED(st) && WEXITSTATUS(st) == 7);
	}
	return arg;
}

/* ---- a reader that holds its FILE for as long as nothing comes ------------------------------- */

static FILE *in;
static long got;

static void *reads(void *arg)
{
	int c;

	while ((c = getc(in)) != EOF) {
		MUST(c == 'x');
		__atomic_add_fetch(&got, 1, __ATOMIC_RELAXED);
	}
	return arg;
}

static void storm(void *(*a)(void *), void *(*b)(void *), void *(*c)(void *))
{
	pthread_t t[GS + 4];

	for (int i = 0; i < GS; i++)
		t[i] = start(i % 2 ? a : b, (void *)(intptr_t)i);
	for (int i = GS; i < GS + 4; i++)
		t[i] = start(c, NULL);
	for (int i = 0; i < GS + 4; i++)
		finish(t[i]);
}

int main(void)
{
	cookie_io_functions_t io = {.write = computes};
	pthread_t t[GS];
	int p[2];

	rounds = scaled(300);
	mallopt(M_ARENA_MAX, 1);
	storm(allocates, allocates, asks);
	say("one arena");
	MUST((shared = tmpfile()));
	storm(prints, prints, asks);
	check();
	MUST((slow = fopencookie(&written, "w", io)));
	storm(writes_slowly, allocates, asks);
	MUST(fclose(slow) == 0);
	say("a slow stream: %d", written == GS / 2 * 20 * 10);

	MUST(pipe(p) == 0 && (in = fdopen(p[0], "r")));
	for (int i = 0; i < GS; i++)
		t[i] = start(reads, NULL);
	settle();
	few_look();
	storm(allocates, asks, asks); /* others go on */
	for (int i = 0; i < scaled(3000); i++)
		write_all(p[1], "x", 1);
	MUST(close(p[1]) == 0);
	for (int i = 0; i < GS; i++)
		finish(t[i]);
	MUST(fclose(in) == 0);
	say("readers of one FILE: %d", got == scaled(3000));
	few_say();

	MUST((shared = tmpfile()));
	storm(allocates, prints, forks);
	say("forks in between");
	return 0;
}
