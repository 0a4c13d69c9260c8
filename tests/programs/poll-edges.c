/* SPDX-License-Identifier: MIT */
/* poll's corners, in main and in a thread: descriptors twice in one call, negative ones among others, closed ones, more than there
 * may be, none, thousands; no events wanted; lists that are not there; what is left in revents. poll(2) */
#include "net.h"
#include <sys/eventfd.h>
#include <sys/resource.h>

/* Volatile, so that the compiler does not know better. */
static struct pollfd *volatile nowhere = NULL;
static volatile nfds_t toomany = -1;

static void show(const char *what, int n, const struct pollfd *p, int np)
{
	char s[200];
	int k = snprintf(s, sizeof s, "%s: %d%s%s", what, n, n < 0 ? " " : "", n < 0 ? errname(errno) : "");

	for (int i = 0; i < np; i++)
		k += snprintf(s + k, sizeof s - k, " %x", p[i].revents);
	say("%s", s);
}

static void *write_soon(void *arg)
{
	settle();
	MUST(write((int)(intptr_t)arg, "x", 1) == 1);
	return NULL;
}

static void *closes_soon(void *arg)
{
	settle();
	MUST(close((int)(intptr_t)arg) == 0);
	return NULL;
}

static void later(const char *what, struct pollfd *p, int np, void *(*fn)(void *), int fd)
{
	pthread_t t = start(fn, (void *)(intptr_t)fd);

	for (int i = 0; i < np; i++)
		p[i].revents = 0x55;
	show(what, poll(p, np, -1), p, np);
	finish(t);
}

static void *all(void *arg)
{
	int a[2], b[2], s[2], n = 1500;
	char c;

	MUST(pipe(a) == 0 && pipe(b) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	struct pollfd p[6] = {{a[0], POLLIN, 0}, {a[0], POLLIN | POLLRDNORM, 0}, {-1, POLLIN, 0}, {a[0], 0, 0},
			      {b[0], POLLIN | POLLPRI, 0}, {-5, 0, 0x77}};
	later("twice", p, 6, write_soon, a[1]);
	show("again", poll(p, 6, -1), p, 6);
	MUST(read(a[0], &c, 1) == 1);
	show("empty", poll(p, 6, 30), p, 6);
	later("end of the second", p, 6, closes_soon, b[1]);
	p[4].fd = -1;
	later("once more", p, 6, write_soon, a[1]);
	p[0].fd = p[1].fd = p[3].fd = 999;
	p[4].fd = -1;
	show("not open", poll(p, 6, -1), p, 6);
	p[0].fd = p[1].fd = p[3].fd = -1;
	show("only negative", poll(p, 6, 20), p, 6);
	MUST(read(a[0], &c, 1) == 1);

	/* Errors and hang-ups are told to those who want nothing. */
	p[0] = (struct pollfd){a[1], 0, 0};
	later("nothing wanted, no reader", p, 1, closes_soon, a[0]);
	p[0] = (struct pollfd){s[0], 0, 0};
	later("nothing wanted, hang-up", p, 1, closes_soon, s[1]);
	p[0] = (struct pollfd){s[0], POLLIN | POLLOUT | POLLRDHUP, 0};
	show("after it", poll(p, 1, -1), p, 1);
	int null = open("/dev/null", O_RDWR), file = open("file", O_RDWR | O_CREAT, 0600), dir = open(".", O_RDONLY);
	p[0] = (struct pollfd){null, POLLIN | POLLOUT, 0};
	p[1] = (struct pollfd){file, POLLIN | POLLOUT, 0};
	p[2] = (struct pollfd){dir, POLLIN, 0};
	show("always ready", poll(p, 3, -1), p, 3);
	close(null), close(file), close(dir);

	/* More than can be open; none; a list that is not there. */
	struct rlimit old, rl;
	MUST(getrlimit(RLIMIT_NOFILE, &old) == 0);
	rl = old;
	rl.rlim_cur = 100;
	struct pollfd *many = malloc(n * sizeof *many);
	for (int i = 0; i < n; i++)
		many[i] = (struct pollfd){-1, POLLIN, 0};
	MUST(setrlimit(RLIMIT_NOFILE, &rl) == 0);
	show("more than the limit", poll(many, 101, 10), NULL, 0);
	show("the limit", poll(many, 100, 10), NULL, 0);
	MUST(setrlimit(RLIMIT_NOFILE, &old) == 0);
	show("so many", poll(nowhere, toomany, 10), NULL, 0);
	show("so many", poll(nowhere, toomany >> 34, 10), NULL, 0);
	show("none", poll(NULL, 0, 10), NULL, 0);
	show("nowhere", poll(nowhere, 1, 10), NULL, 0);
	show("nowhere, at once", poll(nowhere, 1, 0), NULL, 0);
	show("nowhere, five", poll(nowhere, 5, 10), NULL, 0);

	/* A thousand and more: each eventfd once, the first of them again and again. */
	int ev[100];
	for (int i = 0; i < 100; i++)
		MUST((ev[i] = eventfd(0, 0)) >= 0);
	for (int i = 0; i < n && i < (int)old.rlim_cur; i++)
		many[i] = (struct pollfd){i < 1300 ? ev[i % 99] : ev[99], POLLIN, 0};
	if (n > (int)old.rlim_cur)
		n = (int)old.rlim_cur;
	uint64_t one = 1;
	for (int k = 0; k < 3; k++) {
		int r;
		MUST(write(ev[k == 1 ? 50 : 99], &one, 8) == 8);
		r = poll(many, n, -1);
		int want = 0;
		for (int i = 0; i < n; i++) {
			MUST(many[i].revents == (many[i].fd == ev[k == 1 ? 50 : 99] ? POLLIN : 0));
			want += many[i].revents != 0;
		}
		MUST(r == want && r > 0);
		MUST(read(ev[k == 1 ? 50 : 99], &one, 8) == 8 && one == 1);
		MUST(poll(many, n, 5) == 0);
	}
	say("many");
	for (int i = 0; i < 100; i++)
		close(ev[i]);
	close(b[0]), close(s[0]), close(a[1]);
	free(many);
	return arg;
}

int main(void)
{
	all(NULL);
	finish(start(all, NULL));
	return 0;
}
