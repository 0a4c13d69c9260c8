/* SPDX-License-Identifier: MIT */
/* A daemon's whole start: threads before it, fork, setsid, fork again, close 0 to 4095, a new root
 * directory, another user (before its threads or while they run), then 500 connections, a thread
 * each, from there. daemon(7), credentials(7) */
#include "net.h"
#include <dirent.h>
#include <grp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { CONNS = 500, NOBODY = 65534 };

static atomic_int served, wrong;
static char dir[4096];

static void *nothing(void *arg)
{
	return arg;
}

static int dropped(int tries)
{
	uid_t r, e, s;
	gid_t gr, ge, gs;

	MUST(getresuid(&r, &e, &s) == 0 && getresgid(&gr, &ge, &gs) == 0);
	if (r != e || e != s || gr != ge || ge != gs || e == 0)
		return 0;
	return !tries || (setuid(0) < 0 && errno == EPERM);
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[100];
	ssize_t n;

	while ((n = read(fd, buf, sizeof buf)) > 0) {
		if (!dropped(fd % 50 == 0))
			wrong++;
		if (wrong)
			buf[0] = '!';
		if (write(fd, buf, n) != n)
			break;
	}
	close(fd);
	served++;
	return NULL;
}

static void *parks(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void drop(int root)
{
	gid_t g = NOBODY;

	if (root && (chroot(dir) < 0 || chdir("/") < 0))
		_exit(10);
	if (root && (setgroups(1, &g) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
		_exit(11);
	if (!root && (setgid(getgid()) < 0 || setuid(getuid()) < 0))
		_exit(12);
}

static void publish(int port)
{
	char text[20];
	int fd = open("port.new", O_CREAT | O_WRONLY | O_TRUNC, 0644);
	int n = snprintf(text, sizeof text, "%d", port);

	if (fd < 0 || write(fd, text, n) != n || close(fd) < 0 || rename("port.new", "port") < 0)
		_exit(13);
}

static void be_daemon(int root, int early)
{
	struct sockaddr_in addr;
	pthread_attr_t a;
	pthread_t t;

	if (setsid() < 0)
		_exit(14);
	if (fork() != 0)
		_exit(0);
	umask(022);
	for (int fd = 0; fd < 4096; fd++)
		close(fd);
	if (open("/dev/null", O_RDWR) != 0 || dup(0) != 1 || dup(0) != 2)
		_exit(15);
	int l = tcp_listen(&addr, 600);
	publish(ntohs(addr.sin_port));
	if (early)
		drop(root);
	for (int i = 0; i < 8; i++)
		OK(pthread_detach(start(parks, NULL)));
	if (!early)
		drop(root);
	OK(pthread_attr_init(&a));
	OK(pthread_attr_setstacksize(&a, 64 << 10));
	OK(pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED));
	for (int i = 0; i < CONNS; i++) {
		int fd = accept(l, NULL, NULL);
		if (fd < 0)
			_exit(16);
		if (pthread_create(&t, &a, serve, (void *)(intptr_t)fd) != 0)
			_exit(17);
	}
	while (served < CONNS)
		usleep(1000);
	_exit(wrong ? 18 : 0);
}

static int find_port(void)
{
	for (int i = 0; i < 20000; i++) {
		FILE *f = fopen("port", "r");
		int port;
		if (f != NULL) {
			MUST(fscanf(f, "%d", &port) == 1);
			fclose(f);
			MUST(unlink("port") == 0);
			return port;
		}
		usleep(1000);
	}
	t_fail(__FILE__, __LINE__, "the daemon is not there", 0);
}

static void with(const char *name, int root, int early)
{
	static int fd[CONNS];
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char out[50], in[50];
	int st;
	pid_t pid = fork();

	if (pid == 0)
		be_daemon(root, early);
	MUST(waitpid(pid, &st, 0) == pid);
	say("%s: first child: %d", name, st);
	addr.sin_port = htons(find_port());
	for (int i = 0; i < CONNS; i++)
		fd[i] = tcp_connect(&addr);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < CONNS; i++) {
			snprintf(out, sizeof out, "round %d, connection %d", round, i);
			MUST(write(fd[i], out, sizeof out) == sizeof out);
		}
		for (int i = 0; i < CONNS; i++) {
			snprintf(out, sizeof out, "round %d, connection %d", round, i);
			MUST(read_all(fd[i], in, sizeof in) == sizeof in && !strcmp(in, out));
		}
	}
	for (int i = 0; i < CONNS; i++)
		close(fd[i]);
	say("%s: served", name);
}

int main(void)
{
	int root = geteuid() == 0;

	MUST(getcwd(dir, sizeof dir) != NULL);
	MUST(mkdir("root", 0755) == 0);
	strcat(dir, "/root");
	with("dropped before threads", root, 1);
	with("dropped with threads", root, 0);
	finish(start(nothing, NULL)); /* now there have been threads */
	with("from threads, dropped before threads", root, 1);
	with("from threads, dropped with threads", root, 0);
	return 0;
}
