/* SPDX-License-Identifier: MIT */
/*
 * ready-read: system calls that never have to wait; nanoseconds per write and read of 64 bytes, per
 * pread of 4 KiB from the page cache (of this program's own file), per poll of one ready
 * descriptor. Measured in a second thread, as in mutex.c.
 */
#include "bench.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE = 64, PAGE = 4096 };

static int rfd, wfd; /* what is written to wfd comes out of rfd */
static int file;

/* Times n repetitions of an expression which says whether all went well. */
#define TIMED(name, expr)                                                                          \
	static uint64_t name(uint64_t n)                                                           \
	{                                                                                          \
		static char buf[PAGE];                                                             \
		bool bad = false;                                                                  \
		uint64_t t = nanotime();                                                           \
		for (uint64_t i = 0; i < n; i++)                                                   \
			bad |= !(expr);                                                            \
		t = nanotime() - t;                                                                \
		if (bad)                                                                           \
			die(#name ": a call failed");                                              \
		(void)buf;                                                                         \
		return t;                                                                          \
	}

TIMED(write_read, write(wfd, buf, MESSAGE) == MESSAGE && read(rfd, buf, MESSAGE) == MESSAGE)
TIMED(send_recv, send(wfd, buf, MESSAGE, 0) == MESSAGE && recv(rfd, buf, MESSAGE, 0) == MESSAGE)
TIMED(pread_cached, pread(file, buf, PAGE, 0) == PAGE)
TIMED(poll_ready, poll(&(struct pollfd){.fd = rfd, .events = POLLIN}, 1, -1) == 1)

static void *measure(void *arg)
{
	int fd[2];

	sys(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), "socketpair");
	rfd = fd[0], wfd = fd[1];
	report("ready-read.socketpair", nsperop_alone(write_read), "ns");
	report("ready-read.socketpair-send-recv", nsperop_alone(send_recv), "ns");
	sys(write(wfd, "x", 1), "write");
	report("ready-read.poll", nsperop_alone(poll_ready), "ns");

	sys(pipe(fd), "pipe");
	rfd = fd[0], wfd = fd[1];
	report("ready-read.pipe", nsperop_alone(write_read), "ns");

	file = (int)sys(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), "/proc/self/exe");
	report("ready-read.pread-4k", nsperop_alone(pread_cached), "ns");
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t th;

	options(argc, argv, NULL);
	must(pthread_create(&th, NULL, measure, NULL), "pthread_create");
	must(pthread_join(th, NULL), "pthread_join");
	return 0;
}
