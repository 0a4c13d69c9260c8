/* SPDX-License-Identifier: MIT */
/* Default actions reach the whole process whatever its threads do and block: each case in a child with threads, told by its
 * wait status. signal(7), waitpid(2) */
#include "t.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int p[2];

static void *reads(void *arg)
{
	char c;

	(void)!read(p[0], &c, 1);
	return arg;
}

static void *spins(void *arg)
{
	for (;;)
		;
	return arg;
}

static void mask(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	OK(pthread_sigmask(how, &set, NULL));
}

static void *raises(void *arg)
{
	raise((int)(intptr_t)arg);
	return NULL;
}

static void noop(int sig)
{
	(void)sig;
}

static void *aborts(void *arg)
{
	(void)arg;
	abort();
}

/* In the child; the parent sends sig when told so by a byte, unless it is 0. */
enum { PARKED, COMPUTING, BLOCKED_OPEN, ONLY_PARKED, BY_KILL_THREAD, BY_RAISE, RESET, ABORT, ABORT_BLOCKED, BLOCKED, CASES };
static const char *const names[] = {
	"all parked", "one computes", "all block, then main unblocks", "only parked threads take it", "pthread_kill",
	"raise in a thread", "handler, then default", "abort in a thread", "abort with SIGABRT blocked", "all block: survives",
};

static void child(int how, int sig, int ready)
{
	pthread_t t[4];
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	if (how == BLOCKED_OPEN || how == BLOCKED)
		mask(SIG_BLOCK, sig);
	for (int i = 0; i < 4; i++)
		t[i] = start(reads, NULL);
	usleep(2000);
	switch (how) {
	case COMPUTING:
		start(spins, NULL);
		break;
	case BLOCKED_OPEN:
		MUST(kill(getpid(), sig) == 0);
		usleep(2000);
		MUST(write(ready, "x", 1) == 1);
		mask(SIG_UNBLOCK, sig);
		_exit(1);
	case ONLY_PARKED:
		mask(SIG_BLOCK, sig); /* main and the one that computes; not those above */
		start(spins, NULL);
		MUST(write(ready, "x", 1) == 1);
		spins(NULL);
		break;
	case BY_KILL_THREAD:
		mask(SIG_BLOCK, sig);
		MUST(write(ready, "x", 1) == 1);
		OK(pthread_kill(t[2], sig));
		break;
	case BY_RAISE:
		MUST(write(ready, "x", 1) == 1);
		start(raises, (void *)(intptr_t)sig);
		break;
	case RESET:
		MUST(signal(sig, noop) == SIG_DFL);
		MUST(kill(getpid(), sig) == 0);
		usleep(1000);
		MUST(signal(sig, SIG_DFL) == noop);
		break;
	case ABORT_BLOCKED:
		mask(SIG_BLOCK, SIGABRT);
		MUST(write(ready, "x", 1) == 1);
		start(aborts, NULL);
		break;
	case ABORT:
		MUST(write(ready, "x", 1) == 1);
		start(aborts, NULL);
		break;
	case BLOCKED:
		MUST(kill(getpid(), sig) == 0);
		MUST(write(ready, "x", 1) == 1);
		usleep(30000);
		_exit(7);
	}
	MUST(write(ready, "x", 1) == 1);
	reads(NULL);
	_exit(2);
}

static const char *ending(int status)
{
	static char s[64];

	if (WIFSIGNALED(status))
		snprintf(s, sizeof s, "killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
	else
		snprintf(s, sizeof s, "exit %d", WEXITSTATUS(status));
	return s;
}

static void run(int how, int sig)
{
	int ready[2], status;
	char c;

	MUST(pipe(ready) == 0);
	pid_t pid = fork();
	if (pid == 0)
		child(how, sig, ready[1]);
	MUST(read(ready[0], &c, 1) == 1);
	if (how != BLOCKED_OPEN && how != BY_RAISE && how != BY_KILL_THREAD && how < ABORT) {
		usleep(3000);
		MUST(kill(pid, sig) == 0);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	say("%s, SIG%s: %s", names[how], sigabbrev_np(sig), ending(status));
	close(ready[0]), close(ready[1]);
}

static void stopped(int sig)
{
	int status, ready[2];
	char c;

	MUST(pipe(ready) == 0);
	pid_t pid = fork();
	/* A group of its own, with a parent outside: SIGTSTP stops no orphans. */
	if (pid == 0)
		setpgid(0, 0);
	if (pid == 0)
		child(sig == SIGTSTP ? COMPUTING : PARKED, sig, ready[1]);
	MUST(read(ready[0], &c, 1) == 1);
	usleep(3000);
	MUST(kill(pid, sig) == 0);
	MUST(waitpid(pid, &status, WUNTRACED) == pid);
	say("stopped %d by SIG%s", WIFSTOPPED(status), WIFSTOPPED(status) ? sigabbrev_np(WSTOPSIG(status)) : "?");
	MUST(kill(pid, SIGCONT) == 0);
	MUST(waitpid(pid, &status, WCONTINUED) == pid);
	say("continued %d", WIFCONTINUED(status));
	MUST(kill(pid, SIGCHLD) == 0 && kill(pid, SIGURG) == 0 && kill(pid, SIGWINCH) == 0);
	usleep(3000);
	MUST(waitpid(pid, &status, WNOHANG) == 0);
	MUST(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
	say("%s", ending(status));
}

int main(void)
{
	int sigs[] = {SIGTERM, SIGUSR1, SIGRTMIN};

	MUST(pipe(p) == 0);
	for (int how = 0; how < CASES; how++)
		for (int i = 0; i < (how >= ABORT ? 1 : NELEM(sigs)); i++)
			run(how, sigs[i]);
	stopped(SIGSTOP);
	stopped(SIGTSTP);
	return 0;
}
