/* SPDX-License-Identifier: MIT */
/* With SA_RESTART, read, recv, accept, write and sem_wait go on after the handler; poll, select and
 * sleeps do not, nor do sockets with a time-out. signal(7) */
#include "net.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/time.h>

static volatile sig_atomic_t runs;
static int p[2], s[2];
static sem_t sem;
static struct sockaddr_in addr;

static void on_alarm(int sig)
{
	(void)sig;
	runs++;
}

static void every(long us)
{
	struct itimerval it = {{0, us}, {0, us}};

	MUST(setitimer(ITIMER_REAL, &it, NULL) == 0);
}

/* After five handler runs, let the blocked call end. */
static void *release(void *arg)
{
	int seen = runs;
	char buf[8192];

	while (runs < seen + 5)
		usleep(1000);
	switch (*(char *)arg) {
	case 'p':
		MUST(write(p[1], "ab", 2) == 2);
		break;
	case 's':
		MUST(write(s[1], "abc", 3) == 3);
		break;
	case 'a':
		tcp_connect(&addr);
		break;
	case 'w':
		MUST(read(p[0], buf, 4096) == 4096);
		break;
	case 'v':
		MUST(sem_post(&sem) == 0);
		break;
	}
	return NULL;
}

#define RESTARTED(how, call)                                                                       \
	do {                                                                                       \
		pthread_t t_ = start(release, how);                                                \
		every(10000);                                                                      \
		long r_ = (call);                                                                  \
		int e_ = errno;                                                                    \
		every(0);                                                                          \
		finish(t_);                                                                        \
		say("%s: %ld %s", #call, r_, r_ == -1 ? errname(e_) : "");                         \
	} while (0)

#define STOPS(call)                                                                                \
	do {                                                                                       \
		every(10000);                                                                      \
		long r_ = (call);                                                                  \
		int e_ = errno;                                                                    \
		every(0);                                                                          \
		say("%s: %ld %s", #call, r_, r_ == -1 ? errname(e_) : "");                         \
	} while (0)

static void *idle(void *arg)
{
	sem_wait(arg);
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	int l = tcp_listen(&addr, 5);
	char buf[16];
	static char big[4096];
	sem_t end;
	fd_set r;

	MUST(sem_init(&sem, 0, 0) == 0 && sem_init(&end, 0, 0) == 0);
	MUST(sigaction(SIGALRM, &sa, NULL) == 0);
	MUST(pipe(p) == 0);
	tcp_pair(s);
	pthread_t t = start(idle, &end);
	RESTARTED("p", read(p[0], buf, sizeof buf));
	RESTARTED("s", read(s[0], buf, sizeof buf));
	RESTARTED("s", recv(s[0], buf, sizeof buf, 0));
	RESTARTED("a", accept(l, NULL, NULL) >= 0);
	RESTARTED("v", sem_wait(&sem));
	MUST(fcntl(p[1], F_SETPIPE_SZ, 4096) > 0 && write(p[1], big, 4096) == 4096);
	RESTARTED("w", write(p[1], big, 100));
	MUST(read(p[0], big, 100) == 100);

	STOPS(poll(&(struct pollfd){p[0], POLLIN, 0}, 1, -1));
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	STOPS(select(p[0] + 1, &r, NULL, NULL, NULL));
	STOPS(usleep(30000000));
	struct timespec ts = {20, 0};
	STOPS(nanosleep(&ts, NULL));
	struct timeval tv = {20, 0};
	MUST(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
	STOPS(recv(s[0], buf, 1, 0));
	sem_post(&end);
	finish(t);
	return 0;
}
