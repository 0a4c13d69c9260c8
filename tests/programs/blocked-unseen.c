/* SPDX-License-Identifier: MIT */
/* Threads that block in the kernel by a system call of their own, for which no function of libc is
 * called: as many at once as there are, while others wait for sockets and nobody for a time. The
 * thread that lets them go is one of those that wait. */
#include "t.h"
#include <sys/syscall.h>

#define THREADS 12

static int p[THREADS][2], to_main[2], echo[2];

static long bare_read(int fd, void *buf, size_t n)
{
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(SYS_read), "D"(fd), "S"(buf), "d"(n)
			 : "rcx", "r11", "memory");
	return r;
}

static void *blocks(void *arg)
{
	long i = (long)arg;
	char c;

	write_all(to_main[1], "x", 1); /* main is ready to run, and has no processor for it */
	MUST(bare_read(p[i][0], &c, 1) == 1 && c == 'a' + i);
	return arg;
}

static void *echoes(void *arg)
{
	char c;

	while (read(echo[1], &c, 1) == 1)
		write_all(echo[1], &c, 1);
	return arg;
}

int main(void)
{
	pthread_t t[THREADS], e;
	char c;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, to_main) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, echo) == 0);
	for (int i = 0; i < THREADS; i++)
		MUST(pipe(p[i]) == 0);
	e = start(echoes, NULL);
	for (int round = 0; round < scaled(3); round++) {
		for (long i = 0; i < THREADS; i++)
			t[i] = start(blocks, (void *)i);
		for (int i = 0; i < THREADS; i++)
			MUST(read(to_main[0], &c, 1) == 1);
		for (int i = 0; i < 100; i++) {
			write_all(echo[0], "y", 1);
			MUST(read(echo[0], &c, 1) == 1 && c == 'y');
		}
		for (int i = 0; i < THREADS; i++) {
			c = (char)('a' + i);
			write_all(p[i][1], &c, 1);
		}
		for (long i = 0; i < THREADS; i++)
			MUST((long)finish(t[i]) == i);
	}
	say("all have come back");
	MUST(shutdown(echo[0], SHUT_WR) == 0);
	finish(e);
	return 0;
}
