/* SPDX-License-Identifier: MIT */
/* syscall(): the calls that block do so for their thread only, gettid tells one id, signals and
 * masks are the thread's, nothing is a cancellation point; errno and results are the kernel's. */
#include "t.h"
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

static int p[2], sp[2];
static volatile int handled;
static _Atomic bool slept;

static void handler(int s)
{
	(void)s;
	handled++;
}

static void *identity(void *arg)
{
	pid_t t = syscall(SYS_gettid);

	say("one id: %d, another than main's: %d", t == gettid(), t != getpid());
	for (int i = 0; i < 50; i++) {
		syscall(SYS_sched_yield);
		MUST(syscall(SYS_gettid) == t);
	}
	say("tgkill 0: %ld", syscall(SYS_tgkill, getpid(), t, 0));
	handled = 0;
	say("tkill: %ld", syscall(SYS_tkill, t, SIGUSR1));
	say("handled: %d", handled);
	return arg;
}

/* 20 threads, each blocked in the call of its number, each let go by main. */
static int released;

static void *blocks(void *arg)
{
	int n = (int)(intptr_t)arg, fd = p[0], ep;
	char c;
	struct pollfd pf = {fd, POLLIN, 0};
	struct timespec ts = {50, 0};
	struct iovec iov = {&c, 1};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	struct epoll_event ev = {.events = EPOLLIN};
	fd_set r;

	FD_ZERO(&r);
	FD_SET(fd, &r);
	switch (n) {
	case 0:
		MUST(syscall(SYS_poll, &pf, 1, -1) == 1 && pf.revents == POLLIN);
		break;
	case 1:
		MUST(syscall(SYS_ppoll, &pf, 1, &ts, NULL, 8) == 1);
		MUST(ts.tv_sec < 50 && ts.tv_sec >= 0);
		break;
	case 2:
		MUST(syscall(SYS_select, fd + 1, &r, NULL, NULL, NULL) == 1);
		break;
	case 3:
		MUST(syscall(SYS_pselect6, fd + 1, &r, NULL, NULL, &ts, NULL) == 1);
		MUST(ts.tv_sec < 50);
		break;
	case 4:
	case 5:
		MUST((ep = syscall(SYS_epoll_create1, 0)) >= 0);
		MUST(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, fd, &ev) == 0);
		if (n == 4)
			MUST(syscall(SYS_epoll_wait, ep, &ev, 1, -1) == 1);
		else
			MUST(syscall(SYS_epoll_pwait, ep, &ev, 1, -1, NULL, 8) == 1);
		MUST(syscall(SYS_close, ep) == 0);
		break;
	case 6:
		MUST(syscall(SYS_read, fd, &c, 1) == 1);
		break;
	case 7:
		MUST(syscall(SYS_readv, fd, &iov, 1) == 1);
		break;
	case 8:
		MUST(syscall(SYS_recvfrom, sp[0], &c, 1, 0, NULL, NULL) == 1);
		break;
	case 9:
		MUST(syscall(SYS_recvmsg, sp[0], &mh, 0) == 1);
		break;
	}
	__atomic_fetch_add(&released, 1, __ATOMIC_SEQ_CST);
	return arg;
}

static void blocking(void)
{
	pthread_t t[10];

	for (int i = 0; i < 10; i++)
		t[i] = start(blocks, (void *)(intptr_t)i);
	settle();
	say("released: %d", __atomic_load_n(&released, __ATOMIC_SEQ_CST));
	MUST(syscall(SYS_sendto, sp[1], "ab", 2, 0, NULL, 0) == 2);
	finish(t[8]);
	finish(t[9]);
	MUST(syscall(SYS_write, p[1], "x", 1) == 1);
	while (__atomic_load_n(&released, __ATOMIC_SEQ_CST) < 3)
		usleep(200);
	MUST(syscall(SYS_write, p[1], "yz", 2) == 2);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	char c;
	MUST(syscall(SYS_read, p[0], &c, 1) == 1);
	say("released: %d", released);
}

static void *masks(void *arg)
{
	uint64_t set = 1ull << (SIGUSR1 - 1), old = 1, pending = 0;
	struct timespec none = {0, 0};
	siginfo_t si;

	say("block: %ld", syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, &old, 8));
	say("was open: %d", !(old & set));
	handled = 0;
	MUST(raise(SIGUSR1) == 0);
	say("handled: %d", handled);
	MUST(syscall(SYS_rt_sigpending, &pending, 8) == 0);
	say("pending: %d", pending == set);
	memset(&si, 0, sizeof si);
	say("sigtimedwait: %ld", syscall(SYS_rt_sigtimedwait, &set, &si, &none, 8));
	say("signal %d of this process: %d", si.si_signo, si.si_pid == getpid());
	t_sys("again", syscall(SYS_rt_sigtimedwait, &set, &si, &none, 8));
	MUST(raise(SIGUSR1) == 0);
	old = 0;
	t_sys("sigsuspend", syscall(SYS_rt_sigsuspend, &old, 8));
	say("handled: %d", handled);
	t_sys("bad size", syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, &old, 4));
	t_sys("bad how", syscall(SYS_rt_sigprocmask, 77, &set, &old, 8));
	t_sys("unblock", syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &set, NULL, 8));
	return arg;
}

static void *sleeps(void *arg)
{
	struct timespec ts = {30, 0}, rem = {0, 0}, bad = {0, -1};
	sigset_t set;

	long r = syscall(SYS_nanosleep, &ts, &rem);
	int e = errno;
	/* What still comes must not end the next one. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	slept = true;
	errno = e;
	t_sys("nanosleep", r);
	say("left: %d", rem.tv_sec > 0 && rem.tv_sec <= 30);
	t_sys("clock_nanosleep, bad", syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &bad, NULL));
	ts = in_ms(CLOCK_REALTIME, 5);
	t_sys("clock_nanosleep",
	      syscall(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL));
	return arg;
}

static void *reads_uncancelled(void *arg)
{
	char c;

	MUST(syscall(SYS_read, p[0], &c, 1) == 1);
	MUST(syscall(SYS_write, p[1], &c, 1) == 1);
	pthread_testcancel();
	say("never");
	return arg;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = handler};
	pthread_t t;
	char c;

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0 && pipe(p) == 0 &&
	     socketpair(AF_UNIX, SOCK_STREAM, 0, sp) == 0);
	finish(start(identity, NULL));
	say("main's id: %d", syscall(SYS_gettid) == getpid());
	blocking();
	finish(start(masks, NULL));
	t = start(sleeps, NULL);
	/* Again and again: the first may come before it sleeps. */
	for (settle(); !slept; usleep(20000))
		syscall(SYS_tgkill, getpid(), getpid(), 0), pthread_kill(t, SIGUSR1);
	finish(t);
	t = start(reads_uncancelled, NULL);
	settle();
	OK(pthread_cancel(t));
	settle();
	MUST(syscall(SYS_write, p[1], "!", 1) == 1);
	say("cancelled: %d", finish(t) == PTHREAD_CANCELED);
	MUST(syscall(SYS_read, p[0], &c, 1) == 1 && c == '!');

	t_sys("close twice", syscall(SYS_close, sp[0]));
	t_sys("close twice", syscall(SYS_close, sp[0]));
	t_sys("read", syscall(SYS_read, sp[0], &c, 1));
	t_sys("unknown", syscall(9999));
	t_sys("unknown", syscall(-1));
	t_sys("bad", syscall(SYS_tgkill, getpid(), -1, 0));
	t_sys("dup2", syscall(SYS_dup2, p[0], sp[0]));
	pid_t child = fork();
	if (child == 0)
		_exit(syscall(SYS_gettid) == getpid() ? 7 : 8);
	int st;
	MUST(syscall(SYS_wait4, child, &st, 0, NULL) == child);
	say("child: %d", WEXITSTATUS(st));
	return 0;
}
