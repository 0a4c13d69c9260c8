/* SPDX-License-Identifier: MIT */
/*
 * The accept loop of the bundled servers: main accepts, each connection gets
 * a detached pthread which blocks in the plainest way.
 *
 * SIGTERM's handler only sets a flag and is installed without SA_RESTART: it
 * is accept's EINTR which ends the loop, as in many a stock daemon.  A signal
 * that falls between the test of the flag and accept would be lost, so the
 * handler has itself called again by an alarm.  Rejected: shutdown(listener)
 * in the handler, which would also end the loop where EINTR does not work.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "integration.h"

static volatile sig_atomic_t quit;
static void (*serve)(int fd);

static void on_term(int sig)
{
	(void)sig;
	quit = 1;
	alarm(1);
}

static void *connection(void *arg)
{
	int fd = (int)(intptr_t)arg;
	serve(fd);
	close(fd);
	return NULL;
}

static int fail(const char *call)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, call, strerror(errno));
	return -1;
}

/* Answers the listening socket, and says on stdout where it is. */
static int listen_on(int port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	struct sockaddr_in sa = {
	    .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof sa;
	if (bind(fd, (struct sockaddr *)&sa, sizeof sa))
		return fail("bind");
	if (listen(fd, SOMAXCONN))
		return fail("listen");
	if (getsockname(fd, (struct sockaddr *)&sa, &len))
		return fail("getsockname");
	printf("listening on 127.0.0.1:%d\n", ntohs(sa.sin_port));
	fflush(stdout);
	return fd;
}

static int handle_signals(void)
{
	struct sigaction sa = {.sa_handler = on_term};
	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGTERM, &sa, NULL) || sigaction(SIGALRM, &sa, NULL))
		return fail("sigaction");
	sa.sa_handler = SIG_IGN; /* a write to a closed connection: EPIPE */
	if (sigaction(SIGPIPE, &sa, NULL))
		return fail("sigaction");
	return 0;
}

int run_server(const struct server *sv)
{
	unsigned long accepted = 0, refused = 0, failed = 0;
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	serve = sv->serve;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (sv->stacksize && (error = pthread_attr_setstacksize(&attr, sv->stacksize))) {
		errno = error;
		fail("pthread_attr_setstacksize");
		return 2;
	}
	raise_fd_limit();
	if (handle_signals())
		return 1;
	int listener = listen_on(sv->port);
	if (listener < 0)
		return 1;

	while (!quit) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			if (failed++ == 0)
				fail("accept");
			usleep(10000); /* out of descriptors or memory: let some come back */
			continue;
		}
		accepted++;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
		error = pthread_create(&thread, &attr, connection, (void *)(intptr_t)fd);
		if (error) {
			errno = error;
			if (refused++ == 0)
				fail("pthread_create");
			close(fd);
		}
	}
	close(listener);
	fprintf(stderr, "connections: %lu\nrefused, no thread: %lu\nfailed accepts: %lu\n",
		accepted, refused, failed);
	return 0; /* open connections end with the process */
}
