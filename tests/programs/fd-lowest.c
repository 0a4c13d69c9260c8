/* SPDX-License-Identifier: MIT */
/* A new descriptor has the lowest free number, each time: close(0) and open() give 0. One thread
 * opens and closes by the hundred thousand while others compute, wait for the disk, for a lock, a
 * clock and each other, none of which opens anything. */
#include "t.h"
#include <sys/file.h>
#include <sys/syscall.h>

static _Atomic bool over;

/* In the kernel, where no wrapper sees it. */
static void *hidden(void *arg)
{
	struct timespec ts = {0, 15000000};
	long r;

	while (!over && usleep(20000) == 0)
		__asm__ volatile("syscall"
				 : "=a"(r)
				 : "0"((long)SYS_nanosleep), "D"(&ts), "S"(0L)
				 : "rcx", "r11", "memory");
	return arg;
}

static void *writes(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[4096] = "block";

	for (long i = 0; !over; i++)
		MUST(pwrite(fd, buf, sizeof buf, i % 16 * 4096) == sizeof buf &&
		     fdatasync(fd) == 0);
	return arg;
}

static void *locks(void *arg)
{
	int fd = (int)(intptr_t)arg;

	while (!over)
		MUST(flock(fd, LOCK_EX) == 0 && usleep(500) == 0 && flock(fd, LOCK_UN) == 0);
	return arg;
}

static void *computes(void *arg)
{
	volatile unsigned long x = 1;

	while (!over)
		x = x * 3 + 1;
	return arg;
}

static void *yields(void *arg)
{
	while (!over)
		usleep(1000);
	return arg;
}

int main(void)
{
	int file, lock[2], n = 0, p[2];
	pthread_t t[9];

	MUST((file = open("file", O_RDWR | O_CREAT, 0600)) >= 0);
	for (int i = 0; i < 2; i++)
		MUST((lock[i] = open("lock", O_RDWR | O_CREAT, 0600)) >= 0);
	for (int i = 0; i < 2; i++) {
		t[n++] = start(hidden, NULL);
		t[n++] = start(locks, (void *)(intptr_t)lock[i]);
		t[n++] = start(computes, NULL);
		t[n++] = start(yields, NULL);
	}
	t[n++] = start(writes, (void *)(intptr_t)file);
	for (int i = 0; i < scaled(40000); i++) {
		MUST(close(0) == 0);
		MUST(open("/dev/null", O_RDONLY) == 0);
		MUST(close(0) == 0);
		MUST(dup(2) == 0);
		MUST(close(0) == 0);
		if (i % 16 == 0) {
			MUST(socket(AF_UNIX, SOCK_STREAM, 0) == 0);
			OK(pthread_setname_np(pthread_self(), i % 32 ? "one" : "other"));
			continue;
		}
		MUST(pipe(p) == 0 && p[0] == 0 && p[1] == lock[1] + 1 && close(p[1]) == 0);
	}
	over = true;
	for (int i = 0; i < n; i++)
		finish(t[i]);
	say("always the lowest");
	return 0;
}
