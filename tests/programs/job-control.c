/* SPDX-License-Identifier: MIT */
/* A program with threads and its terminal: the window's size, what is typed to interrupt, quit and
 * stop it, the hang-up; in the background, reading and writing there stops it, all of it, until it
 * is continued, or fails. termios(3), setpgid(2), waitpid(2) */
#include "t.h"
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

enum { WAITERS = 50 };

static int up[2]; /* what the children have to say, a byte each */
static _Atomic bool gone;

static void tells(char c)
{
	MUST(write(up[1], &c, 1) == 1);
}

static char told(void)
{
	char c;

	MUST(read(up[0], &c, 1) == 1);
	return c;
}

static void on_signal(int sig)
{
	int e = errno;

	gone = sig == SIGHUP;
	tells(sig == SIGWINCH  ? 'w'
	      : sig == SIGINT  ? 'i'
	      : sig == SIGQUIT ? 'q'
	      : sig == SIGHUP  ? 'h'
			       : '?');
	errno = e;
}

static void *waits(void *arg)
{
	char c;

	MUST(read(*(int *)arg, &c, 1) == 1);
	return arg;
}

static void *reads(void *arg)
{
	char line[100];
	ssize_t n = read(0, line, sizeof line);

	tells(n > 0 ? 'L' : n == -1 && errno == EIO ? 'E' : '?');
	return arg;
}

static void *writes(void *arg)
{
	MUST(write(1, "x", 1) == 1);
	return arg;
}

static void threads(void)
{
	static int quiet[2];

	MUST(pipe(quiet) == 0);
	for (int i = 0; i < WAITERS; i++)
		start_small(waits, &quiet[0]);
}

static int foreground(bool in_thread)
{
	static const int sigs[] = {SIGWINCH, SIGINT, SIGQUIT, SIGHUP};
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	for (int i = 0; i < NELEM(sigs); i++)
		MUST(sigaction(sigs[i], &sa, NULL) == 0);
	threads();
	tells('r');
	in_thread ? finish(start(reads, NULL)) : reads(NULL);
	while (!gone)
		usleep(1000);
	tells('e');
	return 0;
}

/* Who runs us may ignore some of them, nohup(1) for one, and then a leader outlives its terminal.
 */
static void defaults(void)
{
	static const int sigs[] = {SIGHUP, SIGTSTP, SIGTTIN, SIGTTOU};

	for (int i = 0; i < NELEM(sigs); i++)
		MUST(signal(sigs[i], SIG_DFL) != SIG_ERR);
}

/* A session: its leader tells when the job stops and goes on, and is killed by the hang-up. */
static void leader(bool in_thread)
{
	pid_t job = fork();
	int st;

	MUST(job >= 0);
	if (job == 0) {
		signal(SIGTTOU, SIG_IGN);
		MUST(setpgid(0, 0) == 0 && tcsetpgrp(0, getpid()) == 0);
		_exit(foreground(in_thread));
	}
	for (;;) {
		MUST(waitpid(job, &st, WUNTRACED | WCONTINUED) == job);
		tells(WIFSTOPPED(st) && WSTOPSIG(st) == SIGTSTP ? 'S'
		      : WIFCONTINUED(st)			? 'C'
								: '?');
		if (WIFSTOPPED(st))
			MUST(kill(-job, SIGCONT) == 0);
	}
}

static void foregrounds(bool in_thread)
{
	struct winsize size = {30, 90, 0, 0};
	int master;
	pid_t pid = forkpty(&master, NULL, NULL, NULL);

	MUST(pid >= 0);
	if (pid == 0) {
		defaults();
		leader(in_thread);
	}
	MUST(told() == 'r');
	for (int i = 0; i < 3; i++, size.ws_row++) {
		MUST(ioctl(master, TIOCSWINSZ, &size) == 0);
		say("size: %c", told());
	}
	MUST(write(master, "\003", 1) == 1);
	say("interrupt: %c", told());
	MUST(write(master, "\034", 1) == 1);
	say("quit: %c", told());
	for (int i = 0; i < 3; i++) {
		MUST(write(master, "\032", 1) == 1);
		say("stopped: %c", told());
		say("continued: %c", told());
	}
	MUST(write(master, "line\n", 5) == 5);
	say("line: %c", told());
	MUST(close(master) == 0);
	say("hang-up: %c", told());
	say("ended: %c", told());
	MUST(waitpid(pid, NULL, 0) == pid);
}

/* In a session of its own: a job in the background, which is then put into the foreground. */
static void shell(void)
{
	pid_t job = fork();
	int st;

	MUST(job >= 0);
	if (job == 0) {
		MUST(setpgid(0, 0) == 0);
		threads();
		finish(start(reads, NULL));
		_exit(3);
	}
	(void)setpgid(job, job);
	MUST(waitpid(job, &st, WUNTRACED) == job);
	tells(WIFSTOPPED(st) && WSTOPSIG(st) == SIGTTIN ? 'T' : '?');
	signal(SIGTTOU, SIG_IGN);
	MUST(tcsetpgrp(0, job) == 0 && kill(-job, SIGCONT) == 0 && waitpid(job, &st, 0) == job);
	tells(WIFEXITED(st) ? (char)('0' + WEXITSTATUS(st)) : '?');
	_exit(0);
}

/* Likewise; the job ignores SIGTTIN, and the terminal stops whoever writes. */
static void shell2(void)
{
	struct termios tm;
	int st;

	MUST(tcgetattr(0, &tm) == 0);
	tm.c_lflag |= TOSTOP;
	MUST(tcsetattr(0, TCSANOW, &tm) == 0);
	pid_t job = fork();
	MUST(job >= 0);
	if (job == 0) {
		MUST(setpgid(0, 0) == 0);
		threads();
		signal(SIGTTIN, SIG_IGN);
		finish(start(reads, NULL));
		finish(start(writes, NULL));
		_exit(5);
	}
	(void)setpgid(job, job);
	MUST(waitpid(job, &st, WUNTRACED) == job);
	tells(WIFSTOPPED(st) && WSTOPSIG(st) == SIGTTOU ? 'O' : '?');
	MUST(kill(-job, SIGKILL) == 0 && waitpid(job, &st, 0) == job);
	_exit(0);
}

static void backgrounds(void (*fn)(void), const char *types, int say_n)
{
	int master;
	pid_t pid = forkpty(&master, NULL, NULL, NULL);

	MUST(pid >= 0);
	if (pid == 0) {
		defaults();
		fn();
	}
	say("background: %c", told());
	MUST(write(master, types, strlen(types)) == (ssize_t)strlen(types));
	while (say_n-- > 0)
		say("then: %c", told());
	MUST(waitpid(pid, NULL, 0) == pid && close(master) == 0);
}

int main(void)
{
	MUST(pipe(up) == 0);
	foregrounds(false);
	foregrounds(true);
	backgrounds(shell, "hello\n", 2);
	backgrounds(shell2, "", 1);
	return 0;
}
