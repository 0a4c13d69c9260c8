/* SPDX-License-Identifier: MIT */
/* TCP, thread per connection: 24 clients send and receive 1 MB each at once, by several pairs of
 * calls; every byte is checked, and a blocking write writes everything. tcp(7), send(2), recv(2) */
#include "net.h"
#include <sys/uio.h>

#define CLIENTS 24

static size_t total;

static ssize_t put(int kind, int fd, void *buf, size_t n)
{
	struct iovec v[2] = {{buf, n / 3}, {(char *)buf + n / 3, n - n / 3}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};

	switch (kind) {
	case 0:
		return write(fd, buf, n);
	case 1:
		return send(fd, buf, n, MSG_NOSIGNAL);
	case 2:
		return writev(fd, v, 2);
	case 3:
		return sendmsg(fd, &m, 0);
	default:
		return sendto(fd, buf, n, 0, NULL, 0);
	}
}

static ssize_t get(int kind, int fd, void *buf, size_t n)
{
	struct iovec v[2] = {{buf, n / 3}, {(char *)buf + n / 3, n - n / 3}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};

	switch (kind) {
	case 0:
		return recv(fd, buf, n, 0);
	case 1:
		return read(fd, buf, n);
	case 2:
		return recvmsg(fd, &m, 0);
	case 3:
		return readv(fd, v, 2);
	default:
		return recvfrom(fd, buf, n, 0, NULL, NULL);
	}
}

static void *echo(void *arg)
{
	int fd = (int)(intptr_t)arg;
	static __thread char buf[20000];
	ssize_t n;

	for (int i = 0; (n = get(i % 5, fd, buf, sizeof buf)) > 0; i++)
		MUST(put((i + 1) % 5, fd, buf, n) == n);
	MUST(n == 0);
	MUST(close(fd) == 0);
	return NULL;
}

struct client {
	int fd, id;
};

static void *send_all(void *arg)
{
	struct client *c = arg;
	unsigned char *buf = malloc(total);

	fill(buf, total, c->id, 0);
	MUST(put(c->id % 5, c->fd, buf, total) == (ssize_t)total);
	MUST(shutdown(c->fd, SHUT_WR) == 0);
	free(buf);
	return NULL;
}

static void *client(void *arg)
{
	struct client c = {tcp_connect(arg), 0};
	static int ids;
	unsigned char *buf = malloc(50000);
	size_t got = 0;
	ssize_t n;

	c.id = __atomic_add_fetch(&ids, 1, __ATOMIC_RELAXED);
	pthread_t t = start(send_all, &c);
	while ((n = get(c.id % 5, c.fd, buf, 50000)) > 0) {
		MUST(right(buf, n, c.id, got));
		got += n;
	}
	MUST(n == 0 && got == total);
	finish(t);
	free(buf);
	MUST(close(c.fd) == 0);
	return NULL;
}

int main(void)
{
	struct sockaddr_in a;
	int l = tcp_listen(&a, CLIENTS);
	pthread_t t[CLIENTS];

	total = scaled(1 << 20);
	for (int i = 0; i < CLIENTS; i++)
		t[i] = start(client, &a);
	for (int i = 0; i < CLIENTS; i++) {
		struct sockaddr_in from;
		socklen_t len = sizeof from;
		int fd = accept(l, (struct sockaddr *)&from, &len);
		MUST(fd >= 0 && len == sizeof from && from.sin_addr.s_addr == a.sin_addr.s_addr);
		OK(pthread_detach(start(echo, (void *)(intptr_t)fd)));
	}
	for (int i = 0; i < CLIENTS; i++)
		finish(t[i]);
	say("%d clients got every byte back", CLIENTS);
	return 0;
}
