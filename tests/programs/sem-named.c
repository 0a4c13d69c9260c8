/* SPDX-License-Identifier: MIT */
/* Named semaphores: sem_open's flags and errors, one object under two openings, unlinked while
 * open, between processes, waits that time out, are interrupted, cancelled, or woken; and unnamed
 * process-shared ones. sem_overview(7), sem_open(3), sem_unlink(3), sem_close(3) */
#include "t.h"
#include <limits.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static char name[64], name2[64];
static sem_t *s;
static volatile sig_atomic_t handled;
static int in;

static void open_says(const char *what, sem_t *got)
{
	say("%s: %s", what, got == SEM_FAILED ? errname(errno) : "open");
}

static void *waiter(void *arg)
{
	MUST(sem_wait(s) == 0);
	__atomic_add_fetch(&in, 1, __ATOMIC_SEQ_CST);
	return arg;
}

static void on_usr1(int sig)
{
	(void)sig;
	handled++;
}

static void *interrupted(void *arg)
{
	int r = sem_wait(s);
	MUST(r == -1 && errno == EINTR && handled);
	say("a handler: %s", errname(EINTR));
	return arg;
}

static void cleanup(void *arg)
{
	say("cancelled: cleaned up %s", (char *)arg);
}

static void *cancelled(void *arg)
{
	pthread_cleanup_push(cleanup, arg);
	sem_wait(s);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *ponger(void *arg)
{
	sem_t *a = arg, *b = a + 1;

	for (int i = 0; i < scaled(500); i++) {
		MUST(sem_wait(a) == 0);
		MUST(sem_post(b) == 0);
	}
	return NULL;
}

/* Waits, errors and time-outs of a semaphore that others may share. Its value is 0. */
static void exercise(void)
{
	struct sigaction sa = {.sa_handler = on_usr1};
	struct timespec ts;
	pthread_t t[20];
	int v;

	SYS(sem_trywait(s));
	ts = in_ms(CLOCK_REALTIME, 20);
	SYS(sem_timedwait(s, &ts));
	ts = in_ms(CLOCK_REALTIME, -20);
	SYS(sem_timedwait(s, &ts));
	ts = in_ms(CLOCK_MONOTONIC, 20);
	SYS(sem_clockwait(s, CLOCK_MONOTONIC, &ts));
	SYS(sem_clockwait(s, CLOCK_THREAD_CPUTIME_ID, &ts));
	ts.tv_nsec = 1000000000;
	SYS(sem_timedwait(s, &ts));
	ts.tv_nsec = -1;
	SYS(sem_clockwait(s, CLOCK_MONOTONIC, &ts));
	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(waiter, NULL);
	in = 0;
	for (int i = 0; i < NELEM(t); i++) {
		if (i % 5 == 0)
			settle();
		MUST(sem_post(s) == 0);
	}
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	SYS(sem_getvalue(s, &v));
	say("%d came through, value %d", in, v);

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	handled = 0;
	t[0] = start(interrupted, NULL);
	while (pthread_tryjoin_np(t[0], NULL) == EBUSY) {
		pthread_kill(t[0], SIGUSR1);
		settle();
	}
	t[0] = start(cancelled, "once");
	settle();
	OK(pthread_cancel(t[0]));
	MUST(finish(t[0]) == PTHREAD_CANCELED);
	SYS(sem_post(s));
	SYS(sem_wait(s));
}

int main(void)
{
	struct timespec ts = {0, 0};
	sem_t *again, *pair;
	pthread_t t;
	int v, status;
	pid_t pid;
	char longer[300];

	snprintf(name, sizeof name, "/sem-named.%d", (int)getpid());
	snprintf(name2, sizeof name2, "/sem-named-b.%d", (int)getpid());
	memset(longer, 'x', sizeof longer);
	longer[0] = '/';
	longer[sizeof longer - 1] = 0;
	open_says("not there", sem_open(name, 0));
	open_says("empty name", sem_open("", O_CREAT, 0600, 1));
	open_says("only a slash", sem_open("/", O_CREAT, 0600, 1));
	open_says("two slashes", sem_open("/a/b", O_CREAT, 0600, 1));
	open_says("too long", sem_open(longer, O_CREAT, 0600, 1));
	open_says("too big", sem_open(name, O_CREAT, 0600, (unsigned)SEM_VALUE_MAX + 1));
	open_says("new", s = sem_open(name, O_CREAT | O_EXCL, 0600, 0));
	open_says("new again", sem_open(name, O_CREAT | O_EXCL, 0600, 0));
	again = sem_open(name, O_CREAT, 0600, 77);
	say("the same: %d", again == s);
	SYS(sem_close(again));
	exercise();

	/* Another process posts, then waits. */
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		sem_t *mine = sem_open(name, 0);
		MUST(mine != SEM_FAILED);
		pair = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		MUST(pair != MAP_FAILED && sem_init(&pair[0], 1, 0) == 0 &&
		     sem_init(&pair[1], 1, 0) == 0);
		t = start(ponger, pair);
		for (int i = 0; i < scaled(500); i++) {
			MUST(sem_post(&pair[0]) == 0);
			MUST(sem_wait(&pair[1]) == 0);
		}
		finish(t);
		for (int i = 0; i < 3; i++)
			MUST(sem_post(mine) == 0);
		_exit(0);
	}
	for (int i = 0; i < 3; i++)
		MUST(sem_wait(s) == 0);
	MUST(waitpid(pid, &status, 0) == pid && status == 0);
	SYS(sem_getvalue(s, &v));
	say("value %d", v);

	SYS(sem_unlink(name));
	SYS(sem_unlink(name));
	open_says("gone", sem_open(name, 0));
	SYS(sem_post(s)); /* while it is open it lives */
	SYS(sem_wait(s));
	SYS(sem_close(s));
	SYS(sem_close(s));
	open_says("with a value", s = sem_open(name2, O_CREAT, 0600, SEM_VALUE_MAX));
	SYS(sem_post(s));
	ts.tv_nsec = 2000000000;
	SYS(sem_timedwait(s, &ts));
	SYS(sem_unlink(name2));
	SYS(sem_close(s));

	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(s != MAP_FAILED);
	SYS(sem_init(s, 1, 0));
	exercise();
	SYS(sem_destroy(s));
	return 0;
}
