/* SPDX-License-Identifier: MIT */
/* Event loops that are busy, and what may happen to them meanwhile: time-outs, signals with and without handlers, cancellation, a
 * second thread in the same set, descriptors that come and go, a fork, a loop that falls idle and is busy again; threads that
 * only compute or block go on beside them. epoll_wait(2) */
#include "net.h"
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>

#define LOOPS 4

struct loop {
	int ep, pair[2], count, second;
};

static volatile sig_atomic_t handled;
static int stop;

static void on_usr1(int sig)
{
	(void)sig;
	handled++;
}

static void add(int ep, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
}

/* With a timer on its CPU clock a thread is bound to its kernel thread, as event loops with a watchdog are. */
static void own_thread(void)
{
#ifdef BOUND
	struct sigevent none = {.sigev_notify = SIGEV_NONE};
	timer_t timer;

	MUST(timer_create(CLOCK_THREAD_CPUTIME_ID, &none, &timer) == 0);
#endif
}

/* Answers each byte; 'q' ends it. */
static void *serves(void *arg)
{
	struct loop *l = arg;
	struct epoll_event ev[4];
	char c;

	own_thread();
	for (;;) {
		int n = epoll_wait(l->ep, ev, 4, -1);
		if (n < 0) {
			MUST(errno == EINTR);
			__atomic_add_fetch(&l->second, 1, __ATOMIC_RELAXED);
			continue;
		}
		for (int i = 0; i < n; i++) {
			ssize_t k = recv(ev[i].data.fd, &c, 1, MSG_DONTWAIT);
			if (k < 0) {
				MUST(errno == EAGAIN); /* another thread of this set was faster */
				continue;
			}
			if (k == 0 || c == 'q')
				return arg;
			MUST(write(ev[i].data.fd, &c, 1) == 1);
			__atomic_add_fetch(&l->count, 1, __ATOMIC_RELAXED);
		}
	}
}

static void ask(struct loop *l, int n)
{
	char c = 'a', d;

	for (int i = 0; i < n; i++)
		MUST(write(l->pair[1], &c, 1) == 1 && read(l->pair[1], &d, 1) == 1 && c == d);
}

static void *asks(void *arg)
{
	ask(arg, scaled(1000));
	return NULL;
}

static void open_loop(struct loop *l)
{
	*l = (struct loop){.ep = epoll_create1(0)};
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, l->pair) == 0);
	add(l->ep, l->pair[0]);
}

static void close_loop(struct loop *l)
{
	close(l->pair[0]), close(l->pair[1]), close(l->ep);
}

static void *computes(void *arg)
{
	volatile unsigned n = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		n++;
	return arg;
}

static void *sleeps(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		usleep(1000);
	return arg;
}

/* Busy first, so that what follows meets a busy loop. */
static void *cancelled(void *arg)
{
	struct loop *l = arg;

	serves(l);
	MUST(!"ended otherwise");
	return NULL;
}

static void *times_out(void *arg)
{
	struct loop *l = arg;
	struct epoll_event ev;
	struct timespec ts = {0, 700000};
	char c;

	own_thread();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 50; i++) {
			MUST(epoll_wait(l->ep, &ev, 1, 10000) == 1);
			MUST(read(l->pair[0], &c, 1) == 1 && write(l->pair[0], &c, 1) == 1);
		}
		double begin = ms_now();
		MUST(epoll_wait(l->ep, &ev, 1, 3) == 0 && ms_now() - begin >= 3);
		begin = ms_now();
		MUST(epoll_wait(l->ep, &ev, 1, 30) == 0 && ms_now() - begin >= 30);
		begin = ms_now();
		MUST(epoll_pwait2(l->ep, &ev, 1, &ts, NULL) == 0 && ms_now() - begin >= 0.7);
		MUST(epoll_wait(l->ep, &ev, 1, 0) == 0);
		__atomic_store_n(&l->second, round + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

int main(void)
{
	struct loop l[LOOPS];
	struct sigaction sa = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
	pthread_t t[LOOPS], c[LOOPS], more[3];
	void *r;

	sigaction(SIGUSR1, &sa, NULL);
	for (int with = 0; with < 2; with++) {
		stop = 0;
		if (with) {
			more[0] = start(computes, NULL);
			more[1] = start(sleeps, NULL);
			more[2] = start(sleeps, NULL);
		}
		for (int i = 0; i < LOOPS; i++) {
			open_loop(&l[i]);
			t[i] = start(serves, &l[i]);
			c[i] = start(asks, &l[i]);
		}
		for (int i = 0; i < LOOPS; i++) {
			finish(c[i]);
			write_all(l[i].pair[1], "q", 1);
			finish(t[i]);
			MUST(l[i].count == scaled(1000));
			close_loop(&l[i]);
		}
		__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
		for (int i = 0; with && i < 3; i++)
			finish(more[i]);
		say("%d loops%s", LOOPS, with ? " beside others" : "");
	}

	/* epoll_wait is never restarted: each handler that ran while it waited ends it. */
	open_loop(l);
	t[0] = start(serves, l);
	for (int i = 0; i < scaled(100); i++) {
		int before = handled;
		ask(l, 8);
		OK(pthread_kill(t[0], SIGUSR1));
		while (handled == before)
			sched_yield();
	}
	ask(l, 8);
	say("handled: %d", handled == scaled(100));
	/* Another thread in the same set; then a descriptor more. */
	t[1] = start(serves, l);
	ask(l, 300);
	int p[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
	add(l->ep, p[0]);
	struct loop second = {l->ep, {p[0], p[1]}, 0, 0};
	for (int i = 0; i < 50; i++)
		ask(i % 2 ? l : &second, 5);
	write_all(l->pair[1], "q", 1);
	usleep(1000);
	write_all(p[1], "q", 1);
	finish(t[0]);
	finish(t[1]);
	close_loop(l);
	close(p[0]), close(p[1]);
	say("two in one set");

	open_loop(l);
	t[0] = start(times_out, l);
	for (int i = 0; i < 3; i++) {
		ask(l, 50);
		while (__atomic_load_n(&l->second, __ATOMIC_ACQUIRE) <= i)
			usleep(1000);
	}
	finish(t[0]);
	close_loop(l);
	say("time-outs");

	/* A child while the loop is busy; its own copy goes on there with a new thread. */
	open_loop(l);
	t[0] = start(serves, l);
	ask(l, 50);
	for (int i = 0; i < 5; i++) {
		int st;
		pid_t pid = fork();
		if (pid == 0) {
			open_loop(&l[1]);
			t[1] = start(serves, &l[1]);
			ask(&l[1], 50);
			write_all(l[1].pair[1], "q", 1);
			finish(t[1]);
			_exit(l[1].count == 50 ? 4 : 5);
		}
		ask(l, 20);
		MUST(waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 4);
	}
	/* Cancelled where it waits, idle or busy. */
	write_all(l->pair[1], "q", 1);
	finish(t[0]);
	for (int i = 0; i < scaled(20); i++) {
		t[0] = start(cancelled, l);
		ask(l, 30);
		if (i % 2)
			usleep(15000);
		OK(pthread_cancel(t[0]));
		OK(pthread_join(t[0], &r));
		MUST(r == PTHREAD_CANCELED);
	}
	close_loop(l);
	say("cancelled");
	return 0;
}
