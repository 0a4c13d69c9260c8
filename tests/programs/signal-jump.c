/* SPDX-License-Identifier: MIT */
/* Old-style time-outs: a handler jumps out of the blocked call. The call leaves nothing behind: the next one works, the
 * mask is restored, others' calls go on. siglongjmp(3), alarm(2) */
#include "net.h"
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>

static sigjmp_buf back;
static volatile sig_atomic_t armed, jumps;
static pthread_t main_thread;

static void on_alarm(int sig)
{
	(void)sig;
	MUST(pthread_equal(pthread_self(), main_thread));
	if (armed) {
		armed = 0;
		jumps++;
		siglongjmp(back, 1);
	}
}

static void timer(long us)
{
	struct itimerval it = {{0, us}, {0, us}};

	MUST(setitimer(ITIMER_REAL, &it, NULL) == 0);
}

#define TIMED(call)                                                     \
	do {                                                            \
		for (volatile int i_ = 0; i_ < 40; i_++) {              \
			if (sigsetjmp(back, 1) == 0) {                  \
				armed = 1;                              \
				timer(700 + 37 * i_);                   \
				call;                                   \
				MUST(!"the call has come back");        \
			}                                               \
			armed = 0;                                      \
			timer(0);                                       \
			check();                                        \
		}                                                       \
		say("%s: jumped out", #call);                           \
	} while (0)

static int p[2], s[2];

static void check(void)
{
	sigset_t set;
	char c;

	OK(pthread_sigmask(SIG_SETMASK, NULL, &set));
	MUST(!sigismember(&set, SIGALRM));
	MUST(write(p[1], "a", 1) == 1 && read(p[0], &c, 1) == 1 && c == 'a');
	MUST(write(s[1], "b", 1) == 1 && read(s[0], &c, 1) == 1 && c == 'b');
}

static void *pingpong(void *arg)
{
	int *fd = arg;
	char c;

	for (;;) {
		ssize_t n = read(fd[0], &c, 1);
		if (n == 0)
			return NULL;
		MUST(n == 1 && write(fd[1], &c, 1) == 1);
	}
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	struct sockaddr_in addr;
	int l = tcp_listen(&addr, 4), up[2], down[2], ends[2];
	sigset_t set;
	sem_t sem;
	char c;

	main_thread = pthread_self();
	MUST(sem_init(&sem, 0, 0) == 0 && sigaction(SIGALRM, &sa, NULL) == 0);
	MUST(pipe(p) == 0 && pipe(up) == 0 && pipe(down) == 0);
	tcp_pair(s);
	ends[0] = up[0], ends[1] = down[1];
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	/* The handler checks that it runs on main. */
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	pthread_t t = start(pingpong, ends);
	OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
	TIMED(read(p[0], &c, 1));
	TIMED(read(s[0], &c, 1));
	TIMED(accept(l, NULL, NULL));
	TIMED(poll(&(struct pollfd){p[0], POLLIN, 0}, 1, -1));
	TIMED(sleep(60));
	TIMED(sem_wait(&sem));
	TIMED(while (write(up[1], "x", 1) == 1 && read(down[0], &c, 1) == 1));
	close(up[1]);
	finish(t);
	MUST(jumps == 7 * 40);
	return 0;
}
