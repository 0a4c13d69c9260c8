/* SPDX-License-Identifier: MIT
 *
 * test_syncwait.c: waiting on the synchronisation objects of shim/, over the real runtime: kernel
 * threads (pthread_create is libc's in this program) and Gs (newproc) side by side on one object.
 */
#include "sync.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* Criterion's own assertions are for its thread only. */
#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #x);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)
#define OK(x) MUST((x) == 0)

static struct timespec in_ms(long ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += ms * 1000000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

enum { THREADS = 6, GS = 10, N = THREADS + GS };

static struct world {
	pthread_mutex_t m;
	pthread_cond_t c, c2;
	pthread_rwlock_t rw;
	pthread_barrier_t b;
	sem_t s;
	_Atomic bool stop;
	_Atomic int in, readers, n;
	long count, full;
} *w;

static unsigned rnd(void)
{
	static __thread unsigned seed;

	seed = (seed ? seed : (unsigned)(uintptr_t)&seed) * 1664525u + 1013904223u;
	return seed >> 8;
}

static void pass(void)
{
	unsigned r = rnd() % 64;

	if (getg() == NULL)
		r == 0 ? usleep(100) : r < 8 ? sched_yield() : 0;
	else if (r == 0)
		gosleep(reldeadline(100000));
	else if (r < 8)
		gosched();
}

static void join(pthread_t t)
{
	entersyscallblock();
	OK(pthread_join(t, NULL));
	exitsyscall();
}

/* fn on every kind of thread until `ms` are over; then all must end. */
static void together(void *(*fn)(void *), void (*end)(void), int ms)
{
	pthread_t t[THREADS];
	uintptr_t g[GS];
	struct newattr na = {.stacksize = 65536};

	OK(schedinit());
	for (int i = 0; i < THREADS; i++)
		OK(pthread_create(&t[i], NULL, fn, NULL));
	for (int i = 0; i < GS; i++)
		OK(newproc(&na, fn, NULL, &g[i]));
	gosleep(reldeadline((uint64_t)ms * 1000000));
	atomic_store(&w->stop, true);
	if (end != NULL)
		end();
	for (int i = 0; i < GS; i++)
		OK(gojoin(gofthread(g[i]), NULL, 0));
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
}

static void newworld(void)
{
	realinit();
	w = calloc(1, sizeof *w);
	pthread_mutex_init(&w->m, NULL);
	sem_init(&w->s, 0, 3);
	pthread_barrier_init(&w->b, NULL, N);
}

TestSuite(waiting, .init = newworld, .timeout = 120);

static void *lockers(void *arg)
{
	while (!atomic_load(&w->stop)) {
		struct timespec ts = in_ms(rnd() % 3);
		int err = rnd() % 4 != 0   ? pthread_mutex_lock(&w->m)
			  : rnd() % 2 != 0 ? pthread_mutex_timedlock(&w->m, &ts)
					   : pthread_mutex_trylock(&w->m);
		if (err != 0)
			continue;
		MUST(w->in++ == 0);
		pass();
		MUST(--w->in == 0);
		w->count++;
		OK(pthread_mutex_unlock(&w->m));
	}
	return arg;
}

Test(waiting, mutex_excludes)
{
	together(lockers, NULL, 1000);
	cr_assert(w->count > 100);
	cr_assert_eq(w->m.__data.__lock, 0);
	OK(pthread_mutex_destroy(&w->m));
}

static void *rwlockers(void *arg)
{
	while (!atomic_load(&w->stop)) {
		struct timespec ts = in_ms(rnd() % 3);
		bool timed = rnd() % 4 == 0;
		if (rnd() % 4 == 0) {
			if ((timed ? pthread_rwlock_timedwrlock(&w->rw, &ts)
				   : pthread_rwlock_wrlock(&w->rw)) != 0)
				continue;
			MUST(w->in++ == 0);
			MUST(w->readers == 0);
			pass();
			w->in--;
		} else {
			if ((timed ? pthread_rwlock_timedrdlock(&w->rw, &ts)
				   : pthread_rwlock_rdlock(&w->rw)) != 0)
				continue;
			w->readers++;
			MUST(w->in == 0);
			pass();
			w->readers--;
		}
		OK(pthread_rwlock_unlock(&w->rw));
	}
	return arg;
}

Test(waiting, rwlock_excludes)
{
	for (int kind = 0; kind < 3; kind++) {
		pthread_rwlockattr_t a;
		OK(pthread_rwlockattr_init(&a));
		OK(pthread_rwlockattr_setkind_np(&a, kind));
		OK(pthread_rwlock_init(&w->rw, &a));
		w->stop = false;
		together(rwlockers, NULL, 700);
		OK(pthread_rwlock_trywrlock(&w->rw)); /* nothing left behind */
	}
}

static void *queuers(void *arg)
{
	bool producer = atomic_fetch_add(&w->n, 1) % 2;

	OK(pthread_mutex_lock(&w->m));
	while (!w->stop) {
		if (producer ? w->full == 3 : w->full == 0) {
			struct timespec ts = in_ms(2);
			pthread_cond_t *c = producer ? &w->c : &w->c2;
			int err = rnd() % 8 == 0 ? pthread_cond_timedwait(c, &w->m, &ts)
						 : pthread_cond_wait(c, &w->m);
			MUST(err == 0 || err == ETIMEDOUT);
			continue;
		}
		w->full += producer ? 1 : -1;
		w->count++;
		pthread_cond_signal(producer ? &w->c2 : &w->c);
		if (rnd() % 16 == 0) {
			pthread_mutex_unlock(&w->m);
			pass();
			pthread_mutex_lock(&w->m);
		}
	}
	OK(pthread_mutex_unlock(&w->m));
	return arg;
}

static void wakequeuers(void)
{
	OK(pthread_mutex_lock(&w->m));
	pthread_cond_broadcast(&w->c);
	pthread_cond_broadcast(&w->c2);
	OK(pthread_mutex_unlock(&w->m));
}

Test(waiting, cond_loses_nothing)
{
	together(queuers, wakequeuers, 1000);
	cr_assert(w->count > 100);
	OK(pthread_mutex_destroy(&w->m));
}

static void *takers(void *arg)
{
	while (!w->stop) {
		struct timespec ts = in_ms(rnd() % 3);
		if ((rnd() % 4 ? sem_wait(&w->s) : sem_timedwait(&w->s, &ts)) != 0)
			continue;
		MUST(++w->in <= 3);
		pass();
		w->in--;
		OK(sem_post(&w->s));
	}
	return arg;
}

Test(waiting, sem_counts)
{
	int v;

	together(takers, NULL, 1000);
	OK(sem_getvalue(&w->s, &v));
	cr_assert_eq(v, 3);
}

static void *meeters(void *arg)
{
	for (int i = 0; i < 500; i++) {
		atomic_fetch_add(&w->n, 1);
		int r = pthread_barrier_wait(&w->b);
		MUST(r == 0 || r == PTHREAD_BARRIER_SERIAL_THREAD);
		if (r != 0)
			w->count++; /* one of them, between two barriers */
		MUST(atomic_load(&w->n) >= N * (i + 1));
		pass();
		r = pthread_barrier_wait(&w->b);
	}
	return arg;
}

Test(waiting, barrier_meets)
{
	together(meeters, NULL, 0);
	cr_assert_eq(w->count, 500);
	OK(pthread_barrier_destroy(&w->b));
}

/* A thread that unlocks and locks again at once must not keep the others out for long. */
static void *hog(void *arg)
{
	uint64_t worst = 0;

	while (!w->stop) {
		uint64_t t = nanotime();
		OK(pthread_mutex_lock(&w->m));
		t = nanotime() - t;
		worst = t > worst ? t : worst;
		for (uint64_t end = nanotime() + 20000; nanotime() < end;)
			;
		OK(pthread_mutex_unlock(&w->m));
	}
	if (worst > 1000000000)
		w->n++;
	return arg;
}

Test(waiting, mutex_starves_nobody)
{
	int tries = 0;

	do { /* a busy machine keeps threads waiting too, but not each time */
		w->n = 0;
		w->stop = false;
		together(hog, NULL, 2000);
	} while (w->n != 0 && ++tries < 5);
	cr_assert_eq(w->n, 0, "%d threads waited longer than 1 s", w->n);
}

/* ---- lifetime, fork, once ------------------------------------------------------------------- */

/* The last to unlock a page's mutex unmaps it: a later access by another's unlock is a SIGSEGV. */
enum { PAGES = 300, TURNS = 4 };
static struct page {
	pthread_mutex_t m;
	int turns;
} *page[PAGES];

static void *unmappers(void *arg)
{
	for (int i = 0; i < PAGES; i++) {
		struct page *p = page[i];
		bool last = false;
		for (int k = 0; k < TURNS; k++) {
			OK(pthread_mutex_lock(&p->m));
			if (rnd() % 4 == 0)
				pass();
			last = ++p->turns == TURNS * N;
			OK(pthread_mutex_unlock(&p->m));
		}
		if (last)
			munmap(p, 4096);
	}
	return arg;
}

Test(waiting, unlock_lets_go)
{
	for (int i = 0; i < PAGES; i++)
		page[i] = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	together(unmappers, NULL, 0);
}

static void *onelocker(void *arg)
{
	OK(pthread_mutex_lock(&w->m));
	OK(pthread_mutex_unlock(&w->m));
	return arg;
}

/* A child has none of its parent's waiters: a lock it holds must come free, not be handed to one.
 */
Test(waiting, fork_while_others_starve)
{
	pthread_t t;
	int status;

	OK(schedinit());
	OK(pthread_mutex_lock(&w->m));
	OK(pthread_create(&t, NULL, onelocker, NULL));
	do { /* wakes the waiter after more than 1 ms, and takes the lock before it can */
		usleep(3000);
		OK(pthread_mutex_unlock(&w->m));
		OK(pthread_mutex_lock(&w->m));
		usleep(3000);
		if (w->m.__data.__lock < 2)
			cr_skip_test("the waiter was quicker");
	} while (w->m.__data.__lock != 3);
	forkprepare();
	pid_t pid = fork();
	if (pid == 0) {
		forkchild();
		alarm(60);
		_exit(pthread_mutex_unlock(&w->m) || pthread_mutex_trylock(&w->m) ||
		      pthread_mutex_unlock(&w->m));
	}
	forkparent();
	OK(pthread_mutex_unlock(&w->m));
	join(t);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0, "the child hung or failed: %#x", status);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic int runs;

static void leaves(void)
{
	if (atomic_fetch_add(&runs, 1) < 2) {
		usleep(5000);
		pthread_exit(NULL);
	}
}

static void *oncer(void *arg)
{
	OK(pthread_once(&once, leaves));
	return (void *)1;
}

Test(waiting, once_is_reset_by_an_exit)
{
	pthread_t t[8];
	void *r;
	int returned = 0;

	for (int i = 0; i < 8; i++)
		OK(pthread_create(&t[i], NULL, oncer, NULL));
	for (int i = 0; i < 8; i++) {
		OK(pthread_join(t[i], &r));
		returned += r != NULL;
	}
	cr_assert_eq(runs, 3);
	cr_assert_eq(returned, 6);
}

static _Atomic bool forked;

static void slow(void)
{
	if (atomic_fetch_add(&runs, 1) == 0)
		while (!forked)
			usleep(1000);
}

static void *slowoncer(void *arg)
{
	OK(pthread_once(&once, slow));
	return arg;
}

Test(waiting, once_in_progress_at_fork)
{
	pthread_t t;
	int status;

	OK(schedinit());
	OK(pthread_create(&t, NULL, slowoncer, NULL));
	while (runs == 0)
		usleep(1000);
	forkprepare();
	pid_t pid = fork();
	if (pid == 0) {
		forkchild();
		alarm(60);
		_exit(pthread_once(&once, slow) != 0 || runs != 2);
	}
	forkparent();
	forked = true;
	join(t);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0, "%#x", status);
}
