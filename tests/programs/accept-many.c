/* SPDX-License-Identifier: MIT */
/* Many threads in accept, and in poll then accept, on one listener: every connection is served
 * once, nobody is left behind, and shutdown of the listener lets all of them go. accept(2) */
#include "net.h"

#define SERVERS 16

static int l, served;
static struct sockaddr_in addr;

static void serve(int fd)
{
	char c;

	while (read(fd, &c, 1) == 1) {
		c++;
		MUST(write(fd, &c, 1) == 1);
	}
	MUST(close(fd) == 0);
	__atomic_add_fetch(&served, 1, __ATOMIC_RELAXED);
}

static void *accepts(void *arg)
{
	int fd;

	while ((fd = accept(l, NULL, NULL)) >= 0)
		serve(fd);
	MUST(errno == EINVAL);
	return arg;
}

static void *polls(void *arg)
{
	struct pollfd p = {l, POLLIN, 0};

	for (;;) {
		MUST(poll(&p, 1, -1) == 1);
		int fd = accept4(l, NULL, NULL,
				 SOCK_CLOEXEC); /* another may have been faster: then this waits */
		if (fd < 0)
			break;
		serve(fd);
	}
	MUST(errno == EINVAL);
	return arg;
}

static void *client(void *arg)
{
	for (int i = 0; i < scaled(15); i++) {
		int s = tcp_connect(&addr);
		for (char c = 'a', d; c < 'd'; c++)
			MUST(write(s, &c, 1) == 1 && read(s, &d, 1) == 1 && d == c + 1);
		MUST(close(s) == 0);
	}
	return arg;
}

int main(void)
{
	pthread_t s[SERVERS], c[20];

	l = tcp_listen(&addr, 64);
	for (int i = 0; i < SERVERS; i++)
		s[i] = start(i % 2 ? accepts : polls, NULL);
	for (int i = 0; i < NELEM(c); i++)
		c[i] = start(client, NULL);
	for (int i = 0; i < NELEM(c); i++)
		finish(c[i]);
	settle(); /* all are back in accept or poll; the result does not depend on it */
	SYS(shutdown(l, SHUT_RDWR));
	for (int i = 0; i < SERVERS; i++)
		finish(s[i]);
	say("served each once: %d", served == NELEM(c) * scaled(15));
	return 0;
}
