/* SPDX-License-Identifier: MIT */
/* Many threads on one FILE: lines stay whole, flockfile keeps groups together, a reader blocked in
 * fgets holds only its own FILE's lock, and those who wait for that lock go on afterwards.
 * stdio(3), flockfile(3) */
#include "t.h"

#define THREADS 24

static FILE *f;
static int per;

static void *writer(void *arg)
{
	int id = (int)(intptr_t)arg;

	for (int i = 0; i < per; i++) {
		if (i % 3 == 0) {
			flockfile(f);
			fprintf(f, "%d %d first\n", id, i);
			if (i % 30 == 0)
				usleep(50); /* with the lock held */
			fprintf(f, "%d %d second\n", id, i);
			funlockfile(f);
		} else {
			fprintf(f, "%d %d %s %.3f line\n", id, i, "single", 0.5);
		}
		if (i % 10 == 0)
			fflush(f);
	}
	return NULL;
}

static void check(void)
{
	char line[200], word[20];
	int next[THREADS] = {0}, id, i, n = 0;

	rewind(f);
	while (fgets(line, sizeof line, f)) {
		MUST(sscanf(line, "%d %d %19s", &id, &i, word) == 3);
		MUST(id >= 0 && id < THREADS && i == next[id]);
		if (!strcmp(word, "first")) {
			MUST(fgets(line, sizeof line, f));
			int id2, i2;
			MUST(sscanf(line, "%d %d %19s", &id2, &i2, word) == 3);
			MUST(id2 == id && i2 == i && !strcmp(word, "second"));
		} else {
			MUST(!strcmp(strchr(line, 's'), "single 0.500 line\n"));
		}
		next[id]++;
		n++;
	}
	say("every line whole and in its thread's order: %d", n == THREADS * per);
}

static void *reader(void *arg)
{
	char line[50];
	long n = 0;

	while (fgets(line, sizeof line, arg)) {
		MUST(!strncmp(line, "line ", 5) && line[strlen(line) - 1] == '\n');
		n++;
	}
	return (void *)n;
}

int main(void)
{
	pthread_t t[THREADS];
	int p[2];
	long sum = 0;

	per = scaled(300);
	MUST((f = tmpfile()));
	for (int i = 0; i < THREADS; i++)
		t[i] = start(writer, (void *)(intptr_t)i);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	check();

	/* One reader blocks in the pipe with the FILE locked, the others wait for the lock. */
	MUST(pipe(p) == 0);
	FILE *in = fdopen(p[0], "r"), *out = fdopen(p[1], "w");
	for (int i = 0; i < 8; i++)
		t[i] = start(reader, in);
	settle();
	for (int i = 0; i < scaled(2000); i++) {
		MUST(fprintf(out, "line %d\n", i) > 0);
		if (i % 100 == 0)
			MUST(fflush(out) == 0);
	}
	MUST(fclose(out) == 0);
	for (int i = 0; i < 8; i++)
		sum += (long)finish(t[i]);
	say("8 readers of one FILE got every line: %d", sum == scaled(2000));
	return 0;
}
