/* SPDX-License-Identifier: MIT */
/* timerfds, inotify, pidfds, a terminal that is hung up: read, polled, in epoll sets, by several threads at once; timers
 * set anew while somebody waits; a child whose end is waited for in each way. timerfd_create(2), inotify(7), pidfd_open(2), pty(7) */
#include "net.h"
#include <pty.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

static int fd, waiting;

static void set(int ms, int every)
{
	struct itimerspec it = {{every / 1000, every % 1000 * 1000000}, {ms / 1000, ms % 1000 * 1000000}};

	MUST(timerfd_settime(fd, 0, &it, NULL) == 0);
}

static void *ticks(void *arg)
{
	uint64_t n;

	__atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
	MUST(read(fd, &n, sizeof n) == sizeof n && n >= 1);
	return arg;
}

static void *readable(void *arg)
{
	struct pollfd p = {fd, POLLIN, 0};
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(0);

	__atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
	if (arg) {
		MUST(poll(&p, 1, -1) == 1);
		ev.events = (uint32_t)p.revents;
	} else {
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0 && epoll_wait(ep, &ev, 1, -1) == 1);
	}
	close(ep);
	return (void *)(uintptr_t)ev.events;
}

static void until(int n)
{
	while (__atomic_load_n(&waiting, __ATOMIC_RELAXED) < n)
		usleep(500);
	usleep(3000);
	waiting = 0;
}

static void timers(void)
{
	pthread_t t[4];
	uint64_t n;

	MUST((fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)) >= 0);
	for (int i = 0; i < 4; i++)
		t[i] = start(ticks, NULL);
	until(4);
	set(1, 1); /* each tick is somebody's */
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	set(0, 0);
	t[0] = start(ticks, NULL);
	t[1] = start(readable, NULL);
	t[2] = start(readable, fd ? &fd : NULL);
	until(3);
	set(100000, 0);
	usleep(2000);
	set(5, 0); /* sooner than they thought */
	finish(t[0]);
	set(1, 0); /* the read may have been faster than the others' look */
	finish(t[1]);
	finish(t[2]);
	set(0, 0);
	double begin = ms_now();
	set(20, 0);
	MUST(read(fd, &n, sizeof n) == sizeof n && ms_now() - begin >= 20);
	say("expired %d", (int)n);
	SYS(read(fd, &n, 4));
	close(fd);
}

static void *changes(void *arg)
{
	char b[4096] __attribute__((aligned(8)));
	int seen = 0;

	__atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
	while (seen < scaled(40)) {
		ssize_t n = read(fd, b, sizeof b);
		MUST(n > 0);
		for (ssize_t k = 0; k < n;) {
			struct inotify_event *e = (struct inotify_event *)(b + k);
			MUST(e->mask == IN_CREATE && atoi(e->name) == seen);
			seen++;
			k += (ssize_t)(sizeof *e + e->len);
		}
	}
	return arg;
}

static void notices(void)
{
	char path[32];

	MUST(mkdir("watched", 0700) == 0 && (fd = inotify_init1(IN_CLOEXEC)) >= 0);
	MUST(inotify_add_watch(fd, "watched", IN_CREATE) >= 0);
	pthread_t t = start(changes, NULL);
	until(1);
	for (int i = 0; i < scaled(40); i++) {
		snprintf(path, sizeof path, "watched/%d", i);
		MUST(close(creat(path, 0600)) == 0);
		if (i % 8 == 0)
			usleep(1000);
	}
	finish(t);
	say("noticed");
	close(fd);
}

static void *waits(void *arg)
{
	siginfo_t si;

	(void)arg;
	__atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
	MUST(waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOWAIT) == 0 && si.si_code == CLD_EXITED);
	return (void *)(intptr_t)si.si_status;
}

static void children(void)
{
	pthread_t t[3];
	siginfo_t si;
	int p[2];
	char c;

	MUST(pipe(p) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		MUST(close(p[1]) == 0 && read(p[0], &c, 1) == 0);
		_exit(23);
	}
	MUST((fd = pidfd_open(pid, 0)) >= 0);
	t[0] = start(readable, NULL);
	t[1] = start(readable, &fd);
	t[2] = start(waits, NULL);
	until(3);
	MUST(pidfd_send_signal(fd, 0, NULL, 0) == 0);
	close(p[0]), close(p[1]);
	for (int i = 0; i < 3; i++)
		say("child: %d", (int)(intptr_t)finish(t[i]));
	MUST(waitid(P_PIDFD, (id_t)fd, &si, WEXITED) == 0 && si.si_pid == pid);
	SYS(waitid(P_PIDFD, (id_t)fd, &si, WEXITED));
	SYS(pidfd_send_signal(fd, 0, NULL, 0));
	close(fd);
}

static void *line(void *arg)
{
	char b[64];

	__atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
	ssize_t n = read((int)(intptr_t)arg, b, sizeof b);
	return (void *)(intptr_t)(n < 0 ? -errno : n);
}

/* The other end of a terminal goes while a thread reads, polls. */
static void terminals(void)
{
	pthread_t t[3];
	int m, s;

	for (int k = 0; k < 2; k++) {
		MUST(openpty(&m, &s, NULL, NULL, NULL) == 0);
		int stays = k ? m : s;
		fd = stays;
		t[0] = start(line, (void *)(intptr_t)stays);
		t[1] = start(readable, NULL);
		t[2] = start(readable, &fd);
		until(3);
		MUST(close(k ? s : m) == 0);
		long n = (long)(intptr_t)finish(t[0]);
		/* On a slave 0 or EIO, as the hang-up finds the reader in the call or on its way there. */
		say("%s: %s", k ? "master" : "slave", n == -EIO || (n == 0 && !k) ? "gone" : errname((int)-n));
		for (int i = 1; i < 3; i++)
			say("  hung up: %d", !!((uintptr_t)finish(t[i]) & POLLHUP));
		close(stays);
	}
}

int main(void)
{
	signal(SIGHUP, SIG_IGN);
	timers();
	notices();
	children();
	terminals();
	return 0;
}
