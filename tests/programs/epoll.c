/* SPDX-License-Identifier: MIT */
/* The program's own epoll: level and edge, one-shot, time-outs, many threads in one epoll_wait, an
 * epoll descriptor in poll; an event loop per thread. epoll(7) */
#include "net.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

static int shared, total;

static void *write_soon(void *arg)
{
	settle();
	MUST(write((int)(intptr_t)arg, "x", 1) == 1);
	return NULL;
}

static void *waits(void *arg)
{
	struct epoll_event ev;

	for (;;) {
		MUST(epoll_wait(shared, &ev, 1, -1) == 1);
		if (ev.data.fd < 0)
			return arg;
		char c;
		MUST(read(ev.data.fd, &c, 1) == 1);
		__atomic_add_fetch(&total, 1, __ATOMIC_RELAXED);
		ev.events = EPOLLIN | EPOLLONESHOT;
		MUST(epoll_ctl(shared, EPOLL_CTL_MOD, ev.data.fd, &ev) == 0);
	}
}

static void *loop(void *arg)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), *fds = arg, open_fds = 4;
	struct epoll_event ev[4];
	char buf[100];

	for (int i = 0; i < 4; i++) {
		ev[0] = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.fd = fds[i]};
		MUST(fcntl(fds[i], F_SETFL, O_NONBLOCK) == 0);
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &ev[0]) == 0);
	}
	while (open_fds > 0) {
		int n = epoll_wait(ep, ev, 4, -1);
		MUST(n > 0);
		for (int i = 0; i < n; i++) {
			ssize_t k;
			while ((k = read(ev[i].data.fd, buf, sizeof buf)) > 0)
				MUST(write(ev[i].data.fd, buf, k) == k);
			if (k == 0) {
				close(ev[i].data.fd);
				open_fds--;
			} else {
				MUST(errno == EAGAIN);
			}
		}
	}
	close(ep);
	return NULL;
}

static void *client(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char c;

	for (int i = 0; i < scaled(200); i++)
		MUST(write(fd, "y", 1) == 1 && read(fd, &c, 1) == 1 && c == 'y');
	close(fd);
	return NULL;
}

int main(void)
{
	int p[2], pipes[8][2], s[2], ends[16], ep = epoll_create1(0);
	struct epoll_event ev;
	pthread_t t[8], c[16];
	char b;

	MUST(pipe(p) == 0);
	ev = (struct epoll_event){.events = EPOLLIN, .data.u32 = 7};
	SYS(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
	SYS(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
	SYS(epoll_wait(ep, &ev, 1, 0));
	double begin = ms_now();
	SYS(epoll_wait(ep, &ev, 1, 40));
	MUST(ms_now() - begin >= 40);
	t[0] = start(write_soon, (void *)(intptr_t)p[1]);
	SYS(epoll_wait(ep, &ev, 1, -1));
	finish(t[0]);
	say("events %x, data %u", ev.events, ev.data.u32);
	SYS(epoll_wait(ep, &ev, 1, -1)); /* level: still there */
	struct pollfd pfd = {ep, POLLIN, 0};
	SYS(poll(&pfd, 1, -1));
	MUST(read(p[0], &b, 1) == 1);
	SYS(poll(&pfd, 1, 0));
	t[0] = start(write_soon, (void *)(intptr_t)p[1]);
	SYS(poll(&pfd, 1, -1));
	finish(t[0]);
	SYS(epoll_pwait(ep, &ev, 1, -1, NULL));
	SYS(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL));
	SYS(epoll_wait(ep, &ev, 1, 10));
	SYS(epoll_wait(ep, &ev, 0, 10));
	SYS(epoll_wait(p[0], &ev, 1, 10));

	shared = epoll_create1(0);
	for (int i = 0; i < 8; i++) {
		MUST(pipe(pipes[i]) == 0);
		ev = (struct epoll_event){.events = EPOLLIN | EPOLLONESHOT, .data.fd = pipes[i][0]};
		MUST(epoll_ctl(shared, EPOLL_CTL_ADD, pipes[i][0], &ev) == 0);
		t[i] = start(waits, NULL);
	}
	for (int i = 0; i < 8 * scaled(200); i++)
		MUST(write(pipes[i % 8][1], "z", 1) == 1);
	while (__atomic_load_n(&total, __ATOMIC_RELAXED) < 8 * scaled(200))
		sched_yield();
	uint64_t one = 1;
	int stop = eventfd(0, 0);
	ev = (struct epoll_event){.events = EPOLLIN, .data.fd = -1};
	MUST(epoll_ctl(shared, EPOLL_CTL_ADD, stop, &ev) == 0 && write(stop, &one, 8) == 8);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	say("8 threads in one epoll_wait: %d", total == 8 * scaled(200));

	for (int i = 0; i < 16; i++) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
		ends[i] = s[0];
		c[i] = start(client, (void *)(intptr_t)s[1]);
	}
	for (int i = 0; i < 4; i++)
		t[i] = start(loop, &ends[i * 4]);
	for (int i = 0; i < 16; i++)
		finish(c[i]);
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	say("4 event loops");
	return 0;
}
