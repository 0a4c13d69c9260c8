/* SPDX-License-Identifier: MIT */
/* _Fork: a child without fork's handlers, made by main, by a thread, in a signal handler; it reads,
 * writes, waits on the objects it holds, makes a thread, executes a program, while the parent goes
 * on. _Fork(3), fork(2) */
#include "t.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

static int quiet[2];
static int handlers;
static pthread_barrier_t gate;

static void handler(void)
{
	handlers++;
}

static void *blocked(void *arg)
{
	char c;

	MUST(read(quiet[0], &c, 1) == 0);
	return arg;
}

static void *twice(void *arg)
{
	return (void *)((intptr_t)arg * 2);
}

static void in_child(int out)
{
	char c;
	int p[2];
	sem_t s;

	MUST(pipe(p) == 0 && write(p[1], "y", 1) == 1 && read(p[0], &c, 1) == 1 && c == 'y');
	struct pollfd pfd = {p[0], POLLIN, 0};
	MUST(poll(&pfd, 1, 5) == 0);
	MUST(sem_init(&s, 0, 0) == 0);
	struct timespec ts = in_ms(CLOCK_REALTIME, 5);
	MUST(sem_timedwait(&s, &ts) == -1 && errno == ETIMEDOUT);
	MUST(finish(start(twice, (void *)21)) == (void *)42);
	usleep(1000);
	MUST(write(out, "done", 4) == 4);
	_exit(handlers ? 1 : 10);
}

static void one(const char *who, int exec)
{
	char buf[8] = "";
	int p[2], status;
	pid_t pid;

	MUST(pipe(p) == 0);
	pid = _Fork();
	MUST(pid >= 0);
	if (pid == 0) {
		if (exec) {
			dup2(p[1], 1);
			execl("/bin/sh", "sh", "-c", "printf done; exit 10", NULL);
			_exit(99);
		}
		in_child(p[1]);
	}
	close(p[1]);
	MUST(read_all(p[0], buf, sizeof buf) == 4 && !strcmp(buf, "done"));
	close(p[0]);
	MUST(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 10);
	if (who)
		say("%s: %s", who, exec ? "executed" : "lived");
}

/* While one forks nobody makes threads or ends: bare, _Fork() copies libc's locks as they are. */
static void *forks(void *arg)
{
	pthread_barrier_wait(&gate);
	for (int i = 0; i < scaled(10); i++)
		one(NULL, i & 1);
	pthread_barrier_wait(&gate);
	return arg;
}

static void on_usr1(int sig)
{
	int e = errno, status;
	pid_t pid = _Fork();

	(void)sig;
	if (pid == 0)
		_exit(11);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 11)
		_exit(98);
	errno = e;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
	pthread_t b[8], t[6];

	MUST(pipe(quiet) == 0);
	OK(pthread_barrier_init(&gate, NULL, 7));
	OK(pthread_atfork(handler, handler, handler));
	one("before there are threads", 0);
	for (int i = 0; i < 8; i++)
		b[i] = start(blocked, NULL);
	one("main", 0);
	one("main", 1);
	for (int i = 0; i < 6; i++)
		t[i] = start(forks, NULL);
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	for (int i = 0; i < 6; i++)
		finish(t[i]);
	say("threads, and no handler ran: %d", handlers == 0);
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	for (int i = 0; i < scaled(20); i++)
		OK(pthread_kill(i % 2 ? b[i % 8] : pthread_self(), SIGUSR1));
	say("in handlers");
	close(quiet[1]);
	for (int i = 0; i < 8; i++)
		finish(b[i]);
	return 0;
}
