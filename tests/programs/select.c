/* SPDX-License-Identifier: MIT */
/* select and pselect on 0, 1, 2 and 300 descriptors: sets, remaining time, errors. select(2) */
#include "net.h"
#include <sys/select.h>

static void *write_soon(void *arg)
{
	settle();
	MUST(write((int)(intptr_t)arg, "x", 1) == 1);
	return NULL;
}

static void *all(void *arg)
{
	fd_set r, w, x;
	int a[2], b[2], s[2], many[300][2], top = 0;
	struct timeval tv = {0, 30000};
	struct timespec ts = {0, 30000000};
	char c;

	double begin = ms_now();
	SYS(select(0, NULL, NULL, NULL, &tv));
	MUST(ms_now() - begin >= 30);
	say("remaining 0: %d", tv.tv_sec == 0 && tv.tv_usec == 0);
	SYS(pselect(0, NULL, NULL, NULL, &ts, NULL));
	MUST(ms_now() - begin >= 60);
	say("not changed: %d", ts.tv_nsec == 30000000);

	MUST(pipe(a) == 0 && pipe(b) == 0);
	FD_ZERO(&r);
	FD_SET(a[0], &r);
	tv = (struct timeval){0, 0};
	SYS(select(a[0] + 1, &r, NULL, NULL, &tv));
	say("cleared: %d", !FD_ISSET(a[0], &r));
	FD_SET(a[0], &r);
	tv = (struct timeval){0, 40000};
	begin = ms_now();
	SYS(select(a[0] + 1, &r, NULL, NULL, &tv));
	MUST(ms_now() - begin >= 40);
	FD_SET(a[0], &r);
	pthread_t t = start(write_soon, (void *)(intptr_t)a[1]);
	tv = (struct timeval){30, 0};
	SYS(select(a[0] + 1, &r, NULL, NULL, &tv));
	finish(t);
	say("set: %d; less is left: %d", FD_ISSET(a[0], &r) != 0, tv.tv_sec < 30 && tv.tv_sec > 0);

	FD_ZERO(&w);
	FD_SET(b[0], &r);
	FD_SET(a[1], &w);
	FD_SET(b[1], &w);
	SYS(select(b[1] + 1, &r, &w, NULL, NULL));
	say("a readable %d, b readable %d, writable %d %d", FD_ISSET(a[0], &r) != 0,
	    FD_ISSET(b[0], &r) != 0, FD_ISSET(a[1], &w) != 0, FD_ISSET(b[1], &w) != 0);
	MUST(read(a[0], &c, 1) == 1);
	FD_ZERO(&r);
	FD_SET(a[0], &r);
	FD_SET(b[0], &r);
	t = start(write_soon, (void *)(intptr_t)b[1]);
	SYS(pselect(b[0] + 1, &r, NULL, NULL, NULL, NULL));
	finish(t);
	say("a %d, b %d", FD_ISSET(a[0], &r) != 0, FD_ISSET(b[0], &r) != 0);

	tcp_pair(s);
	MUST(send(s[1], "!", 1, MSG_OOB) == 1);
	FD_ZERO(&x);
	FD_SET(s[0], &x);
	SYS(select(s[0] + 1, NULL, NULL, &x, NULL));
	say("urgent: %d", FD_ISSET(s[0], &x) != 0);
	MUST(close(s[1]) == 0);
	FD_ZERO(&r);
	FD_SET(s[0], &r);
	SYS(select(s[0] + 1, &r, NULL, NULL, NULL)); /* the end is readable */
	close(s[0]);

	FD_ZERO(&r);
	for (int i = 0; i < 300; i++) {
		MUST(pipe(many[i]) == 0);
		FD_SET(many[i][0], &r);
		top = many[i][0];
	}
	t = start(write_soon, (void *)(intptr_t)many[177][1]);
	SYS(select(top + 1, &r, NULL, NULL, NULL));
	finish(t);
	for (int i = 0; i < 300; i++)
		if (FD_ISSET(many[i][0], &r))
			say("number %d", i);

	tv = (struct timeval){0, -1};
	SYS(select(1, &r, NULL, NULL, &tv));
	tv = (struct timeval){-1, 0};
	SYS(select(0, NULL, NULL, NULL, &tv));
	SYS(select(-1, NULL, NULL, NULL, NULL));
	ts.tv_nsec = 1000000000;
	SYS(pselect(0, NULL, NULL, NULL, &ts, NULL));
	FD_ZERO(&r);
	FD_SET(1000, &r);
	tv = (struct timeval){0, 0};
	SYS(select(1001, &r, NULL, NULL, &tv));
	for (int i = 0; i < 300; i++)
		close(many[i][0]), close(many[i][1]);
	return arg;
}

int main(void)
{
	all(NULL);
	finish(start(all, NULL));
	return 0;
}
