/* SPDX-License-Identifier: MIT */
/* Threads whose calls block in the kernel, more of them than CPUs, beside some that compute; and
 * what they do first when they are back: compute for long, lock, wait for a socket, make a thread
 * or a child, take a signal, end. */
#include "t.h"
#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/wait.h>

enum { THREADS = 24, HOGS = 2, WAYS = 8 };

static atomic_bool quit;
static atomic_int handled, cleaned;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static long under; /* m */
static int sv[2];

static void handler(int s)
{
	(void)s;
	handled++;
}

/* Some ms; a known value. */
static void compute(int times)
{
	for (int k = 0; k < times; k++) {
		uint32_t x = 1;
		double d = 1;
		for (int i = 0; i < 1 << 16; i++) {
			x = x * 1664525 + 1013904223;
			d = d * 0.999 + 0.5;
		}
		MUST(x == 946405377u && d > 499.999 && d < 500.001);
	}
}

static void *hog(void *arg)
{
	while (!quit)
		compute(1);
	return arg;
}

static void *echoes(void *arg)
{
	char c;

	while (read(sv[1], &c, 1) == 1)
		MUST(write(sv[1], &c, 1) == 1);
	return arg;
}

static void *nothing(void *arg)
{
	return arg;
}

static void clean(void *arg)
{
	(void)arg;
	cleaned++;
}

static void *until_cancelled(void *arg)
{
	int fd = (int)(intptr_t)arg;

	pthread_cleanup_push(clean, NULL);
	for (;;) {
		MUST(write(fd, "c", 1) == 1);
		MUST(fdatasync(fd) == 0);
		compute(1);
	}
	pthread_cleanup_pop(1);
}

static void *calls(void *arg)
{
	long id = (long)arg;
	char name[30], text[400], c;
	int st;

	snprintf(name, sizeof name, "f%ld", id % 6);
	int fd = open(name, O_RDWR | O_CREAT, 0600), mine;
	snprintf(name, sizeof name, "own%ld", id);
	MUST(fd >= 0 && (mine = open(name, O_RDWR | O_CREAT, 0600)) >= 0);
	for (int i = 0; i < scaled(2 * WAYS); i++) {
		MUST(pwrite(mine, name, sizeof name, 0) == sizeof name);
		MUST(fsync(mine) == 0);
		MUST(flock(fd, LOCK_EX) == 0); /* four want it */
		MUST(pread(mine, name, sizeof name, 0) == sizeof name);
		switch ((id + i) % WAYS) {
		case 0:
			compute(8);
			break;
		case 1:
			for (int k = 0; k < 2000; k++)
				MUST(snprintf(text, sizeof text, "%300.6f", k / 3.0) == 300);
			break;
		case 2:
			OK(pthread_mutex_lock(&m));
			under++;
			compute(1);
			OK(pthread_mutex_unlock(&m));
			break;
		case 3:
			OK(pthread_mutex_lock(&m));
			MUST(write(sv[0], "e", 1) == 1 && read(sv[0], &c, 1) == 1 && c == 'e');
			OK(pthread_mutex_unlock(&m));
			break;
		case 4:
			finish(start(nothing, NULL));
			break;
		case 5:
			OK(pthread_kill(pthread_self(), SIGUSR1));
			MUST(usleep(100) == 0);
			break;
		case 6: {
			pid_t pid = fork();
			if (pid == 0)
				_exit(fsync(mine) == 0 ? 7 : 1);
			MUST(pid > 0 && waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 7);
			break;
		}
		case 7: {
			int own = dup(mine);
			pthread_t t = start(until_cancelled, (void *)(intptr_t)own);
			compute(1);
			OK(pthread_cancel(t));
			MUST(finish(t) == PTHREAD_CANCELED);
			MUST(close(own) == 0);
			break;
		}
		}
		MUST(flock(fd, LOCK_UN) == 0);
	}
	MUST(close(fd) == 0 && close(mine) == 0);
	return arg;
}

int main(void)
{
	pthread_t h[HOGS], t[THREADS], e;
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
	long rounds = scaled(2 * WAYS), ways[WAYS] = {0};

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	e = start(echoes, NULL);
	for (int i = 0; i < HOGS; i++)
		h[i] = start(hog, NULL);
	for (long i = 0; i < THREADS; i++)
		t[i] = start(calls, (void *)i);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	quit = true;
	for (int i = 0; i < HOGS; i++)
		finish(h[i]);
	shutdown(sv[0], SHUT_WR);
	finish(e);
	for (long i = 0; i < THREADS; i++)
		for (long k = 0; k < rounds; k++)
			ways[(i + k) % WAYS]++;
	MUST(under == ways[2] && handled == ways[5] && cleaned == ways[7]);
	say("%d threads, %ld rounds: all came back", THREADS, rounds);
	return 0;
}
