/* SPDX-License-Identifier: MIT
 *
 * test_fairness.c: what waking costs and who comes next, counted in switches and turns, not in
 * time: a broadcast to 10,000, and waiters of mutexes, semaphores, read-write locks against threads
 * that take them again and again.
 */
#include "sync.h"

#include "gs.h"

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static sem_t sem;
static _Atomic bool stop;

/* How often a G was switched to, on all Ps. */
static long switches(void)
{
	long n = 0;

	for (int32_t i = 0; i < gomaxprocs; i++)
		n += atomic_load_explicit(&allp[i]->schedtick, memory_order_relaxed);
	return n;
}

/* ---- a broadcast --------------------------------------------------------------------------------
 */

static long waiting, generation, left;

static void *waiter(void *arg)
{
	pthread_mutex_lock(&m);
	long mine = generation;
	waiting++;
	while (generation == mine)
		pthread_cond_wait(&c, &m);
	left--;
	pthread_mutex_unlock(&m);
	return arg;
}

/*
 * Each waiter is switched to once when it may go on, and once more at most: if it lost the mutex
 * to one that was still running on another P. Ended Gs, joined one by one, cost as many again.
 */
static void broadcast(int n, bool locked)
{
	struct g **gs = calloc((size_t)n, sizeof *gs);

	waiting = 0;
	left = n;
	for (int i = 0; i < n; i++)
		gs[i] = go(waiter, gs);
	for (bool all = false; !all;) {
		gosched();
		pthread_mutex_lock(&m);
		all = waiting == n;
		pthread_mutex_unlock(&m);
	}
	pthread_mutex_lock(&m);
	generation++;
	long before = switches();
	if (locked)
		pthread_cond_broadcast(&c);
	pthread_mutex_unlock(&m);
	if (!locked)
		pthread_cond_broadcast(&c);
	while (atomic_load_explicit((_Atomic long *)&left, memory_order_relaxed) != 0)
		gosleep(reldeadline(100000)); /* not a switch for each of the others' */
	long made = switches() - before;
	for (int i = 0; i < n; i++)
		must(join(gs[i]) == gs, "%d", i);
	free(gs);
	must(made < 2 * n + 2000, "%ld switches for %d waiters", made, n);
}

TestAtPs(fairness, broadcast_is_linear)
{
	for (int n = 1000; n <= 10000; n *= 10)
		for (int locked = 0; locked < 2; locked++)
			broadcast(n, locked);
}

/* ---- passing by ------------------------------------------------------------------------------ */

static struct object {
	void (*take)(void);
	void (*give)(void);
} * object;

static _Atomic int got;

static void *victim(void *arg)
{
	object->take();
	atomic_fetch_add(&got, 1);
	object->give();
	return arg;
}

/*
 * We have it, give it back and take it again at once, as often as not before those who were woken
 * can run, and then let them run and find that it is gone. After 1 ms of that they must be handed
 * the object, one after the other: our next take() waits.
 */
static void passby(struct object *o, int nvictims)
{
	struct g *victims[8];
	int rounds = 0;

	object = o;
	o->take();
	for (int i = 0; i < nvictims; i++)
		victims[i] = go(victim, NULL);
	for (int i = 0; i < 10; i++)
		gosched(); /* they queue */
	for (atomic_store(&got, 0); atomic_load(&got) < nvictims; rounds++) {
		for (uint64_t end = nanotime() + 50000; nanotime() < end;)
			procyield(10);
		o->give();
		o->take();
		gosched();
		must(rounds < 1000, "%d of %d still wait", nvictims - got, nvictims);
	}
	o->give();
	for (int i = 0; i < nvictims; i++)
		join(victims[i]);
}

static void bounds(void (*take)(void), void (*give)(void))
{
	struct object o = {take, give};

	for (int n = 1; n <= 8; n++)
		passby(&o, n);
}

static void takemutex(void)
{
	pthread_mutex_lock(&m);
}

static void givemutex(void)
{
	pthread_mutex_unlock(&m);
}

static void takesem(void)
{
	while (sem_wait(&sem) != 0)
		;
}

static void givesem(void)
{
	sem_post(&sem);
}

static void takewrite(void)
{
	pthread_rwlock_wrlock(&rw);
}

static void giverw(void)
{
	pthread_rwlock_unlock(&rw);
}

TestAtPs(fairness, mutex_bounds_waiting)
{
	bounds(takemutex, givemutex);
}

TestAtPs(fairness, robust_mutex_bounds_waiting)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	must(pthread_mutex_init(&m, &a) == 0 && mutexrobust(((struct pmutex *)&m)->kind),
	     "its kind");
	bounds(takemutex, givemutex);
}

TestAtPs(fairness, sem_bounds_waiting)
{
	sem_init(&sem, 0, 1);
	bounds(takesem, givesem);
}

TestAtPs(fairness, rwlock_bounds_writers)
{
	bounds(takewrite, giverw);
}

/* A reader is let in by the first writer that unlocks after it has queued. */
static void *reader(void *arg)
{
	pthread_rwlock_rdlock(&rw);
	atomic_fetch_add(&got, 1);
	pthread_rwlock_unlock(&rw);
	return arg;
}

TestAtPs(fairness, rwlock_lets_readers_in)
{
	struct g *gs[5];

	for (int round = 0; round < 100; round++) {
		atomic_store(&got, 0);
		takewrite();
		for (int i = 0; i < 5; i++)
			gs[i] = go(reader, NULL);
		for (int i = 0; i < 5; i++)
			while (gs[i]->status != Gwaiting)
				gosched();
		giverw();
		takewrite();
		must(got == 5, "%d of 5 are through", got);
		giverw();
		for (int i = 0; i < 5; i++)
			join(gs[i]);
	}
}

/* ---- soon ------------------------------------------------------------------------------------ */

/* A G that is woken runs before those that were runnable already on its P: two switches a round. */
static sem_t ping, pong;

static void *ponger(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		sem_wait(&ping);
		sem_post(&pong);
	}
	return arg;
}

static void *busy(void *arg)
{
	while (!atomic_load(&stop))
		gosched();
	return arg;
}

Test(fairness, woken_runs_next)
{
	struct g *others[50], *gp;

	start(1);
	sem_init(&ping, 0, 0);
	sem_init(&pong, 0, 0);
	gp = go(ponger, NULL);
	for (int i = 0; i < 50; i++)
		others[i] = go(busy, NULL);
	long before = switches();
	for (int i = 0; i < 1000; i++) {
		sem_post(&ping);
		sem_wait(&pong);
	}
	long made = switches() - before;
	atomic_store(&stop, true);
	join(gp);
	for (int i = 0; i < 50; i++)
		join(others[i]);
	/* Last in the queue would be 51 switches each; a pair that goes on for long is put behind
	 * them at times. */
	must(made < 6000, "%ld switches for 1000 rounds", made);
}

/* One that is back from a call which blocked does not wait for all that were runnable before. */
static _Atomic long turns;

static void *turner(void *arg)
{
	while (!atomic_load(&stop)) {
		atomic_fetch_add(&turns, 1);
		for (int64_t end = cputicks() + 400000; cputicks() < end;)
			procyield(8);
		gosched();
	}
	return arg;
}

static int bylength(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;
	return (x > y) - (x < y);
}

Test(fairness, back_from_a_call_runs_soon)
{
	struct timespec nap = {0, 1000000};
	struct g *others[50];
	long waited[51];

	start(1);
	for (int i = 0; i < 50; i++)
		others[i] = go(turner, NULL);
	for (int i = 0; i < 51; i++) {
		entersyscallblock();
		SC2(SYS_nanosleep, &nap, NULL);
		long before = atomic_load(&turns);
		exitsyscall();
		waited[i] = atomic_load(&turns) - before;
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 50; i++)
		join(others[i]);
	/* The median, for the kernel may take this thread off the CPU before it is queued. Behind the others it would be 50. */
	qsort(waited, nelem(waited), sizeof(waited[0]), bylength);
	must(waited[25] < 10, "%ld others ran in between", waited[25]);
}

/* ---- those that were preempted ------------------------------------------------------------------
 */

static char order[4];
static _Atomic int norder;

/* Longer than others may keep a preempted G waiting (HOGTURN in proc.c: 10 ms). */
static void *computes(void *arg)
{
	order[atomic_fetch_add(&norder, 1)] = *(char *)arg;
	for (int64_t end = cputicks() + 60000000; cputicks() < end;)
		procyield(8);
	return arg;
}

static void *woken(void *arg)
{
	order[atomic_fetch_add(&norder, 1)] = *(char *)arg;
	return arg;
}

/*
 * a and b were preempted, c is runnable. It is a's turn; however long that lasts, b's comes only after c.
 */
Test(fairness, preempted_wait_for_others)
{
	struct g *a, *b, *c;
	bool inherit;

	debug.noasync = true;
	start(1);
	a = go(computes, "a");
	b = go(computes, "b");
	c = go(woken, "c");
	struct p *pp = exitforeign()->p;
	for (int i = 0; i < 3; i++)
		must(runqget(pp, &inherit) != NULL, "%d of 3 are queued", i);
	lock(&sched.lock);
	hogrunqput(a);
	hogrunqput(b);
	unlock(&sched.lock);
	runqput(pp, c, false);
	pp->nexthog = 0;
	enterforeign();
	join(c);
	join(a);
	join(b);
	must(strcmp(order, "acb") == 0, "they ran as %s", order);
}
