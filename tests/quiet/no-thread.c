/* SPDX-License-Identifier: MIT */
/*
 * A process that makes no thread, and uses much of what the library wraps. Between the two marks
 * its system calls must be the same bare and preloaded, one by one.
 */
#include "../programs/net.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <sys/wait.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_spinlock_t spin;
static pthread_barrier_t barrier;

static void nothing(void)
{
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void locks(void)
{
	struct timespec past = {0, 0};
	pthread_key_t key;
	pthread_attr_t a;
	sem_t sem;
	char name[16];

	OK(pthread_mutex_lock(&m));
	MUST(pthread_mutex_trylock(&m) == EBUSY);
	MUST(pthread_cond_timedwait(&c, &m, &past) == ETIMEDOUT);
	OK(pthread_cond_broadcast(&c));
	OK(pthread_mutex_unlock(&m));
	OK(pthread_rwlock_rdlock(&rw));
	OK(pthread_rwlock_unlock(&rw));
	OK(pthread_once(&once, nothing));
	OK(pthread_spin_init(&spin, 0));
	OK(pthread_spin_lock(&spin));
	OK(pthread_spin_unlock(&spin));
	OK(pthread_barrier_init(&barrier, NULL, 1));
	MUST(pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD);
	MUST(sem_init(&sem, 0, 1) == 0 && sem_wait(&sem) == 0 && sem_trywait(&sem) == -1 &&
	     sem_post(&sem) == 0);
	OK(pthread_key_create(&key, free));
	OK(pthread_setspecific(key, malloc(10)));
	OK(pthread_attr_init(&a));
	OK(pthread_attr_destroy(&a));
	OK(pthread_setname_np(pthread_self(), "quiet"));
	OK(pthread_getname_np(pthread_self(), name, sizeof name));
	MUST(pthread_equal(pthread_self(), pthread_self()) && sched_yield() == 0);
}

static void descriptors(void)
{
	int p[2], s[2], t[2];
	char buf[100];
	struct iovec v = {buf, 4};
	struct msghdr mh = {.msg_iov = &v, .msg_iovlen = 1};
	struct timeval tv = {0, 1000};
	struct timespec ts = {0, 1000000};
	fd_set r;

	MUST(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	tcp_pair(t);
	MUST(write(p[1], "abcd", 4) == 4 && read(p[0], buf, 4) == 4);
	MUST(writev(s[0], &v, 1) == 4 && readv(s[1], &v, 1) == 4);
	MUST(send(s[0], buf, 4, 0) == 4 && recv(s[1], buf, 4, 0) == 4);
	MUST(sendmsg(s[0], &mh, 0) == 4 && recvmsg(s[1], &mh, 0) == 4);
	MUST(sendto(t[0], buf, 4, 0, NULL, 0) == 4 && recvfrom(t[1], buf, 4, 0, NULL, NULL) == 4);
	MUST(poll(&(struct pollfd){p[0], POLLIN, 0}, 1, 2) == 0);
	MUST(ppoll(&(struct pollfd){p[1], POLLOUT, 0}, 1, &ts, NULL) == 1);
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	MUST(select(p[0] + 1, &r, NULL, NULL, &tv) == 0);
	int d = dup(p[0]);
	MUST(dup2(p[1], d) == d && dup3(p[0], d, O_CLOEXEC) == d && close(d) == 0);
	MUST(shutdown(t[0], SHUT_RDWR) == 0);
	for (int i = 0; i < 2; i++)
		MUST(close(p[i]) == 0 && close(s[i]) == 0 && close(t[i]) == 0);
	MUST(nanosleep(&ts, NULL) == 0 && usleep(1000) == 0);
	OK(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL));
}

static void processes(void)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	sigset_t set;
	char line[100];
	int st;

	MUST(sigaction(SIGALRM, &sa, NULL) == 0 && raise(SIGALRM) == 0 &&
	     signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	sigemptyset(&set);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	MUST(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(7);
	MUST(waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 7);
	MUST(system("true") == 0);
	FILE *f = popen("echo from a child", "r");
	MUST(f && fgets(line, sizeof line, f) && pclose(f) == 0);
	for (int i = 0; i < 100; i++)
		free(malloc(i * 1000));
}

int main(void)
{
	say("mark: begin");
	locks();
	descriptors();
	processes();
	say("mark: end");
	return 0;
}
