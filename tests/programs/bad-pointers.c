/* SPDX-License-Identifier: MIT */
/* A pointer to nowhere is EFAULT, not a crash, in every call that the kernel looks at first: in a
 * thread that would wait and in one that would not, at the end of a page too. Where libc itself
 * reads it first (SEGV bare) it is left out. errno(3) */
#include "net.h"
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <grp.h>
#include <linux/futex.h>
#include <setjmp.h>
#include <sys/mman.h>

static void *bad;  /* nothing is there */
static void *ro;   /* may be read only, and is all zero */
static char *edge; /* the last byte that may be used */

static __thread sigjmp_buf out;

static void on_segv(int sig)
{
	(void)sig;
	siglongjmp(out, 1);
}

static void told(const char *what, long r, int e)
{
	say("%s: %ld %s", what, r, r == -1 ? errname(e) : "");
}

/* What it gives; or "crashes", which is an answer too. */
#define TRY(call)                                                                                  \
	do {                                                                                       \
		if (sigsetjmp(out, 1) == 0) {                                                      \
			errno = 0;                                                                 \
			long r_ = (long)(call);                                                    \
			int e_ = errno;                                                            \
			told(#call, r_, e_);                                                       \
		} else {                                                                           \
			say("%s: crashes", #call);                                                 \
		}                                                                                  \
	} while (0)
/* Gives the error itself. */
#define TRYRC(call)                                                                                \
	do {                                                                                       \
		if (sigsetjmp(out, 1) == 0)                                                        \
			say("%s: %s", #call, errname(call));                                       \
		else                                                                               \
			say("%s: crashes", #call);                                                 \
	} while (0)

#define BAD(type) ((type *)bad)
#define RO(type) ((type *)ro)
#define EDGE(type) ((type *)edge)

static const struct timespec soon = {0, 1000000}, none = {0, 0};

static void polls(int p)
{
	struct pollfd *many = BAD(struct pollfd);
	struct timespec ts;
	fd_set set;
	int ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN};

	say("- poll, select, epoll");
	for (volatile int n = 0; n < 12; n += 5) {
		say("n %d", n);
		TRY(poll(many, n, 0));
		TRY(poll(many, n, 1));
		TRY(poll(NULL, n, 1));
		TRY(poll(EDGE(struct pollfd), n, 1));
		TRY(ppoll(many, n, &none, NULL));
		TRY(ppoll(many, n, &soon, NULL));
		TRY(ppoll(RO(struct pollfd), n, &soon, NULL));
	}
	struct pollfd f = {p, POLLIN, 0};
	TRY(ppoll(&f, 1, BAD(struct timespec), NULL));
	TRY(ppoll(&f, 1, &soon, BAD(sigset_t)));
	TRY(ppoll(&f, 1, &none, BAD(sigset_t)));
	TRY(syscall(SYS_ppoll, &f, 1, BAD(struct timespec), NULL, 8));
	TRY(syscall(SYS_ppoll, &f, 1, RO(struct timespec), NULL, 8));
	ts = soon;
	TRY(syscall(SYS_ppoll, &f, 1, &ts, BAD(sigset_t), 8));
	for (volatile int n = 0; n <= p + 1; n += p + 1) {
		say("n %d", n != 0);
		TRY(select(n, BAD(fd_set), NULL, NULL, &(struct timeval){0, 1000}));
		TRY(select(n, NULL, BAD(fd_set), NULL, &(struct timeval){0, 0}));
		TRY(select(n, NULL, NULL, BAD(fd_set), &(struct timeval){0, 1000}));
		TRY(select(n, EDGE(fd_set), NULL, NULL, &(struct timeval){0, 1000}));
		TRY(select(n, RO(fd_set), NULL, NULL, &(struct timeval){0, 1000}));
		TRY(pselect(n, BAD(fd_set), NULL, NULL, &soon, NULL));
		TRY(pselect(n, NULL, BAD(fd_set), NULL, &none, NULL));
	}
	FD_ZERO(&set);
	FD_SET(p, &set);
	TRY(select(p + 1, &set, NULL, NULL, BAD(struct timeval)));
	FD_SET(p, &set);
	TRY(pselect(p + 1, &set, NULL, NULL, BAD(struct timespec), NULL));
	FD_SET(p, &set);
	TRY(pselect(p + 1, &set, NULL, NULL, &soon, BAD(sigset_t)));
	TRY(epoll_ctl(ep, EPOLL_CTL_ADD, p, BAD(struct epoll_event)));
	TRY(epoll_ctl(ep, EPOLL_CTL_ADD, p, &ev));
	TRY(epoll_wait(ep, BAD(struct epoll_event), 3, 1));
	TRY(epoll_pwait(ep, &ev, 1, 1, BAD(sigset_t)));
	TRY(epoll_pwait(ep, &ev, 1, 0, BAD(sigset_t)));
	TRY(epoll_pwait2(ep, &ev, 1, BAD(struct timespec), NULL));
	TRY(epoll_pwait2(ep, &ev, 1, &soon, BAD(sigset_t)));
	ev.events = EPOLLOUT;
	int q[2];
	MUST(pipe(q) == 0 && epoll_ctl(ep, EPOLL_CTL_ADD, q[1], &ev) == 0);
	TRY(epoll_wait(ep, BAD(struct epoll_event), 3, 1000));
	TRY(epoll_wait(ep, RO(struct epoll_event), 3, 1000));
	TRY(epoll_wait(ep, BAD(struct epoll_event), 3, 0));
	close(q[0]);
	close(q[1]);
	close(ep);
}

static void io(int rd, int wr, const char *what)
{
	struct iovec v[2] = {{bad, 10}, {bad, 10}}, half[2] = {{&v, 8}, {bad, 10}};
	char c;

	say("- %s", what);
	TRY(write(wr, BAD(char), 1));
	TRY(writev(wr, BAD(struct iovec), 1));
	TRY(writev(wr, EDGE(struct iovec), 2));
	TRY(writev(wr, v, 2));
	TRY(write(wr, "abcdefgh", 8));
	TRY(read(rd, BAD(char), 1));
	TRY(read(rd, RO(char), 1));
	TRY(readv(rd, BAD(struct iovec), 1));
	TRY(readv(rd, EDGE(struct iovec), 2));
	TRY(readv(rd, v, 2));
	TRY(read(rd, &c, 1) == 1);
	TRY(write(wr, "abcdefgh", 8));
	TRY(readv(rd, half, 1) > 0);
}

static void sockets(int a, int b, const char *what)
{
	struct iovec v = {bad, 10}, ok = {&v, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1}, mv = {.msg_iov = bad, .msg_iovlen = 1},
		      mc = {.msg_iov = &ok,
			    .msg_iovlen = 1,
			    .msg_control = bad,
			    .msg_controllen = 64};
	struct mmsghdr mm = {.msg_hdr = mv};
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;
	char c;

	say("- sockets: %s", what);
	TRY(send(a, BAD(char), 5, 0));
	TRY(send(a, BAD(char), 5, MSG_DONTWAIT));
	TRY(sendto(a, "x", 1, 0, BAD(struct sockaddr), 16));
	TRY(sendmsg(a, BAD(struct msghdr), 0));
	TRY(sendmsg(a, EDGE(struct msghdr), 0));
	TRY(sendmsg(a, &m, 0));
	TRY(sendmsg(a, &mv, 0));
	TRY(sendmsg(a, &mc, 0));
	TRY(sendmsg(a, &mc, MSG_DONTWAIT));
	TRY(sendmmsg(a, BAD(struct mmsghdr), 1, 0));
	TRY(sendmmsg(a, &mm, 1, 0));
	for (int i = 0; i < 12; i++)
		MUST(send(a, "abcdefgh", 8, 0) == 8);
	TRY(recv(b, BAD(char), 5, MSG_PEEK));
	TRY(recv(b, RO(char), 5, MSG_PEEK));
	TRY(recvfrom(b, &c, 1, MSG_PEEK, BAD(struct sockaddr), &len));
	TRY(recvfrom(b, &c, 1, MSG_PEEK, (struct sockaddr *)&ss, BAD(socklen_t)));
	TRY(recvmsg(b, BAD(struct msghdr), 0));
	TRY(recvmsg(b, BAD(struct msghdr), MSG_DONTWAIT));
	TRY(recvmsg(b, EDGE(struct msghdr), 0));
	TRY(recvmsg(b, &m, MSG_PEEK));
	TRY(recvmsg(b, &mv, 0));
	TRY(recvmmsg(b, BAD(struct mmsghdr), 1, 0, NULL));
	TRY(recvmmsg(b, &mm, 1, 0, NULL));
	mm.msg_hdr = (struct msghdr){.msg_iov = &ok, .msg_iovlen = 1};
	TRY(recvmmsg(b, &mm, 1, 0, BAD(struct timespec)));
	TRY(recv(b, &c, 1, 0) == 1);
}

static void connections(void)
{
	struct sockaddr_in addr;
	int l = tcp_listen(&addr, 5), s = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	socklen_t len = sizeof addr;

	say("- connections");
	TRY(connect(s, BAD(struct sockaddr), 16));
	TRY(bind(s, BAD(struct sockaddr), 16));
	TRY(getsockname(s, BAD(struct sockaddr), &len));
	TRY(getsockopt(s, SOL_SOCKET, SO_ERROR, BAD(int), &len));
	TRY(setsockopt(s, SOL_SOCKET, SO_LINGER, BAD(int), 8));
	TRY(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, BAD(int), 16));
	TRY(setsockopt(s, SOL_SOCKET, SO_RCVLOWAT, BAD(int), 4));
	TRY(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
	TRY(ioctl(s, FIONBIO, BAD(int)));
	TRY(ioctl(s, FIONREAD, BAD(int)));
	TRY(connect(s, (struct sockaddr *)&addr, sizeof addr));
	TRY(accept(l, BAD(struct sockaddr), &len));
	int t = tcp_connect(&addr);
	volatile int u;
	TRY((u = accept(l, (struct sockaddr *)&addr, BAD(socklen_t))));
	int w = tcp_connect(&addr);
	TRY((u = accept(l, NULL, NULL)) >= 0);
	close(u);
	close(w);
	close(t);
	close(s);
	close(l);
	TRY(socketpair(AF_UNIX, SOCK_STREAM, 0, BAD(int)));
	TRY(pipe(BAD(int)));
	TRY(pipe2(BAD(int), 0));
}

static void times(void)
{
	struct timespec ts = {0, 1000};
	sigset_t usr1;

	say("- time, signals");
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	TRY(nanosleep(BAD(struct timespec), NULL));
	TRY(nanosleep(EDGE(struct timespec), NULL));
	TRY(nanosleep(NULL, NULL));
	TRYRC(clock_nanosleep(CLOCK_MONOTONIC, 0, NULL, NULL));
	TRYRC(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, NULL, NULL));
	TRY(syscall(SYS_nanosleep, NULL, NULL));
	TRY(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, NULL, NULL));
	TRYRC(clock_nanosleep(CLOCK_MONOTONIC, 0, BAD(struct timespec), NULL));
	TRYRC(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, BAD(struct timespec), NULL));
	TRY(syscall(SYS_nanosleep, BAD(struct timespec), NULL));
	TRY(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, BAD(struct timespec), NULL));
	TRY(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, BAD(struct timespec)));
	TRY(sigtimedwait(BAD(sigset_t), NULL, &none));
	TRY(sigtimedwait(&usr1, NULL, BAD(struct timespec)));
	TRY(pthread_kill(pthread_self(), 0));
	OK(pthread_sigmask(SIG_BLOCK, &usr1, NULL));
	OK(pthread_kill(pthread_self(), SIGUSR1));
	TRY(sigtimedwait(&usr1, BAD(siginfo_t), &none));
	TRY(sigpending(BAD(sigset_t)));
	TRY(sigsuspend(BAD(sigset_t)));
	TRY(sigprocmask(SIG_BLOCK, BAD(sigset_t), NULL));
	TRY(sigprocmask(SIG_BLOCK, NULL, BAD(sigset_t)));
	TRY(syscall(SYS_rt_sigprocmask, SIG_BLOCK, BAD(sigset_t), NULL, 8));
	TRY(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, BAD(sigset_t), 8));
	TRY(syscall(SYS_rt_sigaction, SIGUSR2, BAD(char), NULL, 8));
	TRY(syscall(SYS_rt_sigaction, SIGUSR2, NULL, BAD(char), 8));
	TRY(syscall(SYS_rt_sigpending, BAD(char), 8));
	TRY(syscall(SYS_rt_sigsuspend, BAD(char), 8));
	TRY(syscall(SYS_rt_sigtimedwait, BAD(char), NULL, &none, 8));
	TRY(syscall(SYS_rt_sigtimedwait, &usr1, NULL, BAD(struct timespec), 8));
	TRY(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, BAD(siginfo_t)));
	TRY(syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGUSR1, BAD(siginfo_t)));
	TRY(sigaltstack(BAD(stack_t), NULL));
	TRY(sigaltstack(NULL, BAD(stack_t)));
	TRY(sigaction(SIGUSR2, BAD(struct sigaction), NULL));
	TRY(sigaction(SIGUSR2, NULL, BAD(struct sigaction)));
	TRY(setitimer(ITIMER_REAL, BAD(struct itimerval), NULL));
	TRY(setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, BAD(struct itimerval)));
	TRY(signalfd(-1, BAD(sigset_t), 0));
	TRY(timer_create(CLOCK_MONOTONIC, BAD(struct sigevent), &(timer_t){0}));
	siginfo_t si;
	TRY(sigtimedwait(&usr1, &si, &none) == SIGUSR1);
	while (sigtimedwait(&usr1, &si, &none) == SIGUSR1)
		;
	OK(pthread_sigmask(SIG_UNBLOCK, &usr1, NULL));
}

static void others(void)
{
	char name[16];
	int fd = eventfd(0, 0), st;
	uint32_t word = 0;

	say("- the rest");
	TRY(write(fd, BAD(uint64_t), 8));
	TRY(write(fd, &(uint64_t){1}, 8));
	TRY(read(fd, BAD(uint64_t), 8));
	close(fd);
	TRY(open(BAD(char), O_RDONLY));
	TRY(openat(AT_FDCWD, BAD(char), O_RDONLY));
	TRY(creat(BAD(char), 0600));
	TRY(stat(BAD(char), (struct stat *)name));
	TRY(stat("/", BAD(struct stat)));
	TRY(fstat(0, BAD(struct stat)));
	TRY(rename(BAD(char), "x"));
	TRY(unlink(BAD(char)));
	TRY(mkdir(BAD(char), 0700));
	TRY(prctl(PR_SET_NAME, bad, 0, 0, 0));
	TRY(prctl(PR_GET_NAME, bad, 0, 0, 0));
	TRY(fcntl(0, F_SETLKW, bad));
	TRY(fcntl(0, F_GETLK, bad));
	volatile pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	TRY(waitpid(pid, BAD(int), 0) == -1);
	while (waitpid(pid, &st, 0) == pid)
		;
	pid = fork();
	if (pid == 0)
		_exit(0);
	TRY(waitid(P_PID, pid, BAD(siginfo_t), WEXITED));
	while (waitpid(pid, &st, 0) == pid)
		;
	TRY(syscall(SYS_futex, BAD(uint32_t), FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
	TRY(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, BAD(struct timespec), NULL, 0));
	TRY(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, &soon, NULL, 0));
	TRY(syscall(SYS_sched_setaffinity, 0, 128, bad));
	TRY(syscall(SYS_sched_getaffinity, 0, 128, bad));
	TRY(sched_getaffinity(0, 128, bad));
	TRY(sched_setaffinity(0, 128, bad));
	TRY(sched_setscheduler(0, SCHED_OTHER, bad));
	TRY(sched_getparam(0, bad));
	TRY(syscall(SYS_get_robust_list, 0, bad, bad));
	TRY(setgroups(3, bad));
	int q = msgget(IPC_PRIVATE, 0600);
	MUST(q >= 0);
	TRY(msgsnd(q, bad, 5, 0));
	TRY(msgsnd(q, &(struct {
			   long t;
			   char c[4];
		   }){1, "abc"},
		   4, 0));
	TRY(msgrcv(q, bad, 5, 0, 0));
	MUST(msgctl(q, IPC_RMID, NULL) == 0);
	int sem = semget(IPC_PRIVATE, 1, 0600);
	MUST(sem >= 0);
	TRY(semop(sem, bad, 1));
	TRY(semtimedop(sem, &(struct sembuf){0, -1, 0}, 1, bad));
	MUST(semctl(sem, 0, IPC_RMID) == 0);
	int p[2];
	MUST(pipe(p) == 0 && write(p[1], "abc", 3) == 3);
	TRY(splice(p[0], bad, p[1], NULL, 1, 0));
	TRY(vmsplice(p[1], bad, 1, 0));
	TRY(sendfile(p[1], p[0], bad, 1));
	close(p[0]);
	close(p[1]);
	TRY(inotify_add_watch(-1, bad, 0));
	TRY(timerfd_settime(-1, 0, bad, NULL));
}

static void *all(void *arg)
{
	int p[2], s[2];

	say("== %s", (char *)arg);
	MUST(pipe(p) == 0);
	polls(p[0]);
	io(p[0], p[1], "pipe");
	close(p[0]);
	close(p[1]);
	FILE *f = tmpfile();
	MUST(f != NULL);
	say("- file");
	int fd = fileno(f);
	TRY(write(fd, BAD(char), 1));
	TRY(write(fd, "abcdef", 6));
	TRY(pread(fd, BAD(char), 3, 0));
	TRY(pread(fd, RO(char), 3, 0));
	TRY(preadv(fd, BAD(struct iovec), 1, 0));
	TRY(pwrite(fd, BAD(char), 3, 0));
	TRY(pwritev(fd, BAD(struct iovec), 1, 0));
	TRY(lseek(fd, 0, SEEK_SET));
	TRY(read(fd, BAD(char), 3));
	TRY(readv(fd, BAD(struct iovec), 1));
	fclose(f);
	tcp_pair(s);
	io(s[0], s[1], "TCP");
	close(s[0]);
	close(s[1]);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	io(s[0], s[1], "Unix stream");
	close(s[0]);
	close(s[1]);
	tcp_pair(s);
	sockets(s[0], s[1], "TCP");
	close(s[0]);
	close(s[1]);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0);
	sockets(s[0], s[1], "Unix datagram");
	close(s[0]);
	close(s[1]);
	connections();
	times();
	others();
	return arg;
}

static void *idle(void *arg)
{
	return pause(), arg;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_segv, .sa_flags = SA_NODEFER};
	char *m = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(m != MAP_FAILED);
	MUST(mprotect(m, 4096, PROT_READ) == 0 && mprotect(m + 2 * 4096, 4096, PROT_NONE) == 0);
	ro = m;
	edge = m + 2 * 4096 - 1;
	bad = m + 2 * 4096;
	start(idle, NULL);
	MUST(sigaction(SIGSEGV, &sa, NULL) == 0);
	all("main");
	finish(start(all, "thread"));
	return 0;
}
