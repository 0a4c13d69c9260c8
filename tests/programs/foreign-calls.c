/* SPDX-License-Identifier: MIT */
/* Threads which libc makes for itself talk to the program's threads through descriptors, signal,
 * cancel and join them, make threads, have thread-specific data. */
#include "foreign.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

static int p[2], q[2], sp[2], ev;
static pthread_key_t key;
static int destroyed;
static volatile int handled;

static void handler(int s)
{
	(void)s;
	handled++;
}

static void destroys(void *arg)
{
	(void)arg;
	__atomic_fetch_add(&destroyed, 1, __ATOMIC_SEQ_CST);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static void *echoes(void *arg)
{
	char c;
	struct pollfd pf = {p[0], POLLIN, 0};

	for (int i = 0; i < 100; i++) {
		MUST(poll(&pf, 1, -1) == 1);
		MUST(read(p[0], &c, 1) == 1);
		c++;
		MUST(write(q[1], &c, 1) == 1);
		MUST(recv(sp[0], &c, 1, 0) == 1);
		MUST(send(sp[0], &c, 1, 0) == 1);
		uint64_t v;
		MUST(read(ev, &v, 8) == 8 && v == 1);
	}
	return arg;
}

static void talks(void *arg)
{
	char c;
	fd_set r;
	uint64_t one = 1;

	for (int i = 0; i < 100; i++) {
		c = i;
		MUST(write(p[1], &c, 1) == 1);
		FD_ZERO(&r);
		FD_SET(q[0], &r);
		MUST(select(q[0] + 1, &r, NULL, NULL, NULL) == 1);
		MUST(read(q[0], &c, 1) == 1 && c == i + 1);
		MUST(send(sp[1], &c, 1, 0) == 1);
		MUST(recv(sp[1], &c, 1, 0) == 1 && c == i + 1);
		MUST(write(ev, &one, 8) == 8);
	}
	*(int *)arg = 1;
}

/* ---- threads -----------------------------------------------------------------------------------
 */

static void *reads(void *arg)
{
	char c;
	ssize_t r = read(p[0], &c, 1);

	return r == 1 ? arg : (void *)(intptr_t)-errno;
}

static void *sleeps(void *arg)
{
	sleep(1000);
	return arg;
}

static void *yields(void *arg)
{
	for (;;) {
		sched_yield();
		pthread_testcancel();
	}
	return arg;
}

static void kills(void *arg)
{
	pthread_t t = *(pthread_t *)arg;

	handled = 0;
	OK(pthread_kill(t, 0));
	do { /* it may not have come to its call the first time */
		OK(pthread_kill(t, SIGUSR1));
		usleep(10000);
	} while (pthread_tryjoin_np(t, NULL) != 0);
}

static void cancels(void *arg)
{
	pthread_t *t = arg;
	void *r;

	for (int i = 0; i < 3; i++) {
		OK(pthread_cancel(t[i]));
		OK(pthread_join(t[i], &r));
		MUST(r == PTHREAD_CANCELED);
	}
}

static void *uses_key(void *arg)
{
	OK(pthread_setspecific(key, arg));
	return pthread_getspecific(key);
}

static void makes(void *arg)
{
	pthread_t t[8];
	int x[8];

	MUST(pthread_getspecific(key) == NULL);
	OK(pthread_setspecific(key, arg));
	for (int i = 0; i < 8; i++)
		OK(pthread_create(&t[i], NULL, uses_key, &x[i]));
	for (int i = 0; i < 8; i++) {
		void *r;
		OK(pthread_join(t[i], &r));
		MUST(r == &x[i]);
	}
	MUST(pthread_getspecific(key) == arg);
	MUST(pthread_self() != 0 && pthread_equal(pthread_self(), pthread_self()));
	char name[16];
	OK(pthread_setname_np(pthread_self(), "made by libc"));
	OK(pthread_getname_np(pthread_self(), name, sizeof name));
	MUST(strcmp(name, "made by libc") == 0);
	MUST(gettid() != getpid());
	sigset_t set, old;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	OK(pthread_sigmask(SIG_BLOCK, &set, &old));
	OK(pthread_sigmask(SIG_SETMASK, &old, NULL));
	struct timespec ts = {0, 1000000};
	MUST(nanosleep(&ts, NULL) == 0 && sched_yield() == 0);
}

/* The program's threads cancel nobody of these; they may be sent signals while they wait. */
static sem_t inside, leave;
static pthread_t self;

static void waits(void *arg)
{
	sigset_t none;

	sigemptyset(&none);
	OK(pthread_sigmask(SIG_SETMASK, &none, NULL)); /* libc blocks all of them */
	self = pthread_self();
	sem_post(&inside);
	int r;
	while ((r = sem_wait(&leave)) != 0 && errno == EINTR)
		;
	*(int *)arg = r;
	sigfillset(&none);
	OK(pthread_sigmask(SIG_SETMASK, &none, NULL));
}

static void all(enum kind k)
{
	int done = 0, r = -1;
	struct foreign f;
	pthread_t t[3];

	say("%s", kindname[k]);
	t[0] = start(echoes, &done);
	in_foreign(k, talks, &done);
	finish(t[0]);
	say("  talked: %d", done);

	t[0] = start(reads, NULL);
	in_foreign(k, kills, &t[0]);
	say("  interrupted: %d", handled > 0);

	t[0] = start(reads, NULL);
	t[1] = start(sleeps, NULL);
	t[2] = start(yields, NULL);
	in_foreign(k, cancels, t);
	say("  cancelled and joined");

	destroyed = 0;
	in_foreign(k, makes, &done);
	while (__atomic_load_n(&destroyed, __ATOMIC_SEQ_CST) < 8)
		usleep(1000);
	say("  made 8 threads");

	foreign(&f, k, waits, &r);
	MUST(sem_wait(&inside) == 0);
	handled = 0;
	while (!handled) {
		OK(pthread_kill(self, SIGUSR1));
		usleep(1000);
	}
	sem_post(&leave);
	foreign_ends(&f, k);
	say("  handled a signal, and waited on: %d", r);
}

static void *in_thread(void *arg)
{
	for (enum kind k = 0; k < KINDS; k++)
		all(k);
	return arg;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = handler};

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	MUST(pipe(p) == 0 && pipe(q) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sp) == 0);
	MUST((ev = eventfd(0, 0)) >= 0);
	MUST(sem_init(&inside, 0, 0) == 0 && sem_init(&leave, 0, 0) == 0);
	OK(pthread_key_create(&key, destroys));
	in_thread(NULL);
	finish(start(in_thread, NULL));
	return 0;
}
