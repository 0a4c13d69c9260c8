/* SPDX-License-Identifier: MIT */
/* Which functions are cancellation points even if they would not wait: each is called by a thread that has been asked
 * to end, with arguments that make it return at once. The bare run says which; pthreads(7) has the two lists. */
#include "t.h"
#include <aio.h>
#include <dirent.h>
#include <mqueue.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/sem.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <threads.h>

static char b[64];
static struct iovec v = {b, 1};
static struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
static struct mmsghdr mh = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
static struct timespec none, ms = {0, 1000000};
static struct pollfd pf = {-1, POLLIN, 0};
static int nul, zero, s[2], ep, p[2], file;
static sigset_t empty, usr1;
static siginfo_t si;
static sem_t sem;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static mtx_t mx;
static cnd_t cn;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct flock fl = {.l_type = F_RDLCK};
static FILE *rf, *wf;
static struct aiocb acb;

static void nothing(void)
{
}

/* Evaluated by the thread. */
#define POINTS(X)                                                                                                      \
	X(read, read(zero, b, 1))                                                                                      \
	X(read of 0, read(zero, b, 0))                                                                                 \
	X(read badfd, read(-1, b, 1))                                                                                  \
	X(readv, readv(zero, &v, 1))                                                                                   \
	X(pread, pread(zero, b, 1, 0))                                                                                 \
	X(preadv, preadv(zero, &v, 1, 0))                                                                              \
	X(preadv2, preadv2(zero, &v, 1, 0, 0))                                                                         \
	X(write, write(nul, b, 1))                                                                                     \
	X(writev, writev(nul, &v, 1))                                                                                  \
	X(pwrite, pwrite(nul, b, 1, 0))                                                                                \
	X(pwritev, pwritev(nul, &v, 1, 0))                                                                             \
	X(pwritev2, pwritev2(nul, &v, 1, 0, 0))                                                                        \
	X(recv, recv(s[0], b, 1, MSG_DONTWAIT))                                                                        \
	X(recvfrom, recvfrom(s[0], b, 1, MSG_DONTWAIT, NULL, NULL))                                                    \
	X(recvmsg, recvmsg(s[0], &h, MSG_DONTWAIT))                                                                    \
	X(recvmmsg, recvmmsg(s[0], &mh, 1, MSG_DONTWAIT, NULL))                                                        \
	X(send, send(s[0], b, 1, 0))                                                                                   \
	X(sendto, sendto(s[0], b, 1, 0, NULL, 0))                                                                      \
	X(sendmsg, sendmsg(s[0], &h, 0))                                                                               \
	X(sendmmsg, sendmmsg(s[0], &mh, 1, 0))                                                                         \
	X(accept, accept(-1, NULL, NULL))                                                                              \
	X(accept4, accept4(-1, NULL, NULL, 0))                                                                         \
	X(connect, connect(-1, NULL, 0))                                                                               \
	X(socket, close(socket(AF_UNIX, SOCK_STREAM, 0) * 0 - 1) * 0)                                                  \
	X(shutdown, shutdown(-1, 0))                                                                                   \
	X(open, open("/nonexistent", O_RDONLY))                                                                        \
	X(open64, open64("/nonexistent", O_RDONLY))                                                                    \
	X(openat, openat(AT_FDCWD, "/nonexistent", O_RDONLY))                                                          \
	X(openat64, openat64(AT_FDCWD, "/nonexistent", O_RDONLY))                                                      \
	X(creat, creat("/nonexistent/x", 0600))                                                                        \
	X(open_by_handle_at, open_by_handle_at(-1, NULL, 0))                                                           \
	X(close, close(-1))                                                                                            \
	X(dup, dup(-1))                                                                                                \
	X(dup2, dup2(-1, 5))                                                                                           \
	X(pipe, pipe(NULL))                                                                                            \
	X(fcntl GETFL, fcntl(nul, F_GETFL))                                                                            \
	X(fcntl SETLK, fcntl(file, F_SETLK, &fl))                                                                      \
	X(fcntl SETLKW, fcntl(file, F_SETLKW, &fl))                                                                    \
	X(fcntl OFD_SETLKW, fcntl(file, F_OFD_SETLKW, &fl))                                                            \
	X(lockf, lockf(file, F_TLOCK, 1))                                                                              \
	X(lockf wait, lockf(file, F_LOCK, 1))                                                                          \
	X(flock, flock(file, LOCK_SH | LOCK_NB))                                                                       \
	X(ioctl, ioctl(nul, TIOCGPGRP, b))                                                                             \
	X(fsync, fsync(file))                                                                                          \
	X(fdatasync, fdatasync(file))                                                                                  \
	X(sync_file_range, sync_file_range(file, 0, 0, 0))                                                             \
	X(msync, msync(NULL, 0, MS_ASYNC))                                                                             \
	X(fallocate, fallocate(-1, 0, 0, 1))                                                                           \
	X(posix_fallocate, posix_fallocate(file, 0, 1))                                                                \
	X(splice, splice(-1, NULL, -1, NULL, 1, 0))                                                                    \
	X(tee, tee(-1, -1, 1, 0))                                                                                      \
	X(vmsplice, vmsplice(-1, &v, 1, 0))                                                                            \
	X(copy_file_range, copy_file_range(-1, NULL, -1, NULL, 1, 0))                                                  \
	X(sendfile, sendfile(-1, -1, NULL, 1))                                                                         \
	X(getrandom, getrandom(b, 1, 0))                                                                               \
	X(getentropy, getentropy(b, 1))                                                                                \
	X(poll, poll(&pf, 1, 0))                                                                                       \
	X(ppoll, ppoll(&pf, 1, &none, NULL))                                                                           \
	X(select, select(0, NULL, NULL, NULL, &(struct timeval){0}))                                                   \
	X(pselect, pselect(0, NULL, NULL, NULL, &none, NULL))                                                          \
	X(epoll_wait, epoll_wait(ep, &(struct epoll_event){0}, 1, 0))                                                  \
	X(epoll_pwait, epoll_pwait(ep, &(struct epoll_event){0}, 1, 0, NULL))                                          \
	X(epoll_pwait2, epoll_pwait2(ep, &(struct epoll_event){0}, 1, &none, NULL))                                    \
	X(epoll_ctl, epoll_ctl(ep, EPOLL_CTL_DEL, -1, NULL))                                                           \
	X(msgrcv, msgrcv(-1, b, 1, 0, IPC_NOWAIT))                                                                     \
	X(msgsnd, msgsnd(-1, b, 1, IPC_NOWAIT))                                                                        \
	X(semop, semop(-1, &(struct sembuf){0}, 1))                                                                    \
	X(mq_receive, mq_receive(-1, b, 1, NULL))                                                                      \
	X(mq_send, mq_send(-1, b, 1, 0))                                                                               \
	X(mq_timedreceive, mq_timedreceive(-1, b, 1, NULL, &none))                                                     \
	X(mq_timedsend, mq_timedsend(-1, b, 1, 0, &none))                                                              \
	X(aio_suspend, aio_suspend((const struct aiocb *[]){&acb}, 1, &none))                                          \
	X(sleep, sleep(0))                                                                                             \
	X(usleep, usleep(1))                                                                                           \
	X(nanosleep, nanosleep(&none, NULL))                                                                           \
	X(nanosleep ms, nanosleep(&ms, NULL))                                                                          \
	X(nanosleep bad, nanosleep(&(struct timespec){0, -1}, NULL))                                                   \
	X(clock_nanosleep, clock_nanosleep(CLOCK_MONOTONIC, 0, &none, NULL))                                           \
	X(clock_nanosleep abs, clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &none, NULL))                            \
	X(clock_nanosleep bad time, clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){0, -1}, NULL))             \
	X(clock_nanosleep bad, clock_nanosleep(99, 0, &none, NULL))                                                    \
	X(sched_yield, sched_yield())                                                                                  \
	X(wait, wait(NULL))                                                                                            \
	X(waitpid, waitpid(-1, NULL, WNOHANG))                                                                         \
	X(wait3, wait3(NULL, WNOHANG, NULL))                                                                           \
	X(wait4, wait4(-1, NULL, WNOHANG, NULL))                                                                       \
	X(waitid, waitid(P_ALL, 0, &si, WEXITED | WNOHANG))                                                            \
	X(sigwait, sigwait(&usr1, &(int){0}))                                                                          \
	X(sigtimedwait, sigtimedwait(&empty, NULL, &none))                                                             \
	X(sigpending, sigpending(&(sigset_t){0}))                                                                      \
	X(kill, kill(0, 0))                                                                                            \
	X(raise, raise(SIGCHLD))                                                                                       \
	X(system, system(NULL))                                                                                        \
	X(sem_wait, sem_wait(&sem))                                                                                    \
	X(sem_trywait, sem_trywait(&sem))                                                                              \
	X(sem_timedwait, sem_timedwait(&sem, &none))                                                                   \
	X(sem_clockwait, sem_clockwait(&sem, CLOCK_MONOTONIC, &none))                                                  \
	X(sem_post, sem_post(&sem))                                                                                    \
	X(mutex_lock, pthread_mutex_lock(&m))                                                                          \
	X(mutex_timedlock, pthread_mutex_timedlock(&m, &none))                                                         \
	X(cond_timedwait, pthread_cond_timedwait(&c, &m, &none))                                                       \
	X(cond_clockwait, pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &none))                                      \
	X(cond_signal, pthread_cond_signal(&c))                                                                        \
	X(mutex_unlock, pthread_mutex_unlock(&m))                                                                      \
	X(mtx_lock, mtx_lock(&mx))                                                                                     \
	X(cnd_timedwait, cnd_timedwait(&cn, &mx, &none))                                                               \
	X(mtx_unlock, mtx_unlock(&mx))                                                                                 \
	X(rdlock, pthread_rwlock_rdlock(&rw))                                                                          \
	X(rwunlock, pthread_rwlock_unlock(&rw))                                                                        \
	X(thrd_sleep, thrd_sleep(&none, NULL))                                                                         \
	X(thrd_yield, (thrd_yield(), 0))                                                                               \
	X(once, pthread_once(&once, nothing))                                                                          \
	X(tryjoin, pthread_tryjoin_np(pthread_self(), NULL))                                                           \
	X(join self, pthread_join(pthread_self(), NULL))                                                               \
	X(testcancel, (pthread_testcancel(), 0))                                                                       \
	X(setcanceltype, pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL))                                     \
	X(cancel self, pthread_cancel(pthread_self()))                                                                 \
	X(fopen, fopen("/nonexistent", "r") != NULL)                                                                   \
	X(fread, fread(b, 1, 1, rf))                                                                                   \
	X(fgetc, fgetc(rf))                                                                                            \
	X(fputc, fputc('x', wf))                                                                                       \
	X(fflush, fflush(wf))                                                                                          \
	X(fprintf, fprintf(wf, "%d\n", 1))                                                                             \
	X(opendir, opendir("/nonexistent") != NULL)                                                                    \
	X(popen, popen(NULL, "z") != NULL)                                                                             \
	X(access, access("/nonexistent", R_OK))                                                                        \
	X(malloc, (free(malloc(100)), 0))                                                                              \
	X(tcdrain, tcdrain(-1))                                                                                        \
	X(dprintf, dprintf(nul, "x"))

enum { FIRST = __COUNTER__ + 1 };
static int which;
static _Thread_local int cleaned;

static void clean(void *arg)
{
	(void)arg;
	cleaned++;
}

static void *point(void *arg)
{
	int old;

	(void)arg;
	OK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old));
	OK(pthread_cancel(pthread_self()));
	pthread_cleanup_push(clean, NULL);
	OK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old));
	switch (which) {
#define X(name, call)             \
	case __COUNTER__ - FIRST: \
		(void)(call);     \
		break;
		POINTS(X)
#undef X
	default:
		break;
	}
	OK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old));
	pthread_cleanup_pop(0);
	return NULL;
}

int main(void)
{
	static const char *const names[] = {
#define X(name, call) #name,
		POINTS(X)
#undef X
	};

	nul = open("/dev/null", O_RDWR);
	zero = open("/dev/zero", O_RDWR);
	MUST(nul >= 0 && zero >= 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0 && pipe(p) == 0);
	MUST((ep = epoll_create1(0)) >= 0);
	MUST((file = open("f", O_RDWR | O_CREAT, 0600)) >= 0);
	MUST((rf = fopen("/dev/zero", "r")) && (wf = fopen("/dev/null", "w")));
	sigemptyset(&empty);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	OK(pthread_sigmask(SIG_BLOCK, &usr1, NULL));
	MUST(sem_init(&sem, 0, 5) == 0 && mtx_init(&mx, mtx_plain) == thrd_success && cnd_init(&cn) == thrd_success);
	for (which = 0; which < NELEM(names); which++) {
		if (!strcmp(names[which], "sigwait"))
			kill(getpid(), SIGUSR1);
		void *r = finish(start(point, NULL));
		say("%s: %s", names[which], r == PTHREAD_CANCELED ? "cancelled" : "came back");
	}
	_exit(0); /* streams were left in the middle of a call */
}
