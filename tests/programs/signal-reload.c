/* SPDX-License-Identifier: MIT */
/* A daemon with a thousand waiting threads, and its signals from another process: SIGHUP has it
 * read its settings again, in a handler on main or in a thread that has sigwait, and nobody's
 * connection notices; SIGTERM ends `while (!quit) accept()`. sigaction(2), sigwait(3), daemon(7) */
#include "net.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

enum { WAITERS = 1000, RELOADS = 5, ROUNDS = 3 };

static volatile sig_atomic_t quit, handled;
static int l, reloads, told[2];
static _Atomic int at;
static struct sockaddr_in addr;
static sem_t end;

static void on_hup(int sig)
{
	(void)sig;
	handled++; /* on main, mostly: one comes after the other */
	MUST(write(told[1], "h", 1) == 1);
}

static void on_term(int sig)
{
	(void)sig;
	quit = 1;
}

static void *waiter(void *arg)
{
	at++;
	while (sem_wait(&end) != 0)
		;
	return arg;
}

static void *takes(void *arg)
{
	int sig;

	for (;;) {
		MUST(sigwait(arg, &sig) == 0);
		if (sig == SIGTERM)
			break;
		reloads++;
		MUST(write(told[1], "h", 1) == 1);
	}
	quit = 1;
	MUST(shutdown(l, SHUT_RDWR) == 0); /* main waits in it */
	return arg;
}

static void *serve(void *arg)
{
	int s = (int)(intptr_t)arg;
	char c;

	while (read(s, &c, 1) == 1)
		MUST(write(s, &c, 1) == 1);
	close(s);
	return NULL;
}

/* The other process: a client that stays, and the administrator. */
static void outside(pid_t pid)
{
	int s = tcp_connect(&addr);
	char c;

	for (int i = 0; i < RELOADS; i++) {
		MUST(write(s, "a", 1) == 1 && read(s, &c, 1) == 1 && c == 'a');
		MUST(kill(pid, SIGHUP) == 0 && read(told[0], &c, 1) == 1);
	}
	MUST(write(s, "b", 1) == 1 && read(s, &c, 1) == 1 && c == 'b');
	/* Again and again: between the test of quit and accept it is lost. */
	while (kill(pid, SIGTERM) == 0 && getppid() == pid &&
	       poll(&(struct pollfd){told[0], POLLIN, 0}, 1, 20) == 0)
		;
	_exit(0);
}

static void life(const char *how, sigset_t *set)
{
	pthread_t t[WAITERS], taker, server = 0;
	int st, served = 0, n = scaled(WAITERS);

	l = tcp_listen(&addr, 10);
	MUST(pipe(told) == 0);
	quit = 0, handled = 0, reloads = 0, at = 0;
	pid_t parent = getpid(), pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		outside(parent);
	OK(pthread_sigmask(set ? SIG_BLOCK : SIG_SETMASK, set ? set : &(sigset_t){{0}}, NULL));
	for (int i = 0; i < n; i++)
		t[i] = start_small(waiter, NULL);
	if (set)
		taker = start(takes, set);
	while (!quit) {
		int s = accept(l, NULL, NULL);
		if (s >= 0) {
			MUST(served++ == 0);
			server = start(serve, (void *)(intptr_t)s);
		} else
			MUST((errno == EINTR || errno == EINVAL) && quit);
	}
	MUST(write(told[1], "quit", 4) == 4 && wait(&st) == pid && st == 0);
	finish(server); /* in the next life it would handle what all others block */
	if (set) {
		finish(taker);
		/* A SIGTERM more than one, if main was slow: not for the next life. */
		while (sigtimedwait(set, NULL, &(struct timespec){0, 0}) > 0)
			;
	}
	while (at < n)
		usleep(1000);
	for (int i = 0; i < n; i++)
		sem_post(&end);
	for (int i = 0; i < n; i++)
		finish(t[i]);
	say("%s: reloads by handlers %d, by sigwait %d", how, handled, reloads);
	close(l);
	close(told[0]);
	close(told[1]);
}

int main(void)
{
	struct sigaction hup = {.sa_handler = on_hup, .sa_flags = SA_RESTART},
			 term = {.sa_handler = on_term};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	MUST(sem_init(&end, 0, 0) == 0);
	MUST(sigaction(SIGHUP, &hup, NULL) == 0 && sigaction(SIGTERM, &term, NULL) == 0);
	/* Not before the threads are there: they come with the first connections. */
	for (int i = 0; i < ROUNDS; i++) {
		life("handlers", NULL);
		life("sigwait", &set);
	}
	return 0;
}
