/* SPDX-License-Identifier: MIT */
/* Locks on files: a counter in a file that many threads raise under flock, under locks of open
 * descriptions, and processes with many threads under POSIX locks and lockf; what fails at once; a
 * handler ends the wait. flock(2), fcntl(2), lockf(3) */
#include "t.h"
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#define THREADS 16

static long rounds;

static void raise1(int fd)
{
	char buf[40] = "";

	MUST(pread(fd, buf, 19, 0) >= 0);
	snprintf(buf, sizeof buf, "%018ld\n", atol(buf) + 1);
	MUST(pwrite(fd, buf, 19, 0) == 19);
}

static long value(const char *name)
{
	char buf[20] = "";
	int fd = open(name, O_RDONLY);

	MUST(pread(fd, buf, 19, 0) > 0 && close(fd) == 0);
	return atol(buf);
}

static int newfile(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT, 0600);

	MUST(fd >= 0);
	return fd;
}

static void *byflock(void *arg)
{
	int fd = newfile("flock");

	for (long i = 0; i < rounds; i++) {
		MUST(flock(fd, LOCK_EX) == 0);
		raise1(fd);
		MUST(flock(fd, i % 3 ? LOCK_UN : LOCK_SH) == 0 &&
		     (i % 3 || flock(fd, LOCK_UN) == 0));
	}
	MUST(close(fd) == 0);
	return arg;
}

static void *byofd(void *arg)
{
	int fd = newfile("ofd");

	for (long i = 0; i < rounds; i++) {
		struct flock l = {.l_type = F_WRLCK, .l_len = 19};
		MUST(fcntl(fd, F_OFD_SETLKW, &l) == 0);
		raise1(fd);
		l.l_type = F_UNLCK;
		MUST(fcntl(fd, F_OFD_SETLK, &l) == 0);
	}
	MUST(close(fd) == 0);
	return arg;
}

/* One thread of each process: the lock is the process's. */
static void *byposix(void *arg)
{
	int fd = newfile("posix");

	for (long i = 0; i < rounds; i++) {
		struct flock l = {.l_type = F_WRLCK};
		if (i % 2)
			MUST(fcntl(fd, F_SETLKW, &l) == 0);
		else
			MUST(lseek(fd, 0, SEEK_SET) == 0 && lockf(fd, F_LOCK, 0) == 0);
		raise1(fd);
		MUST(lseek(fd, 0, SEEK_SET) == 0 && lockf(fd, F_ULOCK, 0) == 0);
	}
	return arg;
}

static void child(void)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		t[i] = start(i == 0 ? byposix : byflock, NULL);
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	_exit(0);
}

static void handler(int s)
{
	(void)s;
}

static void *interrupted(void *arg)
{
	int fd = newfile("held");
	struct flock l = {.l_type = F_WRLCK};

	if (arg == NULL)
		SYS(flock(fd, LOCK_EX));
	else
		SYS(fcntl(fd, F_OFD_SETLKW, &l));
	return NULL;
}

int main(void)
{
	pthread_t t[THREADS];
	struct sigaction sa = {.sa_handler = handler};
	int st, held = newfile("held"), other = newfile("held");

	rounds = scaled(60);
	for (int i = 0; i < THREADS; i++)
		t[i] = start(i % 2 ? byflock : byofd, NULL);
	for (int i = 0; i < 3; i++)
		if (fork() == 0)
			child();
	finish(start(byposix, NULL));
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	for (int i = 0; i < 3; i++)
		MUST(wait(&st) > 0 && st == 0);
	say("flock %d, open descriptions %d, POSIX %d",
	    value("flock") == (THREADS / 2 + 9) * rounds, value("ofd") == THREADS / 2 * rounds,
	    value("posix") == 4 * rounds);

	struct flock l = {.l_type = F_WRLCK};
	MUST(flock(held, LOCK_EX) == 0 && fcntl(held, F_OFD_SETLK, &l) == 0);
	SYS(flock(other, LOCK_EX | LOCK_NB));
	SYS(flock(other, LOCK_SH | LOCK_NB));
	SYS(fcntl(other, F_OFD_SETLK, &l));
	SYS(fcntl(other, F_OFD_GETLK, &l));
	SYS(l.l_type == F_WRLCK);
	SYS(flock(-1, LOCK_EX));
	SYS(flock(other, 77));
	SYS(lockf(-1, F_LOCK, 0));
	SYS(lockf(other, 99, 0));
	SYS(fcntl(other, F_SETLKW, (void *)8));
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	for (long i = 0; i < 2; i++) {
		pthread_t w = start(interrupted, (void *)i);
		while (pthread_tryjoin_np(w, NULL) != 0) {
			OK(pthread_kill(w, SIGUSR1));
			settle();
		}
	}
	return 0;
}
