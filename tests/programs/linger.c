/* SPDX-License-Identifier: MIT */
/* close with SO_LINGER waits until the peer has everything, 60 threads at once; its number is free
 * meanwhile. A signal or the time ends the wait; a duplicate's close does not wait, and cuts
 * nothing off; unread input is a reset. socket(7) */
#include "net.h"
#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

enum { N = 60, BIG = 300000 };

static int end[N][2], closed;

static void nap(long ms)
{
	nanosleep(&(struct timespec){0, ms * 1000000}, NULL);
}

static void linger(int fd, int seconds)
{
	struct linger l = {seconds > 0, seconds};

	MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0);
}

/* More than goes through without a reader: the rest waits in the sender. */
static void stuffed_pair(int fd[2])
{
	static char data[BIG];
	struct sockaddr_in a;
	int l = bound(SOCK_STREAM, &a), small = 4096;

	MUST(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
	MUST(listen(l, 1) == 0);
	fd[0] = tcp_connect(&a);
	fd[1] = accept(l, NULL, NULL);
	MUST(fd[1] >= 0);
	close(l);
	int big = BIG;
	MUST(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &big, sizeof big) == 0);
	MUST(write(fd[0], data, BIG / 2) == BIG / 2);
}

static int everything(int fd)
{
	static char buf[65536];
	int sum = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof buf)) > 0)
		sum += n;
	return n < 0 ? -errno : sum;
}

static void *closes(void *arg)
{
	int *fd = arg;

	linger(*fd, 60);
	MUST(close(*fd) == 0);
	__atomic_add_fetch(&closed, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void all_at_once(void)
{
	pthread_t t[N];
	int whole = 0, free_number = 0;

	for (int i = 0; i < N; i++)
		stuffed_pair(end[i]);
	for (int i = 0; i < N; i++)
		t[i] = start(closes, &end[i][0]);
	/* The numbers are free although no close has returned. */
	for (int i = 0; i < N; i++)
		while (fcntl(end[i][0], F_GETFD) != -1)
			nap(1);
	for (int i = 0; i < N; i++)
		free_number += fcntl(end[i][0], F_GETFD) == -1 && errno == EBADF;
	say("free numbers %d, closed %d", free_number, __atomic_load_n(&closed, __ATOMIC_RELAXED));
	for (int i = 0; i < N; i++) {
		whole += everything(end[i][1]) == BIG / 2;
		close(end[i][1]);
	}
	for (int i = 0; i < N; i++)
		pthread_join(t[i], NULL);
	say("whole %d, closed %d", whole, closed);
}

static void handler(int sig)
{
	(void)sig;
}

static void interrupted(void)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
	int fd[2];

	sigaction(SIGUSR1, &sa, NULL);
	stuffed_pair(fd);
	closed = 0;
	pthread_t t = start(closes, &fd[0]);
	while (fcntl(fd[0], F_GETFD) != -1)
		nap(1);
	while (__atomic_load_n(&closed, __ATOMIC_RELAXED) == 0) {
		pthread_kill(t, SIGUSR1);
		nap(5);
	}
	pthread_join(t, NULL);
	say("interrupted: the rest came all the same: %d", everything(fd[1]) == BIG / 2);
	close(fd[1]);

	stuffed_pair(fd);
	linger(fd[0], 1);
	MUST(close(fd[0]) == 0);
	say("time is up: the rest came: %d", everything(fd[1]) == BIG / 2);
	close(fd[1]);
}

static void kept(void)
{
	int fd[2], two;
	char c = 'x';

	tcp_pair(fd);
	linger(fd[0], 60);
	two = dup(fd[0]);
	MUST(close(fd[0]) == 0);
	MUST(write(two, &c, 1) == 1 && read(fd[1], &c, 1) == 1);
	MUST(close(two) == 0);
	say("a duplicate: goes on, then ends: %zd", read(fd[1], &c, 1));
	close(fd[1]);

	tcp_pair(fd);
	linger(fd[0], 60);
	MUST(write(fd[1], &c, 1) == 1);
	struct pollfd p = {fd[0], POLLIN, 0};
	MUST(poll(&p, 1, -1) == 1);
	MUST(close(fd[0]) == 0);
	int r = everything(fd[1]);
	say("unread input: %s", r == -ECONNRESET ? "reset" : "no reset");
	close(fd[1]);

	struct sockaddr_in a;
	int l = tcp_listen(&a, 1);
	linger(l, 60);
	fd[0] = tcp_connect(&a);
	fd[1] = accept(l, NULL, NULL);
	struct linger got = {0, 0};
	socklen_t len = sizeof got;
	MUST(getsockopt(fd[1], SOL_SOCKET, SO_LINGER, &got, &len) == 0);
	say("an accepted one has it: %d %d", got.l_onoff, got.l_linger);
	MUST(write(fd[1], &c, 1) == 1 && close(fd[1]) == 0);
	say("it ends: %d", everything(fd[0]));
	close(fd[0]);
	close(l);

	tcp_pair(fd);
	linger(fd[0], 60);
	pid_t pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		MUST(read(fd[0], &c, 1) == 1 && c == 'y');
		_exit(write(fd[0], "z", 1) == 1 ? 0 : 1);
	}
	MUST(close(fd[0]) == 0);
	MUST(write(fd[1], "y", 1) == 1 && read(fd[1], &c, 1) == 1);
	int status;
	MUST(waitpid(pid, &status, 0) == pid);
	say("a child's: %c %d, then %zd", c, status, read(fd[1], &c, 1));
	close(fd[1]);
}

static void *nothing(void *arg)
{
	return arg;
}

static int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	MUST(d != NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

int main(void)
{
	pthread_join(start(nothing, NULL), NULL); /* the pool has its descriptors */
	int before = descriptors();
	all_at_once();
	interrupted();
	kept();
	say("descriptors left %d", descriptors() - before);
	return 0;
}
