/* SPDX-License-Identifier: MIT */
/*
 * What the bundled programs share.  They are plain pthread programs, linked
 * to libc alone, which know nothing of libgmp.so: that is their use.
 */
#ifndef INTEGRATION_H
#define INTEGRATION_H

#include <stddef.h>

/* A thread-per-connection server on 127.0.0.1. */
struct server {
	int port;	       /* 0: the kernel picks a free one */
	size_t stacksize;      /* of a connection's thread; 0: libc's default */
	void (*serve)(int fd); /* one connection; the caller closes fd */
};

/* Serves until SIGTERM; answers the exit status of the program. */
int run_server(const struct server *sv);

/* A whole number from min to max, with an optional K or M behind it
 * (1024 and its square).  Anything else: a message about `what`, exit 2. */
long parse_number(const char *what, const char *text, long min, long max);

/* The servers' -s: a stack size that the system allows. */
size_t parse_stacksize(const char *text);

/* Ten thousand connections need ten thousand descriptors. */
void raise_fd_limit(void);

#endif
