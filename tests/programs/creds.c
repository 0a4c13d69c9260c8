/* SPDX-License-Identifier: MIT */
/* Credentials are the process's: whoever changes them, every thread has them: parked, computing,
 * blocked in the kernel, born meanwhile, made inside libc (aio, timers). As root; others see the
 * errors. nptl(7), setresuid(2) */
#include "t.h"
#include <aio.h>
#include <dirent.h>
#include <grp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { PARKED = 20, READERS = 5, COMPUTING = 2, MAKERS = 2 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static atomic_int quit;
static int blocks[2];
static uid_t want_uid;
static gid_t want_gid;

static int mine_right(void)
{
	uid_t r, e, s;
	gid_t gr, ge, gs;

	MUST(getresuid(&r, &e, &s) == 0 && getresgid(&gr, &ge, &gs) == 0);
	return e == want_uid && ge == want_gid;
}

/* Does the kernel see this thread with other ids? */
static int other(const char *tid)
{
	char path[300], line[200];
	unsigned id[2];
	int wrong = 0;

	snprintf(path, sizeof path, "/proc/self/task/%s/status", tid);
	FILE *f = fopen(path, "r");
	if (f == NULL)
		return 0; /* it has ended */
	while (fgets(line, sizeof line, f)) {
		if (sscanf(line, "Uid: %u %u", &id[0], &id[1]) == 2)
			wrong |= id[1] != want_uid;
		if (sscanf(line, "Gid: %u %u", &id[0], &id[1]) == 2)
			wrong |= id[1] != want_gid;
	}
	fclose(f);
	return wrong;
}

/* How many threads of the process do? One that is about to end has been left out. */
static int others(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int wrong = 0, tries;

	MUST(d != NULL);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		for (tries = 0; other(e->d_name) && tries < 10000; tries++)
			usleep(1000);
		wrong += tries == 10000;
	}
	closedir(d);
	return wrong;
}

static void *parked(void *arg)
{
	pthread_mutex_lock(&lock);
	while (!quit)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
	MUST(mine_right());
	return arg;
}

static void *reader(void *arg)
{
	char c;

	MUST(read(blocks[0], &c, 1) == 0);
	MUST(mine_right());
	return arg;
}

static void *in_kernel(void *arg)
{
	sigset_t set;
	int s;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	MUST(sigwait(&set, &s) == 0 && s == SIGUSR2);
	MUST(mine_right());
	return arg;
}

static void *computing(void *arg)
{
	while (!quit)
		;
	MUST(mine_right());
	return arg;
}

static void *nothing(void *arg)
{
	usleep(100);
	return arg;
}

/* Threads come and go, some of which need a kernel thread. */
static void *maker(void *arg)
{
	while (!quit) {
		pthread_t t[4];
		for (int i = 0; i < 4; i++)
			t[i] = start(nothing, NULL);
		if (system("exit 3") != 3 << 8)
			t_fail(__FILE__, __LINE__, "system", errno);
		for (int i = 0; i < 4; i++)
			finish(t[i]);
	}
	return arg;
}

static atomic_int ticks;

static void tick(union sigval v)
{
	(void)v;
	ticks++;
}

static void *changes(void *arg)
{
	int n = scaled(30), wrong = 0, bad = 0;

	for (int i = 0; i < n; i++) {
		want_gid = i % 3 ? 1000 + i : 0;
		MUST(setegid(want_gid) == 0);
		want_uid = i % 2 ? 2000 + i : 0;
		MUST(seteuid(want_uid) == 0);
		bad += !mine_right();
		wrong += others();
		if (want_uid != 0) {
			errno = 0;
			MUST(setgroups(0, NULL) == -1 && errno == EPERM);
			MUST(setuid(77) == -1 && errno == EPERM);
			MUST(seteuid(0) == 0);
		}
		want_uid = 0;
		MUST(setresgid(-1, 0, -1) == 0);
		want_gid = 0;
		wrong += others();
	}
	say("threads with other ids: %d %d", wrong, bad);
	return arg;
}

static void finally(void)
{
	gid_t g[3] = {5, 6, 7}, got[10];

	SYS(setgroups(3, g));
	SYS(getgroups(10, got));
	SYS(setgroups(1000000, g));
	SYS(initgroups("nobody", 65534));
	SYS(getgroups(10, got));
	SYS(setregid(-1, 2));
	SYS(setresuid(-1, 2, 0));
	want_uid = want_gid = 2;
	say("others: %d", others());
	SYS(setgid(65534));
	SYS(seteuid(0));
	SYS(setgid(65534));
	SYS(setreuid(65534, 65534));
	SYS(setuid(65534));
	want_uid = want_gid = 65534;
	say("others: %d", others());
	SYS(setuid(0));
	SYS(seteuid(0));
	SYS(setgid(0));
	SYS(setgroups(0, NULL));
}

int main(void)
{
	pthread_t t[PARKED + READERS + COMPUTING + MAKERS], k;
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = tick};
	struct itimerspec its = {{0, 3000000}, {0, 3000000}};
	struct aiocb cb = {.aio_nbytes = 1, .aio_buf = &ticks};
	const struct aiocb *list[] = {&cb};
	sigset_t set;
	timer_t timer;
	int n = 0, p[2];

	if (geteuid() != 0) {
		want_uid = getuid();
		want_gid = getgid();
		k = start(nothing, NULL);
		SYS(setuid(0));
		SYS(setgid(0));
		SYS(setgroups(0, NULL));
		SYS(setuid(getuid()));
		SYS(setresuid(-1, -1, -1));
		finish(k);
		return 0;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	MUST(pipe(blocks) == 0 && pipe(p) == 0);
	for (int i = 0; i < PARKED; i++)
		t[n++] = start(parked, NULL);
	for (int i = 0; i < READERS; i++)
		t[n++] = start(reader, NULL);
	for (int i = 0; i < COMPUTING; i++)
		t[n++] = start(computing, NULL);
	for (int i = 0; i < MAKERS; i++)
		t[n++] = start(maker, NULL);
	k = start(in_kernel, NULL);
	MUST(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0);
	MUST(timer_settime(timer, 0, &its, NULL) == 0);
	cb.aio_fildes = p[0];
	MUST(aio_read(&cb) == 0);
	SYS(setuid(-1));
	SYS(setresuid(-1, -1, -1));
	finish(start(changes, NULL));
	changes(NULL); /* and main */
	finally();
	while (ticks == 0)
		usleep(1000);
	say("timer ran");
	MUST(write(p[1], "x", 1) == 1);
	MUST(aio_suspend(list, 1, NULL) == 0 && aio_return(&cb) == 1);
	pthread_mutex_lock(&lock);
	quit = 1;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
	MUST(timer_delete(timer) == 0);
	close(blocks[1]);
	OK(pthread_kill(k, SIGUSR2));
	for (int i = 0; i < n; i++)
		finish(t[i]);
	finish(k);
	say("others: %d", others());
	return 0;
}
