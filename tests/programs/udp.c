/* SPDX-License-Identifier: MIT */
/* UDP: sendto and recvfrom with addresses, connected sockets, sendmmsg and recvmmsg, truncation,
 * datagrams of no bytes, refusal. udp(7), recvmmsg(2) */
#include "net.h"

static int server;
static struct sockaddr_in addr;

static void *echo(void *arg)
{
	struct sockaddr_in from;
	char buf[2000];

	for (;;) {
		socklen_t len = sizeof from;
		ssize_t n = recvfrom(server, buf, sizeof buf, 0, (struct sockaddr *)&from, &len);
		MUST(n >= 0 && len == sizeof from && from.sin_family == AF_INET);
		if (n == 4 && !memcmp(buf, "stop", 4))
			return arg;
		MUST(sendto(server, buf, n, 0, (struct sockaddr *)&from, len) == n);
	}
}

static void *client(void *arg)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0), id = (int)(intptr_t)arg;
	unsigned char buf[1500];

	MUST(connect(s, (struct sockaddr *)&addr, sizeof addr) == 0);
	for (int i = 0; i < scaled(200); i++) { /* one at a time: nothing is dropped */
		size_t n = (i * 37) % 1400;
		fill(buf, n, id, i);
		MUST(send(s, buf, n, 0) == (ssize_t)n);
		memset(buf, 0, sizeof buf);
		MUST(recv(s, buf, sizeof buf, 0) == (ssize_t)n && right(buf, n, id, i));
	}
	MUST(close(s) == 0);
	return NULL;
}

static void *send_many(void *arg)
{
	struct mmsghdr m[10];
	struct iovec v[10];
	static char text[10][8];
	int s = *(int *)arg;

	memset(m, 0, sizeof m);
	for (int i = 0; i < 10; i++) {
		v[i] = (struct iovec){text[i], snprintf(text[i], 8, "msg %d", i)};
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	settle();
	MUST(sendmmsg(s, m, 10, 0) == 10);
	return NULL;
}

static void many(void)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0), got = 0;
	struct sockaddr_in a;
	int r = bound(SOCK_DGRAM, &a);
	struct mmsghdr m[20];
	struct iovec v[20];
	char text[20][8];
	struct timespec ts = {0, 30000000};

	MUST(connect(s, (struct sockaddr *)&a, sizeof a) == 0);
	memset(m, 0, sizeof m);
	for (int i = 0; i < 20; i++) {
		v[i] = (struct iovec){text[i], sizeof text[i]};
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	pthread_t t = start(send_many, &s);
	while (got < 10) {
		int n = recvmmsg(r, m + got, 20 - got, MSG_WAITFORONE, NULL);
		MUST(n > 0);
		got += n;
	}
	finish(t);
	for (int i = 0; i < got; i++)
		say("%d: %.*s", i, (int)m[i].msg_len, text[i]);
	SYS(recvmmsg(r, m, 20, MSG_DONTWAIT, NULL));
	t = start(send_many, &s);
	SYS(recvmmsg(r, m, 10, 0, NULL)); /* waits for all ten */
	finish(t);
	finish(start(send_many, &s));
	/* Loopback may take its time: what is there by now is not always all. */
	for (int n, sum = 0; sum < 10; sum += n) {
		ts = (struct timespec){30, 0};
		MUST((n = recvmmsg(r, m, 20, MSG_WAITFORONE, &ts)) > 0 && sum + n <= 10);
	}
	ts = (struct timespec){0, 30000000};
	SYS(recvmmsg(r, m, 20, MSG_DONTWAIT, &ts));
	close(s);
	close(r);
}

int main(void)
{
	pthread_t t[10], e[3];
	char buf[100];

	server = bound(SOCK_DGRAM, &addr);
	for (int i = 0; i < 3; i++)
		e[i] = start(echo, NULL);
	for (int i = 0; i < 10; i++)
		t[i] = start(client, (void *)(intptr_t)i);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	for (int i = 0; i < 3; i++)
		MUST(sendto(s, "stop", 4, 0, (struct sockaddr *)&addr, sizeof addr) == 4);
	for (int i = 0; i < 3; i++)
		finish(e[i]);
	say("every datagram came back");
	many();

	SYS(sendto(s, "truncated", 9, 0, (struct sockaddr *)&addr, sizeof addr));
	SYS(recv(server, buf, 5, 0));
	SYS(sendto(s, "truncated", 9, 0, (struct sockaddr *)&addr, sizeof addr));
	SYS(recv(server, buf, 5, MSG_TRUNC));
	SYS(sendto(s, "", 0, 0, (struct sockaddr *)&addr, sizeof addr));
	SYS(recv(server, buf, 5, 0));
	SYS(send(s, "x", 1, 0)); /* not connected */
	close(server);
	MUST(connect(s, (struct sockaddr *)&addr, sizeof addr) == 0);
	SYS(send(s, "x", 1, 0));
	SYS(recv(s, buf, 5, 0)); /* the port is closed */
	return 0;
}
