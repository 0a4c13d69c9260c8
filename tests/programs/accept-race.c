/* SPDX-License-Identifier: MIT */
/* A process takes connections from a listener in which another's threads wait: they lose many races
 * between "there is one" and accept, and wait on; no kernel thread is lost with each. A thread that
 * lost takes the next connection all the same, its signal handler runs, and shutdown wakes all.
 * accept(2) */
#include "few.h"
#include "net.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { WAIT = 60, THIEVES = 2 };

static int l, back;
static struct sockaddr_in addr;
static _Atomic int handled;
static struct {
	_Atomic int mine, thiefs, stop;
} * shared;

static void on_usr1(int sig)
{
	(void)sig;
	handled++;
}

static void serve(int s, _Atomic int *count)
{
	char c;

	MUST(read(s, &c, 1) == 1);
	(*count)++;
	MUST(write(s, &c, 1) == 1);
	MUST(close(s) == 0);
}

static void *accepts(void *arg)
{
	for (;;) {
		int s = accept(l, NULL, NULL);
		if (s < 0)
			break;
		serve(s, &shared->mine);
	}
	MUST(errno == EINVAL);
	__atomic_add_fetch(&back, 1, __ATOMIC_RELAXED);
	return arg;
}

/* Another process, always awake. When it loses it sits in its accept. */
static void thief(void)
{
	MUST(fcntl(l, F_GETFL) == O_RDWR);
	while (!shared->stop) {
		struct pollfd p = {l, POLLIN, 0};
		if (poll(&p, 1, 0) != 1)
			continue;
		int s = accept(l, NULL, NULL);
		MUST(s >= 0);
		serve(s, &shared->thiefs);
	}
	_exit(0);
}

static void one(void)
{
	int s = tcp_connect(&addr);
	char c;

	MUST(write(s, "x", 1) == 1);
	MUST(read(s, &c, 1) == 1 && c == 'x');
	MUST(close(s) == 0);
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
	int n = scaled(400), sent = 0, st;
	pthread_t t[WAIT];
	pid_t pid[THIEVES];

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(shared != MAP_FAILED && sigaction(SIGUSR1, &sa, NULL) == 0);
	l = tcp_listen(&addr, 100);
	for (int i = 0; i < THIEVES; i++) {
		pid[i] = fork();
		MUST(pid[i] >= 0);
		if (pid[i] == 0)
			thief();
	}
	for (int i = 0; i < WAIT; i++)
		t[i] = start_small(accepts, NULL);
	settle();
	for (int i = 0; i < n; i++) {
		one();
		if (handled == sent) { /* SA_RESTART: whoever it interrupts waits on */
			OK(pthread_kill(t[i % WAIT], SIGUSR1));
			sent++;
		}
	}
	shared->stop = 1;
	/* It may sit in its accept now. */
	for (int i = 0; i < THIEVES; i++) {
		while (waitpid(pid[i], &st, WNOHANG) == 0)
			one();
		MUST(st == 0);
	}
	say("served by somebody: %d", shared->mine + shared->thiefs >= n);
	while (handled < sent)
		usleep(1000);
	for (int i = 0; i < WAIT; i++)
		OK(pthread_kill(t[i], SIGUSR1));
	while (handled < sent + WAIT)
		usleep(1000);
	few_look(); /* All of them wait: they hold no kernel thread. */
	few_say();
	for (int i = 0; i < 20; i++)
		one();
	MUST(shutdown(l, SHUT_RDWR) == 0);
	for (int i = 0; i < WAIT; i++)
		finish(t[i]);
	say("back: %d, handlers: %d", back, handled - sent);
	return 0;
}
