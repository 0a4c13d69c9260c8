/* SPDX-License-Identifier: MIT */
/* poll and select that ask for something else than what is there, or nothing at all, and time out:
 * what was there is found by the next read, write or poll. The other names of events: POLLRDNORM,
 * POLLWRNORM, POLLRDBAND. poll(2) */
#include "net.h"
#include <sys/select.h>

static const char *const kinds[] = {"pipe", "unix", "tcp"};
static int here, there; /* what is written there is read here */

static void connected(int kind)
{
	int fd[2];

	if (kind == 0) {
		MUST(pipe(fd) == 0);
	} else if (kind == 1) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	} else {
		tcp_pair(fd);
	}
	here = fd[0];
	there = fd[1];
}

static void show(const char *what, int fd, short events, int ms)
{
	struct pollfd p = {fd, events, 0};
	int r = poll(&p, 1, ms);

	say("  %s: %d %x", what, r, p.revents);
}

static void reads(void)
{
	char c;
	MUST(read(here, &c, 1) == 1);
}

static void *asks(void *arg)
{
	static const short others[] = {POLLPRI, 0, POLLRDHUP, POLLRDBAND, POLLERR | POLLHUP};
	int kind = (int)(intptr_t)arg;

	say("%s", kinds[kind]);
	connected(kind);
	show("empty", here, POLLIN, 10);
	for (int i = 0; i < NELEM(others); i++) {
		MUST(write(there, "x", 1) == 1);
		settle(); /* so that the event is known of */
		show("something else", here, others[i], 20);
		if (i % 2 == 0)
			show("and then", here, POLLIN, -1);
		reads();
		show("empty again", here, POLLIN, 10);
	}
	MUST(write(there, "x", 1) == 1);
	settle();
	fd_set e;
	struct timeval tv = {0, 20000};
	FD_ZERO(&e);
	FD_SET(here, &e);
	say("  select for exceptions: %d", select(here + 1, NULL, NULL, &e, &tv));
	reads();
	return arg;
}

static void *writes_late(void *arg)
{
	settle();
	MUST(write(there, "x", 1) == 1);
	return arg;
}

static void *names(void *arg)
{
	int kind = (int)(intptr_t)arg;
	static char much[1 << 20];
	pthread_t t;

	connected(kind);
	for (int i = 0; i < 2; i++) {
		t = start(writes_late, NULL);
		show("RDNORM", here, POLLRDNORM, -1);
		finish(t);
		reads();
		t = start(writes_late, NULL);
		show("both", here, POLLRDNORM | POLLIN, -1);
		finish(t);
		show("once more", here, POLLRDNORM | POLLRDBAND, -1);
		reads();
	}
	MUST(fcntl(there, F_SETFL, O_NONBLOCK) == 0);
	for (ssize_t n = 1; n > 0; settle()) /* TCP may make room for more in a while */
		for (n = 0; write(there, much, sizeof much) > 0; n++)
			;
	show("full", there, POLLWRNORM, 10);
	show("full, something else", there, POLLPRI, 10);
	MUST(fcntl(here, F_SETFL, O_NONBLOCK) == 0);
	/* TCP's window may open in the middle of it, and what was on its way fill it again. */
	for (int i = 0; i < 3; i++) {
		while (read(here, much, sizeof much) > 0)
			;
		settle();
	}
	show("emptied", there, POLLWRNORM, -1);
	show("emptied", there, POLLOUT, -1);
	return arg;
}

static void *urgent(void *arg)
{
	char c;

	connected(2);
	show("empty", here, POLLIN, 10);
	MUST(send(there, "u", 1, MSG_OOB) == 1);
	settle();
	show("no ordinary data", here, POLLIN, 20);
	show("urgent data", here, POLLPRI, -1);
	show("or either", here, POLLPRI | POLLIN, -1);
	MUST(recv(here, &c, 1, MSG_OOB) == 1 && c == 'u');
	MUST(shutdown(there, SHUT_WR) == 0);
	settle();
	show("nothing wanted", here, 0, 20);
	show("half a hang-up", here, POLLRDHUP, -1);
	show("the end", here, POLLIN, -1);
	return arg;
}

static void *file(void *arg)
{
	int fd = open("file", O_RDWR | O_CREAT, 0600);
	double begin = ms_now();

	MUST(fd >= 0);
	show("a file", fd, POLLIN, -1);
	show("a file, something else", fd, POLLPRI, 30);
	MUST(ms_now() - begin >= 29);
	return arg;
}

int main(void)
{
	for (long kind = 0; kind < 3; kind++) {
		finish(start(asks, (void *)kind));
		finish(start(names, (void *)kind));
	}
	finish(start(urgent, NULL));
	finish(start(file, NULL));
	return 0;
}
