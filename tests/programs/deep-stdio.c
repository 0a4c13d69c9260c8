/* SPDX-License-Identifier: MIT */
/* 500 connections, a thread each that knows nothing but stdio: fgets, fprintf, getline, fread on
 * fdopen'ed sockets; and as many on popen's pipes and on a pipe in place of stdin. stdio(3) */
#include "few.h"
#include "net.h"

enum { CONNS = 500, LINES = 5, CHUNK = 3000 };

static int listener;
static struct sockaddr_in addr;

/* "ID word" lines are answered by "ID word word"; "ID block N" by N bytes; until the other side
 * ends. */
static void *serves(void *arg)
{
	int fd = accept(listener, NULL, NULL), id, n;
	FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
	char *line = NULL, word[40];
	size_t room = 0;
	unsigned char buf[CHUNK];

	MUST(fd >= 0 && in && out);
	while (getline(&line, &room, in) > 0) {
		if (sscanf(line, "%d block %d", &id, &n) == 2) {
			MUST(n <= CHUNK);
			fill(buf, n, id, 0);
			MUST(fwrite(buf, 1, n, out) == (size_t)n);
		} else {
			MUST(sscanf(line, "%d %39s", &id, word) == 2);
			MUST(fprintf(out, "%d %s %s\n", id, word, word) > 0);
		}
		MUST(fflush(out) == 0);
	}
	MUST(feof(in) && !ferror(in));
	free(line);
	MUST(fclose(in) == 0 && fclose(out) == 0);
	return arg;
}

static int client(void)
{
	int fd = tcp_connect(&addr);

	return fd;
}

static void talk(int *fd)
{
	char line[100], want[100];
	unsigned char buf[CHUNK];

	for (int round = 0; round < LINES; round++) {
		for (int i = 0; i < CONNS; i++) {
			int n = snprintf(line, sizeof line, "%d round%d\n", i, round);
			write_all(fd[i], line, n / 2); /* the line comes in two pieces */
		}
		few_look();
		for (int i = 0; i < CONNS; i++) {
			int n = snprintf(line, sizeof line, "%d round%d\n", i, round);
			write_all(fd[i], line + n / 2, n - n / 2);
		}
		for (int i = 0; i < CONNS; i++) {
			int n =
			    snprintf(want, sizeof want, "%d round%d round%d\n", i, round, round);
			MUST(read_all(fd[i], line, n) == (size_t)n && !memcmp(line, want, n));
		}
	}
	for (int i = 0; i < CONNS; i++) {
		int n = snprintf(line, sizeof line, "%d block %d\n", i, CHUNK - i);
		write_all(fd[i], line, n);
	}
	for (int i = 0; i < CONNS; i++)
		MUST(read_all(fd[i], buf, CHUNK - i) == (size_t)(CHUNK - i) &&
		     right(buf, CHUNK - i, i, 0));
}

/* stdin is a pipe: threads take its lines in turn. */
static long taken;

static void *takes(void *arg)
{
	char line[40];

	while (fgets(line, sizeof line, stdin)) {
		MUST(!strcmp(line, "a line for anybody\n"));
		__atomic_add_fetch(&taken, 1, __ATOMIC_RELAXED);
	}
	return arg;
}

/* A command that ends when its input does. */
static void *pipes(void *arg)
{
	FILE *f = popen("sed s/a/b/ < /dev/null; echo done", "r");
	char line[40];

	MUST(f && fgets(line, sizeof line, f) && !strcmp(line, "done\n"));
	MUST(!fgets(line, sizeof line, f) && pclose(f) == 0);
	return arg;
}

int main(void)
{
	pthread_t t[CONNS];
	int fd[CONNS], p[2];

	listener = tcp_listen(&addr, CONNS);
	for (int i = 0; i < CONNS; i++) {
		t[i] = start_small(serves, NULL);
		fd[i] = client();
	}
	settle();
	few_look();
	talk(fd);
	few_look();
	for (int i = 0; i < CONNS; i++)
		MUST(close(fd[i]) == 0);
	for (int i = 0; i < CONNS; i++)
		finish(t[i]);
	say("500 connections served by stdio");

	MUST(pipe(p) == 0 && dup2(p[0], 0) == 0 && close(p[0]) == 0);
	for (int i = 0; i < 20; i++)
		t[i] = start(takes, NULL);
	settle();
	few_look();
	for (int i = 0; i < scaled(2000); i++)
		write_all(p[1], "a line for anybody\n", 19);
	MUST(close(p[1]) == 0);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	say("lines from stdin: %d", taken == scaled(2000));
	few_say();

	/* A child is waited for in the kernel. */
	for (int i = 0; i < 10; i++)
		t[i] = start(pipes, NULL);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	say("popen");
	return 0;
}
