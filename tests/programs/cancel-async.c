/* SPDX-License-Identifier: MIT */
/* Asynchronous cancellation ends a thread wherever it is: computing (many more of them than
 * processors), yielding, sleeping, blocked in calls that are no cancellation points, in a signal
 * handler; just made asynchronous; with cancellation disabled meanwhile; by itself.
 * pthread_setcanceltype(3) */
#include "t.h"
#include <linux/futex.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>

static sem_t ready;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, starved = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t rec = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER, rd = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t bar;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_spinlock_t spin;
static sem_t onceheld, oncego;
static int lockfd, lockfd2, p[2], cleaned;
static volatile unsigned long counter;
static volatile int go;

static void clean(void *arg)
{
	(void)arg;
	__atomic_add_fetch(&cleaned, 1, __ATOMIC_SEQ_CST);
}

static void async(void)
{
	OK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL));
	sem_post(&ready);
}

static void computes(void)
{
	async();
	for (;;)
		counter++;
}

static void calls(void)
{
	char buf[100];

	async();
	for (;;)
		snprintf(buf, sizeof buf, "%lu", counter++);
}

static void yields(void)
{
	async();
	for (;;)
		sched_yield();
}

static void naps(void)
{
	async();
	for (;;)
		usleep(10);
}

static void reads(void)
{
	char b;

	async();
	(void)!read(p[0], &b, 1);
}

static void reads_raw(void)
{
	char b;

	async();
	syscall(SYS_read, p[0], &b, 1);
}

static void futexes(void)
{
	static uint32_t word;

	async();
	syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL);
}

static void locks(void)
{
	async();
	OK(pthread_mutex_lock(&mutex));
}

static void locks_late(void)
{
	struct timespec ts = in_ms(CLOCK_REALTIME, 60000);

	async();
	OK(pthread_mutex_timedlock(&starved, &ts));
}

static void locks_rec(void)
{
	async();
	OK(pthread_mutex_lock(&rec));
}

static void rdlocks(void)
{
	async();
	OK(pthread_rwlock_rdlock(&rw));
}

static void wrlocks(void)
{
	async();
	OK(pthread_rwlock_wrlock(&rw));
}

static void wrlocks_rd(void)
{
	async();
	OK(pthread_rwlock_wrlock(&rd));
}

static void waits(void)
{
	async();
	pthread_barrier_wait(&bar);
}

static void spins(void)
{
	async();
	pthread_spin_lock(&spin);
}

static void slow(void)
{
	sem_post(&onceheld);
	while (sem_wait(&oncego) != 0)
		;
}

static void onces(void)
{
	async();
	pthread_once(&once, slow);
}

static void flocks(void)
{
	async();
	flock(lockfd2, LOCK_EX);
}

static void disabled(void)
{
	OK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL));
	async();
	while (!go)
		counter++;
	OK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL));
}

static void deferred(void)
{
	sem_post(&ready);
	while (!go)
		counter++;
	OK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL));
}

static void itself(void)
{
	async();
	go = 1;
	pthread_cancel(pthread_self());
}

static void handler(int sig)
{
	(void)sig;
	OK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL));
	sem_post(&ready);
	for (;;)
		counter++;
}

static void handles(void)
{
	OK(pthread_kill(pthread_self(), SIGUSR1));
}

static const struct {
	const char *name;
	void (*fn)(void);
	int many;
} all[] = {
    {"computes", computes, 12},
    {"computes and calls", calls, 1},
    {"yields", yields, 12},
    {"naps", naps, 12},
    {"reads", reads, 6},
    {"reads by syscall", reads_raw, 6},
    {"futex", futexes, 6},
    {"mutex", locks, 6},
    {"timed mutex", locks_late, 6},
    {"recursive mutex", locks_rec, 6},
    {"rdlock", rdlocks, 6},
    {"wrlock", wrlocks, 6},
    {"wrlock behind a reader", wrlocks_rd, 6},
    {"barrier", waits, 6},
    {"spin lock", spins, 3},
    {"once", onces, 6},
    {"flock", flocks, 6},
    {"disabled", disabled, 3},
    {"deferred", deferred, 3},
    {"itself", itself, 1},
    {"handler", handles, 3},
};

static void *runs(void *arg)
{
	pthread_cleanup_push(clean, NULL);
	all[(intptr_t)arg].fn();
	MUST(!"it has come back");
	pthread_cleanup_pop(0);
	return NULL;
}

static void *holds_once(void *arg)
{
	pthread_once(&once, slow);
	return arg;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = handler};

	MUST(pipe(p) == 0 && sem_init(&ready, 0, 0) == 0 && sem_init(&onceheld, 0, 0) == 0 &&
	     sem_init(&oncego, 0, 0) == 0);
	MUST((lockfd = open("lock", O_RDWR | O_CREAT, 0600)) >= 0 &&
	     (lockfd2 = open("lock", O_RDWR)) >= 0);
	MUST(flock(lockfd, LOCK_EX) == 0 && sigaction(SIGUSR1, &sa, NULL) == 0);
	OK(pthread_barrier_init(&bar, NULL, 100));
	OK(pthread_spin_init(&spin, 0));
	OK(pthread_spin_lock(&spin));
	OK(pthread_mutex_lock(&mutex));
	OK(pthread_mutex_lock(&starved));
	OK(pthread_mutex_lock(&rec));
	OK(pthread_rwlock_wrlock(&rw));
	OK(pthread_rwlock_rdlock(&rd));
	pthread_t holder = start(holds_once, NULL);
	sem_wait(&onceheld);
	for (int i = 0; i < NELEM(all); i++) {
		pthread_t t[12];
		go = 0;
		for (int k = 0; k < all[i].many; k++)
			t[k] = start(runs, (void *)(intptr_t)i);
		for (int k = 0; k < all[i].many; k++)
			sem_wait(&ready);
		settle();
		for (int k = 0; k < all[i].many; k++)
			OK(pthread_cancel(t[k]));
		go = 1;
		for (int k = 0; k < all[i].many; k++)
			(void)finish(t[k]);
		say("%s: ended, %d cleaned", all[i].name, cleaned);
		cleaned = 0;
	}
	/* Nothing was lost to those who died waiting. */
	OK(pthread_mutex_unlock(&mutex));
	OK(pthread_mutex_lock(&mutex));
	OK(pthread_mutex_unlock(&starved));
	OK(pthread_mutex_lock(&starved));
	OK(pthread_mutex_unlock(&rec));
	OK(pthread_mutex_lock(&rec));
	sem_post(&oncego);
	finish(holder);
	OK(pthread_once(&once, slow));
	say("and all still works");
	return 0;
}
