/* SPDX-License-Identifier: MIT */
/* fork from wherever a thread can be: a thread of libc's own (timer), a signal handler, a
 * destructor, a cleanup handler, an atexit handler, a small stack of the caller's. Each child makes
 * threads, waits, forks again. fork(2), _Fork(3) */
#include "t.h"
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

static pthread_t parked[5];
static int quiet[2];

static void *waits(void *arg)
{
	char c;

	MUST(read(quiet[0], &c, 1) == 0);
	return arg;
}

static void *works(void *arg)
{
	int p[2];
	char c = 0;

	MUST(pipe(p) == 0);
	usleep(300);
	MUST(write(p[1], "y", 1) == 1 && read(p[0], &c, 1) == 1 && c == 'y');
	close(p[0]);
	close(p[1]);
	return arg;
}

static int status_of(pid_t pid)
{
	int st;

	MUST(pid > 0 && waitpid(pid, &st, 0) == pid);
	return WIFEXITED(st) ? WEXITSTATUS(st) : 1000 + WTERMSIG(st);
}

/* What a child does. */
static void lives(int status)
{
	pthread_t t[3];

	works(NULL);
	for (int i = 0; i < 3; i++)
		t[i] = start(works, NULL);
	for (int i = 0; i < 3; i++)
		finish(t[i]);
	pid_t pid = fork();
	if (pid == 0) {
		finish(start(works, NULL));
		_exit(3);
	}
	_exit(status_of(pid) == 3 ? status : 77);
}

/* Says how a child of this place ended. Signal handlers must not use stdio: say() does not. */
static void from(const char *place)
{
	pid_t pid = fork();

	if (pid == 0)
		lives(11);
	say("from %s: %d", place, status_of(pid));
}

static atomic_int fired;

static void on_timer(union sigval v)
{
	(void)v;
	if (fired++ == 0)
		from("a timer's thread");
	fired = 100;
}

static void timer_thread(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_timer};
	struct itimerspec its = {.it_value = {0, 1000000}};
	timer_t timer;

	MUST(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0);
	MUST(timer_settime(timer, 0, &its, NULL) == 0);
	while (fired < 100)
		usleep(1000);
	MUST(timer_delete(timer) == 0);
}

static atomic_int handled;

static void on_usr1(int sig)
{
	(void)sig;
	from("a signal handler");
	handled++;
}

static void *interrupted(void *arg)
{
	while (!handled)
		usleep(100000);
	return arg;
}

static void handlers(void)
{
	struct sigaction sa = {.sa_handler = on_usr1};

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	pthread_t t = start(interrupted, NULL);
	settle();
	OK(pthread_kill(t, SIGUSR1));
	finish(t);
	raise(SIGUSR1);
}

static void destroys(void *arg)
{
	from(arg);
}

static void *ends(void *arg)
{
	pthread_key_t k;

	OK(pthread_key_create(&k, destroys));
	OK(pthread_setspecific(k, "a destructor"));
	pthread_cleanup_push(destroys, "a cleanup handler");
	pthread_exit(arg);
	pthread_cleanup_pop(0);
}

static void *on_stack(void *arg)
{
	from(arg);
	return NULL;
}

static void small_stacks(void)
{
	pthread_attr_t a;
	pthread_t t;
	size_t size = 32 << 10;
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(mem != MAP_FAILED);
	OK(pthread_attr_init(&a));
	OK(pthread_attr_setstack(&a, mem, size));
	OK(pthread_create(&t, &a, on_stack, "a stack of the caller's"));
	finish(t);
	OK(pthread_attr_destroy(&a));
	OK(pthread_attr_init(&a));
	OK(pthread_attr_setstacksize(&a, size));
	OK(pthread_create(&t, &a, on_stack, "a small stack"));
	finish(t);
	OK(pthread_attr_destroy(&a));
	munmap(mem, size);
}

static void *raw(void *arg)
{
	pid_t pid = _Fork();

	if (pid == 0)
		_exit(write(quiet[1], "", 0) == 0 && getpid() == gettid() ? 12 : 78);
	say("_Fork: %d", status_of(pid));
	return arg;
}

static void at_exit(void)
{
	from("an atexit handler");
}

int main(void)
{
	MUST(pipe(quiet) == 0);
	for (int i = 0; i < NELEM(parked); i++)
		parked[i] = start(waits, NULL);
	timer_thread();
	handlers();
	finish(start(ends, NULL));
	small_stacks();
	raw(NULL);
	finish(start(raw, NULL));
	MUST(atexit(at_exit) == 0);
	if (fork() == 0) {
		finish(start(works, NULL));
		exit(0);
	}
	int st;
	MUST(wait(&st) > 0);
	say("child with an atexit handler: %d", st);
	return 0;
}
