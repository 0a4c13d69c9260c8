/* SPDX-License-Identifier: MIT */
/* select's corners, in main and in a thread: one descriptor in all three sets, bits beyond n, closed ones, sets larger than
 * FD_SETSIZE; sets and time after each kind of end. select(2) */
#include "net.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/select.h>

static void on_alarm(int sig)
{
	(void)sig;
}

static void *write_soon(void *arg)
{
	settle();
	MUST(write((int)(intptr_t)arg, "x", 1) == 1);
	return NULL;
}

static volatile bool back;

/* Again and again: the first may come before it waits. */
static void *kicks(void *arg)
{
	for (settle(); !back; settle())
		OK(pthread_kill(*(pthread_t *)arg, SIGUSR1));
	return NULL;
}

static bool isset(const unsigned long *set, int fd)
{
	return set[fd / 64] >> fd % 64 & 1;
}

static void *all(void *arg)
{
	fd_set r, w, x, bad;
	int s[2], a[2], big;
	struct timeval tv;
	pthread_t t, self = pthread_self();

	tcp_pair(s);
	MUST(pipe(a) == 0);
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&x);
	FD_SET(s[0], &r), FD_SET(s[0], &w), FD_SET(s[0], &x), FD_SET(a[0], &r);
	SYS(select(FD_SETSIZE, &r, &w, &x, NULL));
	say("writable: %d %d %d %d", !!FD_ISSET(s[0], &r), !!FD_ISSET(s[0], &w), !!FD_ISSET(s[0], &x), !!FD_ISSET(a[0], &r));
	FD_SET(s[0], &r), FD_SET(s[0], &x), FD_SET(a[0], &r);
	t = start(write_soon, (void *)(intptr_t)s[1]);
	SYS(select(FD_SETSIZE, &r, NULL, &x, NULL));
	finish(t);
	say("readable: %d %d %d", !!FD_ISSET(s[0], &r), !!FD_ISSET(s[0], &x), !!FD_ISSET(a[0], &r));

	/* n says how far to look; what is beyond stays in the last word, or is not touched. */
	int far = a[0] + 100;
	FD_ZERO(&r);
	FD_SET(a[0], &r), FD_SET(far, &r), FD_SET(1000, &r);
	tv = (struct timeval){0, 20000};
	SYS(select(a[0] + 1, &r, NULL, NULL, &tv));
	say("beyond: %d %d", !!FD_ISSET(far, &r), !!FD_ISSET(1000, &r));

	/* The sets stay as they are when it fails. */
	FD_ZERO(&r);
	FD_SET(a[0], &r), FD_SET(40, &r);
	bad = r;
	SYS(select(41, &r, NULL, NULL, NULL));
	say("same: %d", memcmp(&bad, &r, sizeof r) == 0);
	FD_CLR(40, &r);
	bad = r;
	back = false;
	t = start(kicks, &self);
	tv = (struct timeval){100, 0};
	int n = select(a[0] + 1, &r, NULL, NULL, &tv), e = errno;
	back = true;
	finish(t);
	say("a handler: %d %s", n, errname(e));
	say("same: %d, time left: %d", memcmp(&bad, &r, sizeof r) == 0, tv.tv_sec < 100 && tv.tv_sec > 50);
	tv = (struct timeval){0, 60500000};
	t = start(write_soon, (void *)(intptr_t)a[1]);
	SYS(select(a[0] + 1, &r, NULL, NULL, &tv));
	finish(t);
	say("more than a million: %d", tv.tv_sec <= 60 && tv.tv_usec < 1000000 && tv.tv_sec >= 20);

	/* Larger sets: as large as the program makes them. */
	struct rlimit rl;
	MUST(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	big = rl.rlim_cur > 3000 ? 2900 : (int)rl.rlim_cur - 1;
	MUST(dup2(a[0], big) == big);
	unsigned long *set = calloc(big / 64 + 1, 8);
	set[big / 64] |= 1UL << big % 64;
	set[s[0] / 64] |= 1UL << s[0] % 64;
	SYS(select(big + 1, (fd_set *)set, NULL, NULL, NULL));
	say("large: %d %d", isset(set, big), isset(set, s[0]));
	char c;
	MUST(read(a[0], &c, 1) == 1 && read(s[0], &c, 1) == 1);
	t = start(write_soon, (void *)(intptr_t)a[1]);
	set[s[0] / 64] |= 1UL << s[0] % 64;
	SYS(select(big + 1, (fd_set *)set, NULL, NULL, NULL));
	finish(t);
	say("large: %d %d", isset(set, big), isset(set, s[0]));
	MUST(read(a[0], &c, 1) == 1);
	tv = (struct timeval){0, 20000};
	SYS(select(big + 1, (fd_set *)set, NULL, NULL, &tv));
	say("large: %d, time %ld", isset(set, big), (long)tv.tv_sec + tv.tv_usec);
	free(set);
	close(big), close(a[0]), close(a[1]), close(s[0]), close(s[1]);
	return arg;
}

int main(void)
{
	signal(SIGUSR1, on_alarm);
	all(NULL);
	finish(start(all, NULL));
	return 0;
}
