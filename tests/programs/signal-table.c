/* SPDX-License-Identifier: MIT */
/* signal(7)'s table: what each call does when a handler has run, with SA_RESTART and without, with
 * a time-out and without. A line tells whether it went on until it had what it waits for, or failed
 * with EINTR. */
#include "net.h"
#include <mqueue.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <linux/futex.h>
#include <sys/inotify.h>

enum { RUNS = 8 };

static _Atomic int runs, entered, done;
static pthread_t self;
static bool went_on;
static char release; /* how to let the call end */
static int p[2], full[2], s[2], quiet[2], u[2], d[2], ev, ino, listener, unlocks[2], exits[2], ep,
    tfd, msg, sem1;
static mqd_t mq, mqfull;
static sem_t sem;
static uint32_t word;
static struct sockaddr_in addr;
static char dir[] = "/tmp/gmp-table.XXXXXX", fifo[64], big[1 << 16];
static const struct timespec later = {30, 0};

static void on_usr1(int sig)
{
	(void)sig;
	runs++;
}

static void lets_go(void)
{
	struct {
		long type;
		char c[8];
	} m = {1, "x"};
	int fd;

	switch (release) {
	case 'p':
		MUST(write(p[1], "ab", 2) == 2);
		break;
	case 'f':
		MUST(read(full[0], big, 4096) == 4096);
		break;
	case 's':
		MUST(write(s[1], "ab", 2) == 2);
		break;
	case 'u':
		MUST(write(u[1], "ab", 2) == 2);
		break;
	case 'e':
		MUST(eventfd_write(ev, 1) == 0);
		break;
	case 't':
		MUST(timerfd_settime(tfd, 0, &(struct itimerspec){{0, 0}, {0, 1}}, NULL) == 0);
		break;
	case 'a':
		tcp_connect(&addr);
		break;
	case 'o':
		MUST((fd = open(fifo, O_WRONLY)) >= 0);
		break;
	case 'l':
		MUST(write(unlocks[1], "x", 1) == 1);
		break;
	case 'w':
		MUST(write(exits[1], "x", 1) == 1);
		break;
	case 'q':
		MUST(mq_send(mq, "x", 1, 0) == 0);
		break;
	case 'Q':
		MUST(mq_receive(mqfull, big, sizeof big, NULL) >= 0);
		break;
	case 'v':
		MUST(sem_post(&sem) == 0);
		break;
	case 'i':
		MUST((fd = open(fifo, O_RDWR)) >= 0 && close(fd) == 0);
		break;
	case 'x':
		word = 1;
		syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1);
		break;
	case 'm':
		MUST(msgsnd(msg, &m, 1, 0) == 0);
		break;
	case 'S':
		MUST(semop(sem1, &(struct sembuf){0, 1, 0}, 1) == 0);
		break;
	}
}

static void *signals(void *arg)
{
	int from;

	while (!entered)
		usleep(1000);
	settle();
	for (from = runs; !done; usleep(5000)) {
		if (runs - from >= RUNS) {
			lets_go();
			break;
		}
		OK(pthread_kill(self, SIGUSR1));
	}
	return arg;
}

#define TRY(how, call)                                                                             \
	do {                                                                                       \
		release = how;                                                                     \
		entered = done = 0;                                                                \
		pthread_t t_ = start(signals, NULL);                                               \
		entered = 1;                                                                       \
		errno = 0;                                                                         \
		long r_ = (long)(call);                                                            \
		int e_ = errno;                                                                    \
		done = 1;                                                                          \
		finish(t_);                                                                        \
		went_on = r_ != -1;                                                                \
		say("  %s: %s", #call, r_ == -1 ? errname(e_) : "goes on");                        \
	} while (0)

static pid_t holder;

/* A process that holds both kinds of lock on a file until told. */
static int locked(void)
{
	char name[80], c;
	int ready[2];

	snprintf(name, sizeof name, "%s/lock", dir);
	MUST(pipe(ready) == 0);
	int fd = open(name, O_RDWR | O_CREAT, 0600);
	MUST(fd >= 0);
	holder = fork();
	MUST(holder >= 0);
	if (holder == 0) {
		struct flock l = {.l_type = F_WRLCK};
		int own = open(name, O_RDWR);
		MUST(flock(own, LOCK_EX) == 0 && fcntl(own, F_SETLK, &l) == 0 &&
		     write(ready[1], "x", 1) == 1);
		MUST(read(unlocks[0], &c, 1) == 1);
		_exit(0);
	}
	MUST(read(ready[0], &c, 1) == 1);
	close(ready[0]);
	close(ready[1]);
	return fd;
}

/* pid waits for a byte, unless it has ended or been told already. */
static void ends(pid_t pid, int fd, bool told)
{
	if (!told)
		MUST(write(fd, "x", 1) == 1);
	while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		;
}

#define LOCKS(call)                                                                                \
	do {                                                                                       \
		int fd = locked();                                                                 \
		TRY('l', call);                                                                    \
		close(fd);                                                                         \
		ends(holder, unlocks[1], went_on);                                                 \
	} while (0)

static pid_t child(void)
{
	char c;
	pid_t pid = fork();

	MUST(pid >= 0);
	if (pid == 0) {
		MUST(read(exits[0], &c, 1) == 1);
		_exit(0);
	}
	return pid;
}

#define WAITS(call)                                                                                \
	do {                                                                                       \
		pid_t pid = child();                                                               \
		TRY('w', call);                                                                    \
		ends(pid, exits[1], went_on);                                                      \
	} while (0)

/* The 10 bytes that went in are one page's. */
static void refill(void)
{
	if (went_on)
		MUST(write(full[1], big, 4086) == 4086);
}

static void files(void)
{
	struct iovec v = {big, 4096};
	int fd = -1;

	TRY('p', read(p[0], big, 10));
	TRY('p', readv(p[0], &v, 1));
	TRY('f', write(full[1], big, 10));
	refill();
	v.iov_len = 10;
	TRY('f', writev(full[1], &v, 1));
	refill();
	TRY('e', read(ev, big, 8));
	TRY('t', read(tfd, big, 8));
	TRY('i', read(ino, big, 4096));
	TRY('o', (fd = open(fifo, O_RDONLY)));
	if (fd >= 0)
		close(fd);
	WAITS(waitpid(pid, NULL, 0));
	WAITS(wait(NULL));
	WAITS(wait4(pid, NULL, 0, NULL));
	WAITS(waitid(P_PID, pid, &(siginfo_t){0}, WEXITED));
}

static void sockets(void)
{
	struct iovec v = {big, 10};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	struct mmsghdr mm = {.msg_hdr = m};

	TRY('s', read(s[0], big, 10));
	TRY('s', recv(s[0], big, 10, 0));
	TRY('s', recvfrom(s[0], big, 10, 0, NULL, NULL));
	TRY('s', recvmsg(s[0], &m, 0));
	TRY('s', recvmmsg(s[0], &mm, 1, 0, NULL));
	TRY('u', recv(u[0], big, 10, 0));
	TRY('a', accept(listener, NULL, NULL));
}

static void sync_objects(void)
{
	TRY('v', sem_wait(&sem));
	TRY('v', sem_timedwait(&sem, &(struct timespec){time(NULL) + 30, 0}));
	TRY('v', sem_clockwait(&sem, CLOCK_MONOTONIC,
			       &(struct timespec){now(CLOCK_MONOTONIC).tv_sec + 30, 0}));
	word = 0;
	TRY('x', syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL));
	TRY('q', mq_receive(mq, big, sizeof big, NULL));
	TRY('q',
	    mq_timedreceive(mq, big, sizeof big, NULL, &(struct timespec){time(NULL) + 30, 0}));
	TRY('Q', mq_send(mqfull, "x", 1, 0));
	TRY('Q', mq_timedsend(mqfull, "x", 1, 0, &(struct timespec){time(NULL) + 30, 0}));
}

static void never(void)
{
	struct pollfd f = {quiet[0], POLLIN, 0};
	struct epoll_event e;
	struct timeval tv = {30, 0};
	struct {
		long type;
		char c[8];
	} m;
	sigset_t none, usr2;
	fd_set r;
	int st;

	sigemptyset(&none);
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	TRY('-', pause());
	TRY('-', sigsuspend(&none));
	TRY('-', sigwaitinfo(&usr2, NULL));
	TRY('-', sigtimedwait(&usr2, NULL, &later));
	TRY('-', poll(&f, 1, -1));
	TRY('-', poll(&f, 1, 30000));
	TRY('-', poll(NULL, 0, 30000));
	TRY('-', ppoll(&f, 1, NULL, NULL));
	TRY('-', ppoll(&f, 1, &later, &none));
	FD_ZERO(&r);
	FD_SET(quiet[0], &r);
	TRY('-', select(quiet[0] + 1, &r, NULL, NULL, NULL));
	TRY('-', select(quiet[0] + 1, &r, NULL, NULL, &tv));
	TRY('-', select(0, NULL, NULL, NULL, &tv));
	TRY('-', pselect(quiet[0] + 1, &r, NULL, NULL, NULL, NULL));
	TRY('-', pselect(quiet[0] + 1, &r, NULL, NULL, &later, &none));
	TRY('-', epoll_wait(ep, &e, 1, -1));
	TRY('-', epoll_wait(ep, &e, 1, 30000));
	TRY('-', epoll_pwait(ep, &e, 1, -1, &none));
	TRY('-', epoll_pwait2(ep, &e, 1, &later, &none));
	TRY('-', nanosleep(&later, NULL));
	TRY('-', usleep(30000000));
	TRY('-', sleep(30) > 0 ? (errno = EINTR, -1) : 0);
	TRY('-', (errno = clock_nanosleep(CLOCK_MONOTONIC, 0, &later, NULL)) ? -1 : 0);
	TRY('-', (errno = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME,
					  &(struct timespec){time(NULL) + 30, 0}, NULL))
		     ? -1
		     : 0);
	TRY('-', msgrcv(msg, &m, 8, 2, 0));
	TRY('-', semop(sem1, &(struct sembuf){0, -1, 0}, 1));
	TRY('-', semtimedop(sem1, &(struct sembuf){0, -1, 0}, 1, &later));
	st = system("exit 5"); /* not ended by what came before */
	say("  system: %d", WEXITSTATUS(st));
}

static void with_timeout(void)
{
	struct timeval tv = {30, 0}, none = {0, 0};
	struct iovec v = {big, 10};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	struct mmsghdr mm = {.msg_hdr = m};

	MUST(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
	MUST(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
	MUST(setsockopt(d[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv) == 0);
	TRY('-', read(s[0], big, 10));
	TRY('-', recv(s[0], big, 10, 0));
	TRY('-', recvmsg(s[0], &m, 0));
	TRY('-', recvmmsg(s[0], &mm, 1, 0, NULL));
	TRY('-', accept(listener, NULL, NULL));
	TRY('-', send(d[0], big, 10, 0));
	MUST(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none) == 0);
	MUST(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none) == 0);
	MUST(setsockopt(d[0], SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none) == 0);
}

static void locks(void)
{
	struct flock l = {.l_type = F_WRLCK};

	LOCKS(flock(fd, LOCK_EX));
	l.l_type = F_WRLCK;
	LOCKS(fcntl(fd, F_SETLKW, &l));
}

static void *all(void *arg)
{
	self = pthread_self();
	for (int restart = 0; restart < 2; restart++) {
		struct sigaction sa = {.sa_handler = on_usr1, .sa_flags = restart ? SA_RESTART : 0};
		MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
		say("%s, %s", (char *)arg, restart ? "SA_RESTART" : "plain");
		files();
		sockets();
		sync_objects();
		never();
		with_timeout();
		locks();
	}
	return arg;
}

int main(void)
{
	struct mq_attr ma = {.mq_maxmsg = 1, .mq_msgsize = 16};
	struct epoll_event e = {.events = EPOLLIN};
	char name[64];

	MUST(mkdtemp(dir) != NULL);
	snprintf(fifo, sizeof fifo, "%s/fifo", dir);
	MUST(mkfifo(fifo, 0600) == 0);
	MUST(pipe(p) == 0 && pipe(full) == 0 && pipe(quiet) == 0 && pipe(unlocks) == 0 &&
	     pipe(exits) == 0);
	MUST(fcntl(full[1], F_SETPIPE_SZ, 4096) > 0 && write(full[1], big, 4096) == 4096);
	tcp_pair(s);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, u) == 0 &&
	     socketpair(AF_UNIX, SOCK_DGRAM, 0, d) == 0);
	while (send(d[0], big, 10, MSG_DONTWAIT) == 10)
		;
	listener = tcp_listen(&addr, 5);
	MUST((ev = eventfd(0, 0)) >= 0 && (ino = inotify_init1(0)) >= 0 &&
	     (ep = epoll_create1(0)) >= 0);
	MUST(inotify_add_watch(ino, dir, IN_CLOSE_WRITE) >= 0);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, quiet[0], &e) == 0);
	MUST((tfd = timerfd_create(CLOCK_MONOTONIC, 0)) >= 0);
	MUST((msg = msgget(IPC_PRIVATE, 0600)) >= 0 && (sem1 = semget(IPC_PRIVATE, 1, 0600)) >= 0);
	MUST(sem_init(&sem, 0, 0) == 0);
	snprintf(name, sizeof name, "/gmp-table-%d", getpid());
	MUST((mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &ma)) >= 0 &&
	     mq_unlink(name) == 0);
	MUST((mqfull = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &ma)) >= 0 &&
	     mq_unlink(name) == 0);
	MUST(mq_send(mqfull, "x", 1, 0) == 0);
	all("main");
	finish(start(all, "thread"));
	msgctl(msg, IPC_RMID, NULL);
	semctl(sem1, 0, IPC_RMID);
	unlink(fifo);
	snprintf(name, sizeof name, "%s/lock", dir);
	unlink(name);
	rmdir(dir);
	return 0;
}
