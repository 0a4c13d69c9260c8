/* SPDX-License-Identifier: MIT */
/* signalfd in a thread and in an event loop, with all threads blocking the signals; SIGIO and SIGURG for a socket, the latter a
 * signal of the program's like any other; a self-pipe written to by a handler. signalfd(2), fcntl(2), tcp(7) */
#include "net.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

static int sfd, pipes[2];
static sem_t got;
static volatile sig_atomic_t urgent, io;

static void mask(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	OK(pthread_sigmask(how, &set, NULL));
}

static void *reader(void *arg)
{
	struct signalfd_siginfo si;

	for (int i = 0; i < 20; i++) {
		MUST(read(sfd, &si, sizeof si) == sizeof si);
		MUST(si.ssi_signo == SIGHUP && si.ssi_pid == (unsigned)getpid());
		sem_post(&got);
	}
	return arg;
}

static void *loop(void *arg)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct signalfd_siginfo si;
	int ep = epoll_create1(0);

	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, sfd, &ev) == 0);
	for (int i = 0; i < 20; i++) {
		MUST(epoll_wait(ep, &ev, 1, -1) == 1);
		MUST(read(sfd, &si, sizeof si) == sizeof si && si.ssi_signo == SIGHUP);
		sem_post(&got);
	}
	close(ep);
	return arg;
}

static void on_urg(int sig)
{
	(void)sig;
	urgent++;
}

static void on_io(int sig)
{
	(void)sig;
	io++;
}

static void on_term(int sig)
{
	char c = (char)sig;

	MUST(write(pipes[1], &c, 1) == 1);
}

static void *works(void *arg)
{
	int *p = arg;
	char c;

	while (read(p[0], &c, 1) == 1)
		;
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_urg, .sa_flags = SA_RESTART};
	sigset_t set;
	int s[2], quiet[2];
	pthread_t t, w;
	char c;

	MUST(sem_init(&got, 0, 0) == 0 && pipe(quiet) == 0);
	mask(SIG_BLOCK, SIGHUP);
	w = start(works, quiet);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sfd = signalfd(-1, &set, SFD_CLOEXEC);
	for (int way = 0; way < 2; way++) {
		t = start(way ? loop : reader, NULL);
		for (int i = 0; i < 20; i++) {
			if (i % 3 == 0)
				usleep(500);
			MUST(kill(getpid(), SIGHUP) == 0);
			MUST(sem_wait(&got) == 0);
		}
		finish(t);
	}
	say("signalfd");

	MUST(sigaction(SIGURG, &sa, NULL) == 0);
	sa.sa_handler = on_io;
	MUST(sigaction(SIGIO, &sa, NULL) == 0);
	tcp_pair(s);
	MUST(fcntl(s[0], F_SETOWN, getpid()) == 0);
	MUST(send(s[1], "!", 1, MSG_OOB) == 1);
	while (!urgent)
		usleep(1000);
	MUST(recv(s[0], &c, 1, MSG_OOB) == 1 && c == '!');
	urgent = 0;
	OK(pthread_kill(pthread_self(), SIGURG));
	say("SIGURG %d", (int)urgent);
	MUST(fcntl(s[0], F_SETFL, fcntl(s[0], F_GETFL) | O_ASYNC) == 0);
	MUST(write(s[1], "x", 1) == 1);
	while (!io)
		usleep(1000);
	MUST(read(s[0], &c, 1) == 1);
	say("SIGIO");

	MUST(pipe(pipes) == 0);
	sa.sa_handler = on_term;
	MUST(sigaction(SIGTERM, &sa, NULL) == 0);
	for (int i = 0; i < 50; i++) {
		struct pollfd p = {pipes[0], POLLIN, 0};
		MUST(kill(getpid(), SIGTERM) == 0);
		int r;
		while ((r = poll(&p, 1, -1)) == -1)
			MUST(errno == EINTR);
		MUST(r == 1 && read(pipes[0], &c, 1) == 1 && c == SIGTERM);
	}
	say("self-pipe");
	close(quiet[1]);
	finish(w);
	return 0;
}
