/* SPDX-License-Identifier: MIT */
/* System V queues and semaphores among many threads: producers and consumers by type through a
 * small queue, a semaphore as a lock, waiting for zero, time-outs, removal under waiters. msgop(2),
 * semop(2) */
#include "t.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

#define PAIRS 8

struct message {
	long type;
	struct {
		int n;
		char pad[200];
	} body;
};

static int queue, sem, doomed;
static long rounds, guarded;

static void *produces(void *arg)
{
	struct message m = {.type = (long)arg + 1};

	for (m.body.n = 0; m.body.n < rounds; m.body.n++)
		MUST(msgsnd(queue, &m, sizeof m.body, 0) == 0);
	return arg;
}

static void *consumes(void *arg)
{
	struct message m;

	for (int i = 0; i < rounds; i++) {
		MUST(msgrcv(queue, &m, sizeof m.body, (long)arg + 1, 0) == sizeof m.body);
		MUST(m.type == (long)arg + 1 && m.body.n == i);
	}
	return arg;
}

static void *locks(void *arg)
{
	struct sembuf take = {0, -1, SEM_UNDO}, give = {0, 1, SEM_UNDO};
	struct timespec long_enough = {100, 0};

	for (int i = 0; i < rounds; i++) {
		MUST((i % 2 ? semop(sem, &take, 1) : semtimedop(sem, &take, 1, &long_enough)) == 0);
		guarded++;
		MUST(semop(sem, &give, 1) == 0);
	}
	give = (struct sembuf){1, -1, 0};
	MUST(semop(sem, &give, 1) == 0);
	return arg;
}

static void *zero(void *arg)
{
	struct sembuf z = {1, 0, 0};

	MUST(semop(sem, &z, 1) == 0 && semctl(sem, 1, GETVAL) == 0);
	return arg;
}

static void *dooms(void *arg)
{
	struct message m;
	struct sembuf take = {2, -1, 0};

	if (arg == NULL)
		MUST(msgrcv(doomed, &m, sizeof m.body, 0, 0) == -1 &&
		     (errno == EIDRM || errno == EINVAL));
	else
		MUST(semop(sem, &take, 1) == -1 && (errno == EIDRM || errno == EINVAL));
	return arg;
}

int main(void)
{
	pthread_t p[PAIRS], c[PAIRS], l[PAIRS], d[PAIRS], z;
	struct message m = {.type = 9};
	struct msqid_ds ds;
	struct sembuf take = {2, -1, 0}, now = {2, -1, IPC_NOWAIT};

	rounds = scaled(300);
	MUST((queue = msgget(IPC_PRIVATE, 0600)) >= 0 && (doomed = msgget(IPC_PRIVATE, 0600)) >= 0);
	MUST((sem = semget(IPC_PRIVATE, 3, 0600)) >= 0 && semctl(sem, 0, SETVAL, 1) == 0);
	MUST(semctl(sem, 1, SETVAL, PAIRS) == 0 && semctl(sem, 2, SETVAL, 0) == 0);
	MUST(msgctl(queue, IPC_STAT, &ds) == 0);
	ds.msg_qbytes = 3 * sizeof m.body; /* three messages and it is full */
	MUST(msgctl(queue, IPC_SET, &ds) == 0);
	z = start(zero, NULL);
	for (long i = 0; i < PAIRS; i++) {
		p[i] = start(produces, (void *)i);
		c[i] = start(consumes, (void *)i);
		l[i] = start(locks, (void *)i);
	}
	for (int i = 0; i < PAIRS; i++) {
		finish(p[i]);
		finish(c[i]);
		finish(l[i]);
	}
	finish(z);
	say("%d queued and taken in order, %d under the lock", (int)(PAIRS * rounds), (int)guarded);

	for (long i = 0; i < PAIRS; i++)
		d[i] = start(dooms, (void *)(i % 2));
	settle();
	SYS(msgrcv(queue, &m, sizeof m.body, 0, IPC_NOWAIT));
	SYS(msgrcv(queue, &m, sizeof m.body, 0, MSG_COPY));
	SYS(msgsnd(queue, &m, 1 << 20, 0));
	SYS(msgsnd(queue, &(struct message){.type = 0}, 1, 0));
	for (int i = 0; i < 3; i++)
		MUST(msgsnd(queue, &m, sizeof m.body, 0) == 0);
	SYS(msgsnd(queue, &m, sizeof m.body, IPC_NOWAIT));
	SYS(msgrcv(queue, &m, 10, 0, 0));
	SYS(msgrcv(queue, &m, 10, 0, MSG_NOERROR));
	SYS(semop(sem, &now, 1));
	SYS(semtimedop(sem, &take, 1, &(struct timespec){0, 5000000}));
	SYS(semtimedop(sem, &take, 1, &(struct timespec){0, 0}));
	SYS(semtimedop(sem, &take, 1, &(struct timespec){-1, 0}));
	SYS(semtimedop(sem, &take, 1, &(struct timespec){0, 1000000000}));
	SYS(semop(sem, &(struct sembuf){7, -1, 0}, 1));
	SYS(semop(-1, &take, 1));
	MUST(msgctl(doomed, IPC_RMID, NULL) == 0 && semctl(sem, 0, IPC_RMID) == 0);
	for (int i = 0; i < PAIRS; i++)
		finish(d[i]);
	MUST(msgctl(queue, IPC_RMID, NULL) == 0);
	SYS(msgsnd(queue, &m, 1, 0));
	say("removed");
	return 0;
}
