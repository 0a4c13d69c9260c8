/* SPDX-License-Identifier: MIT */
/* What posix_spawn, system and popen do in a child is not done to the parent: descriptors which the
 * child closes, duplicates or opens while others wait on them in the parent, masks and
 * dispositions; leaving system() by longjmp from a handler. posix_spawn(3), system(3) */
#include "t.h"
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;
static int p[2], q[2];

static void *reads(void *arg)
{
	char c = 0;
	ssize_t n = read(*(int *)arg, &c, 1);

	return (void *)(intptr_t)(n == 1 ? c : -1);
}

static int spawned(int which)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	char *argv[] = {"sh", "-c", "cat; exit 7", NULL};
	sigset_t set;
	pid_t pid;
	int st;

	OK(posix_spawn_file_actions_init(&fa));
	OK(posix_spawnattr_init(&at));
	OK(posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0));
	OK(posix_spawn_file_actions_adddup2(&fa, 0, p[0]));
	OK(posix_spawn_file_actions_addclose(&fa, p[1]));
	OK(posix_spawn_file_actions_adddup2(&fa, 0, q[0]));
	OK(posix_spawn_file_actions_addclosefrom_np(&fa, q[0]));
	sigfillset(&set);
	OK(posix_spawnattr_setsigmask(&at, &set));
	OK(posix_spawnattr_setsigdefault(&at, &set));
	OK(posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
	if (which)
		OK(posix_spawnp(&pid, "sh", &fa, &at, argv, environ));
	else
		OK(posix_spawn(&pid, "/bin/sh", &fa, &at, argv, environ));
	MUST(waitpid(pid, &st, 0) == pid);
	MUST(posix_spawn(&pid, "/no/such/file", &fa, &at, argv, environ) == ENOENT);
	OK(posix_spawn_file_actions_destroy(&fa));
	OK(posix_spawnattr_destroy(&at));
	return WEXITSTATUS(st);
}

static void *spawns(void *arg)
{
	int sum = 0;

	for (int i = 0; i < scaled(20); i++) {
		sum += spawned(i % 2) == 7;
		sum += WEXITSTATUS(system("exit 3")) == 3;
		FILE *f = popen("echo one; echo two", "r");
		char line[20];
		MUST(f && fgets(line, sizeof line, f) && !strcmp(line, "one\n"));
		MUST(fgets(line, sizeof line, f) && !strcmp(line, "two\n") &&
		     !fgets(line, sizeof line, f));
		sum += pclose(f) == 0;
	}
	(void)arg;
	return (void *)(intptr_t)(sum == 3 * scaled(20));
}

static sigjmp_buf out;

static void jumps(int s)
{
	siglongjmp(out, s);
}

static void *leaves(void *arg)
{
	struct sigaction sa = {.sa_handler = jumps};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	if (sigsetjmp(out, 1) == 0)
		system("kill -USR1 $PPID; exec sleep 100"); /* libc kills it */
	else
		say("left system() by a jump");
	/* This thread is itself again. */
	MUST(write(q[1], "z", 1) == 1);
	sched_yield();
	settle();
	return arg;
}

int main(void)
{
	pthread_t r[4], s[6];
	sigset_t set;
	char c;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	MUST(pipe(p) == 0 && pipe(q) == 0);
	for (int i = 0; i < 4; i++)
		r[i] = start(reads, &p[0]);
	settle();
	for (int i = 0; i < 6; i++)
		s[i] = start(spawns, NULL);
	for (int i = 0; i < 6; i++)
		say("spawned: %ld", (long)finish(s[i]));
	MUST(write(p[1], "abcd", 4) == 4);
	int sum = 0;
	for (int i = 0; i < 4; i++)
		sum += (int)(intptr_t)finish(r[i]);
	say("readers were not disturbed: %d", sum == 'a' + 'b' + 'c' + 'd');
	finish(start(leaves, NULL));
	MUST(read(q[0], &c, 1) == 1 && c == 'z');
	return 0;
}
