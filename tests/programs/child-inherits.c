/* SPDX-License-Identifier: MIT */
/* A child has what the process had when it began (slice and timer slack, niceness, policy, CPUs,
 * masks, rights), whichever thread made it, beside others that compute and sleep; so has a thread
 * of the child's, and what a child executes. fork(2), prctl(2), sched_setattr(2), proc(5) */
#include "t.h"
#include <sched.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char began[2000];

/* The lines of our status that a child inherits, and what the scheduler knows. */
static void *have(void *arg)
{
	static const char *const lines[] = {"Umask",   "Uid",	       "Gid",
					    "Groups",  "Cap",	       "NoNewPrivs",
					    "Seccomp", "Cpus_allowed", "Mems_allowed"};
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attr = {0};
	char *s = arg, line[4200], *end = s + sizeof began;
	FILE *f = fopen("/proc/thread-self/status", "r");

	MUST(f && syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) == 0);
	s += snprintf(s, end - s, "policy %u flags %d nice %d slice %d us slack %d ioprio %ld\n",
		      attr.policy, (int)attr.flags, attr.nice, (int)(attr.runtime / 1000),
		      prctl(PR_GET_TIMERSLACK), syscall(SYS_ioprio_get, 1, 0));
	while (fgets(line, sizeof line, f))
		for (int i = 0; i < NELEM(lines); i++)
			if (!strncmp(line, lines[i], strlen(lines[i])) && s < end)
				s += snprintf(s, end - s, "%s", line);
	MUST(fclose(f) == 0);
	return NULL;
}

/* 0: as main had it. */
static int other(const char *who)
{
	char mine[sizeof began];

	have(mine);
	if (strcmp(began, mine) == 0)
		return 0;
	fprintf(stderr, "%s has\n%s, not\n%s", who, mine, began);
	return 1;
}

static void *grandchild(void *arg)
{
	return other(arg) ? arg : NULL;
}

static void *makes(void *arg)
{
	extern char **environ;
	char *self[] = {"/proc/self/exe", "child", began, NULL};
	long bad = 0;

	for (int i = 0; i < scaled(40); i++) {
		int status;
		pid_t pid;
		if (i % 8 == 7)
			OK(posix_spawn(&pid, module_path("child-inherits"), NULL, NULL, self,
				       environ));
		else if ((pid = fork()) == 0)
			_exit(other("a child") ||
			      (i % 8 == 3 && finish(start(grandchild, "a child's thread"))));
		MUST(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		bad += WEXITSTATUS(status) != 0;
		usleep(500);
	}
	(void)arg;
	return (void *)bad;
}

static volatile int quit;

static void *disturbs(void *arg)
{
	while (!quit) {
		for (volatile int i = 0; i < 2000000; i++)
			;
		usleep(100);
	}
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t[6], d[4];
	long bad = 0;

	if (argc == 3 && !strcmp(argv[1], "child")) {
		snprintf(began, sizeof began, "%s", argv[2]);
		return other("what a child executes");
	}
	have(began);
	for (int i = 0; i < NELEM(d); i++)
		d[i] = start(disturbs, NULL);
	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(makes, NULL);
	for (int i = 0; i < NELEM(t); i++)
		bad += (long)finish(t[i]);
	quit = 1;
	for (int i = 0; i < NELEM(d); i++)
		finish(d[i]);
	say("children that have something else: %ld", bad);
	return 0;
}
