/* SPDX-License-Identifier: MIT */
/* Thousands wait on one listener: each connection is taken by one of them, the others sleep on; they all go when the listener is
 * shut down. accept(2) */
#include "net.h"
#include <sys/resource.h>

static int l, n, back;
static struct sockaddr_in addr;

static void *accepts(void *arg)
{
	char c;

	for (;;) {
		int s = accept(l, NULL, NULL);
		if (s < 0)
			break;
		MUST(read(s, &c, 1) == 1 && write(s, &c, 1) == 1 && read(s, &c, 1) == 0);
		MUST(close(s) == 0);
	}
	MUST(errno == EINVAL);
	__atomic_add_fetch(&back, 1, __ATOMIC_RELAXED);
	return arg;
}

static void one(int i)
{
	char c = (char)i, d;
	int s = tcp_connect(&addr);

	MUST(write(s, &c, 1) == 1 && read(s, &d, 1) == 1 && c == d);
	MUST(close(s) == 0);
}

static void *client(void *arg)
{
	for (int i = 0; i < scaled(300); i++)
		one(i);
	return arg;
}

static double cpu(void)
{
	struct rusage u;

	MUST(getrusage(RUSAGE_SELF, &u) == 0);
	return u.ru_utime.tv_sec + u.ru_utime.tv_usec / 1e6 + u.ru_stime.tv_sec + u.ru_stime.tv_usec / 1e6;
}

int main(void)
{
	pthread_t *t, c[4];

	n = scaled(2000);
	t = malloc(n * sizeof *t);
	l = tcp_listen(&addr, 100);
	for (int i = 0; i < n; i++)
		t[i] = start_small(accepts, NULL);
	settle();
	double begin = cpu();
	for (int i = 0; i < scaled(300); i++)
		one(i);
	/* If each connection woke all of them this would take minutes. */
	MUST(cpu() - begin < 10);
	for (int i = 0; i < 4; i++)
		c[i] = start(client, NULL);
	for (int i = 0; i < 4; i++)
		finish(c[i]);
	MUST(shutdown(l, SHUT_RDWR) == 0);
	for (int i = 0; i < n; i++)
		finish(t[i]);
	say("all back: %d", back == n);
	return 0;
}
