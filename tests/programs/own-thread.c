/* SPDX-License-Identifier: MIT */
/* What the kernel keeps by thread stays with the thread that changed it, whatever it waits for, is
 * inherited by the threads which that one creates, and is nobody else's. nice(2), sched(7),
 * prctl(2), unshare(2), setfsuid(2) */
#include "perthread.h"
#include <linux/audit.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char home[4096];

/* umask() itself would be seen by others. */
static unsigned mask(void)
{
	FILE *f = fopen("/proc/thread-self/status", "r");
	char line[200];
	unsigned m = 0;

	MUST(f != NULL);
	while (fgets(line, sizeof line, f) && sscanf(line, "Umask: %o", &m) != 1)
		;
	fclose(f);
	return m;
}

static void state(char *s, size_t n)
{
	char cwd[4096];

	MUST(getcwd(cwd, sizeof cwd));
	snprintf(
	    s, n,
	    "nice %d policy %d no_new_privs %d slack %s fsuid %d persona %lx %s umask %o ppid %s",
	    getpriority(PRIO_PROCESS, 0), sched_getscheduler(0),
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
	    prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == 77777 ? "mine" : "usual",
	    setfsuid(-1) - geteuid(), (long)personality(0xffffffff) & ADDR_NO_RANDOMIZE,
	    strcmp(cwd, home) ? "elsewhere" : "home", mask(),
	    getppid() < 0 ? errname(errno) : "known");
}

static void *nices(void *arg)
{
	say("nice: %d", nice(5));
	say("setpriority: %d %d", setpriority(PRIO_PROCESS, 0, 6),
	    getpriority(PRIO_PROCESS, gettid()));
	stays("nice");
	return arg;
}

static void *batch(void *arg)
{
	struct sched_param sp = {0};

	SYS(sched_setscheduler(gettid(), SCHED_BATCH, &sp));
	SYS(sched_setscheduler(0, SCHED_FIFO, &sp));
	SYS(sched_setscheduler(0, 77, &sp));
	SYS(sched_getscheduler(gettid()));
	stays("batch");
	return arg;
}

static void *slack(void *arg)
{
	SYS(prctl(PR_SET_TIMERSLACK, 77777, 0, 0, 0));
	stays("timer slack");
	return arg;
}

static void *fs(void *arg)
{
	SYS(unshare(CLONE_FS));
	SYS(chdir("/"));
	umask(077);
	stays("unshare");
	return arg;
}

static void *persona(void *arg)
{
	MUST(personality(ADDR_NO_RANDOMIZE) >= 0);
	stays("personality");
	return arg;
}

static void *fsuid(void *arg)
{
	if (geteuid() == 0)
		setfsuid(1234);
	stays("fsuid");
	return arg;
}

static void *confined(void *arg)
{
	SYS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	SYS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &no_getppid, 0, 0));
	stays("seccomp");
	return arg;
}

static void *fails(void *arg)
{
	struct sched_param sp = {0};

	SYS(setpriority(PRIO_PROCESS, 123456789, 0));
	SYS(sched_setscheduler(0, SCHED_OTHER, NULL));
	SYS(setns(-1, 0));
	SYS(prctl(PR_SET_NO_NEW_PRIVS, 2, 0, 0, 0));
	SYS(sched_setparam(0, &sp));
	return arg;
}

int main(void)
{
	void *(*const fn[])(void *) = {nices, batch, slack, fs, persona, fsuid, confined, fails};
	pthread_t t[8];

	MUST(getcwd(home, sizeof home));
	state(usual, sizeof usual);
	say("usual: %s", usual);
	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(plain, NULL);
	for (int i = 0; i < NELEM(fn); i++)
		finish(start(fn[i], NULL));
	finish(start(child, NULL));
	nices(NULL); /* and main */
	quit = 1;
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	say("plain threads that were different: %d", odd);
	return 0;
}
