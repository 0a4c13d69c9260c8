/* SPDX-License-Identifier: MIT */
/* sigsuspend, pause, sigpause and the masks of ppoll, pselect and epoll_pwait: the signal is blocked outside, so
 * none is missed, and the call says EINTR after its handler has run. In main and in threads. sigsuspend(2), ppoll(2) */
#include "t.h"
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>

enum { ROUNDS = 100 };

static __thread volatile sig_atomic_t runs;
static int go[2], ack[2];

static void on_usr1(int sig)
{
	sigset_t set;

	(void)sig;
	runs++;
	OK(pthread_sigmask(SIG_SETMASK, NULL, &set));
	MUST(sigismember(&set, SIGUSR1));
}

static void ask(void)
{
	MUST(write(go[1], "x", 1) == 1);
}

static void done(void)
{
	char c;

	MUST(read(ack[0], &c, 1) == 1);
}

static pthread_t target;

/* Signals to target when asked, a thread's or the process's in turn. */
static void *sends(void *arg)
{
	char c;

	for (int i = 0; read(go[0], &c, 1) == 1; i++) {
		if (i % 5 == 0)
			usleep(500);
		if (arg)
			OK(pthread_kill(target, SIGUSR1));
		else
			MUST(kill(getpid(), SIGUSR1) == 0);
		MUST(write(ack[1], "x", 1) == 1);
	}
	return NULL;
}

static void *waits(void *name)
{
	sigset_t none, set, old;
	int p[2], ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLIN};
	struct timespec zero = {0, 0};
	fd_set r;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_sigmask(SIG_BLOCK, &set, &old));
	MUST(pipe(p) == 0 && epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev) == 0);
	sigemptyset(&none);
	for (int i = 0; i < ROUNDS; i++) {
		int before = runs, res = 0;
		ask();
		if (i % 7 == 6) { /* pending when the call begins */
			done();
			sigpending(&set);
			MUST(sigismember(&set, SIGUSR1));
		}
		switch (i % 5) {
		case 0:
			res = sigsuspend(&none);
			break;
		case 1:
			res = ppoll(&(struct pollfd){p[0], POLLIN, 0}, 1, NULL, &none);
			break;
		case 2:
			FD_ZERO(&r);
			FD_SET(p[0], &r);
			res = pselect(p[0] + 1, &r, NULL, NULL, NULL, &none);
			break;
		case 3:
			res = epoll_pwait(ep, &ev, 1, -1, &none);
			break;
		case 4:
			res = i % 7 == 6 ? ppoll(NULL, 0, &zero, &none) : ppoll(NULL, 0, NULL, &none);
			break;
		}
		MUST(res == -1 && errno == EINTR);
		MUST(runs == before + 1);
		OK(pthread_sigmask(SIG_SETMASK, NULL, &set));
		MUST(sigismember(&set, SIGUSR1));
		if (i % 7 != 6)
			done();
	}
	/* Ready descriptors win over the mask; the signal stays pending. */
	MUST(write(p[1], "x", 1) == 1);
	MUST(ppoll(&(struct pollfd){p[0], POLLIN, 0}, 1, NULL, &none) == 1);
	OK(pthread_sigmask(SIG_SETMASK, &old, NULL));
	close(p[0]), close(p[1]), close(ep);
	say("%s: %d", (char *)name, (int)runs);
	return NULL;
}

static void *kills(void *arg)
{
	(void)arg;
	while (!runs) {
		usleep(2000);
		OK(pthread_kill(target, SIGUSR1));
		if (__atomic_load_n((int *)arg, __ATOMIC_ACQUIRE))
			break;
	}
	return NULL;
}

static void *pauses(void *arg)
{
	int over = 0;

	target = pthread_self();
	pthread_t k = start(kills, &over);
	SYS(pause());
	say("errno %s", errname(errno));
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	finish(k);
	return arg;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_usr1};
	pthread_t s;
	sigset_t set;

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0 && pipe(go) == 0 && pipe(ack) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	s = start(sends, NULL);
	waits("main, process");
	close(go[1]);
	finish(s);

	MUST(pipe(go) == 0);
	target = pthread_self();
	s = start(sends, "");
	waits("main, thread");
	close(go[1]);
	finish(s);

	MUST(pipe(go) == 0);
	s = start(sends, NULL);
	target = start(waits, "thread, process");
	finish(target);
	close(go[1]);
	finish(s);

	MUST(pipe(go) == 0);
	pthread_barrier_t b;
	OK(pthread_barrier_init(&b, NULL, 1));
	OK(pthread_create(&target, NULL, waits, "thread, thread"));
	s = start(sends, "");
	finish(target);
	close(go[1]);
	finish(s);
	OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
	finish(start(pauses, NULL));
	return 0;
}
