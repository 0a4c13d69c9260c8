/* SPDX-License-Identifier: MIT */
/* readv and writev over many pieces, sendmsg and recvmsg with descriptors and credentials, blocking
 * and not; errors. readv(2), sendmsg(2), unix(7) */
#include "net.h"
#include <limits.h>
#include <sys/uio.h>

#define PIECES 300
#define EACH 3001

static int s[2];

static void *gather(void *arg)
{
	static unsigned char data[PIECES][EACH];
	struct iovec v[PIECES];

	for (int i = 0; i < PIECES; i++) {
		fill(data[i], EACH, 5, (size_t)i * EACH);
		v[i] = (struct iovec){data[i], EACH};
	}
	MUST(writev(*(int *)arg, v, PIECES) == PIECES * EACH); /* far more than the buffer holds */
	return NULL;
}

static void scatter(const char *name, int rd, int wr)
{
	static unsigned char data[17][1009];
	struct iovec v[17];
	size_t got = 0;

	for (int i = 0; i < 17; i++)
		v[i] = (struct iovec){data[i], 1 + i * 60};
	pthread_t t = start(gather, &wr);
	while (got < (size_t)PIECES * EACH) {
		ssize_t n = readv(rd, v, 17), left = n;
		MUST(n > 0);
		for (int i = 0; left > 0; i++) {
			size_t k = left < (ssize_t)v[i].iov_len ? (size_t)left : v[i].iov_len;
			MUST(right(data[i], k, 5, got));
			got += k;
			left -= k;
		}
	}
	finish(t);
	say("%s: scattered and gathered", name);
}

static void *pass(void *arg)
{
	int p[2];
	char c = 'c', control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof control};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	MUST(pipe(p) == 0);
	MUST(write(p[1], "through the pipe", 16) == 16);
	*h = (struct cmsghdr){
	    .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(h), &p[0], sizeof(int));
	settle();
	MUST(sendmsg(s[1], &m, 0) == 1);
	close(p[0]);
	close(p[1]);
	return arg;
}

static void receive(void)
{
	char c, text[32], control[256];
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof control};
	pthread_t t = start(pass, NULL);
	int fd;

	SYS(recvmsg(s[0], &m, MSG_CMSG_CLOEXEC));
	finish(t);
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	MUST(h && h->cmsg_type == SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(h), sizeof fd);
	say("flags of the descriptor: %d", fcntl(fd, F_GETFD));
	ssize_t n = read(fd, text, sizeof text);
	say("read: %.*s", (int)n, text);
	SYS(read(fd, text, 1));
	close(fd);
}

/* Not known to the compiler, which would warn. */
static struct iovec *volatile nowhere;
static volatile int negative = -1, too_many = IOV_MAX + 1;

int main(void)
{
	int p[2], tcp[2];
	struct iovec v[3] = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
	char buf[8] = "";

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 && pipe(p) == 0);
	tcp_pair(tcp);
	scatter("pipe", p[0], p[1]);
	scatter("socketpair", s[0], s[1]);
	scatter("tcp", tcp[0], tcp[1]);
	receive();

	SYS(writev(s[0], v, 3));
	SYS(readv(s[0], v, 0));
	SYS(writev(s[0], nowhere, 1));
	SYS(writev(s[0], v, negative));
	SYS(writev(s[0], v, too_many));
	v[0] = (struct iovec){buf, (size_t)-1};
	SYS(readv(s[0], v, 1));
	SYS(readv(-1, v, 1));
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 1};
	v[0] = (struct iovec){buf, sizeof buf};
	SYS(recvmsg(s[0], &m, MSG_DONTWAIT));
	SYS(recvmsg(p[0], &m, 0));
	SYS(sendmsg(p[1], &m, 0));
	MUST(write(s[1], "abc", 3) == 3);
	SYS(recvmsg(s[0], &m, 0));
	say("%s", buf);
	return 0;
}
