/* SPDX-License-Identifier: MIT */
/* Threads which libc makes for itself wait for something before the program has threads, and a
 * thread of the program lets them go on, at every object and descriptor. */
#include "foreign.h"
#include "futex.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/wait.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t b;
static sem_t sem;
static uint32_t word;
static int p[2], ready;

static void w_mutex(void)
{
	OK(pthread_mutex_lock(&m));
	OK(pthread_mutex_unlock(&m));
}

static void w_cond(void)
{
	OK(pthread_mutex_lock(&m));
	while (!ready)
		OK(pthread_cond_wait(&c, &m));
	OK(pthread_mutex_unlock(&m));
}

static void w_rdlock(void)
{
	OK(pthread_rwlock_rdlock(&rw));
	OK(pthread_rwlock_unlock(&rw));
}

static void w_wrlock(void)
{
	OK(pthread_rwlock_wrlock(&rw));
	OK(pthread_rwlock_unlock(&rw));
}

static void w_barrier(void)
{
	pthread_barrier_wait(&b);
}

static void w_sem(void)
{
	MUST(sem_wait(&sem) == 0);
}

static void w_futex(void)
{
	while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) == 0)
		wait_on(&word, 0, NULL);
}

static void w_read(void)
{
	char x;
	MUST(read(p[0], &x, 1) == 1);
}

static void w_poll(void)
{
	struct pollfd pf = {p[0], POLLIN, 0};
	MUST(poll(&pf, 1, -1) == 1);
	w_read();
}

static void w_epoll(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(0);
	MUST(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev) == 0);
	MUST(epoll_wait(ep, &ev, 1, -1) == 1);
	w_read();
}

static void r_mutex(void)
{
	OK(pthread_mutex_unlock(&m));
}

static void r_cond(void)
{
	OK(pthread_mutex_lock(&m));
	ready = 1;
	OK(pthread_cond_signal(&c));
	OK(pthread_mutex_unlock(&m));
}

static void r_rw(void)
{
	OK(pthread_rwlock_unlock(&rw));
}

static void r_sem(void)
{
	MUST(sem_post(&sem) == 0);
}

static void r_futex(void)
{
	until_waiting(&word, 1);
	__atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
	say("  woken: %ld", wake(&word, 1));
}

static void r_write(void)
{
	MUST(write(p[1], "x", 1) == 1);
}

static void b_mutex(void)
{
	OK(pthread_mutex_lock(&m));
}

static void b_rw(void)
{
	OK(pthread_rwlock_wrlock(&rw));
}

static void b_none(void)
{
}

/* before, in main; then what waits; then, in main, what a thread may not do for it; the thread's
 * part. */
static const struct {
	const char *name;
	void (*before)(void), (*waits)(void), (*main)(void), (*thread)(void);
} tests[] = {
    {"mutex", b_mutex, w_mutex, r_mutex, b_none},      {"cond", b_none, w_cond, b_none, r_cond},
    {"rdlock", b_rw, w_rdlock, r_rw, b_none},	       {"wrlock", b_rw, w_wrlock, r_rw, b_none},
    {"barrier", b_none, w_barrier, b_none, w_barrier}, {"sem", b_none, w_sem, b_none, r_sem},
    {"futex", b_none, w_futex, b_none, r_futex},       {"read", b_none, w_read, b_none, r_write},
    {"poll", b_none, w_poll, b_none, r_write},	       {"epoll", b_none, w_epoll, b_none, r_write},
};

static void here(void *arg)
{
	((void (*)(void))arg)();
}

static void *in_thread(void *arg)
{
	((void (*)(void))arg)();
	return NULL;
}

int main(void)
{
	OK(pthread_barrier_init(&b, NULL, 2));
	MUST(sem_init(&sem, 0, 0) == 0 && pipe(p) == 0);
	for (int i = 0; i < NELEM(tests); i++)
		for (enum kind k = 0; k < KINDS; k++) {
			pid_t pid = fork();
			int st;
			if (pid == 0) {
				struct foreign f;
				tests[i].before();
				foreign(&f, k, here, (void *)(uintptr_t)tests[i].waits);
				settle();
				pthread_t t = start(in_thread, (void *)(uintptr_t)tests[i].thread);
				tests[i].main();
				finish(t);
				foreign_ends(&f, k);
				_exit(0);
			}
			MUST(waitpid(pid, &st, 0) == pid);
			say("%s, %s: %d", tests[i].name, kindname[k], st);
		}
	return 0;
}
