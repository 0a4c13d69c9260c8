/* SPDX-License-Identifier: MIT */
/* Terminals: many pairs of them, lines typed and answered, settings changed when the output is
 * drained, breaks; readers wait without keeping anybody else. termios(3), pty(7) */
#include "t.h"
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

#define PAIRS 8

struct pair {
	int master, slave, id;
};

static void *shell(void *arg)
{
	struct pair *p = arg;
	char line[100], want[100];

	for (int i = 0; i < scaled(20); i++) {
		ssize_t n = read(p->slave, line, sizeof line);
		snprintf(want, sizeof want, "line %d.%d\n", p->id, i);
		MUST(n == (ssize_t)strlen(want) && !memcmp(line, want, n));
		MUST(dprintf(p->slave, "answer %d\n", i) > 0 && tcdrain(p->slave) == 0);
	}
	return arg;
}

static void *types(void *arg)
{
	struct pair *p = arg;
	char line[100], want[100];
	struct winsize w;

	for (int i = 0; i < scaled(20); i++) {
		MUST(dprintf(p->master, "line %d.%d\n", p->id, i) > 0);
		snprintf(want, sizeof want, "answer %d\n", i);
		MUST(read_all(p->master, line, strlen(want)) == strlen(want) &&
		     !memcmp(line, want, strlen(want)));
		w = (struct winsize){.ws_row = 10 + i, .ws_col = 20};
		MUST(ioctl(p->master, TIOCSWINSZ, &w) == 0 &&
		     ioctl(p->slave, TIOCGWINSZ, &w) == 0 && w.ws_row == 10 + i);
	}
	return arg;
}

static void *breaks(void *arg)
{
	SYS(tcsendbreak(*(int *)arg, 0));
	return arg;
}

int main(void)
{
	struct pair p[PAIRS];
	pthread_t s[PAIRS], t[PAIRS];
	struct termios tio;
	char c;

	for (int i = 0; i < PAIRS; i++) {
		p[i].id = i;
		MUST(openpty(&p[i].master, &p[i].slave, NULL, NULL, NULL) == 0 &&
		     tcgetattr(p[i].slave, &tio) == 0);
		tio.c_lflag &= ~ECHO;
		tio.c_oflag &= ~OPOST;
		MUST(tcsetattr(p[i].slave, i % 2 ? TCSADRAIN : TCSAFLUSH, &tio) == 0);
		s[i] = start(shell, &p[i]);
		t[i] = start(types, &p[i]);
	}
	for (int i = 0; i < PAIRS; i++) {
		finish(t[i]);
		finish(s[i]);
	}
	say("%d shells", PAIRS);
	finish(start(breaks, &p[0].slave));
	SYS(tcflow(p[0].slave, TCOON));
	SYS(tcdrain(-1));
	int fds[2];
	MUST(pipe(fds) == 0);
	SYS(tcdrain(fds[0]));
	SYS(tcsetattr(fds[0], TCSADRAIN, &tio));
	SYS(ioctl(fds[0], TIOCGWINSZ, &c));
	MUST(close(p[0].master) == 0);
	SYS(read(p[0].slave, &c, 1));
	SYS(write(p[0].slave, &c, 1));
	return 0;
}
