/* SPDX-License-Identifier: MIT */
/* pthread_cancel of a thread that is blocked in the kernel, in calls which are not everybody's:
 * most are cancellation points and end; the others go on until what they wait for comes, and the
 * thread ends at its next point. pthreads(7) */
#include "t.h"
#include <aio.h>
#include <mqueue.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <threads.h>

static int p[2], full[2], full2[2], s[2], st[2], lockfd, lockfd2, ep, q, semid, efd, pty, ptysl;
static mqd_t mq, mqfull;
static struct sockaddr_un backlog = {.sun_family = AF_UNIX, .sun_path = "busy"};
static char b[4096];
static struct iovec v = {b, 1};
static struct shared {
	sem_t sem;
	pthread_mutex_t m;
	pthread_cond_t c;
} * sh;
static mtx_t mx;
static cnd_t cn;
static sem_t ready, release, *named;
static thrd_t sleeper;
static FILE *pin;
static pid_t child;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t bar;

static void unlockshared(void *arg)
{
	(void)arg;
	OK(pthread_mutex_unlock(&sh->m));
}

static int shcond(void)
{
	OK(pthread_mutex_lock(&sh->m));
	pthread_cleanup_push(unlockshared, NULL);
	for (;;)
		pthread_cond_wait(&sh->c, &sh->m);
	pthread_cleanup_pop(1);
	return 0;
}

static void unlockmtx(void *arg)
{
	(void)arg;
	MUST(mtx_unlock(&mx) == thrd_success);
}

static int cndwait(void)
{
	MUST(mtx_lock(&mx) == thrd_success);
	pthread_cleanup_push(unlockmtx, NULL);
	for (;;)
		cnd_wait(&cn, &mx);
	pthread_cleanup_pop(1);
	return 0;
}

static int lockw(int cmd)
{
	struct flock fl = {.l_type = F_WRLCK};
	return fcntl(lockfd2, cmd, &fl);
}

static int usr2(int how)
{
	sigset_t set;
	siginfo_t si;
	int n;

	sigemptyset(&set);
	if (how == 3)
		return sigsuspend(&set);
	if (how == 4)
		return ppoll(NULL, 0, NULL, &set);
	if (how == 5)
		return pselect(0, NULL, NULL, NULL, NULL, &set);
	sigaddset(&set, SIGUSR2);
	return how == 0	  ? sigwait(&set, &n)
	       : how == 1 ? sigwaitinfo(&set, &si)
			  : sigtimedwait(&set, &si, &(struct timespec){50, 0});
}

static int connects(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	return connect(fd, (struct sockaddr *)&backlog, sizeof backlog);
}

static int aiowait(void)
{
	static struct aiocb cb;
	const struct aiocb *l[] = {&cb};

	cb = (struct aiocb){.aio_fildes = st[0], .aio_buf = b, .aio_nbytes = 1};
	aio_read(&cb);
	return aio_suspend(l, 1, NULL);
}

/* Waits for ever. `free`: what lets those go on that are no cancellation points. */
#define BLOCKERS(X)                                                                                \
	X(open of a FIFO to read, open("fifo", O_RDONLY), 0)                                       \
	X(open of a FIFO to write, open("fifo", O_WRONLY), 0)                                      \
	X(openat of a FIFO, openat(AT_FDCWD, "fifo", O_RDONLY), 0)                                 \
	X(creat of a FIFO, creat("fifo", 0600), 0)                                                 \
	X(fopen of a FIFO, fopen("fifo", "r") != NULL, 0)                                          \
	X(read of a terminal, read(ptysl, b, 1), 0)                                                \
	X(poll of a terminal, poll(&(struct pollfd){ptysl, POLLIN, 0}, 1, -1), 0)                  \
	X(readv, readv(p[0], &v, 1), 0)                                                            \
	X(preadv2, preadv2(p[0], &v, 1, -1, 0), 0)                                                 \
	X(pwritev2, pwritev2(full[1], &v, 1, -1, 0), 0)                                            \
	X(writev, writev(full[1], &v, 1), 0)                                                       \
	X(read of an eventfd, read(efd, b, 8), 0)                                                  \
	X(splice, splice(p[0], NULL, full2[1], NULL, 1, 0), 0)                                     \
	X(tee, tee(p[0], full2[1], 1, 0), 0)                                                       \
	X(vmsplice, vmsplice(full[1], &v, 1, 0), 0)                                                \
	X(recvmmsg,                                                                                \
	  recvmmsg(s[0], &(struct mmsghdr){.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}}, 1, 0,     \
		   NULL),                                                                          \
	  0)                                                                                       \
	X(recv WAITALL, recv(st[0], b, 2, MSG_WAITALL), 0)                                         \
	X(recvmsg WAITALL,                                                                         \
	  recvmsg(st[0], &(struct msghdr){.msg_iov = &v, .msg_iovlen = 1}, MSG_WAITALL), 0)        \
	X(send to a full peer, send(s[0], b, 1, 0), 0)                                             \
	X(sendmsg to a full peer,                                                                  \
	  sendmsg(s[0], &(struct msghdr){.msg_iov = &v, .msg_iovlen = 1}, 0), 0)                   \
	X(connect to a busy listener, connects(), 0)                                               \
	X(fcntl SETLKW, lockw(F_SETLKW), 0)                                                        \
	X(fcntl OFD_SETLKW, lockw(F_OFD_SETLKW), 0)                                                \
	X(lockf, lockf(lockfd2, F_LOCK, 0), 0)                                                     \
	X(flock, flock(lockfd2, LOCK_EX) + flock(lockfd2, LOCK_UN), 1)                             \
	X(semop, semop(semid, &(struct sembuf){0, -1, 0}, 1), 1)                                   \
	X(msgrcv, msgrcv(q, b, 1, 7, 0), 0)                                                        \
	X(msgsnd, msgsnd(q, (long[]){1, 2}, 1, 0), 0)                                              \
	X(mq_receive, mq_receive(mq, b, sizeof b, NULL), 0)                                        \
	X(mq_send, mq_send(mqfull, b, 1, 0), 0)                                                    \
	X(wait4, wait4(child, NULL, 0, NULL), 0)                                                   \
	X(waitid, waitid(P_PID, child, &(siginfo_t){0}, WEXITED), 0)                               \
	X(system, system("read x < fifo"), 0)                                                      \
	X(sigwait, usr2(0), 0)                                                                     \
	X(sigwaitinfo, usr2(1), 0)                                                                 \
	X(sigtimedwait, usr2(2), 0)                                                                \
	X(sigsuspend, usr2(3), 0)                                                                  \
	X(ppoll, usr2(4), 0)                                                                       \
	X(pselect, usr2(5), 0)                                                                     \
	X(select of nothing, select(0, NULL, NULL, NULL, NULL), 0)                                 \
	X(poll of nothing, poll(NULL, 0, -1), 0)                                                   \
	X(epoll_pwait2,                                                                            \
	  epoll_pwait2(ep, &(struct epoll_event){0}, 1, &(struct timespec){50, 0}, NULL), 0)       \
	X(nanosleep of a CPU clock,                                                                \
	  clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &(struct timespec){50, 0}, NULL), 0)        \
	X(clock_nanosleep abs,                                                                     \
	  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){1l << 40, 0}, NULL),  \
	  0)                                                                                       \
	X(shared semaphore, sem_wait(&sh->sem), 0)                                                 \
	X(named semaphore, sem_timedwait(named, &(struct timespec){1l << 33, 0}), 0)               \
	X(shared condition, shcond(), 0)                                                           \
	X(cnd_wait, cndwait(), 0)                                                                  \
	X(thrd_join, thrd_join(sleeper, NULL), 0)                                                  \
	X(timedjoin, pthread_timedjoin_np(sleeper, NULL, &(struct timespec){1l << 33, 0}), 0)      \
	X(thrd_sleep, thrd_sleep(&(struct timespec){50, 0}, NULL), 0)                              \
	X(fgetc, fgetc(pin), 0)                                                                    \
	X(aio_suspend, aiowait(), 0)                                                               \
	X(mutex, pthread_mutex_lock(&mutex) + pthread_mutex_unlock(&mutex), 1)                     \
	X(shared mutex, pthread_mutex_lock(&sh->m) + pthread_mutex_unlock(&sh->m), 1)              \
	X(rdlock, pthread_rwlock_rdlock(&rw) + pthread_rwlock_unlock(&rw), 1)                      \
	X(wrlock, pthread_rwlock_wrlock(&rw) + pthread_rwlock_unlock(&rw), 1)                      \
	X(barrier, pthread_barrier_wait(&bar), 1)

enum { FIRST = __COUNTER__ + 1 };
static int which, cleaned;
static volatile int back;

static void clean(void *arg)
{
	(void)arg;
	cleaned++;
}

static void *blocks(void *arg)
{
	pthread_cleanup_push(clean, arg);
	sem_post(&ready);
	switch (which) {
#define X(name, call, more)                                                                        \
	case __COUNTER__ - FIRST:                                                                  \
		(void)(call);                                                                      \
		break;
		BLOCKERS(X)
#undef X
	}
	back = 1;
	pthread_testcancel();
	MUST(!"it was cancelled");
	pthread_cleanup_pop(0);
	return NULL;
}

static int sleeps(void *arg)
{
	return sem_wait(arg);
}

static void holdall(bool on)
{
	if (on) {
		MUST(flock(lockfd, LOCK_EX) == 0);
		OK(pthread_mutex_lock(&mutex));
		OK(pthread_mutex_lock(&sh->m));
		OK(pthread_rwlock_wrlock(&rw));
		return;
	}
	MUST(flock(lockfd, LOCK_UN) == 0);
	OK(pthread_mutex_unlock(&mutex));
	OK(pthread_mutex_unlock(&sh->m));
	OK(pthread_rwlock_unlock(&rw));
}

static void objects(void)
{
	struct mq_attr one = {.mq_maxmsg = 1, .mq_msgsize = 16};
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;
	char name[40];

	MUST(mkfifo("fifo", 0600) == 0 && pipe(p) == 0 && pipe(full) == 0 && pipe(full2) == 0);
	MUST(fcntl(full[1], F_SETPIPE_SZ, 4096) > 0 && write(full[1], b, 4096) == 4096);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0 &&
	     socketpair(AF_UNIX, SOCK_STREAM, 0, st) == 0);
	while (send(s[0], b, 64, MSG_DONTWAIT) > 0)
		;
	int l = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST(bind(l, (struct sockaddr *)&backlog, sizeof backlog) == 0 && listen(l, 0) == 0);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST(connect(fd, (struct sockaddr *)&backlog, sizeof backlog) == 0);
	MUST((lockfd = open("lock", O_RDWR | O_CREAT, 0600)) >= 0 &&
	     (lockfd2 = open("lock", O_RDWR)) >= 0);
	MUST((ep = epoll_create1(0)) >= 0 && (q = msgget(IPC_PRIVATE, 0600)) >= 0 &&
	     (efd = eventfd(0, 0)) >= 0);
	MUST((semid = semget(IPC_PRIVATE, 1, 0600)) >= 0 && (pin = fdopen(p[0], "r")));
	while (msgsnd(q, (long[]){1, 2}, 8, IPC_NOWAIT) == 0)
		;
	snprintf(name, sizeof name, "/cancel-%d", getpid());
	MUST((mq = mq_open(name, O_RDWR | O_CREAT, 0600, &one)) != -1 && mq_unlink(name) == 0);
	MUST((mqfull = mq_open(name, O_RDWR | O_CREAT, 0600, &one)) != -1 && mq_unlink(name) == 0);
	MUST(mq_send(mqfull, b, 1, 0) == 0);
	MUST((named = sem_open(name, O_CREAT, 0600, 0)) != SEM_FAILED && sem_unlink(name) == 0);
	MUST((pty = posix_openpt(O_RDWR | O_NOCTTY)) >= 0 && grantpt(pty) == 0 &&
	     unlockpt(pty) == 0);
	MUST((ptysl = open(ptsname(pty), O_RDWR | O_NOCTTY)) >= 0);
	sh = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(sh != MAP_FAILED && sem_init(&sh->sem, 1, 0) == 0);
	OK(pthread_mutexattr_init(&ma));
	OK(pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED));
	OK(pthread_mutex_init(&sh->m, &ma));
	OK(pthread_condattr_init(&ca));
	OK(pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED));
	OK(pthread_cond_init(&sh->c, &ca));
	OK(pthread_barrier_init(&bar, NULL, 2));
	MUST(mtx_init(&mx, mtx_plain) == thrd_success && cnd_init(&cn) == thrd_success);
	MUST(sem_init(&ready, 0, 0) == 0 && sem_init(&release, 0, 0) == 0);
}

int main(void)
{
	static const struct {
		const char *name;
		int goes_on;
	} all[] = {
#define X(name, call, more) {#name, more},
	    BLOCKERS(X)
#undef X
	};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	objects();
	MUST(thrd_create(&sleeper, sleeps, &release) == thrd_success);
	if ((child = fork()) == 0) {
		pause();
		_exit(0);
	}
	for (which = 0; which < NELEM(all); which++) {
		void *r;
		int again = all[which].goes_on || !strcmp(all[which].name, "system") ? 1 : 6;
		for (int k = 0; k < again; k++) {
			back = 0;
			if (!strncmp(all[which].name, "fcntl", 5) ||
			    !strcmp(all[which].name, "lockf"))
				MUST(fcntl(lockfd, F_OFD_SETLK,
					   &(struct flock){.l_type = F_WRLCK}) == 0);
			if (all[which].goes_on)
				holdall(true);
			pthread_t t = start(blocks, NULL);
			sem_wait(&ready);
			if (k % 2 == 0)
				settle();
			OK(pthread_cancel(t));
			if (all[which].goes_on) {
				settle();
				say("%s: %s after it was cancelled", all[which].name,
				    back ? "came back" : "waits");
				holdall(false);
				if (!strcmp(all[which].name, "semop"))
					MUST(semop(semid, &(struct sembuf){0, 1, 0}, 1) == 0);
				if (!strcmp(all[which].name, "barrier"))
					pthread_barrier_wait(&bar);
			}
			OK(pthread_join(t, &r));
			MUST(r == PTHREAD_CANCELED);
			MUST(!all[which].goes_on == !back);
			fcntl(lockfd, F_OFD_SETLK, &(struct flock){.l_type = F_UNLCK});
			struct flock no = {.l_type = F_UNLCK};
			fcntl(lockfd2, F_OFD_SETLK, &no);
			fcntl(lockfd2, F_SETLK, &no);
		}
		say("%s: cancelled, %d cleaned", all[which].name, cleaned);
		cleaned = 0;
	}
	kill(child, SIGKILL);
	MUST(waitpid(child, NULL, 0) == child);
	msgctl(q, IPC_RMID, NULL);
	semctl(semid, 0, IPC_RMID);
	sem_post(&release);
	MUST(thrd_join(sleeper, NULL) == thrd_success);
	_exit(0);
}
