/* SPDX-License-Identifier: MIT */
/* A daemon's start: fork twice, setsid, chdir, close every descriptor, then threads; and again
 * closing every descriptor while threads run. The parent is its client. daemon(7) */
#include "net.h"
#include <sys/stat.h>
#include <sys/wait.h>

static struct sockaddr_in addr;

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[100];
	ssize_t n;

	while ((n = read(fd, buf, sizeof buf)) > 0)
		if (write(fd, buf, n) != n)
			_exit(3);
	close(fd);
	return NULL;
}

static void *naps(void *arg)
{
	for (;;)
		usleep(1000);
	return arg;
}

static void be_daemon(int l, int closes_again)
{
	int n = 0;

	if (setsid() < 0 || chdir("/") < 0)
		_exit(1);
	umask(022);
	if (fork() != 0)
		_exit(0);
	for (int fd = 0; fd < 256; fd++)
		if (fd != l)
			close(fd);
	if (open("/dev/null", O_RDWR) != 0 || dup(0) != 1 || dup(0) != 2)
		_exit(2);
	if (closes_again) {
		OK(pthread_detach(start(naps, NULL)));
		usleep(5000);
		long most = sysconf(_SC_OPEN_MAX); /* a billion in some containers */
		for (int fd = 3; fd < (most < 20000 ? most : 20000); fd++)
			if (fd != l)
				close(fd);
	}
	while (n < 21) {
		int fd = accept(l, NULL, NULL);
		if (fd < 0)
			_exit(4);
		n++;
		OK(pthread_detach(start(serve, (void *)(intptr_t)fd)));
	}
	_exit(0); /* the 21st connection is the end */
}

static void with_daemon(const char *name, int closes_again)
{
	int st, l = tcp_listen(&addr, 30), fd[20];
	char out[50], in[50];
	pid_t pid = fork();

	if (pid == 0)
		be_daemon(l, closes_again);
	MUST(waitpid(pid, &st, 0) == pid);
	say("%s: first child: %d", name, st);
	MUST(close(l) == 0);
	for (int i = 0; i < 20; i++)
		fd[i] = tcp_connect(&addr);
	for (int round = 0; round < 20; round++)
		for (int i = 0; i < 20; i++) {
			snprintf(out, sizeof out, "round %d, connection %d", round, i);
			MUST(write(fd[i], out, sizeof out) == sizeof out);
			MUST(read_all(fd[i], in, sizeof in) == sizeof in &&
			     !memcmp(in, out, sizeof in));
		}
	close(tcp_connect(&addr));
	for (int i = 0; i < 20; i++) {
		(void)!read(fd[i], in, 1); /* the end, or a reset: gone with the process */
		close(fd[i]);
	}
	say("%s: served", name);
}

static void *idle(void *arg)
{
	return arg;
}

int main(void)
{
	with_daemon("before threads", 0);
	with_daemon("closes all, threads running", 1);
	finish(start(idle, NULL)); /* now this process has had a thread */
	with_daemon("from a process with threads", 0);
	with_daemon("from a process with threads, closes all", 1);
	return 0;
}
