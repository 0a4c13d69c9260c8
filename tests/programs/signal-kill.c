/* SPDX-License-Identifier: MIT */
/* pthread_kill reaches a thread in any kind of wait, and one that computes; the handler runs there, exactly as often as it
 * was sent (each send waits for the last to be handled); waits that signals do not end go on. pthread_kill(3), signal(7) */
#include "net.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>

enum { SENDS = 60 };

static __thread int handled;
static __thread sem_t *done;
static __thread pthread_t me;

static void on_usr1(int sig)
{
	(void)sig;
	MUST(pthread_equal(me, pthread_self()));
	handled++;
	sem_post(done);
}

static pthread_mutex_t locked = PTHREAD_MUTEX_INITIALIZER, m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t bar;
static sem_t sem;
static int p[2], full[2], s[2], l, ep;
static volatile int go;
static volatile int computed;
static pthread_t sleeper;
static sem_t end;

static void in_read(void)
{
	char b;
	while (read(p[0], &b, 1) == -1 && errno == EINTR)
		;
}

static void in_recv(void)
{
	char b;
	while (recv(s[0], &b, 1, 0) == -1 && errno == EINTR)
		;
}

static void in_write(void)
{
	char b[100];
	while (write(full[1], b, sizeof b) == -1 && errno == EINTR)
		;
}

static void in_accept(void)
{
	while (accept(l, NULL, NULL) == -1 && errno == EINTR)
		;
}

static void in_poll(void)
{
	while (poll(&(struct pollfd){p[0], POLLIN, 0}, 1, -1) == -1 && errno == EINTR)
		;
}

static void in_epoll(void)
{
	struct epoll_event ev;
	while (epoll_wait(ep, &ev, 1, -1) == -1 && errno == EINTR)
		;
}

static void in_sem(void)
{
	while (sem_wait(&sem) == -1 && errno == EINTR)
		;
}

static void in_sleep(void)
{
	struct timespec ts = {0, 200000000};
	while (!go)
		MUST(nanosleep(&ts, NULL) == 0 || errno == EINTR);
}

static void in_mutex(void)
{
	OK(pthread_mutex_lock(&locked));
	OK(pthread_mutex_unlock(&locked));
}

static void in_cond(void)
{
	OK(pthread_mutex_lock(&m));
	while (!go)
		OK(pthread_cond_wait(&c, &m));
	OK(pthread_mutex_unlock(&m));
}

static void in_rwlock(void)
{
	OK(pthread_rwlock_rdlock(&rw));
	OK(pthread_rwlock_unlock(&rw));
}

static void in_barrier(void)
{
	pthread_barrier_wait(&bar);
}

static void in_join(void)
{
	finish(sleeper);
}

static void in_program(void)
{
	while (!computed)
		;
}

static void (*const waits[])(void) = {
	in_read, in_recv, in_write, in_accept, in_poll, in_epoll, in_sem, in_sleep,
	in_mutex, in_cond, in_rwlock, in_barrier, in_join, in_program,
};

enum { N = sizeof waits / sizeof waits[0] };
static sem_t dones[N], ready[N];
static pthread_t t[N];

static void *waiter(void *arg)
{
	int i = (int)(intptr_t)arg;
	sigset_t set;

	me = pthread_self();
	done = &dones[i];
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
	sem_post(&ready[i]);
	waits[i]();
	MUST(handled == SENDS);
	return NULL;
}

static void *sends(void *arg)
{
	int i = (int)(intptr_t)arg;

	sem_wait(&ready[i]);
	for (int k = 0; k < SENDS; k++) {
		if (k % 10 == 0)
			usleep(1000);
		OK(pthread_kill(t[i], SIGUSR1));
		MUST(sem_wait(&dones[i]) == 0);
	}
	return NULL;
}

static void *sleeps(void *arg)
{
	while (sem_wait(&end) == -1)
		;
	return arg;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_usr1};
	struct sockaddr_in addr;
	struct epoll_event ev = {.events = EPOLLIN};
	static char big[4096];
	pthread_t from[N];
	sigset_t set;

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	MUST(pipe(p) == 0 && pipe(full) == 0 && fcntl(full[1], F_SETPIPE_SZ, 4096) > 0);
	MUST(write(full[1], big, 4096) == 4096);
	tcp_pair(s);
	l = tcp_listen(&addr, 4);
	ep = epoll_create1(0);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev) == 0);
	MUST(sem_init(&sem, 0, 0) == 0 && sem_init(&end, 0, 0) == 0);
	OK(pthread_barrier_init(&bar, NULL, 2));
	OK(pthread_mutex_lock(&locked));
	OK(pthread_rwlock_wrlock(&rw));
	sleeper = start(sleeps, NULL);
	for (int i = 0; i < N; i++)
		MUST(sem_init(&dones[i], 0, 0) == 0 && sem_init(&ready[i], 0, 0) == 0);
	for (int i = 0; i < N; i++)
		t[i] = start(waiter, (void *)(intptr_t)i);
	for (int i = 0; i < N; i++)
		from[i] = start(sends, (void *)(intptr_t)i);
	for (int i = 0; i < N; i++)
		finish(from[i]);
	/* Let them all go. */
	go = 1;
	computed = 1;
	MUST(write(p[1], "xx", 2) == 2 && write(s[1], "x", 1) == 1);
	MUST(read(full[0], big, 4096) == 4096);
	tcp_connect(&addr);
	sem_post(&sem);
	OK(pthread_mutex_unlock(&locked));
	OK(pthread_mutex_lock(&m));
	OK(pthread_cond_broadcast(&c));
	OK(pthread_mutex_unlock(&m));
	OK(pthread_rwlock_unlock(&rw));
	pthread_barrier_wait(&bar);
	sem_post(&end);
	for (int i = 0; i < N; i++) {
		finish(t[i]);
	}
	say("%d threads in %d kinds of waits had %d signals each", N, N, SENDS);
	return 0;
}
