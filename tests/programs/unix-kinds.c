/* SPDX-License-Identifier: MIT */
/* Unix sockets of all kinds, with threads: datagrams from many to one that is slow (the senders wait), packets that keep their
 * ends, names in the abstract space, credentials, connection refused, a peer that goes. unix(7) */
#include "net.h"
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>

#define SENDERS 6

static struct sockaddr_un name;
static int server, per;

static void *sends(void *arg)
{
	int id = (int)(intptr_t)arg, s = socket(AF_UNIX, SOCK_DGRAM, 0);
	unsigned char b[600];

	if (id % 2)
		MUST(connect(s, (struct sockaddr *)&name, sizeof name) == 0);
	for (int i = 0; i < per; i++) {
		int n = 10 + (i * 7 + id) % 500;
		fill(b, n, id, i);
		b[0] = id;
		b[1] = i, b[2] = i >> 8;
		switch (id % 3) {
		case 0:
			MUST(sendto(s, b, n, 0, (struct sockaddr *)(id % 2 ? NULL : &name), id % 2 ? 0 : sizeof name) == n);
			break;
		case 1: {
			struct iovec v[2] = {{b, 3}, {b + 3, n - 3}};
			struct msghdr m = {.msg_name = id % 2 ? NULL : &name, .msg_namelen = id % 2 ? 0 : sizeof name, .msg_iov = v, .msg_iovlen = 2};
			MUST(sendmsg(s, &m, 0) == n);
			break;
		}
		default:
			if (id % 2)
				MUST(write(s, b, n) == n);
			else
				MUST(sendto(s, b, n, MSG_NOSIGNAL, (struct sockaddr *)&name, sizeof name) == n);
		}
	}
	close(s);
	return NULL;
}

static void *receives(void *arg)
{
	int next[SENDERS] = {0};
	unsigned char b[700];

	for (int k = 0; k < SENDERS * per; k++) {
		ssize_t n = recv(server, b, sizeof b, 0);
		MUST(n >= 10);
		int id = b[0], i = b[1] | b[2] << 8;
		MUST(id < SENDERS && i == next[id]++ && n == 10 + (i * 7 + id) % 500);
		MUST(right(b + 3, n - 3, id, i + 3));
		if (k % 64 == 0)
			usleep(200);
	}
	return arg;
}

static void *packets(void *arg)
{
	int s = (int)(intptr_t)arg;
	unsigned char b[2000];

	for (int i = 0; i < per; i++) {
		int n = 1 + i * 13 % 1900;
		fill(b, n, 9, i);
		MUST(send(s, b, n, i % 2 ? MSG_EOR : 0) == n);
	}
	MUST(shutdown(s, SHUT_WR) == 0);
	return NULL;
}

static void *gone(void *arg)
{
	char c;

	return (void *)(intptr_t)(recv((int)(intptr_t)arg, &c, 1, 0) == 0 ? 0 : errno);
}

int main(void)
{
	pthread_t t[SENDERS], r;
	int s[2], one = 1;
	unsigned char b[2000];
	char c = 'c';

	signal(SIGPIPE, SIG_IGN);
	per = scaled(300);
	name = unix_name("kinds.sock");
	server = socket(AF_UNIX, SOCK_DGRAM, 0);
	MUST(bind(server, (struct sockaddr *)&name, sizeof name) == 0);
	for (int i = 0; i < SENDERS; i++)
		t[i] = start(sends, (void *)(intptr_t)i);
	r = start(receives, NULL);
	for (int i = 0; i < SENDERS; i++)
		finish(t[i]);
	finish(r);
	say("datagrams in order");
	MUST((s[0] = socket(AF_UNIX, SOCK_DGRAM, 0)) >= 0 && connect(s[0], (struct sockaddr *)&name, sizeof name) == 0);
	struct pollfd p = {s[0], POLLOUT, 0};
	while (send(s[0], "full", 4, MSG_DONTWAIT) == 4)
		;
	say("full: %s, poll %d", errname(errno), poll(&p, 1, 20));
	close(server);
	SYS(send(s[0], "x", 1, 0));
	close(s[0]);
	MUST((s[0] = socket(AF_UNIX, SOCK_DGRAM, 0)) >= 0);
	SYS(connect(s[0], (struct sockaddr *)&name, sizeof name));
	close(s[0]);

	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) == 0);
	r = start(packets, (void *)(intptr_t)s[0]);
	for (int i = 0; i < per; i++) {
		int want = 1 + i * 13 % 1900, room = i % 5 ? 2000 : 100;
		ssize_t n = i % 2 ? read(s[1], b, room) : recv(s[1], b, room, MSG_TRUNC);
		MUST(n == (i % 2 || want <= room ? (want < room ? want : room) : want));
		MUST(right(b, want < room ? want : room, 9, i));
	}
	SYS(read(s[1], b, 10));
	finish(r);
	r = start(gone, (void *)(intptr_t)s[0]);
	settle();
	close(s[1]);
	say("peer gone: %s", errname((int)(intptr_t)finish(r)));
	SYS(send(s[0], "x", 1, 0));
	close(s[0]);

	/* An abstract name; who is there. */
	struct sockaddr_un none = {.sun_family = AF_UNIX};
	socklen_t len = sizeof none;
	server = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	MUST(bind(server, (struct sockaddr *)&none, sizeof(sa_family_t)) == 0 && listen(server, 5) == 0);
	MUST(getsockname(server, (struct sockaddr *)&none, &len) == 0);
	say("named by the kernel: %d", (int)(len - offsetof(struct sockaddr_un, sun_path)));
	s[0] = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	MUST(connect(s[0], (struct sockaddr *)&none, len) == 0 && (s[1] = accept(server, NULL, NULL)) >= 0);
	MUST(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one) == 0);
	MUST(send(s[0], &c, 1, 0) == 1);
	char room[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
	MUST(recvmsg(s[1], &m, 0) == 1);
	struct ucred *u = (struct ucred *)CMSG_DATA(CMSG_FIRSTHDR(&m)), peer;
	len = sizeof peer;
	MUST(getsockopt(s[1], SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0);
	say("sender %d, peer %d", u->pid == getpid() && u->uid == getuid(), peer.pid == getpid() && peer.gid == getgid());
	close(s[0]), close(s[1]), close(server);
	return 0;
}
