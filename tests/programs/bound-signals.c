/* SPDX-License-Identifier: MIT */
/* Handlers, cancellation and time-outs end waits in the kernel (locks, queues, semaphores, a child)
 * as they must where no kernel thread may be spent on waiting, and the call is made again and again
 * instead. */
#include "t.h"
#include <mqueue.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/wait.h>

enum { FLOCK, SETLKW, MSGRCV, MSGSND, SEMOP, MQ, WAITPID, WAITID, KINDS };
static const char *const names[KINDS] = {"flock", "F_OFD_SETLKW", "msgrcv",  "msgsnd",
					 "semop", "mq_receive",	  "waitpid", "waitid"};

static int queue, full, sem;
static mqd_t mq;
static pid_t child;
static _Atomic int handled;

static void handler(int s)
{
	(void)s;
	handled++;
}

static void *waits(void *arg)
{
	struct flock l = {.l_type = F_WRLCK};
	struct sembuf take = {0, -1, 0};
	struct {
		long type;
		char text[16];
	} m = {1, ""};
	siginfo_t info;
	int fd = open("lock", O_RDWR), st, r = -2;

	MUST(fd >= 0);
	switch ((long)arg) {
	case FLOCK:
		r = flock(fd, LOCK_EX);
		break;
	case SETLKW:
		r = fcntl(fd, F_OFD_SETLKW, &l);
		break;
	case MSGRCV:
		r = (int)msgrcv(queue, &m, 16, 0, 0);
		break;
	case MSGSND:
		r = msgsnd(full, &m, 16, 0);
		break;
	case SEMOP:
		r = semop(sem, &take, 1);
		break;
	case MQ:
		r = (int)mq_receive(mq, m.text, 16, NULL);
		break;
	case WAITPID:
		r = waitpid(child, &st, 0) == child ? 0 : -1;
		break;
	case WAITID:
		r = waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
		break;
	}
	int e = r == -1 ? errno : 0;
	MUST(close(fd) == 0);
	return (void *)(intptr_t)e;
}

/* What ends the wait: a handler without and with SA_RESTART, a cancellation. */
static void interrupted(long kind)
{
	struct sigaction sa = {.sa_handler = handler};
	void *r;

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	sa.sa_flags = SA_RESTART;
	MUST(sigaction(SIGUSR2, &sa, NULL) == 0);
	for (int how = 0; how < 3; how++) {
		pthread_t t = start(waits, (void *)kind);
		int before = handled;
		settle();
		/* No cancellation points: who is cancelled there waits on. */
		bool cancels = how == 2 && kind != FLOCK && kind != SEMOP;
		int sig = how == 1 ? SIGUSR2 : SIGUSR1;
		if (cancels)
			OK(pthread_cancel(t));
		else
			OK(pthread_kill(t, sig));
		while (how < 2 && handled == before)
			settle();
		/* Restarted: it goes on to wait. */
		bool waitson = how == 1 && (kind == FLOCK || kind == SETLKW || kind == MQ ||
					    kind == WAITPID || kind == WAITID);
		if (waitson) {
			settle();
			MUST(pthread_tryjoin_np(t, &r) == EBUSY);
			sig = SIGUSR1;
		}
		/* Again and again: under load it may not have come to its call when the first one came. */
		while (pthread_tryjoin_np(t, &r) == EBUSY) {
			if (!cancels)
				OK(pthread_kill(t, sig));
			settle();
		}
		say("%s, %s: %s", names[kind],
		    how == 0   ? "handler"
		    : how == 1 ? "SA_RESTART"
			       : "cancelled",
		    r == PTHREAD_CANCELED ? "ended" : errname((int)(intptr_t)r));
	}
}

int main(void)
{
	struct flock l = {.l_type = F_WRLCK};
	struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 16};
	struct {
		long type;
		char text[16];
	} m = {1, ""};
	struct msqid_ds ds;
	struct timespec ts = {0, 3000000}, now;
	struct sembuf take = {0, -1, 0};
	char name[40];
	int held, st;

	MUST((held = open("lock", O_RDWR | O_CREAT, 0600)) >= 0 && flock(held, LOCK_EX) == 0);
	MUST(fcntl(held, F_OFD_SETLK, &l) == 0);
	MUST((queue = msgget(IPC_PRIVATE, 0600)) >= 0 && (full = msgget(IPC_PRIVATE, 0600)) >= 0 &&
	     (sem = semget(IPC_PRIVATE, 1, 0600)) >= 0 && msgctl(full, IPC_STAT, &ds) == 0);
	ds.msg_qbytes = 16;
	MUST(msgctl(full, IPC_SET, &ds) == 0 && msgsnd(full, &m, 16, 0) == 0);
	snprintf(name, sizeof name, "/gmp-bound-%d", (int)getpid());
	MUST((mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr)) >= 0 &&
	     mq_unlink(name) == 0);
	if ((child = fork()) == 0) {
		for (;;)
			pause();
	}
	finish(start(waits, (void *)(long)KINDS)); /* there are threads */
	for (long kind = 0; kind < KINDS; kind++)
		interrupted(kind);

	SYS(semtimedop(sem, &take, 1, &ts));
	MUST(clock_gettime(CLOCK_REALTIME, &now) == 0);
	SYS(mq_timedreceive(mq, m.text, 16, NULL, &now));
	now.tv_sec++;
	SYS(mq_timedreceive(mq, m.text, 16, NULL, &now));
	MUST(kill(child, SIGKILL) == 0 && waitpid(child, &st, 0) == child &&
	     WTERMSIG(st) == SIGKILL);
	SYS(waitpid(child, &st, 0));
	MUST(msgctl(queue, IPC_RMID, NULL) == 0 && msgctl(full, IPC_RMID, NULL) == 0 &&
	     semctl(sem, 0, IPC_RMID) == 0);
	return 0;
}
