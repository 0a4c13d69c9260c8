/* SPDX-License-Identifier: MIT */
/* epoll sets in epoll sets and in poll; entries added, changed and taken out while others wait in the set; EPOLLEXCLUSIVE;
 * edges; one-shots; descriptors closed while they are in a set; nanoseconds; errors. epoll(7), epoll_ctl(2) */
#include "net.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

static struct epoll_event *volatile nowhere = (struct epoll_event *)16;
static volatile int most = 1 << 30, less = -1;

static int waited(int ep, int ms, uint32_t *data)
{
	struct epoll_event ev[4];
	int n = epoll_wait(ep, ev, 4, ms);

	MUST(n >= 0);
	if (n > 0)
		*data = ev[0].data.u32;
	return n;
}

static void add(int ep, int fd, uint32_t events, uint32_t data)
{
	struct epoll_event ev = {.events = events, .data.u32 = data};

	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
}

static void *waits(void *arg)
{
	uint32_t data = 0;

	MUST(waited((int)(intptr_t)arg, -1, &data) == 1);
	return (void *)(uintptr_t)data;
}

static void *polls(void *arg)
{
	struct pollfd p = {(int)(intptr_t)arg, POLLIN, 0};

	MUST(poll(&p, 1, -1) == 1 && p.revents == POLLIN);
	return arg;
}

static void *all(void *arg)
{
	int e[4], p[2], q[2], v, w;
	uint32_t data = 0;
	uint64_t one = 1;
	struct epoll_event ev = {.events = EPOLLIN};
	char c;
	pthread_t t, u;

	/* Four deep: what happens at the bottom is seen at the top. */
	MUST(pipe(p) == 0 && pipe(q) == 0);
	for (int i = 0; i < 4; i++)
		MUST((e[i] = epoll_create1(0)) >= 0);
	for (int i = 0; i < 3; i++)
		add(e[i], e[i + 1], i == 1 ? EPOLLIN | EPOLLET : EPOLLIN, 10 + i);
	add(e[3], p[0], EPOLLIN, 99);
	SYS(epoll_ctl(e[3], EPOLL_CTL_ADD, e[0], &ev));
	SYS(epoll_ctl(e[0], EPOLL_CTL_ADD, e[0], &ev));
	t = start(waits, (void *)(intptr_t)e[0]);
	u = start(polls, (void *)(intptr_t)e[2]);
	settle();
	MUST(write(p[1], "x", 1) == 1);
	say("top: %d", (int)(intptr_t)finish(t));
	finish(u);
	say("bottom: %d", waited(e[3], -1, &data) == 1 && data == 99);
	MUST(read(p[0], &c, 1) == 1);
	SYS(waited(e[3], 10, &data));
	SYS(waited(e[0], 10, &data));

	/* While somebody waits: something ready is added, something is made ready by a change. */
	t = start(waits, (void *)(intptr_t)e[3]);
	settle();
	MUST(write(q[1], "q", 1) == 1);
	add(e[3], q[0], EPOLLIN, 55);
	say("added: %d", (int)(intptr_t)finish(t));
	MUST(epoll_ctl(e[3], EPOLL_CTL_DEL, q[0], NULL) == 0);
	SYS(waited(e[3], 10, &data));
	add(e[3], q[0], 0, 56);
	SYS(waited(e[3], 10, &data));
	t = start(waits, (void *)(intptr_t)e[3]);
	settle();
	ev = (struct epoll_event){.events = EPOLLIN | EPOLLONESHOT, .data.u32 = 57};
	MUST(epoll_ctl(e[3], EPOLL_CTL_MOD, q[0], &ev) == 0);
	say("changed: %d", (int)(intptr_t)finish(t));
	SYS(waited(e[3], 10, &data)); /* once */
	ev.events = EPOLLIN | EPOLLET;
	MUST(epoll_ctl(e[3], EPOLL_CTL_MOD, q[0], &ev) == 0);
	SYS(waited(e[3], -1, &data));
	SYS(waited(e[3], 10, &data)); /* an edge, once */
	t = start(waits, (void *)(intptr_t)e[3]);
	settle();
	MUST(write(q[1], "q", 1) == 1);
	say("edge: %d", (int)(intptr_t)finish(t));
	MUST(close(q[0]) == 0);
	SYS(waited(e[3], 10, &data)); /* went with its descriptor */
	MUST(pipe(q) == 0);
	add(e[3], q[0], EPOLLIN, 58);
	t = start(waits, (void *)(intptr_t)e[3]);
	settle();
	MUST(close(q[1]) == 0);
	say("hang-up: %d", (int)(intptr_t)finish(t));
	MUST(close(q[0]) == 0);

	/* Two sets, one eventfd each wants alone: at least one is told, and both if both look. */
	MUST((v = eventfd(0, 0)) >= 0);
	int x = epoll_create(1), y = epoll_create(1);
	add(x, v, EPOLLIN | EPOLLEXCLUSIVE, 71);
	add(y, v, EPOLLIN | EPOLLEXCLUSIVE, 71);
	ev.events = EPOLLIN | EPOLLEXCLUSIVE;
	SYS(epoll_ctl(x, EPOLL_CTL_MOD, v, &ev));
	t = start(waits, (void *)(intptr_t)x);
	settle();
	u = start(waits, (void *)(intptr_t)y);
	settle();
	MUST(write(v, &one, 8) == 8);
	MUST(write(v, &one, 8) == 8);
	finish(t);
	finish(u);
	MUST(read(v, &one, 8) == 8);
	say("exclusive: %d", (int)one);
	close(x), close(y);

	/* A set is closed under another, and under who polls it. */
	MUST(close(e[1]) == 0);
	SYS(waited(e[0], 10, &data));
	struct timespec ts = {0, 1500000}, zero = {0, 0}, bad = {0, 1000000000};
	double begin = ms_now();
	SYS(epoll_pwait2(e[3], &ev, 1, &ts, NULL));
	MUST(ms_now() - begin >= 1.5);
	SYS(epoll_pwait2(e[3], &ev, 1, &zero, NULL));
	SYS(epoll_pwait2(e[3], &ev, 1, &bad, NULL));
	SYS(epoll_wait(e[3], nowhere, most, 10));
	SYS(epoll_wait(e[3], nowhere, less, 10));
	SYS(epoll_wait(-1, &ev, 1, 10));
	SYS(epoll_ctl(e[3], EPOLL_CTL_ADD, 998, &ev));
	MUST((w = open("/dev/null", O_RDONLY)) >= 0);
	SYS(epoll_ctl(e[3], EPOLL_CTL_ADD, w, &ev));
	MUST(write(v, &one, 8) == 8);
	add(e[3], v, EPOLLIN, 72);
	SYS(epoll_wait(e[3], nowhere, 1, -1));
	SYS(epoll_wait(e[3], &ev, 1, -1));
	close(w), close(v), close(e[0]), close(e[2]), close(e[3]), close(p[0]), close(p[1]);
	return arg;
}

int main(void)
{
	all(NULL);
	finish(start(all, NULL));
	return 0;
}
