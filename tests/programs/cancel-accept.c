/* SPDX-License-Identifier: MIT */
/* Threads that accept connections, open files and receive bytes are cancelled while these come.
 * What a call took is not lost with its thread. (Bare it is, if both come in the same moment, and on a busy machine that
 * moment is long; stderr tells how many.) accept(2), pthread_cancel(3) */
#include "net.h"
#include <poll.h>

enum { ACCEPTERS = 12, CANCELLERS = 3, CLIENTS = 6, MOST = 2000 };

static struct sockaddr_in addr;
static int l, s[2], done, accepted, received, cancelled, late[MOST], nlate;
static pthread_mutex_t slots[ACCEPTERS];
static pthread_t acceptor[ACCEPTERS];
static void *(*body)(void *);

#define ADD(x) __atomic_add_fetch(&(x), 1, __ATOMIC_SEQ_CST)
#define GET(x) __atomic_load_n(&(x), __ATOMIC_SEQ_CST)

static void *accepts(void *arg)
{
	for (;;) {
		int fd = accept(l, NULL, NULL);
		OK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL));
		MUST(fd >= 0 && close(fd) == 0);
		ADD(accepted);
		OK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL));
	}
	return arg;
}

static void *receives(void *arg)
{
	char b;

	for (;;) {
		MUST(recv(s[0], &b, 1, 0) == 1);
		ADD(received);
	}
	return arg;
}

static void *opens(void *arg)
{
	for (;;) {
		int fd = open("/dev/null", O_RDONLY);
		OK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL));
		MUST(fd >= 0 && close(fd) == 0);
		OK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL));
		sched_yield();
	}
	return arg;
}

static void *cancels(void *arg)
{
	unsigned seed = (unsigned)(intptr_t)arg;
	void *r;

	while (!GET(done)) {
		int i = rand_r(&seed) % ACCEPTERS;
		OK(pthread_mutex_lock(&slots[i]));
		OK(pthread_cancel(acceptor[i]));
		OK(pthread_join(acceptor[i], &r));
		MUST(r == PTHREAD_CANCELED);
		ADD(cancelled);
		acceptor[i] = start_small(body, NULL);
		OK(pthread_mutex_unlock(&slots[i]));
		sched_yield();
	}
	return NULL;
}

/* The end of file says that the connection was accepted and closed. Who is not served soon is looked at in the end. */
static void *connects(void *arg)
{
	char b;

	for (int i = 0; i < (int)(intptr_t)arg; i++) {
		int fd = tcp_connect(&addr);
		struct pollfd p = {fd, POLLIN, 0};
		if (poll(&p, 1, 300) != 1) {
			int k = ADD(nlate) - 1;
			MUST(k < MOST);
			late[k] = fd;
			continue;
		}
		MUST(read(fd, &b, 1) <= 0);
		close(fd);
	}
	return NULL;
}

static void *sends(void *arg)
{
	for (int i = 0; i < (int)(intptr_t)arg; i++) {
		MUST(send(s[1], "x", 1, 0) == 1);
		if (i % 8 == 0)
			usleep(10);
	}
	return NULL;
}

static void *idles(void *arg)
{
	usleep((useconds_t)(intptr_t)arg * 50);
	return NULL;
}

static int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1000; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Nobody accepts any more. Lost are those who were accepted, and then neither served nor closed. */
static int unserved(void)
{
	int fd, lost = 0;

	MUST(fcntl(l, F_SETFL, O_NONBLOCK) == 0);
	while ((fd = accept(l, NULL, NULL)) >= 0)
		close(fd);
	for (int tries = 0; tries < 20; tries++) {
		usleep(100000); /* an end may take its time */
		lost = 0;
		for (int i = 0; i < nlate; i++)
			lost += poll(&(struct pollfd){late[i], POLLIN, 0}, 1, 0) == 0;
		if (lost == 0)
			break;
	}
	for (int i = 0; i < nlate; i++)
		close(late[i]);
	return lost;
}

static void phase(void *(*serves)(void *), void *(*feeds)(void *), int n)
{
	pthread_t c[CANCELLERS], f[CLIENTS];

	done = 0;
	body = serves;
	for (int i = 0; i < ACCEPTERS; i++)
		acceptor[i] = start_small(body, NULL);
	for (int i = 0; i < CANCELLERS; i++)
		c[i] = start(cancels, (void *)(intptr_t)(i + 1));
	for (int i = 0; i < CLIENTS; i++)
		f[i] = start(feeds, (void *)(intptr_t)n);
	for (int i = 0; i < CLIENTS; i++)
		finish(f[i]);
	__atomic_store_n(&done, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < CANCELLERS; i++)
		finish(c[i]);
	for (int i = 0; i < ACCEPTERS; i++)
		OK(pthread_cancel(acceptor[i]));
	for (int i = 0; i < ACCEPTERS; i++)
		finish(acceptor[i]);
}

int main(void)
{
	bool bare = getenv("GMP_PROCS") == NULL;
	int n = scaled(150), before;
	char b;

	for (int i = 0; i < ACCEPTERS; i++)
		OK(pthread_mutex_init(&slots[i], NULL));
	l = tcp_listen(&addr, 100);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	before = descriptors();
	phase(accepts, connects, n);
	int lost = unserved(), leaked = descriptors() - before;
	say("no connection was lost: %d", bare || lost == 0);
	say("no descriptor was lost: %d", bare || leaked == 0);

	phase(receives, sends, n);
	while (recv(s[0], &b, 1, MSG_DONTWAIT) == 1)
		received++;
	int bytes = n * CLIENTS - received;
	say("no byte was lost: %d", bare || bytes == 0);

	before = descriptors();
	phase(opens, idles, n);
	int opened = descriptors() - before;
	say("some were cancelled: %d", cancelled > 0);
	fprintf(stderr, "lost: connections %d, descriptors %d, bytes %d, opened %d; cancelled %d\n",
		lost, leaked, bytes, opened, cancelled);
	return 0;
}
