/* SPDX-License-Identifier: MIT */
/* clone(2) past libc's fork and pthread_create, by clone() and by syscall(): a fork, a vfork, a
 * process that shares memory, a thread that shares its parent's thread pointer. All block, lock and
 * wake beside the program's threads. clone(2) */
#include "futex.h"
#include <linux/sched.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum {
	STACK = 64 << 10,
	THREAD = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM
};

static char *stack(void)
{
	char *p = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(p != MAP_FAILED);
	return p + STACK;
}

static int to[2], from[2];
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static sem_t sem;
static long sum;
static uint32_t word, ctid;

/* What a thread of libc's does too. No output, no malloc: bare, errno and the cache are its
 * parent's. */
static int works(void *arg)
{
	char c;
	struct timespec ts = {0, 1000000};

	for (int i = 0; i < 50; i++) {
		if (read(to[0], &c, 1) != 1)
			return 1;
		pthread_mutex_lock(&m);
		sum++;
		pthread_mutex_unlock(&m);
		if (i % 10 == 0)
			nanosleep(&ts, NULL);
		c++;
		if (write(from[1], &c, 1) != 1)
			return 2;
		sem_post(&sem);
	}
	nanosleep(&ts, NULL); /* so that the other one waits by now */
	__atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
	wake(&word, 1);
	return arg == NULL ? 0 : 3;
}

static int counts;

static void *adds(void *arg)
{
	while (!__atomic_load_n(&counts, __ATOMIC_SEQ_CST)) {
		pthread_mutex_lock(&m);
		sum++;
		sum--;
		pthread_mutex_unlock(&m);
		sched_yield();
	}
	return arg;
}

static void talk(void)
{
	for (int i = 0; i < 50; i++) {
		char c = i;
		MUST(write(to[1], &c, 1) == 1);
		MUST(read(from[0], &c, 1) == 1 && c == i + 1);
		MUST(sem_wait(&sem) == 0);
	}
	while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) == 0)
		wait_on(&word, 0, NULL);
	pthread_mutex_lock(&m);
	say("  sum: %ld", sum);
	sum = 0;
	pthread_mutex_unlock(&m);
	word = 0;
}

static void status(pid_t pid, int flags)
{
	int st;

	MUST(waitpid(pid, &st, flags) == pid);
	say("  status: %d", WIFEXITED(st) ? WEXITSTATUS(st) : -WTERMSIG(st));
}

static void thread_like(void)
{
	for (int i = 0; i < 3; i++) {
		ctid = 1;
		int t =
		    clone(works, stack(), THREAD | CLONE_CHILD_CLEARTID, NULL, NULL, NULL, &ctid);
		MUST(t > 0);
		talk();
		while (__atomic_load_n(&ctid, __ATOMIC_SEQ_CST) !=
		       0) /* the kernel wakes, without "private" */
			futex(&ctid, FUTEX_WAIT, 1, NULL, NULL, 0);
	}
	pid_t pid = clone(works, stack(), CLONE_VM | CLONE_FILES | SIGCHLD, &word);
	MUST(pid > 0);
	talk();
	status(pid, 0);
}

static int own_files(void *arg)
{
	(void)arg;
	close(to[0]);
	close(to[1]);
	close(from[0]);
	close(from[1]);
	return dup(0) >= 0 ? 5 : 6;
}

static int execs(void *arg)
{
	close(to[0]);
	execl("/bin/sh", "sh", "-c", arg, (char *)NULL);
	return 9;
}

static int forked(void *arg)
{
	char c = 'x';
	int p[2];
	pthread_t t;

	if (pipe(p) != 0 || write(p[1], &c, 1) != 1 || read(p[0], &c, 1) != 1)
		return 1;
	if (arg != NULL) { /* and threads of its own */
		counts = 1;
		if (pthread_create(&t, NULL, adds, NULL) != 0 || pthread_join(t, NULL) != 0)
			return 2;
	}
	return 21;
}

static void process_like(void)
{
	say(" memory, own descriptors");
	status(clone(own_files, stack(), CLONE_VM | SIGCHLD, NULL), 0);
	say(" vfork with a stack");
	status(clone(execs, stack(), CLONE_VM | CLONE_VFORK | SIGCHLD, "exit 7"), 0);
	say(" fork with a stack");
	status(clone(forked, stack(), SIGCHLD, NULL), 0);
	status(clone(forked, stack(), 0, &sum), __WCLONE);
	say(" errors: %s", outcome(clone(NULL, stack(), SIGCHLD, NULL)));
	say(" errors: %s", outcome(clone(forked, NULL, SIGCHLD, NULL)));
	say(" errors: %s", outcome(clone(forked, stack(), CLONE_THREAD, NULL)));
	say(" errors: %s", outcome(clone(forked, stack(), CLONE_VM | CLONE_THREAD, NULL)));
}

static void by_number(void)
{
	struct clone_args ca = {.exit_signal = SIGCHLD};
	pid_t pid;

	say(" SYS_clone");
	if ((pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) == 0)
		_exit(forked(NULL));
	status(pid, 0);
	say(" SYS_fork");
	if ((pid = syscall(SYS_fork)) == 0)
		_exit(forked(&pid));
	status(pid, 0);
	say(" SYS_clone3");
	if ((pid = syscall(SYS_clone3, &ca, sizeof ca)) == 0)
		_exit(forked(NULL));
	status(pid, 0);
	say(" errors: %s", outcome(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0)));
	say(" errors: %s", outcome(syscall(SYS_clone3, &ca, 1)));
	MUST(write(to[1], "y", 1) == 1);
	char c;
	MUST(read(to[0], &c, 1) == 1 && c == 'y');
}

static void *all(void *arg)
{
	thread_like();
	process_like();
	by_number();
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t[2];

	(void)argv;
	MUST(pipe(to) == 0 && pipe(from) == 0 && sem_init(&sem, 0, 0) == 0);
	if (argc == 1) {
		say("before there are threads");
		process_like();
		by_number();
	}
	for (int i = 0; i < 2; i++)
		t[i] = start(adds, NULL);
	say("main");
	all(NULL);
	say("a thread");
	finish(start(all, NULL));
	counts = 1;
	for (int i = 0; i < 2; i++)
		finish(t[i]);
	return 0;
}
