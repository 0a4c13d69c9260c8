/* SPDX-License-Identifier: MIT */
/* Urgent data: the mark stops reads, in line or apart; sockatmark, POLLPRI, exceptional sets, epoll; a reader and a poller
 * that wait while it comes; many marks in a row. tcp(7), send(2), sockatmark(3) */
#include "net.h"
#include <sys/epoll.h>
#include <sys/select.h>

static int s[2], waiting;

static void *reads(void *arg)
{
	char *b = arg;

	__atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
	ssize_t n = read(s[0], b, 32);
	MUST(n >= 0);
	b[n] = 0;
	return NULL;
}

static void *polls(void *arg)
{
	struct pollfd p = {s[0], POLLPRI, 0};
	fd_set x;
	struct epoll_event ev = {.events = EPOLLPRI};
	int ep;

	__atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
	switch ((int)(intptr_t)arg) {
	case 0:
		MUST(poll(&p, 1, -1) == 1);
		return (void *)(intptr_t)p.revents;
	case 1:
		FD_ZERO(&x);
		FD_SET(s[0], &x);
		MUST(select(s[0] + 1, NULL, NULL, &x, NULL) == 1);
		return (void *)(intptr_t)!!FD_ISSET(s[0], &x);
	default:
		ep = epoll_create1(0);
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, s[0], &ev) == 0 && epoll_wait(ep, &ev, 1, -1) == 1);
		close(ep);
		return (void *)(intptr_t)ev.events;
	}
}

static void until(int n)
{
	while (__atomic_load_n(&waiting, __ATOMIC_RELAXED) < n)
		usleep(500);
	usleep(3000);
}

/* Sent by now, and there: loopback is not slow, but not instant either. */
static void there(int events)
{
	struct pollfd p = {s[0], (short)events, 0};

	MUST(poll(&p, 1, -1) == 1);
}

static void *all(void *arg)
{
	int one = 1;
	char b[40], c;
	pthread_t t[3], r;

	tcp_pair(s);
	waiting = 0;
	for (int i = 0; i < 3; i++)
		t[i] = start(polls, (void *)(intptr_t)i);
	until(3);
	MUST(send(s[1], "abc!", 4, MSG_OOB) == 4);
	for (int i = 0; i < 3; i++)
		say("waiter %d: %x", i, (int)(intptr_t)finish(t[i]));
	there(POLLIN);
	SYS(sockatmark(s[0]));
	MUST(write(s[1], "def", 3) == 3);
	usleep(3000);
	reads(b);
	say("before the mark: %s", b);
	SYS(sockatmark(s[0]));
	SYS(recv(s[0], &c, 1, MSG_OOB));
	say("%c", c);
	SYS(recv(s[0], &c, 1, MSG_OOB));
	reads(b);
	say("behind: %s", b);
	SYS(recv(s[0], &c, 1, MSG_OOB | MSG_DONTWAIT));

	/* A reader waits: urgent data alone do not wake it, what follows does. */
	waiting = 0;
	r = start(reads, b);
	until(1);
	MUST(send(s[1], "?", 1, MSG_OOB) == 1);
	usleep(2000); /* it is passed over */
	MUST(write(s[1], "ghi", 3) == 3);
	finish(r);
	say("then: %s", b);

	MUST(setsockopt(s[0], SOL_SOCKET, SO_OOBINLINE, &one, sizeof one) == 0);
	waiting = 0;
	r = start(reads, b);
	until(1);
	MUST(send(s[1], "#", 1, MSG_OOB) == 1);
	finish(r);
	say("in line: %s", b);
	SYS(recv(s[0], &c, 1, MSG_OOB));

	/* Each round a mark: nobody sleeps on what is there. */
	for (int i = 0; i < scaled(200); i++) {
		int got = 0;
		char text[8];
		r = start(reads, b);
		MUST(write(s[1], "jk", 2) == 2 && send(s[1], "l", 1, MSG_OOB) == 1 && write(s[1], "m", 1) == 1);
		finish(r);
		got = (int)strlen(b);
		memcpy(text, b, got);
		while (got < 4) {
			reads(b);
			memcpy(text + got, b, strlen(b));
			got += (int)strlen(b);
		}
		MUST(got == 4 && memcmp(text, "jklm", 4) == 0);
	}
	say("marks");
	close(s[0]), close(s[1]);
	return arg;
}

int main(void)
{
	all(NULL);
	finish(start(all, NULL));
	return 0;
}
