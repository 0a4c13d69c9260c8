/* SPDX-License-Identifier: MIT */
/* Another process sets O_NONBLOCK on what we have in common, and takes it away: our next call is
 * told EAGAIN, or waits. The process was made before there were threads, or by one of them.
 * fcntl(2), fork(2) */
#include "net.h"
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

enum { PIPE, UNIX, TCP, UDP, EVENT, LISTEN, TTY, FULL, KINDS };
static const char *const name[] = {"pipe",    "unix",	  "tcp",      "udp",
				   "eventfd", "listener", "terminal", "a full pipe"};
static int fd[KINDS], other[KINDS];
static struct sockaddr_in listener, udp;

static void open_all(void)
{
	struct sockaddr_in a;
	int p[2], size;

	MUST(pipe(p) == 0);
	fd[PIPE] = p[0], other[PIPE] = p[1];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
	fd[UNIX] = p[0], other[UNIX] = p[1];
	tcp_pair(p);
	fd[TCP] = p[0], other[TCP] = p[1];
	fd[UDP] = bound(SOCK_DGRAM, &udp);
	other[UDP] = bound(SOCK_DGRAM, &a);
	MUST((fd[EVENT] = other[EVENT] = eventfd(0, EFD_SEMAPHORE)) >= 0);
	fd[LISTEN] = tcp_listen(&listener, 10);
	MUST((other[TTY] = posix_openpt(O_RDWR | O_NOCTTY)) >= 0 && grantpt(other[TTY]) == 0 &&
	     unlockpt(other[TTY]) == 0);
	MUST((fd[TTY] = open(ptsname(other[TTY]), O_RDWR | O_NOCTTY)) >= 0);
	MUST(pipe(p) == 0 && (size = fcntl(p[1], F_SETPIPE_SZ, 4096)) > 0);
	fd[FULL] = p[1], other[FULL] = p[0];
	for (; size > 0; size--)
		MUST(write(p[1], "f", 1) == 1);
}

static void feed(int kind)
{
	uint64_t one = 1;
	char c[4096];

	switch (kind) {
	case EVENT:
		MUST(write(other[kind], &one, 8) == 8);
		break;
	case UDP:
		MUST(sendto(other[kind], "x", 1, 0, (struct sockaddr *)&udp, sizeof udp) == 1);
		break;
	case LISTEN:
		MUST(close(tcp_connect(&listener)) == 0);
		break;
	case FULL:
		MUST(read(other[kind], c, sizeof c) == sizeof c);
		break;
	default:
		MUST(write(other[kind], "\n", 1) == 1);
	}
}

/* One call that waits, unless it may not. */
static const char *calls(int kind)
{
	char b[8];
	long r;

	switch (kind) {
	case LISTEN:
		r = accept(fd[kind], NULL, NULL);
		if (r >= 0)
			MUST(close(r) == 0);
		break;
	case TCP:
		r = recv(fd[kind], b, 1, 0);
		break;
	case UDP:
		r = recvfrom(fd[kind], b, 1, 0, NULL, NULL);
		break;
	case FULL:
		r = write(fd[kind], "g", 1);
		break;
	default:
		r = read(fd[kind], b, 8);
	}
	return r >= 0 ? "done" : errname(errno);
}

static void *caller(void *arg)
{
	return (void *)(uintptr_t)calls((int)(intptr_t)arg);
}

/* The other process: sets it, or takes it away, for each byte that it gets. */
static pid_t process(int cmd[2])
{
	int down[2], up[2], on;
	char c;

	MUST(pipe(down) == 0 && pipe(up) == 0);
	pid_t pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		close(down[1]);
		while (read(down[0], &c, 1) == 1) {
			on = c == '1';
			for (int k = 0; k < KINDS; k++)
				if (k % 2)
					MUST(ioctl(fd[k], FIONBIO, &on) == 0);
				else
					MUST(fcntl(fd[k], F_SETFL,
						   (fcntl(fd[k], F_GETFL) & ~O_NONBLOCK) |
						       (on ? O_NONBLOCK : 0)) == 0);
			MUST(write(up[1], &c, 1) == 1);
		}
		_exit(0);
	}
	close(down[0]);
	close(up[1]);
	cmd[0] = up[0], cmd[1] = down[1];
	return pid;
}

static void tell(int cmd[2], char what)
{
	MUST(write(cmd[1], &what, 1) == 1 && read(cmd[0], &what, 1) == 1);
}

static void refill(int kind)
{
	for (int i = 1; kind == FULL && i < 4096; i++)
		MUST(write(fd[kind], "f", 1) == 1);
}

/* It may take a moment. */
static void comes(int kind)
{
	const char *r;

	feed(kind);
	while (!strcmp(r = calls(kind), "EAGAIN"))
		usleep(100);
	say("%s, when it may: %s", name[kind], r);
	refill(kind);
}

static void waits(int kind, const char *when)
{
	pthread_t t = start(caller, (void *)(intptr_t)kind);

	settle();
	feed(kind);
	say("%s, %s: %s", name[kind], when, (char *)finish(t));
	refill(kind);
}

static void *all(void *arg)
{
	int *cmd = arg;
	pid_t pid = cmd[1] < 0 ? process(cmd) : 0;

	for (int k = 0; k < KINDS; k++)
		if (pid)
			comes(k); /* nobody has waited yet */
		else
			waits(k, "first");
	for (int i = 0; i < 2; i++) {
		tell(cmd, '1');
		for (int k = 0; k < KINDS; k++) {
			say("%s, not to wait: %s", name[k], calls(k));
			say("%s, once more: %s", name[k], calls(k));
			comes(k);
		}
		tell(cmd, '0');
		for (int k = 0; k < KINDS; k++)
			waits(k, "waits again");
	}
	close(cmd[1]);
	if (pid)
		MUST(waitpid(pid, NULL, 0) == pid);
	return NULL;
}

int main(void)
{
	int cmd[2];

	open_all();
	pid_t pid = process(cmd);
	say("made before there are threads");
	finish(start(all, cmd));
	MUST(waitpid(pid, NULL, 0) == pid);
	cmd[0] = cmd[1] = -1;
	open_all();
	say("made by a thread");
	finish(start(all, cmd));
	return 0;
}
