/* SPDX-License-Identifier: MIT */
/* syslog from many threads to a slow reader, of a stream and of a datagram socket: nothing is lost,
 * and who waits for the log does not keep others from running. In a mount namespace of its own;
 * where that cannot be had, to nobody. syslog(3) */
#include "net.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <syslog.h>

enum { LOGGERS = 30 };

static int log_fd, done;
static bool stream;

static void *logs(void *arg)
{
	for (int i = 0; i < scaled(20); i++)
		syslog(LOG_INFO, "message %d of %d %0200d", i, (int)(intptr_t)arg, 0);
	return arg;
}

static void *lives(void *arg)
{
	for (int i = 0; i < 20; i++)
		usleep(1000);
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
	return arg;
}

/* Counts messages; begins once somebody has shown that he is not kept waiting. */
static void *collects(void *arg)
{
	int fd = stream ? accept(log_fd, NULL, NULL) : log_fd;
	char buf[4000];
	long n = 0;

	MUST(fd >= 0);
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		usleep(1000);
	while (n < LOGGERS * scaled(20)) {
		ssize_t k = recv(fd, buf, sizeof buf, 0);
		MUST(k > 0);
		if (!stream)
			n++;
		for (ssize_t i = 0; stream && i < k; i++)
			n += buf[i] == 0;
	}
	if (stream)
		MUST(close(fd) == 0);
	(void)arg;
	return (void *)n;
}

static bool own_dev(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", "/dev", "tmpfs", 0, "size=1m") == 0;
}

static void run(void)
{
	struct sockaddr_un a = unix_name("/dev/log");
	pthread_t t[LOGGERS], c, l;

	unlink("/dev/log");
	log_fd = socket(AF_UNIX, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
	MUST(log_fd >= 0 && bind(log_fd, (struct sockaddr *)&a, sizeof a) == 0);
	MUST(!stream || listen(log_fd, 5) == 0);
	done = 0;
	openlog("inside", LOG_PID, LOG_USER);
	c = start(collects, NULL);
	for (int i = 0; i < LOGGERS; i++)
		t[i] = start(logs, (void *)(intptr_t)i);
	l = start(lives, NULL);
	finish(l);
	for (int i = 0; i < LOGGERS; i++)
		finish(t[i]);
	MUST((long)finish(c) == LOGGERS * scaled(20));
	closelog();
	MUST(close(log_fd) == 0);
}

int main(void)
{
	pid_t pid = fork(); /* the namespace ends with it */
	int st;

	if (pid == 0) {
		if (own_dev()) {
			run();
			stream = true;
			run();
		} else {
			logs(NULL);
		}
		_exit(0);
	}
	MUST(waitpid(pid, &st, 0) == pid && WIFEXITED(st) && WEXITSTATUS(st) == 0);
	say("all messages have come");
	return 0;
}
