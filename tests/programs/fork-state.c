/* SPDX-License-Identifier: MIT */
/* What a child has of the thread that forked it: errno, thread-locals, keys with destructors, name,
 * mask, locks it held; and what it has not: timers, pending signals, the other threads. Its main
 * thread is the one that forked. fork(2) */
#include "t.h"
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

static __thread int local = 1;
static pthread_key_t key, other;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t chair = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static char order[64];
static int sitting; /* under chair */
static pthread_t forker;

static void note(const char *s)
{
	strcat(order, s);
}

static void prepare1(void)
{
	note("p1 ");
}
static void prepare2(void)
{
	note("p2 ");
}
static void parent1(void)
{
	note("P1 ");
}
static void parent2(void)
{
	note("P2 ");
}
static void child1(void)
{
	note("c1 ");
}
static void child2(void)
{
	note("c2 ");
}

static void destroys(void *arg)
{
	say("  destructor: %s", (char *)arg);
}

static void *sleeps(void *arg)
{
	pthread_mutex_lock(&chair);
	for (sitting++;;)
		pthread_cond_wait(&never, &chair);
	return arg;
}

static void *nothing(void *arg)
{
	return arg;
}

static void on_alarm(int sig)
{
	(void)sig;
	say("  a timer of the parent's");
}

static void look(void)
{
	struct itimerval it;
	sigset_t set;
	char name[32];
	int e = errno;

	say("  errno %s local %d key %s other %s", errname(e), local,
	    (char *)pthread_getspecific(key), (char *)pthread_getspecific(other));
	OK(pthread_getname_np(pthread_self(), name, sizeof name));
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	say("  name %s, USR1 blocked %d, USR2 blocked %d", name, sigismember(&set, SIGUSR1),
	    sigismember(&set, SIGUSR2));
	sigpending(&set);
	MUST(getitimer(ITIMER_REAL, &it) == 0);
	say("  USR1 pending %d, timer runs %d", sigismember(&set, SIGUSR1), it.it_value.tv_sec > 0);
	say("  it is the one that forked: %d", pthread_equal(pthread_self(), forker) != 0);
}

static void locks(void)
{
	say("  held: %s", errname(pthread_mutex_trylock(&held)));
	say("  unlock: %s", errname(pthread_mutex_unlock(&held)));
	say("  free now: %s", errname(pthread_mutex_lock(&held)));
	OK(pthread_mutex_unlock(&held));
	say("  read lock: %s", errname(pthread_rwlock_trywrlock(&rw)));
	OK(pthread_rwlock_unlock(&rw));
	say("  free now: %s", errname(pthread_rwlock_trywrlock(&rw)));
	OK(pthread_rwlock_unlock(&rw));
	say("  the other's: %s",
	    errname(pthread_mutex_trylock(&chair))); /* it waits, so it is free */
	OK(pthread_cond_broadcast(&never));	     /* nobody is there */
	OK(pthread_mutex_unlock(&chair));
}

static void *forks(void *arg)
{
	sigset_t set;
	int st, how = (int)(intptr_t)arg;

	forker = pthread_self();
	local = 77;
	OK(pthread_setspecific(key, "mine"));
	OK(pthread_setname_np(pthread_self(), "forker"));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	OK(pthread_kill(pthread_self(), SIGUSR1));
	OK(pthread_mutex_lock(&held));
	OK(pthread_rwlock_rdlock(&rw));
	order[0] = 0;
	errno = EXDEV;
	pid_t pid = fork();
	if (pid == 0) {
		look();
		locks();
		say("  handlers: %s", order);
		finish(start(nothing, NULL));
		look();
		switch (how) {
		case 0:
			return NULL;
		case 1:
			pthread_exit(NULL);
		case 2:
			exit(3);
		default:
			raise(SIGKILL);
		}
	}
	MUST(waitpid(pid, &st, 0) == pid);
	say("ended with %x", st);
	look();
	say("handlers: %s", order);
	OK(pthread_mutex_unlock(&held));
	OK(pthread_rwlock_unlock(&rw));
	sigwait(&set, &st);
	return arg;
}

int main(void)
{
	struct itimerval it = {.it_value = {1000, 0}};

	OK(pthread_key_create(&key, destroys));
	OK(pthread_key_create(&other, destroys));
	OK(pthread_setspecific(other, "main's"));
	OK(pthread_atfork(prepare1, parent1, child1));
	OK(pthread_atfork(prepare2, parent2, child2));
	signal(SIGALRM, on_alarm);
	MUST(setitimer(ITIMER_REAL, &it, NULL) == 0);
	OK(pthread_detach(start(sleeps, NULL)));
	OK(pthread_detach(start(sleeps, NULL)));
	/* Who has been seen to sit has given the mutex back: no child finds it locked by a thread that it has not. */
	for (int n = 0; n < 2; usleep(1000)) {
		OK(pthread_mutex_lock(&chair));
		n = sitting;
		OK(pthread_mutex_unlock(&chair));
	}
	for (intptr_t i = 0; i < 4; i++) {
		say("child %d", (int)i);
		finish(start(forks, (void *)i));
	}
	/* main's child ends in the four ways too */
	say("main's child");
	forks((void *)1);
	return 0;
}
