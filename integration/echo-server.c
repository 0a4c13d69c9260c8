/* SPDX-License-Identifier: MIT */
/*
 * Echo, one thread per connection: a blocking read, then a write of the same
 * bytes, until the other side closes.  The loop every old server is made of.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "integration.h"

static int write_all(int fd, const char *buf, size_t n)
{
	while (n) {
		ssize_t w = write(fd, buf, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return -1;
		buf += w;
		n -= (size_t)w;
	}
	return 0;
}

static void echo(int fd)
{
	char buf[4096]; /* small: the stack may be PTHREAD_STACK_MIN */
	for (;;) {
		ssize_t n = read(fd, buf, sizeof buf);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || write_all(fd, buf, (size_t)n))
			return;
	}
}

int main(int argc, char **argv)
{
	struct server sv = {.serve = echo};
	int opt;
	while ((opt = getopt(argc, argv, "p:s:h")) != -1) {
		switch (opt) {
		case 'p':
			sv.port = (int)parse_number("the port (-p)", optarg, 0, 65535);
			break;
		case 's':
			sv.stacksize = parse_stacksize(optarg);
			break;
		default:
			fprintf(opt == 'h' ? stdout : stderr,
				"usage: echo-server [-p PORT] [-s STACKSIZE]\n"
				"  -p PORT       on 127.0.0.1; 0, the default, picks a free one\n"
				"  -s STACKSIZE  of each connection's thread, in bytes\n");
			return opt == 'h' ? 0 : 2;
		}
	}
	if (optind != argc) {
		fprintf(stderr, "echo-server: unexpected argument \"%s\"\n", argv[optind]);
		return 2;
	}
	return run_server(&sv);
}
