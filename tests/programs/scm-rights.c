/* SPDX-License-Identifier: MIT */
/* Descriptors in messages, SCM_RIGHTS: between threads and from a process to one whose threads are waiting for them; listeners,
 * connections, pipes; many in one message; too many; O_NONBLOCK set by the other process. unix(7), cmsg(3) */
#include "net.h"
#include <sys/wait.h>

#define MOST 20

static int channel[2];

static void give(int to, const int *fd, int n, char tag)
{
	char room[CMSG_SPACE(sizeof(int) * MOST)] = {0};
	struct iovec v = {&tag, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = CMSG_SPACE(sizeof(int) * n)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fd, sizeof(int) * n);
	MUST(sendmsg(to, &m, 0) == 1);
}

/* How many came; room for `most`. */
static int take(int from, int *fd, int most, char *tag, bool *cut)
{
	char room[CMSG_SPACE(sizeof(int) * MOST)];
	struct iovec v = {tag, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = CMSG_LEN(sizeof(int) * most)};

	MUST(recvmsg(from, &m, MSG_CMSG_CLOEXEC) == 1);
	*cut = m.msg_flags & MSG_CTRUNC;
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (c == NULL)
		return 0;
	int n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fd, CMSG_DATA(c), n * sizeof(int));
	return n;
}

/* Takes descriptors and serves each: 'l' a listener, 'c' a connection, 'p' a pipe to read. */
static void *serves(void *arg)
{
	int fd[MOST], n, k;
	char tag, b[64];
	bool cut;

	for (;;) {
		n = take(channel[1], fd, MOST, &tag, &cut);
		if (tag == 'q')
			return arg;
		for (int i = 0; i < n; i++) {
			int s = tag == 'l' ? accept(fd[i], NULL, NULL) : fd[i];
			MUST(s >= 0 && fcntl(fd[i], F_GETFD) == FD_CLOEXEC);
			while ((k = read(s, b, sizeof b)) > 0)
				if (tag != 'p')
					write_all(s, b, k);
			MUST(k == 0);
			if (s != fd[i])
				MUST(close(s) == 0);
			MUST(close(fd[i]) == 0);
		}
	}
}

static void talk(int fd, int id)
{
	char b[30], c[30];

	int n = sprintf(b, "number %d", id);
	write_all(fd, b, n);
	MUST(read_all(fd, c, n) == (size_t)n && memcmp(b, c, n) == 0);
	MUST(shutdown(fd, SHUT_WR) == 0 && read(fd, c, 1) == 0);
	MUST(close(fd) == 0);
}

static void *gives(void *arg)
{
	int id = (int)(intptr_t)arg, fd[2];
	struct sockaddr_in a;

	for (int i = 0; i < scaled(30); i++) {
		switch ((i + id) % 3) {
		case 0:
			fd[0] = tcp_listen(&a, 5);
			fd[1] = tcp_connect(&a);
			give(channel[0], fd, 1, 'l');
			MUST(close(fd[0]) == 0);
			break;
		case 1:
			tcp_pair(fd);
			give(channel[0], fd, 1, 'c');
			MUST(close(fd[0]) == 0);
			break;
		default:
			MUST(pipe(fd) == 0);
			give(channel[0], fd, 1, 'p');
			MUST(close(fd[0]) == 0);
			write_all(fd[1], "pipe", 4);
			MUST(close(fd[1]) == 0);
			continue;
		}
		talk(fd[1], id * 1000 + i);
	}
	return NULL;
}

static void give_all(void)
{
	pthread_t t[6];

	for (int i = 0; i < 6; i++)
		t[i] = start(gives, (void *)(intptr_t)i);
	for (int i = 0; i < 6; i++)
		finish(t[i]);
	for (int i = 0; i < 8; i++)
		give(channel[0], (int[]){0}, 1, 'q');
}

static void serve_all(void)
{
	pthread_t t[8];

	for (int i = 0; i < 8; i++)
		t[i] = start(serves, NULL);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
}

static void *gives_all(void *arg)
{
	give_all();
	return arg;
}

static void *reads(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char c;

	MUST(read(fd, &c, 1) == 1 && c == 'z');
	return NULL;
}

int main(void)
{
	int st, fd[MOST], p[2], q[2], n;
	char tag;
	bool cut;

	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel) == 0);
	pthread_t t = start(gives_all, NULL);
	serve_all();
	finish(t);
	say("between threads");
	pid_t pid = fork();
	if (pid == 0) {
		serve_all();
		_exit(7);
	}
	give_all();
	MUST(waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 7);
	say("to a child");

	for (int i = 0; i < MOST; i++)
		MUST((fd[i] = dup(0)) >= 0);
	give(channel[0], fd, MOST, 'm');
	n = take(channel[1], fd, 5, &tag, &cut);
	say("room for 5: %d, cut %d", n, cut);
	MUST(close_range(channel[1] + 1, ~0u, 0) == 0);

	/* The other process makes the shared description non-blocking while a thread waits: the wait goes on. */
	MUST(pipe(p) == 0 && pipe(q) == 0);
	give(channel[0], p, 1, 'x');
	t = start(reads, (void *)(intptr_t)p[0]);
	settle();
	if ((pid = fork()) == 0) {
		n = take(channel[1], fd, 1, &tag, &cut);
		_exit(n == 1 && fcntl(fd[0], F_SETFL, O_NONBLOCK) == 0 && read(fd[0], &tag, 1) == -1 && errno == EAGAIN ? 0 : 1);
	}
	MUST(waitpid(pid, &st, 0) == pid && st == 0);
	settle();
	write_all(p[1], "z", 1);
	finish(t);
	say("waited on");
	return 0;
}
