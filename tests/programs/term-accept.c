/* SPDX-License-Identifier: MIT */
/* The classic daemon: while (!quit) accept(), thread per connection, SIGTERM sets quit: it must
 * come to its end with many threads blocked. accept(2), sigaction(2) */
#include "net.h"
#include <signal.h>

static volatile sig_atomic_t quit;
static int done, served;
static struct sockaddr_in addr;

static void on_term(int sig)
{
	(void)sig;
	quit = 1;
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[64];
	ssize_t n;

	while ((n = read(fd, buf, sizeof buf)) > 0)
		MUST(write(fd, buf, n) == n);
	return NULL;
}

/* Connects 100 times, leaves the connections open, then asks for the end. */
static void *client(void *arg)
{
	char c;

	for (int i = 0; i < 100; i++) {
		int fd = tcp_connect(&addr);
		MUST(write(fd, "?", 1) == 1 && read(fd, &c, 1) == 1 && c == '?');
		served++;
	}
	/* Again and again: one that comes between the test of quit and accept is lost, bare as
	 * well. */
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
		MUST(kill(getpid(), SIGTERM) == 0);
		usleep(20000);
	}
	return arg;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_term};
	int l = tcp_listen(&addr, 64);

	MUST(sigaction(SIGTERM, &sa, NULL) == 0);
	pthread_t t = start(client, NULL);
	while (!quit) {
		int fd = accept(l, NULL, NULL);
		if (fd < 0) {
			MUST(errno == EINTR && quit);
			break;
		}
		OK(pthread_detach(start(serve, (void *)(intptr_t)fd)));
	}
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
	finish(t);
	say("served %d, then SIGTERM ended the loop", served);
	return 0; /* with a hundred threads blocked in read */
}
