/* SPDX-License-Identifier: MIT */
/* Process-shared mutexes (all types and protocols), condition variables, read-write locks,
 * barriers, semaphores and spin locks among the threads of three processes: exclusion, hand-over,
 * counts, errors to those who are not the owner. pthread_mutexattr_setpshared(3p),
 * pthread_condattr_setpshared(3p) ... */
#include "t.h"
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { PROCS = 3, THREADS = 4, N = PROCS * THREADS };

static struct world {
	pthread_mutex_t m, big;
	pthread_cond_t c, c2;
	pthread_rwlock_t rw;
	pthread_barrier_t b, start;
	sem_t s;
	pthread_spinlock_t spin;
	int in, readers, full, stop, arrived, serial, turns;
	long count;
} * w;

static int rounds;

/* fn in THREADS threads of PROCS processes, this one among them. */
static void everywhere(void *(*fn)(void *))
{
	pid_t pid[PROCS];
	pthread_t t[THREADS];
	int status;

	for (int p = 1; p < PROCS; p++) {
		pid[p] = fork();
		MUST(pid[p] >= 0);
		if (pid[p] > 0)
			continue;
		for (int i = 0; i < THREADS; i++)
			t[i] = start(fn, (void *)(intptr_t)(p * THREADS + i));
		for (int i = 0; i < THREADS; i++)
			finish(t[i]);
		_exit(0);
	}
	for (int i = 0; i < THREADS; i++)
		t[i] = start(fn, (void *)(intptr_t)i);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	for (int p = 1; p < PROCS; p++)
		MUST(waitpid(pid[p], &status, 0) == pid[p] && status == 0);
}

static int depth;

static void *locks(void *arg)
{
	unsigned r = (unsigned)(intptr_t)arg;

	pthread_barrier_wait(&w->start);
	for (int i = 0; i < rounds; i++) {
		struct timespec ts = in_ms(CLOCK_REALTIME, 1);
		r = r * 1103515245 + 12345;
		int err = r >> 16 & 7	? pthread_mutex_lock(&w->m)
			  : r >> 19 & 1 ? pthread_mutex_trylock(&w->m)
					: pthread_mutex_timedlock(&w->m, &ts);
		MUST(err == 0 || err == EBUSY || err == ETIMEDOUT);
		if (err != 0)
			OK(pthread_mutex_lock(&w->m));
		for (int k = 1; k < depth; k++)
			OK(pthread_mutex_lock(&w->m));
		MUST(w->in++ == 0);
		w->count++;
		if (i % 16 == 0)
			sched_yield();
		MUST(--w->in == 0);
		for (int k = 0; k < depth; k++)
			OK(pthread_mutex_unlock(&w->m));
	}
	return NULL;
}

static void *not_mine(void *arg)
{
	say("  trylock %s", errname(pthread_mutex_trylock(&w->m)));
	if (arg)
		say("  unlock %s", errname(pthread_mutex_unlock(&w->m)));
	return NULL;
}

static void mutex(int type, int protocol)
{
	static const char *types[] = {"normal", "recursive", "errorcheck", "adaptive"};
	pthread_mutexattr_t a;
	pid_t pid;
	int status;

	OK(pthread_mutexattr_init(&a));
	OK(pthread_mutexattr_settype(&a, type));
	OK(pthread_mutexattr_setprotocol(&a, protocol));
	OK(pthread_mutexattr_setpshared(&a, 1));
	OK(pthread_mutex_init(&w->m, &a));
	depth = type == PTHREAD_MUTEX_RECURSIVE ? 3 : 1;
	w->count = w->in = 0;
	everywhere(locks);
	say("%s%s: %d", types[type], protocol ? " inherit" : "", w->count == (long)N * rounds);
	OK(pthread_mutex_lock(&w->m));
	int owned = protocol || type == PTHREAD_MUTEX_RECURSIVE || type == PTHREAD_MUTEX_ERRORCHECK;
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		say(" main of another process:");
		not_mine(owned ? &w : NULL);
		say(" its thread:");
		finish(start(not_mine, owned ? &w : NULL));
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0) == pid && status == 0);
	RC(pthread_mutex_unlock(&w->m));
	RC(pthread_mutex_destroy(&w->m));
}

/* ---- the other objects ----------------------------------------------------------------------- */

static void *queues(void *arg)
{
	int producer = (intptr_t)arg % 2;

	pthread_barrier_wait(&w->start);
	OK(pthread_mutex_lock(&w->big));
	for (int i = 0; i < rounds; i++) {
		while (producer ? w->full == 3 : w->full == 0) {
			struct timespec ts = in_ms(CLOCK_MONOTONIC, 60000);
			pthread_cond_t *c = producer ? &w->c : &w->c2;
			if (i % 3)
				OK(pthread_cond_wait(c, &w->big));
			else
				OK(pthread_cond_timedwait(c, &w->big, &ts));
		}
		w->full += producer ? 1 : -1;
		MUST(w->full >= 0 && w->full <= 3);
		w->count++;
		OK(i % 7 ? pthread_cond_signal(producer ? &w->c2 : &w->c)
			 : pthread_cond_broadcast(producer ? &w->c2 : &w->c));
	}
	OK(pthread_mutex_unlock(&w->big));
	return NULL;
}

static void *reads_and_writes(void *arg)
{
	pthread_barrier_wait(&w->start);
	for (int i = 0; i < rounds; i++) {
		struct timespec ts = in_ms(CLOCK_REALTIME, 60000);
		if ((i + (intptr_t)arg) % 4 == 0) {
			OK(i % 8 ? pthread_rwlock_wrlock(&w->rw)
				 : pthread_rwlock_timedwrlock(&w->rw, &ts));
			MUST(w->in++ == 0 && w->readers == 0);
			if (i % 16 == 0) {
				sched_yield();
				MUST(pthread_rwlock_rdlock(&w->rw) == EDEADLK);
			}
			w->count++;
			MUST(--w->in == 0 && w->readers == 0);
		} else {
			OK(i % 8 ? pthread_rwlock_rdlock(&w->rw)
				 : pthread_rwlock_timedrdlock(&w->rw, &ts));
			__atomic_add_fetch(&w->readers, 1, __ATOMIC_SEQ_CST);
			MUST(w->in == 0);
			if (i % 16 == 0)
				sched_yield();
			__atomic_sub_fetch(&w->readers, 1, __ATOMIC_SEQ_CST);
		}
		OK(pthread_rwlock_unlock(&w->rw));
	}
	return NULL;
}

static void *meets(void *arg)
{
	pthread_barrier_wait(&w->start);
	for (int i = 0; i < rounds; i++) {
		__atomic_add_fetch(&w->arrived, 1, __ATOMIC_SEQ_CST);
		int r = pthread_barrier_wait(&w->b);
		MUST(r == 0 || r == PTHREAD_BARRIER_SERIAL_THREAD);
		MUST(__atomic_load_n(&w->arrived, __ATOMIC_SEQ_CST) >= (i + 1) * N);
		if (r)
			__atomic_add_fetch(&w->serial, 1, __ATOMIC_SEQ_CST);
		pthread_barrier_wait(&w->b);
	}
	return arg;
}

static void *takes(void *arg)
{
	pthread_barrier_wait(&w->start);
	for (int i = 0; i < rounds; i++) {
		struct timespec ts = in_ms(CLOCK_REALTIME, 60000);
		MUST((i % 4 ? sem_wait(&w->s) : sem_timedwait(&w->s, &ts)) == 0);
		MUST(__atomic_add_fetch(&w->in, 1, __ATOMIC_SEQ_CST) <= 3);
		if (i % 16 == 0)
			sched_yield();
		__atomic_sub_fetch(&w->in, 1, __ATOMIC_SEQ_CST);
		MUST(sem_post(&w->s) == 0);
	}
	return arg;
}

static void *spins(void *arg)
{
	pthread_barrier_wait(&w->start);
	for (int i = 0; i < rounds; i++) {
		OK(pthread_spin_lock(&w->spin));
		w->count++;
		OK(pthread_spin_unlock(&w->spin));
	}
	return arg;
}

int main(void)
{
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;
	pthread_rwlockattr_t ra;
	pthread_barrierattr_t ba;
	int v;

	rounds = scaled(100);
	w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(w != MAP_FAILED);
	OK(pthread_barrierattr_init(&ba));
	OK(pthread_barrierattr_setpshared(&ba, 1));
	OK(pthread_barrier_init(&w->start, &ba, N));
	OK(pthread_barrier_init(&w->b, &ba, N));
	for (int protocol = 0; protocol < 2; protocol++)
		for (int type = 0; type < 4; type++)
			mutex(type, protocol);

	OK(pthread_mutexattr_init(&ma));
	OK(pthread_mutexattr_setpshared(&ma, 1));
	OK(pthread_condattr_init(&ca));
	OK(pthread_condattr_setpshared(&ca, 1));
	OK(pthread_condattr_setclock(&ca, CLOCK_MONOTONIC));
	OK(pthread_cond_init(&w->c, &ca));
	OK(pthread_cond_init(&w->c2, &ca));
	for (int type = 0; type < 3; type++) {
		OK(pthread_mutexattr_settype(&ma, type));
		OK(pthread_mutex_init(&w->big, &ma));
		w->count = w->full = 0;
		everywhere(queues);
		say("queue: %d, left %d", w->count == (long)N * rounds, w->full);
		RC(pthread_mutex_destroy(&w->big));
	}
	RC(pthread_cond_destroy(&w->c));

	OK(pthread_rwlockattr_init(&ra));
	OK(pthread_rwlockattr_setpshared(&ra, 1));
	for (int kind = 0; kind < 3; kind++) {
		OK(pthread_rwlockattr_setkind_np(&ra, kind));
		OK(pthread_rwlock_init(&w->rw, &ra));
		w->count = w->in = 0;
		everywhere(reads_and_writes);
		say("rwlock: %d", w->count == (long)N * rounds / 4);
		RC(pthread_rwlock_destroy(&w->rw));
	}

	everywhere(meets);
	say("barrier: %d", w->serial == rounds);
	RC(pthread_barrier_destroy(&w->b));

	MUST(sem_init(&w->s, 1, 3) == 0);
	w->in = 0;
	everywhere(takes);
	MUST(sem_getvalue(&w->s, &v) == 0);
	say("semaphore: %d", v);
	SYS(sem_destroy(&w->s));

	OK(pthread_spin_init(&w->spin, PTHREAD_PROCESS_SHARED));
	w->count = 0;
	everywhere(spins);
	say("spin lock: %d", w->count == (long)N * rounds);
	RC(pthread_spin_trylock(&w->spin));
	RC(pthread_spin_trylock(&w->spin));
	RC(pthread_spin_unlock(&w->spin));
	RC(pthread_spin_destroy(&w->spin));
	return 0;
}
