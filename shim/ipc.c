/* SPDX-License-Identifier: MIT
 *
 * ipc.c: locks on files, System V and POSIX message queues, System V semaphores: waits in the
 * kernel for which it has no descriptor to poll, and which may last.
 *
 * Each is tried first in the form that does not wait: mostly that is all, and costs no handoff.
 * Then the P is handed over, and the call made as the program wants it: the M waits in the kernel,
 * in its order among the waiters of all processes. If GMP_MAXM leaves no M for that, the first form
 * is repeated, in the order of chance.
 *
 * POSIX queues can be polled, but a G that waits in the netpoller is no receiver to the kernel,
 * which would then send mq_notify()'s signal: rejected.
 */
#include "io.h"
#include <fcntl.h>
#include <stdarg.h>

enum { NAP = 50000, LONGEST = 100 * NAP };

bool nap(struct nap *n, uint64_t deadline, unsigned kind)
{
	_Atomic uint32_t never = 0;
	bool any = kind & IS_SYSV;

	if (n->ns == 0)
		n->handled = gohandled(any);
	n->ns = n->ns == 0 ? NAP : n->ns >= LONGEST / 2 ? LONGEST : 2 * n->ns;
	uint64_t until = reldeadline(n->ns);
	if (deadline != 0 && deadline < until)
		until = deadline;
	unsigned flags = (any ? FUTEX_INTRANY : FUTEX_INTR) | (kind & IS_POINT ? 0 : FUTEX_NOCANCEL);
	bool ended = gohandled(any) != n->handled ||
		     futexwait(&never, 0, until, flags | FUTEX_WHY(WaitSleep, 0)) == -EINTR ||
		     gohandled(any) != n->handled;
	if (!ended)
		return true;
	if (gocancelled() && ((kind & IS_POINT) || goasync()))
		pthread_testcancel();
	errno = EINTR;
	return false;
}

/*
 * attempt: the form that does not wait, which then fails with one of two errors. call: the one that
 * does. The deadline is looked at only if there is no M to wait with; 0: there is none.
 */
#define TRYFIRST(attempt, e1, e2, call, deadline, kind)                                            \
	({                                                                                         \
		__typeof__(call) t_ = MARKED(attempt);                                             \
		struct nap nap_ = {0, 0};                                                          \
		uint64_t until_ = 0;                                                               \
		while (t_ == -1 && (errno == (e1) || errno == (e2))) {                             \
			if (likely(gomayblock())) {                                                \
				t_ = MARKEDBLOCK(call);                                            \
				break;                                                             \
			}                                                                          \
			int e_ = errno;                                                            \
			if (nap_.ns == 0)                                                          \
				until_ = (deadline);                                               \
			else if (until_ != 0 && nanotime() >= until_)                              \
				break;                                                             \
			if (!nap(&nap_, until_, (kind)))                                           \
				break;                                                             \
			errno = e_;                                                                \
			t_ = MARKED(attempt);                                                      \
		}                                                                                  \
		if (unlikely(nap_.ns != 0 && ((kind)&IS_SYSV) && t_ == -1 && errno == EINVAL))     \
			errno = EIDRM;                                                             \
		t_;                                                                                \
	})

/* ---- file locks ------------------------------------------------------------------------------ */

EXPORT int flock(int fd, int op)
{
	if (getg() == NULL || (op & LOCK_NB) || (op & LOCK_UN))
		return MARKED(REAL(flock)(fd, op));
	return TRYFIRST(REAL(flock)(fd, op | LOCK_NB), EWOULDBLOCK, EWOULDBLOCK,
			REAL(flock)(fd, op), 0, 0);
}

EXPORT int lockf(int fd, int cmd, off_t n)
{
	if (getg() == NULL || cmd != F_LOCK)
		return MARKED(REAL(lockf)(fd, cmd, n));
	testcancel(); /* as fcntl(F_SETLKW), which it is in libc */
	return TRYFIRST(REAL(lockf)(fd, F_TLOCK, n), EAGAIN, EACCES, REAL(lockf)(fd, cmd, n), 0,
			IS_POINT);
}

EXPORT int lockf64(int fd, int cmd, off_t n)
{
	return lockf(fd, cmd, n);
}

/* For fcntl(): cmd is F_SETLKW or F_OFD_SETLKW. */
int waitsetlk(int (*real)(int, int, ...), int fd, int cmd, void *arg)
{
	if (getg() == NULL)
		return real(fd, cmd, arg);
	testcancel();
	return TRYFIRST(real(fd, cmd == F_SETLKW ? F_SETLK : F_OFD_SETLK, arg), EAGAIN, EACCES,
			real(fd, cmd, arg), 0, IS_POINT);
}

/* ---- System V -------------------------------------------------------------------------------- */

EXPORT ssize_t msgrcv(int id, void *msg, size_t n, long type, int flags)
{
	if (getg() == NULL || (flags & (IPC_NOWAIT | MSG_COPY)))
		return MARKED(REAL(msgrcv)(id, msg, n, type, flags));
	return TRYFIRST(REAL(msgrcv)(id, msg, n, type, flags | IPC_NOWAIT), ENOMSG, ENOMSG,
			REAL(msgrcv)(id, msg, n, type, flags), 0, IS_POINT | IS_SYSV);
}

EXPORT int msgsnd(int id, const void *msg, size_t n, int flags)
{
	if (getg() == NULL || (flags & IPC_NOWAIT))
		return MARKED(REAL(msgsnd)(id, msg, n, flags));
	return TRYFIRST(REAL(msgsnd)(id, msg, n, flags | IPC_NOWAIT), EAGAIN, EAGAIN,
			REAL(msgsnd)(id, msg, n, flags), 0, IS_POINT | IS_SYSV);
}

static const struct timespec notime = {0, 0};

static bool nowaiting(const struct sembuf *ops, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ops[i].sem_flg & IPC_NOWAIT)
			return true;
	return false;
}

/* Tried with no time to wait: which of the operations have IPC_NOWAIT is not looked at. */
EXPORT int semtimedop(int id, struct sembuf *ops, size_t n, const struct timespec *ts)
{
	if (getg() == NULL || badtime(ts) || n > 500 || !goodread(ops, n * sizeof(*ops)) || (ts != NULL && (ts->tv_sec | ts->tv_nsec) == 0))
		return MARKED(REAL(semtimedop)(id, ops, n, ts));
	return TRYFIRST(REAL(semtimedop)(id, ops, n, &notime), EAGAIN, EAGAIN,
			REAL(semtimedop)(id, ops, n, ts),
			nowaiting(ops, n) ? 1 : todeadline(ts), IS_SYSV);
}

EXPORT int semop(int id, struct sembuf *ops, size_t n)
{
	return getg() == NULL ? REAL(semop)(id, ops, n) : semtimedop(id, ops, n, NULL);
}

/* ---- POSIX message queues -------------------------------------------------------------------- */

/* ts nil: for ever. (The exported names are declared to get one.) */
static int queuesend(mqd_t q, const char *msg, size_t n, unsigned prio, const struct timespec *ts)
{
	if (getg() == NULL || badtime(ts))
		return MARKED(REAL(mq_timedsend)(q, msg, n, prio, ts));
	return TRYFIRST(REAL(mq_timedsend)(q, msg, n, prio, &notime), ETIMEDOUT, ETIMEDOUT,
			REAL(mq_timedsend)(q, msg, n, prio, ts),
			ts ? absdeadline(CLOCK_REALTIME, ts) : 0, IS_POINT);
}

static ssize_t queuereceive(mqd_t q, char *msg, size_t n, unsigned *prio, const struct timespec *ts)
{
	if (getg() == NULL || badtime(ts))
		return MARKED(REAL(mq_timedreceive)(q, msg, n, prio, ts));
	return TRYFIRST(REAL(mq_timedreceive)(q, msg, n, prio, &notime), ETIMEDOUT, ETIMEDOUT,
			REAL(mq_timedreceive)(q, msg, n, prio, ts),
			ts ? absdeadline(CLOCK_REALTIME, ts) : 0, IS_POINT);
}

EXPORT int mq_timedsend(mqd_t q, const char *msg, size_t n, unsigned prio,
			const struct timespec *ts)
{
	return queuesend(q, msg, n, prio, ts);
}

EXPORT int mq_send(mqd_t q, const char *msg, size_t n, unsigned prio)
{
	return queuesend(q, msg, n, prio, NULL);
}

EXPORT ssize_t mq_timedreceive(mqd_t q, char *msg, size_t n, unsigned *prio,
			       const struct timespec *ts)
{
	return queuereceive(q, msg, n, prio, ts);
}

EXPORT ssize_t mq_receive(mqd_t q, char *msg, size_t n, unsigned *prio)
{
	return queuereceive(q, msg, n, prio, NULL);
}

static mqd_t opened(mqd_t q)
{
	if (q >= 0 && poolstarted())
		fdopened(q, FD_FILE, false, false);
	return q;
}

EXPORT mqd_t mq_open(const char *name, int flags, ...)
{
	mode_t mode = 0;
	struct mq_attr *attr = NULL;

	if (flags & O_CREAT) {
		va_list ap;
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		attr = va_arg(ap, struct mq_attr *);
		va_end(ap);
	}
	return opened(MARKED(REAL(mq_open)(name, flags, mode, attr)));
}

EXPORT mqd_t __mq_open_2(const char *name, int flags)
{
	return opened(MARKED(REAL(__mq_open_2)(name, flags)));
}

EXPORT int mq_close(mqd_t q)
{
	if (poolstarted())
		fdclosing(q);
	return MARKED(REAL(mq_close)(q));
}

/* ---- what libc does in threads of its own ---------------------------------------------------- */

EXPORT int lio_listio(int mode, struct aiocb *const list[], int n, struct sigevent *ev)
{
	return mode == LIO_WAIT ? MARKEDBLOCK(REAL(lio_listio)(mode, list, n, ev))
				: REAL(lio_listio)(mode, list, n, ev);
}

EXPORT int lio_listio64(int mode, struct aiocb64 *const list[], int n, struct sigevent *ev)
{
	return mode == LIO_WAIT ? MARKEDBLOCK(REAL(lio_listio64)(mode, list, n, ev))
				: REAL(lio_listio64)(mode, list, n, ev);
}

EXPORT int getaddrinfo_a(int mode, struct gaicb *list[], int n, struct sigevent *ev)
{
	return mode == GAI_WAIT ? MARKEDBLOCK(REAL(getaddrinfo_a)(mode, list, n, ev))
				: REAL(getaddrinfo_a)(mode, list, n, ev);
}
