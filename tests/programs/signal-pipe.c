/* SPDX-License-Identifier: MIT */
/* SIGPIPE is the writing thread's: its handler has run there when write returns EPIPE; blocked, it stays pending for
 * that thread and hits nobody else; ignored, there is only EPIPE; by default it ends the process. write(2), signal(7) */
#include "net.h"
#include <signal.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { THREADS = 8, ROUNDS = 50 };

static __thread volatile int runs;

static void on_pipe(int sig)
{
	(void)sig;
	runs++;
}

/* Writes to what nobody reads: 5 ways. */
static void broken(int how)
{
	int fd[2];

	if (how < 2) {
		MUST(pipe(fd) == 0);
		close(fd[0]);
	} else {
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
		close(fd[0]);
	}
	struct iovec v = {"xy", 2};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	ssize_t n = how == 0   ? write(fd[1], "x", 1)
		    : how == 1 ? writev(fd[1], &v, 1)
		    : how == 2 ? write(fd[1], "x", 1)
		    : how == 3 ? send(fd[1], "x", 1, 0)
			       : sendmsg(fd[1], &m, 0);
	MUST(n == -1 && errno == EPIPE);
	MUST(how < 3 || (send(fd[1], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE));
	close(fd[1]);
}

static void *handles(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		broken(i % 5);
		MUST(runs == i + 1);
		if (i % 8 == 0)
			usleep(100);
	}
	return arg;
}

static void *blocks(void *arg)
{
	sigset_t set, pend;
	struct timespec now = {0, 0};

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	for (int i = 0; i < ROUNDS; i++) {
		broken(i % 5);
		usleep(i % 7 * 50); /* others run meanwhile, on the same kernel thread perhaps */
		sigpending(&pend);
		MUST(sigismember(&pend, SIGPIPE));
		MUST(sigtimedwait(&set, NULL, &now) == SIGPIPE);
		sigpending(&pend);
		MUST(!sigismember(&pend, SIGPIPE) && runs == 0);
	}
	broken(2);
	usleep(100);
	OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
	MUST(runs == 1);
	return arg;
}

static void *innocent(void *arg)
{
	int *p = arg;
	char c;

	while (read(p[0], &c, 1) == 1)
		MUST(runs == 0);
	MUST(runs == 0);
	return NULL;
}

static void *dies(void *arg)
{
	broken((int)(intptr_t)arg);
	_exit(3);
}

static void *alive(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++)
		broken(i % 5);
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_pipe};
	pthread_t h[THREADS], b[THREADS], in;
	int p[2], status;

	MUST(sigaction(SIGPIPE, &sa, NULL) == 0 && pipe(p) == 0);
	in = start(innocent, p);
	for (int i = 0; i < THREADS; i++) {
		h[i] = start(handles, NULL);
		b[i] = start(blocks, NULL);
	}
	for (int i = 0; i < THREADS; i++) {
		MUST(write(p[1], "x", 1) == 1);
		finish(h[i]);
		finish(b[i]);
	}
	close(p[1]);
	finish(in);
	say("handled and blocked: each its own");
	for (int i = 0; i < 5; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			signal(SIGPIPE, SIG_DFL);
			finish(start(dies, (void *)(intptr_t)i));
		}
		MUST(waitpid(pid, &status, 0) == pid);
		say("default: killed by SIGPIPE %d", WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
	}
	signal(SIGPIPE, SIG_IGN);
	finish(start(alive, NULL));
	alive(NULL);
	MUST(runs == 0);
	say("ignored: only EPIPE");
	return 0;
}
