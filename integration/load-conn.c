/* SPDX-License-Identifier: MIT */
/*
 * One connection of the load client.
 *
 * Echo: what a connection sends is a pseudo-random sequence which belongs to
 * it alone, and every byte that comes back must be the one at its place, so a
 * byte lost, doubled, swapped or sent to another connection is seen.  The
 * sequence is computed from the place: no buffer per connection.
 *
 * HTTP: each request asks for a target of its own, which the bundled server
 * repeats as its body.  With a path given, only status and length are checked.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum {
	CHUNK = 65536, /* of reading, writing and checking */
	HEAD_MAX = 2048,
	/* Connections from one address: there are some 28,000 ports, but the kernel offers half of
	 * them readily, and looks long for one of the others. */
	PER_SOURCE = 8192,
	SOURCES = 250,	    /* 127.0.0.1 and on */
};

/* Bytes [at, at + n) of a sequence, n <= CHUNK; valid until the next call. */
static const char *sequence(uint64_t id, uint64_t at, size_t n)
{
	static _Thread_local uint64_t word[CHUNK / 8 + 2];
	uint64_t key = (id + 1) * 0xd1342543de82ef95u + at / 8 * 0x9e3779b97f4a7c15u;
	for (size_t i = 0; i < (at % 8 + n + 7) / 8; i++) {
		uint64_t x = key += 0x9e3779b97f4a7c15u; /* splitmix64 */
		x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
		x = (x ^ x >> 27) * 0x94d049bb133111ebu;
		word[i] = x ^ x >> 31;
	}
	return (const char *)word + at % 8;
}

static size_t target(const struct conn *c, char *buf, size_t size)
{
	if (plan.path)
		return (size_t)snprintf(buf, size, "%s", plan.path);
	return (size_t)snprintf(buf, size, "/%llu.%ld", (unsigned long long)c->id, c->done);
}

static size_t request(const struct conn *c, char *buf, size_t size)
{
	char path[PATH_BYTES];
	target(c, path, sizeof path);
	bool last = plan.churn && c->done + 1 == plan.per_conn;
	return (size_t)snprintf(buf, size, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n", path,
				plan.port, last ? "Connection: close\r\n" : "");
}

/* A socket bound to the source address that this connection should have:
 * ports run short at some 28,000 connections from one address. */
static int source_socket(unsigned source)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (source == 0)
		return fd;
	struct sockaddr_in sa = {
	    .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source),
	};
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&sa, sizeof sa)) {
		close(fd);
		return -1;
	}
	return fd;
}

bool conn_open(struct conn *c, int epfd, int *why)
{
	static _Atomic uint64_t serial;
	struct sockaddr_in to = {
	    .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)plan.port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	/* Another client of a minute ago has left its ports in TIME_WAIT. */
	unsigned start = (unsigned)getpid() * 7;
	char *head = c->head;
	*c = (struct conn){.fd = -1, .head = head, .id = atomic_fetch_add(&serial, 1)};
	if (plan.http && !c->head && !(c->head = malloc(HEAD_MAX))) {
		*why = ENOMEM;
		return false;
	}
	for (unsigned try = 0; try < SOURCES; try++) {
		c->fd = source_socket((unsigned)(c->id / PER_SOURCE + try + start) % SOURCES);
		if (c->fd < 0)
			break;
		if (connect(c->fd, (struct sockaddr *)&to, sizeof to) == 0 ||
		    errno == EINPROGRESS) {
			struct epoll_event ev = {
			    .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
			    .data.ptr = c,
			};
			if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev))
				break;
			c->state = CONN_CONNECTING;
			return true;
		}
		if (errno != EADDRNOTAVAIL)
			break;
		close(c->fd); /* no port left there: the next address */
		c->fd = -1;
	}
	*why = errno;
	conn_close(c);
	return false;
}

void conn_close(struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->state = CONN_CLOSED;
}

void conn_end(struct conn *c)
{
	shutdown(c->fd, SHUT_WR);
	c->state = CONN_ENDING;
}

static enum event failed(struct conn *c, enum error kind, enum error *why)
{
	*why = kind;
	conn_close(c);
	return EV_FAILED;
}

/* Sends what is left of the request or message, as far as the socket takes it. */
static enum event push(struct conn *c, enum error *why)
{
	for (;;) {
		char req[PATH_BYTES + 128];
		const char *from;
		size_t n;
		if (plan.http) {
			n = request(c, req, sizeof req) - c->sent;
			from = req + c->sent;
		} else {
			uint64_t left = c->goal - c->sent;
			n = left < CHUNK ? left : CHUNK;
			from = sequence(c->id, c->sent, n);
		}
		ssize_t w = send(c->fd, from, n, MSG_NOSIGNAL);
		c->stuck = w < 0 && errno == EAGAIN;
		if (w < 0)
			return c->stuck ? EV_NOTHING : failed(c, ERR_CLOSED, why);
		c->sent += (uint64_t)w;
		if ((size_t)w == n && (plan.http || c->sent == c->goal))
			return EV_NOTHING;
	}
}

enum event conn_exchange(struct conn *c, enum error *why)
{
	c->state = CONN_WAITING;
	if (plan.http) {
		c->sent = c->received = 0;
		c->goal = UINT64_MAX; /* until the headers have said */
		c->head_len = 0;
	} else {
		c->goal = c->sent + plan.bytes;
	}
	return push(c, why);
}

/* The body's bytes [received, received + n) of our own target, repeated? */
static bool body_matches(const struct conn *c, const char *buf, size_t n)
{
	char path[64];
	if (plan.path)
		return true;
	size_t len = target(c, path, sizeof path);
	for (size_t i = 0; i < n; i++)
		if (buf[i] != path[(c->received + i) % len])
			return false;
	return true;
}

/* Takes bytes of an HTTP reply; false with *why if they cannot be right. */
static bool take_http(struct conn *c, const char *buf, size_t n, enum error *why)
{
	if (c->goal == UINT64_MAX) {
		size_t before = c->head_len;
		size_t room = HEAD_MAX - 1 - before;
		memcpy(c->head + before, buf, n < room ? n : room);
		c->head_len += n < room ? n : room;
		c->head[c->head_len] = '\0';
		const char *end = strstr(c->head, "\r\n\r\n");
		const char *length = strcasestr(c->head, "\r\nContent-Length:");
		if (!end) {
			*why = ERR_STATUS;
			return c->head_len < HEAD_MAX - 1;
		}
		if (strncmp(c->head, "HTTP/1.1 200 ", 13) || !length || length > end) {
			*why = ERR_STATUS;
			return false;
		}
		c->goal = strtoull(length + 17, NULL, 10);
		size_t eaten = (size_t)(end + 4 - c->head) - before;
		buf += eaten;
		n -= eaten;
	}
	*why = ERR_MISMATCH;
	if (c->received + n > c->goal || !body_matches(c, buf, n))
		return false;
	c->received += n;
	return true;
}

static bool take_echo(struct conn *c, const char *buf, size_t n, enum error *why)
{
	*why = ERR_MISMATCH;
	if (c->received + n > c->sent || memcmp(buf, sequence(c->id, c->received, n), n))
		return false;
	c->received += n;
	return true;
}

static enum event ended(struct conn *c, enum error *why)
{
	if (c->state != CONN_ENDING)
		return failed(c, ERR_CLOSED, why);
	conn_close(c);
	return EV_ENDED;
}

enum event conn_ready(struct conn *c, enum error *why)
{
	static _Thread_local char buf[CHUNK];
	enum event ev;

	if (c->state == CONN_CLOSED)
		return EV_NOTHING;
	if (c->state == CONN_CONNECTING) {
		int error = 0;
		socklen_t len = sizeof error;
		if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) || error)
			return failed(c, ERR_CONNECT, why);
		c->state = CONN_IDLE;
		return EV_OPENED;
	}
	if (c->stuck && c->state == CONN_WAITING && (ev = push(c, why)) != EV_NOTHING)
		return ev;
	for (;;) {
		ssize_t n = recv(c->fd, buf, sizeof buf, 0);
		if (n < 0)
			return errno == EAGAIN ? EV_NOTHING : failed(c, ERR_CLOSED, why);
		if (n == 0)
			return ended(c, why);
		if (c->state != CONN_WAITING) /* nothing was asked */
			return failed(c, ERR_MISMATCH, why);
		if (!(plan.http ? take_http(c, buf, (size_t)n, why)
				: take_echo(c, buf, (size_t)n, why)))
			return failed(c, *why, why);
		if (c->received == c->goal) {
			c->done++;
			c->state = CONN_IDLE;
			return EV_REPLY;
		}
	}
}
