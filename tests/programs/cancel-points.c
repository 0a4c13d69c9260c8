/* SPDX-License-Identifier: MIT */
/* pthread_cancel ends a thread that is blocked in any cancellation point, or comes to one later: its cleanup handlers run, its
 * value is PTHREAD_CANCELED, what it waited for still works for others. pthreads(7), pthread_cancel(3) */
#include "net.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <sys/wait.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static int p[2], full[2], s[2], u[2], l, ep;
static sem_t sem, ready, go;
static pthread_t sleeper;
static int cleaned;

static void in_read(void)
{
	char b;
	(void)!read(p[0], &b, 1);
}

static void in_readv(void)
{
	char b;
	struct iovec v = {&b, 1};
	(void)!readv(p[0], &v, 1);
}

static void in_write(void)
{
	char b[100] = {0};
	(void)!write(full[1], b, sizeof b);
}

static void in_recv(void)
{
	char b;
	recv(s[0], &b, 1, 0);
}

static void in_recvmsg(void)
{
	char b;
	struct iovec v = {&b, 1};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
	recvmsg(u[0], &h, 0);
}

static void in_accept(void)
{
	accept(l, NULL, NULL);
}

static void in_poll(void)
{
	poll(&(struct pollfd){p[0], POLLIN, 0}, 1, -1);
}

static void in_select(void)
{
	fd_set r;
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	select(p[0] + 1, &r, NULL, NULL, NULL);
}

static void in_epoll(void)
{
	struct epoll_event ev;
	epoll_wait(ep, &ev, 1, -1);
}

static void in_sleep(void)
{
	sleep(50);
}

static void in_nanosleep(void)
{
	struct timespec ts = {50, 0};
	nanosleep(&ts, NULL);
}

static void in_sem(void)
{
	sem_wait(&sem);
}

static void unlock(void *arg)
{
	OK(pthread_mutex_unlock(arg)); /* error-checking would say if it were not ours */
}

static void in_cond(void)
{
	OK(pthread_mutex_lock(&m));
	pthread_cleanup_push(unlock, &m);
	for (;;)
		pthread_cond_wait(&c, &m);
	pthread_cleanup_pop(1);
}

static void in_timed(void)
{
	struct timespec ts = in_ms(CLOCK_REALTIME, 50000);
	OK(pthread_mutex_lock(&m));
	pthread_cleanup_push(unlock, &m);
	for (;;)
		pthread_cond_timedwait(&c, &m, &ts);
	pthread_cleanup_pop(1);
}

static void in_join(void)
{
	pthread_join(sleeper, NULL);
}

static void in_sigwait(void)
{
	sigset_t set;
	int sig;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigwait(&set, &sig);
}

static void in_pause(void)
{
	pause();
}

static void in_sigsuspend(void)
{
	sigset_t set;
	sigfillset(&set);
	sigsuspend(&set);
}

static void in_sigpause(void)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	sigpause(SIGHUP);
#pragma GCC diagnostic pop
}

static void in_waitpid(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		sleep(20);
		_exit(0);
	}
	sem_post(&go); /* a descriptor's number would do; the parent kills all of the group at the end */
	waitpid(pid, NULL, 0);
}

static void in_testcancel(void)
{
	for (;;)
		pthread_testcancel();
}

static const struct {
	const char *name;
	void (*fn)(void);
} points[] = {
	{"read", in_read}, {"readv", in_readv}, {"write", in_write}, {"recv", in_recv}, {"recvmsg", in_recvmsg},
	{"accept", in_accept}, {"poll", in_poll}, {"select", in_select}, {"epoll_wait", in_epoll}, {"sleep", in_sleep},
	{"nanosleep", in_nanosleep}, {"sem_wait", in_sem}, {"pthread_cond_wait", in_cond},
	{"pthread_cond_timedwait", in_timed}, {"pthread_join", in_join}, {"sigwait", in_sigwait}, {"pause", in_pause},
	{"sigsuspend", in_sigsuspend}, {"sigpause", in_sigpause},
	{"waitpid", in_waitpid}, {"pthread_testcancel", in_testcancel},
};

static void cleanup(void *arg)
{
	struct timespec ts = {0, 1000000};

	(void)arg;
	/* It may block itself, and is not cancelled again. */
	nanosleep(&ts, NULL);
	__atomic_add_fetch(&cleaned, 1, __ATOMIC_SEQ_CST);
}

static void *blocks(void *arg)
{
	int i = (int)(intptr_t)arg;

	pthread_cleanup_push(cleanup, NULL);
	sem_post(&ready);
	points[i % 100].fn();
	MUST(!"it has come back");
	pthread_cleanup_pop(0);
	return NULL;
}

static void *comes_late(void *arg)
{
	int i = (int)(intptr_t)arg, old;

	pthread_cleanup_push(cleanup, NULL);
	OK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old));
	sem_post(&ready);
	while (sem_wait(&go) != 0)
		;
	OK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old));
	points[i].fn();
	MUST(!"it has come back");
	pthread_cleanup_pop(0);
	return NULL;
}

static void *sleeps(void *arg)
{
	sem_wait(arg);
	return NULL;
}

int main(void)
{
	struct sockaddr_in addr;
	struct epoll_event ev = {.events = EPOLLIN};
	static char big[4096];
	sem_t end;
	char b;

	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	MUST(pipe(p) == 0 && pipe(full) == 0 && fcntl(full[1], F_SETPIPE_SZ, 4096) > 0);
	MUST(write(full[1], big, 4096) == 4096);
	tcp_pair(s);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, u) == 0);
	l = tcp_listen(&addr, 4);
	ep = epoll_create1(0);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev) == 0);
	MUST(sem_init(&sem, 0, 0) == 0 && sem_init(&ready, 0, 0) == 0 && sem_init(&go, 0, 0) == 0);
	MUST(sem_init(&end, 0, 0) == 0);
	sleeper = start(sleeps, &end);
	for (int i = 0; i < NELEM(points); i++) {
		void *r;
		bool forks = points[i].fn == in_waitpid;
		for (int k = 0; k < (forks ? 2 : 12); k++) {
			pthread_t t = start(blocks, (void *)(intptr_t)i);
			sem_wait(&ready);
			if (forks)
				sem_wait(&go);
			if (k % 3)
				usleep(k % 3 * 500);
			OK(pthread_cancel(t));
			OK(pthread_join(t, &r));
			MUST(r == PTHREAD_CANCELED);
			if (forks)
				continue;
			t = start(comes_late, (void *)(intptr_t)i);
			sem_wait(&ready);
			OK(pthread_cancel(t));
			sem_post(&go);
			OK(pthread_join(t, &r));
			MUST(r == PTHREAD_CANCELED);
		}
		say("%s: cancelled, %d cleaned", points[i].name, cleaned);
		cleaned = 0;
	}
	/* All that they waited for is whole. */
	MUST(write(p[1], "x", 1) == 1 && read(p[0], &b, 1) == 1 && b == 'x');
	MUST(write(s[1], "y", 1) == 1 && read(s[0], &b, 1) == 1 && b == 'y');
	MUST(write(u[1], "z", 1) == 1 && read(u[0], &b, 1) == 1 && b == 'z');
	MUST(sem_post(&sem) == 0 && sem_wait(&sem) == 0);
	OK(pthread_mutex_lock(&m));
	OK(pthread_mutex_unlock(&m));
	int fd = tcp_connect(&addr);
	MUST(accept(l, NULL, NULL) >= 0);
	close(fd);
	sem_post(&end);
	finish(sleeper);
	say("and all still works");
	return 0;
}
