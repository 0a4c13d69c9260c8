/* SPDX-License-Identifier: MIT */
/* fork in threads while others are blocked and hold locks of their own: the child has one thread,
 * its own data and working calls, makes threads itself, and forks again; atfork handlers; exec,
 * vfork and posix_spawn from threads. fork(2), pthread_atfork(3) */
#include "t.h"
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

static int quiet[2], handlers[3];
static __thread int mine;

static void prepare(void)
{
	__atomic_add_fetch(&handlers[0], 1, __ATOMIC_RELAXED);
}

static void parent(void)
{
	__atomic_add_fetch(&handlers[1], 1, __ATOMIC_RELAXED);
}

static void child(void)
{
	handlers[2]++;
}

static void *blocked(void *arg)
{
	char c;

	MUST(read(quiet[0], &c, 1) == 0);
	return arg;
}

static void *twice(void *arg)
{
	usleep(500);
	return (void *)((intptr_t)arg * 2);
}

static void wait_for(pid_t pid, int want)
{
	int st;

	MUST(pid > 0 && waitpid(pid, &st, 0) == pid);
	MUST(WIFEXITED(st) && WEXITSTATUS(st) == want);
}

static void in_child(int id, int out, int depth);
static void (*volatile again)(int, int, int) = in_child;

/* What the child does: everything again, with threads and a grandchild. */
static void in_child(int id, int out, int depth)
{
	int p[2];
	char c;
	pthread_t t[10];

	MUST(mine == id && handlers[2] == depth);
	MUST(getpid() == (pid_t)syscall(SYS_gettid)); /* it is the main thread there */
	MUST(pipe(p) == 0 && write(p[1], "x", 1) == 1 && read(p[0], &c, 1) == 1);
	usleep(1000);
	free(malloc(100000));
	for (int i = 0; i < 10; i++)
		t[i] = start(twice, (void *)(intptr_t)i);
	for (int i = 0; i < 10; i++)
		MUST(finish(t[i]) == (void *)(intptr_t)(i * 2));
	MUST(mine == id);
	pid_t pid = depth < 2 ? fork() : 1;
	if (pid == 0) {
		again(id, out, depth + 1);
	} else if (pid > 1) {
		wait_for(pid, 10);
	}
	MUST(write(out, "done", 4) == 4);
	_exit(10);
}

static __attribute__((noinline)) pid_t vforks(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", "exit 12", NULL);
		_exit(99);
	}
	return pid;
}

static void *forks(void *arg)
{
	int p[2];
	char buf[16];

	mine = (int)(intptr_t)arg;
	for (int i = 0; i < scaled(5); i++) {
		MUST(pipe(p) == 0);
		pid_t pid = fork();
		if (pid == 0)
			in_child(mine, p[1], 1);
		MUST(close(p[1]) == 0);
		MUST(read_all(p[0], buf, sizeof buf) == 8); /* child and grandchild */
		MUST(close(p[0]) == 0);
		wait_for(pid, 10);

		pid = fork();
		if (pid == 0) {
			execl("/bin/sh", "sh", "-c", "exit 11", NULL);
			_exit(99);
		}
		wait_for(pid, 11);
		wait_for(vforks(), 12);
		char *argv[] = {"sh", "-c", "exit 13", NULL};
		OK(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ));
		wait_for(pid, 13);
		MUST(mine == (int)(intptr_t)arg);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[6], b[20];

	MUST(pipe(quiet) == 0);
	OK(pthread_atfork(prepare, parent, child));
	for (int i = 0; i < 20; i++)
		b[i] = start(blocked, NULL);
	for (int i = 0; i < 6; i++)
		t[i] = start(forks, (void *)(intptr_t)(i + 1));
	for (int i = 0; i < 6; i++)
		finish(t[i]);
	/* posix_spawn runs no handlers; vfork none either. */
	say("handlers: %d %d %d", handlers[0] == 12 * scaled(5), handlers[1] == 12 * scaled(5),
	    handlers[2]);
	mine = 7;
	pid_t pid = fork();
	if (pid == 0)
		in_child(7, 1, 1);
	wait_for(pid, 10);
	say(" twice"); /* the child's line went before */
	close(quiet[1]);
	for (int i = 0; i < 20; i++)
		finish(b[i]);
	say("blocked threads went on");
	return 0;
}
