/* SPDX-License-Identifier: MIT */
/* Threads blocked where the kernel offers no descriptor to wait for: file locks, System V queues
 * and semaphores, waitpid, splice, a terminal, timerfd, a FIFO's open, bare system calls. The
 * others go on meanwhile, and each comes back when its time has come. */
#include "t.h"
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

static int lock_a, lock_b, queue, semaphores, p[2], q[2], raw[2], timer, notify, tty_master, tty,
    ready[2];
static pid_t pid;

struct message {
	long type;
	char text[8];
};

static void *blocks(void *arg)
{
	struct message m;
	struct flock fl = {.l_type = F_WRLCK};
	struct sembuf take = {0, -1, 0};
	char buf[300];
	int st;
	uint64_t n;

	switch ((intptr_t)arg) {
	case 0:
		MUST(flock(lock_b, LOCK_EX) == 0);
		break;
	case 1:
		MUST(fcntl(lock_b, F_OFD_SETLKW, &fl) == 0);
		break;
	case 2:
		MUST(msgrcv(queue, &m, sizeof m.text, 0, 0) == 3);
		break;
	case 3:
		MUST(semop(semaphores, &take, 1) == 0);
		break;
	case 4:
		MUST(waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 9);
		break;
	case 5:
		MUST(splice(p[0], NULL, q[1], NULL, 100, 0) == 5);
		break;
	case 6:
		MUST(syscall(SYS_read, raw[0], buf, 10L) == 3);
		break;
	case 7:
		MUST(read(timer, &n, 8) == 8 && n >= 1);
		break;
	case 8:
		MUST(read(notify, buf, sizeof buf) > 0);
		break;
	case 9:
		MUST(read(tty, buf, sizeof buf) == 6 && !memcmp(buf, "typed\n", 6));
		break;
	case 10:
		MUST((st = open("fifo", O_RDONLY)) >= 0 && read(st, buf, 1) == 1);
		break;
	}
	MUST(write(ready[1], "r", 1) == 1);
	return NULL;
}

static void *pingpong(void *arg)
{
	int *fd = arg;
	char c;

	for (int i = 0; i < scaled(300); i++)
		MUST(read(fd[0], &c, 1) == 1 && write(fd[1], &c, 1) == 1);
	return NULL;
}

int main(void)
{
	pthread_t t[11], pp[2];
	struct flock fl = {.l_type = F_WRLCK};
	struct sembuf give = {0, 1, 0};
	int hold[2], a[2], b[2], fd;
	char c;

	lock_a = open("lock", O_RDWR | O_CREAT, 0600);
	lock_b = open("lock", O_RDWR);
	MUST(flock(lock_a, LOCK_EX) == 0 && fcntl(lock_a, F_OFD_SETLK, &fl) == 0);
	MUST((queue = msgget(IPC_PRIVATE, 0600)) >= 0 &&
	     (semaphores = semget(IPC_PRIVATE, 1, 0600)) >= 0);
	MUST(pipe(p) == 0 && pipe(q) == 0 && pipe(raw) == 0 && pipe(hold) == 0 && pipe(ready) == 0);
	MUST((timer = timerfd_create(CLOCK_MONOTONIC, 0)) >= 0 && (notify = inotify_init()) >= 0);
	MUST(inotify_add_watch(notify, ".", IN_CREATE) >= 0 && mkfifo("fifo", 0600) == 0);
	MUST((tty_master = posix_openpt(O_RDWR | O_NOCTTY)) >= 0 && grantpt(tty_master) == 0);
	MUST(unlockpt(tty_master) == 0 &&
	     (tty = open(ptsname(tty_master), O_RDWR | O_NOCTTY)) >= 0);
	if ((pid = fork()) == 0) {
		close(hold[1]);
		(void)!read(hold[0], &c, 1);
		_exit(9);
	}
	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(blocks, (void *)(intptr_t)i);
	settle();

	/* With all of them stuck, the rest of the program works. */
	MUST(pipe(a) == 0 && pipe(b) == 0);
	int ends[2][2] = {{a[0], b[1]}, {b[0], a[1]}};
	pp[0] = start(pingpong, ends[0]);
	pp[1] = start(pingpong, ends[1]);
	MUST(write(a[1], "x", 1) == 1);
	finish(pp[0]);
	finish(pp[1]);
	say("ping-pong beside %d blocked threads", NELEM(t));

	MUST(flock(lock_a, LOCK_UN) == 0);
	fl.l_type = F_UNLCK;
	MUST(fcntl(lock_a, F_OFD_SETLK, &fl) == 0);
	struct message m = {1, "msg"};
	MUST(msgsnd(queue, &m, 3, 0) == 0 && semop(semaphores, &give, 1) == 0);
	MUST(close(hold[1]) == 0 && write(p[1], "12345", 5) == 5 && write(raw[1], "abc", 3) == 3);
	struct itimerspec its = {.it_value = {0, 1000000}};
	MUST(timerfd_settime(timer, 0, &its, NULL) == 0);
	MUST(close(open("new", O_CREAT | O_WRONLY, 0600)) == 0 &&
	     write(tty_master, "typed\n", 6) == 6);
	MUST((fd = open("fifo", O_WRONLY)) >= 0 && write(fd, "f", 1) == 1);
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	say("all came back");
	MUST(msgctl(queue, IPC_RMID, NULL) == 0 && semctl(semaphores, 0, IPC_RMID) == 0);
	return 0;
}
