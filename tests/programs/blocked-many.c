/* SPDX-License-Identifier: MIT */
/* Many threads at once in each of the waits for which the kernel has no descriptor to poll: flock,
 * locks of open descriptions, message queues of both kinds, semaphores, a child, the open of a
 * FIFO. The others go on meanwhile, some of them with files; then all come back. The one that lets
 * them go is a thread like them. */
#include "t.h"
#include <mqueue.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/wait.h>

#ifndef KINDS
#define KINDS 7
#endif
#define EACH 6

static int held, queue, sem, back[2];
static mqd_t mq;
static pid_t child[EACH];

static void *waits(void *arg)
{
	long kind = (long)arg % KINDS, i = (long)arg / KINDS;
	struct flock l = {.l_type = F_WRLCK, .l_start = 100 + i, .l_len = 1};
	struct sembuf take = {0, -1, 0};
	struct {
		long type;
		char text[8];
	} m;
	char buf[16];
	int fd, st;

	switch (kind) {
	case 0:
		MUST((fd = open("lock", O_RDWR)) >= 0 && flock(fd, LOCK_SH) == 0);
		break;
	case 1:
		MUST((fd = open("lock", O_RDWR)) >= 0 && fcntl(fd, F_OFD_SETLKW, &l) == 0);
		break;
	case 2:
		MUST(msgrcv(queue, &m, 8, i + 1, 0) == 3);
		break;
	case 3:
		MUST(semop(sem, &take, 1) == 0);
		break;
	case 4:
		MUST(mq_receive(mq, buf, sizeof buf, NULL) == 2);
		break;
	case 5:
		MUST(waitpid(child[i], &st, 0) == child[i] && WEXITSTATUS(st) == i);
		break;
	case 6:
		MUST((fd = open("fifo", O_RDONLY)) >= 0 && close(fd) == 0);
		break;
	}
	MUST(write(back[1], "b", 1) == 1);
	return arg;
}

static void *pingpong(void *arg)
{
	int *fd = arg;
	char c;

	for (int i = 0; i < scaled(300); i++)
		MUST(read(fd[0], &c, 1) == 1 && write(fd[1], &c, 1) == 1);
	return arg;
}

static void *files(void *arg)
{
	char name[20], buf[100];
	struct stat st;

	for (int i = 0; i < scaled(20); i++) {
		snprintf(name, sizeof name, "file%ld", (long)arg);
		int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
		MUST(fd >= 0 && write(fd, name, 10) == 10 && fsync(fd) == 0);
		MUST(pread(fd, buf, sizeof buf, 0) == 10 && fstat(fd, &st) == 0 &&
		     st.st_size == 10);
		MUST(close(fd) == 0 && unlink(name) == 0);
	}
	return arg;
}

/* Lets all of them go. */
static void *frees(void *arg)
{
	struct flock l = {.l_type = F_UNLCK};
	struct sembuf give = {0, EACH, 0};
	struct {
		long type;
		char text[8];
	} m = {1, "msg"};
	int fd = -1;

	MUST(flock(held, LOCK_UN) == 0 && fcntl(held, F_OFD_SETLK, &l) == 0 &&
	     semop(sem, &give, 1) == 0);
	for (; m.type <= EACH; m.type++)
		MUST(msgsnd(queue, &m, 3, 0) == 0 && mq_send(mq, "mq", 2, 0) == 0);
	for (int i = 0; i < EACH; i++)
		MUST(kill(child[i], SIGCONT) == 0);
	MUST(KINDS < 7 || (fd = open("fifo", O_WRONLY)) >= 0);
	for (int i = 0; i < KINDS * EACH; i++) {
		char c;
		MUST(read(back[0], &c, 1) == 1);
	}
	MUST(KINDS < 7 || close(fd) == 0);
	return arg;
}

int main(void)
{
	pthread_t t[KINDS * EACH], pp[2], f[4];
	struct flock l = {.l_type = F_WRLCK};
	struct mq_attr attr = {.mq_maxmsg = 10, .mq_msgsize = 16};
	char name[40];
	int a[2], b[2];

	MUST((held = open("lock", O_RDWR | O_CREAT, 0600)) >= 0 && flock(held, LOCK_EX) == 0);
	MUST(fcntl(held, F_OFD_SETLK, &l) == 0 && mkfifo("fifo", 0600) == 0 && pipe(back) == 0);
	MUST((queue = msgget(IPC_PRIVATE, 0600)) >= 0 && (sem = semget(IPC_PRIVATE, 1, 0600)) >= 0);
	snprintf(name, sizeof name, "/gmp-blocked-%d", (int)getpid());
	MUST((mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr)) >= 0 &&
	     mq_unlink(name) == 0);
	for (int i = 0; i < EACH; i++)
		if ((child[i] = fork()) == 0) {
			raise(SIGSTOP);
			_exit(i);
		}
	for (int i = 0; i < EACH; i++)
		MUST(waitpid(child[i], NULL, WUNTRACED) == child[i]);
	for (long i = 0; i < KINDS * EACH; i++)
		t[i] = start(waits, (void *)i);
	settle();
	MUST(pipe(a) == 0 && pipe(b) == 0);
	int ends[2][2] = {{a[0], b[1]}, {b[0], a[1]}};
	pp[0] = start(pingpong, ends[0]);
	pp[1] = start(pingpong, ends[1]);
	MUST(write(a[1], "x", 1) == 1);
	for (long i = 0; i < NELEM(f); i++)
		f[i] = start(files, (void *)i);
	finish(pp[0]);
	finish(pp[1]);
	for (int i = 0; i < NELEM(f); i++)
		finish(f[i]);
	say("beside %d blocked threads", KINDS * EACH);
	finish(start(frees, NULL));
	for (int i = 0; i < KINDS * EACH; i++)
		finish(t[i]);
	say("all came back");
	MUST(msgctl(queue, IPC_RMID, NULL) == 0 && semctl(sem, 0, IPC_RMID) == 0);
	return 0;
}
