/* SPDX-License-Identifier: MIT */
/* What every function that takes a thread says of one that lives, of one that has ended and is not
 * joined, of the caller itself, of main. pthread_join(3), pthread_kill(3), pthread_getschedparam(3) ... */
#include "t.h"
#include <sched.h>
#include <signal.h>

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *through(void *arg)
{
	OK(pthread_mutex_lock(&gate));
	OK(pthread_mutex_unlock(&gate));
	return arg;
}

static void on_usr2(int sig)
{
	(void)sig;
}

static void ask(const char *who, pthread_t t)
{
	struct sched_param sp = {0};
	struct timespec ts = in_ms(CLOCK_REALTIME, -1);
	pthread_attr_t a;
	clockid_t clk;
	cpu_set_t set;
	char name[16];
	int policy = -1, state, size_ok;
	void *addr;
	size_t size;

	say("%s:", who);
	say("  kill 0: %s", errname(pthread_kill(t, 0)));
	say("  kill SIGUSR2: %s", errname(pthread_kill(t, SIGUSR2)));
	say("  kill 65: %s", errname(pthread_kill(t, 65)));
	say("  kill -1: %s", errname(pthread_kill(t, -1)));
	say("  kill 32: %s", errname(pthread_kill(t, 32)));
	say("  sigqueue: %s",
	    errname(pthread_sigqueue(t, SIGUSR2, (union sigval){.sival_int = 1})));
	say("  sigqueue 33: %s", errname(pthread_sigqueue(t, 33, (union sigval){.sival_int = 1})));
	int err = pthread_getschedparam(t, &policy, &sp);
	say("  getschedparam: %s %d %d", errname(err), policy, sp.sched_priority);
	sp.sched_priority = 0;
	say("  setschedparam other: %s", errname(pthread_setschedparam(t, SCHED_OTHER, &sp)));
	say("  setschedparam 77: %s", errname(pthread_setschedparam(t, 77, &sp)));
	say("  setschedparam fifo 0: %s", errname(pthread_setschedparam(t, SCHED_FIFO, &sp)));
	sp.sched_priority = 5;
	say("  setschedparam other 5: %s", errname(pthread_setschedparam(t, SCHED_OTHER, &sp)));
	say("  setschedprio 0: %s", errname(pthread_setschedprio(t, 0)));
	say("  setschedprio 5: %s", errname(pthread_setschedprio(t, 5)));
	err = pthread_getcpuclockid(t, &clk);
	say("  getcpuclockid: %s, gettime %d", errname(err), err ? 0 : clock_gettime(clk, &ts));
	CPU_ZERO(&set);
	err = pthread_getaffinity_np(t, sizeof set, &set);
	say("  getaffinity: %s %d", errname(err), CPU_COUNT(&set) > 0);
	err = pthread_setaffinity_np(t, sizeof set, &set);
	say("  setaffinity, as it is: %s", errname(err));
	CPU_ZERO(&set);
	say("  setaffinity to none: %s", errname(pthread_setaffinity_np(t, sizeof set, &set)));
	say("  getname: %s", errname(pthread_getname_np(t, name, sizeof name)));
	say("  setname: %s", errname(pthread_setname_np(t, "a name")));
	say("  setname, long: %s", errname(pthread_setname_np(t, "a name of 16 let")));
	err = pthread_getattr_np(t, &a);
	if (err == 0) {
		OK(pthread_attr_getdetachstate(&a, &state));
		OK(pthread_attr_getstack(&a, &addr, &size));
		size_ok = addr != NULL && size > 0;
		say("  getattr: detached %d, stack %d", state, size_ok);
		OK(pthread_attr_destroy(&a));
	} else {
		say("  getattr: %s", errname(err));
	}
}

/* ---- itself ---------------------------------------------------------------------------------------- */

static void *asks_itself(void *arg)
{
	ask("itself", pthread_self());
	say("  tryjoin: %s", errname(pthread_tryjoin_np(pthread_self(), NULL)));
	return arg;
}

int main(void)
{
	pthread_t t;

	signal(SIGUSR2, on_usr2);
	OK(pthread_mutex_lock(&gate));
	t = start(through, NULL);
	ask("alive", t);
	say("  cancel nothing, tryjoin: %s", errname(pthread_tryjoin_np(t, NULL)));
	OK(pthread_mutex_unlock(&gate));
	finish(t);

	t = start(through, "ended");
	struct timespec ts = {0, 1000000};
	while (pthread_kill(t, 0) == 0 && pthread_getcpuclockid(t, &(clockid_t){0}) == 0)
		nanosleep(&ts, NULL);
	settle();
	ask("ended", t);
	say("  cancel: %s", errname(pthread_cancel(t)));
	say("  value: %s", (char *)finish(t));
	finish(start(asks_itself, NULL));
	ask("main", pthread_self());
	return 0;
}
