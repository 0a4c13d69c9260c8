/* SPDX-License-Identifier: MIT */
/* A handler without SA_RESTART interrupts main, whatever it is blocked in, with EINTR and the
 * remaining time, while other threads stay blocked; locks and condition variables are not
 * interrupted. signal(7), nanosleep(2) */
#include "net.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/time.h>

static volatile sig_atomic_t runs, elsewhere, careless;
static pthread_t main_thread;

static void on_alarm(int sig)
{
	int e = errno;

	(void)sig;
	runs++;
	if (!pthread_equal(pthread_self(), main_thread))
		elsewhere++;
	/* What a careless handler does: once, for the next may come after the call, before its errno is read. */
	errno = careless ? 1234 : e;
	careless = 0;
}

/* SIGALRM every 15 ms: one that comes before the call has blocked is not the last. */
static void every(long us)
{
	struct itimerval it = {{0, us}, {0, us}};

	careless = us != 0;
	MUST(setitimer(ITIMER_REAL, &it, NULL) == 0);
}

#define INTERRUPTED(call)                                                                          \
	do {                                                                                       \
		every(15000);                                                                      \
		long r_ = (call);                                                                  \
		int e_ = errno;                                                                    \
		every(0);                                                                          \
		say("%s: %s", #call, r_ == -1 ? errname(e_) : "was not interrupted");              \
	} while (0)

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static int ready;

static void *blocked(void *arg)
{
	char b;

	MUST(read(((int *)arg)[0], &b, 1) == 0);
	return NULL;
}

static void *releases(void *arg)
{
	int seen = runs;

	(void)arg;
	OK(pthread_mutex_lock(&m)); /* main waits for it, then in the condition variable */
	while (runs < seen + 5)
		usleep(1000);
	OK(pthread_mutex_unlock(&m));
	while (runs < seen + 10)
		usleep(1000);
	OK(pthread_mutex_lock(&m));
	ready = 1;
	OK(pthread_cond_signal(&c));
	OK(pthread_mutex_unlock(&m));
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	int quiet[2], p[2], s[2], full[2];
	struct sockaddr_in a;
	int l = tcp_listen(&a, 5);
	char buf[16];
	static char big[1 << 20];
	sem_t sem;
	pthread_t t[10];
	fd_set r;
	sigset_t alrm;

	main_thread = pthread_self();
	MUST(sigaction(SIGALRM, &sa, NULL) == 0);
	MUST(pipe(quiet) == 0 && pipe(p) == 0 && pipe(full) == 0 && sem_init(&sem, 0, 0) == 0);
	tcp_pair(s);
	/* The others block it: while the handler runs in main, the next one is anybody's who does not. */
	sigemptyset(&alrm);
	sigaddset(&alrm, SIGALRM);
	OK(pthread_sigmask(SIG_BLOCK, &alrm, NULL));
	for (int i = 0; i < 10; i++)
		t[i] = start(blocked, quiet);
	OK(pthread_sigmask(SIG_UNBLOCK, &alrm, NULL));

	INTERRUPTED(accept(l, NULL, NULL));
	INTERRUPTED(read(p[0], buf, 1));
	INTERRUPTED(read(s[0], buf, 1));
	INTERRUPTED(recv(s[0], buf, 1, 0));
	INTERRUPTED(poll(&(struct pollfd){p[0], POLLIN, 0}, 1, -1));
	INTERRUPTED(poll(NULL, 0, 20000));
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	INTERRUPTED(select(p[0] + 1, &r, NULL, NULL, NULL));
	INTERRUPTED(sem_wait(&sem));
	struct timespec ts = in_ms(CLOCK_REALTIME, 30000);
	INTERRUPTED(sem_timedwait(&sem, &ts));
	MUST(fcntl(full[1], F_SETPIPE_SZ, 4096) > 0);
	MUST(write(full[1], big, 4096) == 4096);
	INTERRUPTED(write(full[1], big, 1));
	INTERRUPTED(usleep(30000000));
	INTERRUPTED(pause());

	struct timespec rem = {0, 0};
	ts = (struct timespec){20, 0};
	INTERRUPTED(nanosleep(&ts, &rem));
	say("remaining between 0 and 20 s: %d",
	    rem.tv_sec >= 0 && rem.tv_sec < 20 && rem.tv_sec + rem.tv_nsec > 0);
	every(15000);
	int e = clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &rem);
	every(0);
	say("clock_nanosleep: %s; remaining: %d", errname(e), rem.tv_sec < 20 && rem.tv_sec > 10);
	rem.tv_sec = 99;
	ts = in_ms(CLOCK_MONOTONIC, 20000);
	every(15000);
	e = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, &rem);
	every(0);
	say("absolute: %s; remaining is left alone: %d", errname(e), rem.tv_sec == 99);
	every(15000);
	unsigned left = sleep(20);
	every(0);
	say("sleep leaves most of it: %d", left > 10 && left <= 20);

	OK(pthread_sigmask(SIG_BLOCK, &alrm, NULL));
	pthread_t rel = start(releases, NULL);
	OK(pthread_sigmask(SIG_UNBLOCK, &alrm, NULL));
	every(5000);
	settle();
	OK(pthread_mutex_lock(&m));
	while (!ready)
		OK(pthread_cond_wait(&c, &m));
	OK(pthread_mutex_unlock(&m));
	finish(rel);
	every(0);
	say("lock and wait were not interrupted");
	close(quiet[1]);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	say("the handler ran in main only: %d", elsewhere == 0);
	return 0;
}
