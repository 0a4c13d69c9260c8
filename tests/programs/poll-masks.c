/* SPDX-License-Identifier: MIT */
/* The classic loop of a daemon: signals are blocked but for the wait. ppoll, pselect, epoll_pwait, epoll_pwait2 and sigsuspend let
 * each one in there and nowhere else, however they fall; none is lost between the look and the wait. pselect in select(2) */
#include "net.h"
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>

enum { PPOLL, PSELECT, PWAIT, PWAIT2, SUSPEND, KINDS };
static const char *const name[] = {"ppoll", "pselect", "epoll_pwait", "epoll_pwait2", "sigsuspend"};
static __thread volatile sig_atomic_t inside, got;

struct loop {
	pthread_t thread;
	int kind, rounds, turn;
};

static void on_usr1(int sig)
{
	(void)sig;
	if (!inside)
		_exit(3);
	got++;
}

static int wait_once(int kind, int ep, int fd, const sigset_t *mask)
{
	struct pollfd p = {fd, POLLIN, 0};
	struct epoll_event ev;
	fd_set r;
	int n;

	inside = 1;
	switch (kind) {
	case PPOLL:
		n = ppoll(&p, 1, NULL, mask);
		break;
	case PSELECT:
		FD_ZERO(&r);
		FD_SET(fd, &r);
		n = pselect(fd + 1, &r, NULL, NULL, NULL, mask);
		break;
	case PWAIT:
		n = epoll_pwait(ep, &ev, 1, -1, mask);
		break;
	case PWAIT2:
		n = epoll_pwait2(ep, &ev, 1, NULL, mask);
		break;
	default:
		n = sigsuspend(mask);
	}
	inside = 0;
	return n;
}

/* Waits for one signal per turn: a lost one, or one taken elsewhere, leaves it here. */
static void *loops(void *arg)
{
	struct loop *l = arg;
	struct epoll_event ev = {.events = EPOLLIN};
	sigset_t none, now;
	int p[2], ep = epoll_create1(0);

	MUST(pipe(p) == 0 && epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev) == 0);
	sigemptyset(&none);
	for (int i = 1; i <= l->rounds; i++) {
		while (got < i)
			MUST(wait_once(l->kind, ep, p[0], &none) == -1 && errno == EINTR);
		MUST(got == i);
		pthread_sigmask(SIG_BLOCK, NULL, &now);
		MUST(sigismember(&now, SIGUSR1));
		__atomic_store_n(&l->turn, i, __ATOMIC_RELEASE);
	}
	close(p[0]), close(p[1]), close(ep);
	return NULL;
}

static void *kicks(void *arg)
{
	struct loop *l = arg;
	unsigned seed = l->kind;

	for (int i = 1; i <= l->rounds; i++) {
		OK(pthread_kill(l->thread, SIGUSR1));
		while (__atomic_load_n(&l->turn, __ATOMIC_ACQUIRE) < i)
			if (rand_r(&seed) % 4 == 0)
				usleep(rand_r(&seed) % 200);
			else
				sched_yield();
	}
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
	struct loop l[KINDS];
	pthread_t k[KINDS];
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	sigaction(SIGUSR1, &sa, NULL);
	for (int i = 0; i < KINDS; i++) {
		l[i] = (struct loop){0, i, scaled(400), 0};
		l[i].thread = start(loops, &l[i]);
		k[i] = start(kicks, &l[i]);
	}
	for (int i = 0; i < KINDS; i++) {
		finish(k[i]);
		finish(l[i].thread);
		say("%s", name[i]);
	}
	/* In main, too, and something ready does not wait for signals; what is pending meanwhile is taken if the wait is one. */
	struct loop m = {pthread_self(), PPOLL, scaled(100), 0};
	k[0] = start(kicks, &m);
	loops(&m);
	finish(k[0]);
	say("main");
	return 0;
}
