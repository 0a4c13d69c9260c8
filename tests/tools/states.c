/* SPDX-License-Identifier: MIT */
/*
 * states.c: a process whose threads stand where their names say, for tests/tools/run to look at. It
 * says "ready", and answers each line on stdin with "pong", by a thread that is woken through a
 * pipe, until stdin ends.
 *
 * With "deadlock": a main that joins two threads which wait for each other's mutex, and nothing
 * else. With "sem": main waits for a semaphore that nobody posts; with "sem-handler": that a signal
 * handler would post. With "segv", "abort", "quit", "trap" (a breakpoint), "overflow" (of the stack):
 * dies; "many": with 500 threads; "busy": beside one that computes; "broken": by closing the
 * runtime's own descriptors behind its back. "rest": reads where nothing comes.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s failed: %s\n", #x, strerror(errno));                   \
			exit(99);                                                                  \
		}                                                                                  \
	} while (0)

static pthread_mutex_t left = PTHREAD_MUTEX_INITIALIZER, right = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER, other = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t readlocked = PTHREAD_RWLOCK_INITIALIZER,
			writelocked = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier, inplace;
static sem_t sem;
static int quiet[2], stdiopipe[2], ping[2], pong[2];
static char fifo[64];
static volatile unsigned long sum;
static pthread_t holder;
static _Atomic int inplaces; /* of "many": about to read */

static void *left_right(void *arg)
{
	pthread_mutex_lock(&left);
	pthread_barrier_wait(&inplace);
	pthread_mutex_lock(&right);
	return arg;
}

static void *right_left(void *arg)
{
	pthread_mutex_lock(&right);
	pthread_barrier_wait(&inplace);
	pthread_mutex_lock(&left);
	return arg;
}

/* Holds a mutex and both rwlocks, each in its way, and sleeps. */
static void *holds(void *arg)
{
	pthread_mutex_lock(&held);
	pthread_rwlock_rdlock(&readlocked);
	pthread_rwlock_wrlock(&writelocked);
	pthread_barrier_wait(&inplace);
	sleep(1000000);
	return arg;
}

static void *wants_held(void *arg)
{
	pthread_mutex_lock(&held);
	return arg;
}

static void *wants_write(void *arg)
{
	pthread_rwlock_wrlock(&readlocked);
	return arg;
}

static void *wants_read(void *arg)
{
	pthread_rwlock_rdlock(&writelocked);
	return arg;
}

static void *waits_cond(void *arg)
{
	pthread_mutex_lock(&other);
	pthread_cond_wait(&cond, &other);
	return arg;
}

static void *waits_timed(void *arg)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 5000;
	pthread_mutex_lock(&other);
	pthread_cond_timedwait(&cond, &other, &ts);
	return arg;
}

static void *waits_sem(void *arg)
{
	sem_wait(&sem);
	return arg;
}

static void *waits_barrier(void *arg)
{
	pthread_barrier_wait(&barrier);
	return arg;
}

static void *joins(void *arg)
{
	pthread_join(holder, NULL);
	return arg;
}

static void *reads(void *arg)
{
	char c;

	(void)!read(quiet[0], &c, 1);
	return arg;
}

static void *reads_stdio(void *arg)
{
	FILE *f = fdopen(stdiopipe[0], "r");
	char line[100];

	(void)!fgets(line, sizeof(line), f);
	return arg;
}

static void *opens(void *arg)
{
	(void)!open(fifo, O_RDONLY);
	return arg;
}

static void *pauses(void *arg)
{
	pause();
	return arg;
}

static __attribute__((noinline)) unsigned long inner(unsigned long n)
{
	for (int i = 0; i < 1000; i++)
		n = n * 6364136223846793005ul + 1442695040888963407ul;
	return n;
}

static void *computes(void *arg)
{
	for (;;)
		sum = inner(sum);
	return arg;
}

static void *answers(void *arg)
{
	char c;

	while (read(ping[0], &c, 1) == 1)
		MUST(write(pong[1], "o", 1) == 1);
	return arg;
}

/* A call that leaves a frame of its own on the stack at every level. */
static __attribute__((noinline)) int deep(int n)
{
	char c = 0;
	volatile int below;

	if (n == 0) {
		inplaces++;
		return (int)read(quiet[0], &c, 1);
	}
	below = deep(n - 1);
	return below + 1;
}

static void *goes_deep(void *arg)
{
	deep(30);
	return arg;
}

static pthread_t start(const char *name, void *(*fn)(void *))
{
	pthread_t t;

	MUST(pthread_create(&t, NULL, fn, NULL) == 0);
	pthread_setname_np(t, name);
	return t;
}

static void post(int s)
{
	(void)s;
	sem_post(&sem);
}

/* Bare there is nothing to close. */
static void breaks(void)
{
	char path[64], to[64];
	ssize_t n, closed = 0;

	for (long fd = 3; fd < 70000; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%ld", fd);
		n = readlink(path, to, sizeof(to) - 1);
		to[n > 0 ? n : 0] = 0;
		long r = SYS_close;
		if (strcmp(to, "anon_inode:[eventpoll]") == 0) {
			__asm__ volatile("syscall" : "+a"(r) : "D"(fd) : "rcx", "r11", "memory");
			closed++;
		}
	}
	if (closed != 0)
		sleep(1000000);
	exit(8);
}

static __attribute__((noinline)) int overflows(int n)
{
	volatile char frame[1000];

	frame[n % 1000] = (char)n;
	if (n < 0)
		return n;
	return overflows(n + 1) + frame[n % 1000];
}

static void *dies(void *how)
{
	usleep(300000); /* the others are where they stand by then */
	if (strcmp(how, "broken") == 0)
		breaks();
	if (strcmp(how, "trap") == 0) {
		__asm__ volatile("int3");
		exit(9);
	}
	if (strcmp(how, "overflow") == 0)
		sum = (unsigned long)overflows(0);
	if (strcmp(how, "quit") == 0)
		raise(SIGQUIT);
	else if (strcmp(how, "segv") != 0)
		abort();
	*(volatile int *)0 = 1;
	return NULL;
}

/* The ways to stand still for good, or to end badly. */
static void still(const char *how)
{
	pthread_barrier_init(&inplace, NULL, 2);
	sem_init(&sem, 0, 0);
	if (strcmp(how, "deadlock") == 0) {
		pthread_t t = start("left-right", left_right);
		start("right-left", right_left);
		pthread_join(t, NULL);
	}
	start("pauses", strcmp(how, "sem") == 0 ? waits_sem : reads);
	if (strcmp(how, "rest") == 0)
		reads(NULL);
	if (strcmp(how, "sem-handler") == 0) {
		signal(SIGTERM, post);
		start("sem", waits_sem);
		sem_wait(&sem);
		exit(7);
	} else if (strcmp(how, "sem") == 0) {
		sem_wait(&sem);
	} else {
		pthread_t t;
		if (strcmp(how, "busy") == 0)
			start("computes", computes);
		int many = strcmp(how, "many") == 0 ? 500 : 0;
		for (int i = 0; i < many; i++)
			start("one of many", goes_deep);
		while (inplaces < many)
			usleep(1000);
		usleep(300000);
		MUST(pthread_create(&t, NULL, dies, (void *)how) == 0);
		pthread_setname_np(t, "dies");
		pthread_join(t, NULL);
	}
}

int main(int argc, char **argv)
{
	char line[100], c;

	MUST(pipe(quiet) == 0 && pipe(stdiopipe) == 0 && pipe(ping) == 0 && pipe(pong) == 0);
	if (argc > 1) {
		still(argv[1]);
		return 0;
	}
	snprintf(fifo, sizeof(fifo), "fifo.%d", (int)getpid());
	MUST(mkfifo(fifo, 0600) == 0);
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_barrier_init(&inplace, NULL, 4);
	sem_init(&sem, 0, 0);
	start("left-right", left_right);
	start("right-left", right_left);
	holder = start("holds", holds);
	pthread_barrier_wait(&inplace);
	start("wants-held", wants_held);
	start("wants-write", wants_write);
	start("wants-read", wants_read);
	start("cond", waits_cond);
	start("cond-timed", waits_timed);
	start("sem", waits_sem);
	start("barrier", waits_barrier);
	start("joins", joins);
	start("reads", reads);
	start("reads-stdio", reads_stdio);
	start("opens", opens);
	start("pauses", pauses);
	start("answers", answers);
	start("deep", goes_deep);
	start("computes", computes);
	usleep(100000);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		MUST(write(ping[1], "i", 1) == 1 && read(pong[0], &c, 1) == 1);
		puts("pong");
		fflush(stdout);
	}
	unlink(fifo);
	return 0;
}
