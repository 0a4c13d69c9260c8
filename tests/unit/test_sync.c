/* SPDX-License-Identifier: MIT
 *
 * test_sync.c: return codes of the synchronisation objects of shim/. Every sequence of calls runs
 * on libc's functions and on ours, on objects made by libc's init functions, and must say the same.
 */
#include "sync.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <string.h>

#define OK(x) cr_assert_eq((x), 0, "%s", #x)

/* clang-format off */
#define ALL(f)                                                                                     \
	f(pthread_mutex_lock) f(pthread_mutex_trylock) f(pthread_mutex_timedlock)                  \
	f(pthread_mutex_clocklock) f(pthread_mutex_unlock)                                         \
	f(pthread_cond_wait) f(pthread_cond_timedwait) f(pthread_cond_clockwait)                   \
	f(pthread_cond_signal) f(pthread_cond_broadcast)                                           \
	f(pthread_rwlock_rdlock) f(pthread_rwlock_tryrdlock) f(pthread_rwlock_timedrdlock)         \
	f(pthread_rwlock_clockrdlock) f(pthread_rwlock_wrlock) f(pthread_rwlock_trywrlock)         \
	f(pthread_rwlock_timedwrlock) f(pthread_rwlock_clockwrlock) f(pthread_rwlock_unlock)       \
	f(sem_wait) f(sem_trywait) f(sem_timedwait) f(sem_clockwait) f(sem_post)
/* clang-format on */

static struct table {
#define FIELD(name) __typeof__(name) *name;
	ALL(FIELD)
} table[2]; /* libc's, ours */

static struct {
	int code[200], n;
} said[2];

static void setup(void)
{
	realinit();
#define LIBC(name) table[0].name = real_.name;
	ALL(LIBC)
#define OURS(name) table[1].name = name;
	ALL(OURS)
}

static void note(int side, int r)
{
	said[side].code[said[side].n++] = r == -1 ? 1000 + errno : r;
}

static void same(const char *what, int kind)
{
	cr_assert_eq(said[0].n, said[1].n);
	for (int i = 0; i < said[0].n; i++)
		cr_expect_eq(said[0].code[i], said[1].code[i],
			     "%s %#x, call %d: libc's %d, ours %d", what, kind, i, said[0].code[i],
			     said[1].code[i]);
	said[0].n = said[1].n = 0;
}

static struct timespec at(clockid_t clk, long ms)
{
	struct timespec ts;

	clock_gettime(clk, &ts);
	ts.tv_nsec += ms % 1000 * 1000000;
	ts.tv_sec += ms / 1000 + ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

static const struct timespec past = {1, 0}, negative = {-1, 0}, badnsec = {1, 1000000000},
			     badboth = {-1, -1};

/* One call in another kernel thread. */
struct call {
	int (*fn)(void *);
	void *obj;
	int r;
};

static void *docall(void *arg)
{
	struct call *c = arg;

	c->r = c->fn(c->obj);
	return NULL;
}

static int elsewhere(void *fn, void *obj)
{
	struct call c = {(int (*)(void *))fn, obj, 0};
	pthread_t t;

	OK(pthread_create(&t, NULL, docall, &c));
	OK(pthread_join(t, NULL));
	return c.r;
}

TestSuite(sync, .init = setup, .timeout = 120);

static void mutexcodes(int side, pthread_mutex_t *m, int type)
{
	const struct table *f = &table[side];
	struct timespec soon = at(CLOCK_REALTIME, 5), msoon = at(CLOCK_MONOTONIC, 5);
	bool normal = type == PTHREAD_MUTEX_NORMAL || type == PTHREAD_MUTEX_ADAPTIVE_NP;

	note(side, f->pthread_mutex_lock(m));
	note(side, f->pthread_mutex_trylock(m));
	note(side, elsewhere(f->pthread_mutex_trylock, m));
	if (!normal)
		note(side, f->pthread_mutex_lock(m));
	if (!normal || (m->__data.__kind & 0x30) == 0x20)
		note(side, elsewhere(f->pthread_mutex_unlock, m));
	note(side, f->pthread_mutex_timedlock(m, &soon));
	note(side, f->pthread_mutex_timedlock(m, &past));
	note(side, f->pthread_mutex_timedlock(m, &negative));
	note(side, f->pthread_mutex_timedlock(m, &badnsec));
	note(side, f->pthread_mutex_timedlock(m, &badboth));
	note(side, f->pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &msoon));
	note(side, f->pthread_mutex_clocklock(m, CLOCK_PROCESS_CPUTIME_ID, &soon));
	note(side, pthread_mutex_destroy(m));
	for (int i = 0; i < 10; i++)
		if (!normal || i == 0)
			note(side, f->pthread_mutex_unlock(m));
	note(side, f->pthread_mutex_timedlock(m, &badnsec)); /* does not block: not looked at */
	note(side, type == PTHREAD_MUTEX_RECURSIVE ? (int)m->__data.__count : 0);
	note(side, m->__data.__owner == (int)getpid());
	note(side, f->pthread_mutex_unlock(m));
	note(side, m->__data.__owner);
	note(side, (int)m->__data.__nusers);
	note(side, pthread_mutex_destroy(m));
	note(side, f->pthread_mutex_lock(m));
	note(side, f->pthread_mutex_trylock(m));
	note(side, f->pthread_mutex_unlock(m));
}

Test(sync, mutex_codes)
{
	static const int types[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE,
				    PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_ADAPTIVE_NP};
	for (int extra = 0; extra < 4; extra++)
		for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
			for (int side = 0; side < 2; side++) {
				pthread_mutexattr_t a;
				pthread_mutex_t m;
				OK(pthread_mutexattr_init(&a));
				OK(pthread_mutexattr_settype(&a, types[i]));
				if (extra == 1)
					OK(pthread_mutexattr_setpshared(&a,
									PTHREAD_PROCESS_SHARED));
				if (extra == 2)
					OK(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST));
				if (extra == 3)
					OK(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
				OK(pthread_mutex_init(&m, &a));
				mutexcodes(side, &m, types[i]);
			}
			same("mutex type", types[i] | extra << 4);
		}
}

Test(sync, mutex_recursion_limit)
{
	for (int side = 0; side < 2; side++) {
		pthread_mutex_t m = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
		note(side, table[side].pthread_mutex_lock(&m));
		m.__data.__count = UINT_MAX;
		note(side, table[side].pthread_mutex_lock(&m));
		note(side, table[side].pthread_mutex_trylock(&m));
		note(side, table[side].pthread_mutex_timedlock(&m, &past));
	}
	same("recursion", 0);
}

static void condcodes(int side, pthread_cond_t *c, pthread_mutex_t *m, clockid_t clk)
{
	const struct table *f = &table[side];
	struct timespec soon = at(clk, 5), rsoon = at(CLOCK_REALTIME, 5);

	note(side, f->pthread_cond_signal(c));
	note(side, f->pthread_cond_broadcast(c));
	note(side, f->pthread_cond_timedwait(c, m, &badboth));
	note(side, f->pthread_cond_timedwait(c, m, &soon)); /* EPERM if m has an owner */
	note(side, f->pthread_mutex_lock(m));
	note(side, f->pthread_cond_timedwait(c, m, &soon));
	note(side, f->pthread_cond_timedwait(c, m, &past));
	note(side, f->pthread_cond_timedwait(c, m, &negative));
	note(side, f->pthread_cond_timedwait(c, m, &badnsec));
	note(side, f->pthread_cond_clockwait(c, m, CLOCK_REALTIME, &rsoon));
	note(side, f->pthread_cond_clockwait(c, m, CLOCK_THREAD_CPUTIME_ID, &rsoon));
	note(side, (int)m->__data.__count);
	note(side, (int)m->__data.__nusers);
	note(side, f->pthread_mutex_unlock(m));
	note(side, pthread_mutex_destroy(m));
	note(side, pthread_cond_destroy(c));
}

Test(sync, cond_codes)
{
	for (int type = PTHREAD_MUTEX_RECURSIVE; type <= PTHREAD_MUTEX_ERRORCHECK; type++)
		for (int extra = 0; extra < 4; extra++) {
			clockid_t clk = extra & 1 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
			for (int side = 0; side < 2; side++) {
				pthread_mutexattr_t ma;
				pthread_condattr_t ca;
				pthread_mutex_t m;
				pthread_cond_t c;
				OK(pthread_mutexattr_init(&ma));
				OK(pthread_mutexattr_settype(&ma, type));
				OK(pthread_condattr_init(&ca));
				OK(pthread_condattr_setclock(&ca, clk));
				if (extra & 2) {
					OK(pthread_mutexattr_setpshared(&ma, 1));
					OK(pthread_condattr_setpshared(&ca, 1));
				}
				OK(pthread_mutex_init(&m, &ma));
				OK(pthread_cond_init(&c, &ca));
				condcodes(side, &c, &m, clk);
			}
			same("cond", type | extra << 4);
		}
}

static void rwcodes(int side, pthread_rwlock_t *rw)
{
	const struct table *f = &table[side];
	struct timespec soon = at(CLOCK_REALTIME, 5), msoon = at(CLOCK_MONOTONIC, 5);

	note(side, f->pthread_rwlock_rdlock(rw));
	note(side, f->pthread_rwlock_tryrdlock(rw));
	note(side, f->pthread_rwlock_trywrlock(rw));
	note(side, f->pthread_rwlock_timedwrlock(rw, &soon));
	note(side, f->pthread_rwlock_timedwrlock(rw, &negative));
	note(side, f->pthread_rwlock_timedrdlock(rw, &past));
	note(side,
	     f->pthread_rwlock_timedrdlock(rw, &badnsec)); /* looked at though it does not block */
	note(side, f->pthread_rwlock_clockwrlock(rw, CLOCK_MONOTONIC, &msoon));
	note(side, f->pthread_rwlock_clockwrlock(rw, CLOCK_BOOTTIME, &msoon));
	for (int i = 0; i < 3; i++)
		note(side, f->pthread_rwlock_unlock(rw));
	note(side, f->pthread_rwlock_wrlock(rw));
	note(side, f->pthread_rwlock_wrlock(rw));
	note(side, f->pthread_rwlock_rdlock(rw));
	note(side, f->pthread_rwlock_tryrdlock(rw));
	note(side, f->pthread_rwlock_trywrlock(rw));
	note(side, f->pthread_rwlock_timedrdlock(rw, &past));
	note(side, elsewhere(f->pthread_rwlock_tryrdlock, rw));
	note(side, f->pthread_rwlock_clockrdlock(rw, CLOCK_PROCESS_CPUTIME_ID, &past));
	note(side, f->pthread_rwlock_unlock(rw));
	note(side, elsewhere(f->pthread_rwlock_trywrlock, rw));
	note(side, pthread_rwlock_destroy(rw));
}

Test(sync, rwlock_codes)
{
	for (int kind = 0; kind < 3; kind++)
		for (int shared = 0; shared < 2; shared++) {
			for (int side = 0; side < 2; side++) {
				pthread_rwlockattr_t a;
				pthread_rwlock_t rw;
				OK(pthread_rwlockattr_init(&a));
				OK(pthread_rwlockattr_setkind_np(&a, kind));
				OK(pthread_rwlockattr_setpshared(&a, shared));
				OK(pthread_rwlock_init(&rw, &a));
				rwcodes(side, &rw);
			}
			same("rwlock", kind | shared << 4);
		}
}

static void semcodes(int side, sem_t *s)
{
	const struct table *f = &table[side];
	struct timespec soon = at(CLOCK_REALTIME, 5), msoon = at(CLOCK_MONOTONIC, 5);
	int v;

	note(side, f->sem_wait(s));
	note(side, f->sem_trywait(s));
	note(side, f->sem_timedwait(s, &soon));
	note(side, f->sem_timedwait(s, &past));
	note(side, f->sem_timedwait(s, &negative));
	note(side, f->sem_timedwait(s, &badnsec));
	note(side, f->sem_timedwait(s, &badboth));
	note(side, f->sem_clockwait(s, CLOCK_MONOTONIC, &msoon));
	note(side, f->sem_clockwait(s, CLOCK_BOOTTIME, &msoon));
	note(side, f->sem_post(s));
	note(side, f->sem_post(s));
	note(side, sem_getvalue(s, &v));
	note(side, v);
	note(side, f->sem_timedwait(s, &past));
	note(side, sem_destroy(s));
	note(side, sem_init(s, 0, SEM_VALUE_MAX));
	note(side, f->sem_post(s));
	note(side, f->sem_trywait(s));
}

Test(sync, sem_codes)
{
	for (int shared = 0; shared < 2; shared++) {
		for (int side = 0; side < 2; side++) {
			sem_t s;
			OK(sem_init(&s, shared, 1));
			semcodes(side, &s);
		}
		same("sem", shared);
	}
}

static void onalarm(int sig)
{
}

Test(sync, sem_wait_is_interrupted)
{
	struct sigaction sa = {.sa_handler = onalarm};
	sem_t s;

	OK(sigaction(SIGALRM, &sa, NULL));
	OK(sem_init(&s, 0, 0));
	ualarm(20000, 20000);
	cr_assert(sem_wait(&s) == -1 && errno == EINTR);
	struct timespec ts = at(CLOCK_REALTIME, 10000);
	cr_assert(sem_timedwait(&s, &ts) == -1 && errno == EINTR);
	ualarm(0, 0);
	OK(sem_post(&s));
	OK(sem_wait(&s));
}
