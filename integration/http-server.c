/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.1 with keep-alive, one thread per connection.  Waits for the next
 * request in poll with a time-out, as stock daemons do, then reads, and
 * answers with one writev.
 *
 * The body has a fixed size and repeats the request's target, so that a client
 * which asks for a target of its own can tell whether it got its own answer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "integration.h"

static size_t body_size = 128;
static int keepalive_ms = 60000;

struct conn {
	int fd;
	char *body;	   /* body_size bytes: `target` over and over */
	size_t target_len; /* of the target which body repeats; 0: none yet */
	size_t used;	   /* bytes in buf: a request, perhaps more behind it */
	char buf[4096];
};

/* Answers how long the first request in buf is, headers with their empty line;
 * 0 if the client closed, fell silent, or sent a head too big for buf. */
static size_t read_request(struct conn *c)
{
	for (;;) {
		char *end = memmem(c->buf, c->used, "\r\n\r\n", 4);
		if (end)
			return (size_t)(end + 4 - c->buf);
		if (c->used == sizeof c->buf)
			return 0;
		struct pollfd pfd = {.fd = c->fd, .events = POLLIN};
		int ready = poll(&pfd, 1, keepalive_ms);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return 0;
		ssize_t n = read(c->fd, c->buf + c->used, sizeof c->buf - c->used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		c->used += (size_t)n;
	}
}

static bool write_all(int fd, struct iovec *iov, int count)
{
	while (count) {
		ssize_t w = writev(fd, iov, count);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return false;
		while (count && (size_t)w >= iov->iov_len) {
			w -= (ssize_t)iov->iov_len;
			iov++;
			count--;
		}
		if (count) {
			iov->iov_base = (char *)iov->iov_base + w;
			iov->iov_len -= (size_t)w;
		}
	}
	return true;
}

/* Is there a header line `name`, and does it say `value`?  NULL: whatever it says. */
static bool has_header(const char *head, const char *name, const char *value)
{
	size_t len = strlen(name);
	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, len) || line[len] != ':')
			continue;
		if (!value)
			return true;
		const char *found = strcasestr(line + len + 1, value);
		const char *end = strstr(line, "\r\n");
		return found && (!end || found < end);
	}
	return false;
}

static void fill_body(struct conn *c, const char *target, size_t len)
{
	if (len == c->target_len && len <= body_size && memcmp(c->body, target, len) == 0)
		return;
	for (size_t at = 0; at < body_size; at += len)
		memcpy(c->body + at, target, len < body_size - at ? len : body_size - at);
	c->target_len = len;
}

/* Of what follows the target: 1 for HTTP/1.1, 0 for HTTP/1.0, -1 for neither. */
static int minor_version(const char *s)
{
	if (strncmp(s, " HTTP/1.1\r\n", 11) == 0)
		return 1;
	return strncmp(s, " HTTP/1.0\r\n", 11) == 0 ? 0 : -1;
}

/* Answers the request in head, a string; says whether the connection stays. */
static bool respond(struct conn *c, char *head)
{
	const char *status = "200 OK";
	bool get = strncmp(head, "GET ", 4) == 0;
	bool is_head = strncmp(head, "HEAD ", 5) == 0;
	char *target = strchr(head, ' ');
	size_t len = target ? strcspn(++target, " \r\n") : 0;
	int minor = target ? minor_version(target + len) : -1;
	bool keep = minor == 1 ? !has_header(head, "Connection", "close")
			       : has_header(head, "Connection", "keep-alive");

	if (minor < 0 || len == 0)
		status = "400 Bad Request";
	else if (!get && !is_head)
		status = "405 Method Not Allowed";
	else if (has_header(head, "Content-Length", NULL) ||
		 has_header(head, "Transfer-Encoding", NULL))
		status = "413 Content Too Large"; /* a body is not read here */
	bool ok = status[0] == '2';
	if (ok)
		fill_body(c, target, len);
	keep = keep && ok;

	char answer[160];
	int n = snprintf(answer, sizeof answer,
			 "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
			 "Connection: %s\r\n\r\n",
			 status, ok ? body_size : 0, keep ? "keep-alive" : "close");
	struct iovec iov[2] = {{answer, (size_t)n}, {c->body, body_size}};
	return write_all(c->fd, iov, ok && get ? 2 : 1) && keep;
}

static void serve(int fd)
{
	struct conn c = {.fd = fd, .body = malloc(body_size ? body_size : 1)};
	size_t len;
	bool keep = c.body != NULL;
	while (keep && (len = read_request(&c))) {
		c.buf[len - 2] = '\0'; /* the empty line's CR: a string of whole lines */
		keep = respond(&c, c.buf);
		c.used -= len;
		memmove(c.buf, c.buf + len, c.used); /* pipelined requests */
	}
	free(c.body);
}

static void usage(FILE *to)
{
	fprintf(to, "usage: http-server [-p PORT] [-b BYTES] [-k SECONDS] [-s STACKSIZE]\n"
		    "  -p PORT       on 127.0.0.1; 0, the default, picks a free one\n"
		    "  -b BYTES      of each answer's body; default 128\n"
		    "  -k SECONDS    to wait for the next request; default 60\n"
		    "  -s STACKSIZE  of each connection's thread, in bytes\n");
}

int main(int argc, char **argv)
{
	struct server sv = {.serve = serve};
	int opt;
	while ((opt = getopt(argc, argv, "p:b:k:s:h")) != -1) {
		switch (opt) {
		case 'p':
			sv.port = (int)parse_number("the port (-p)", optarg, 0, 65535);
			break;
		case 'b':
			body_size =
			    (size_t)parse_number("the body's size (-b)", optarg, 0, 16 << 20);
			break;
		case 'k':
			keepalive_ms =
			    (int)parse_number("the time-out (-k)", optarg, 1, 86400) * 1000;
			break;
		case 's':
			sv.stacksize = parse_stacksize(optarg);
			break;
		default:
			usage(opt == 'h' ? stdout : stderr);
			return opt == 'h' ? 0 : 2;
		}
	}
	if (optind != argc) {
		fprintf(stderr, "http-server: unexpected argument \"%s\"\n", argv[optind]);
		return 2;
	}
	return run_server(&sv);
}
