/* SPDX-License-Identifier: MIT
 *
 * env.c: the GMP_* settings. Parsed strictly: a bad value is named with what is allowed, and ends the
 * process with status 2 before the program does anything; a GMP_* name we do not know is a warning.
 *
 * The environment is scanned once, in the constructor, without system calls. In a process that has more rights than who
 * started it (AT_SECURE) it is not believed: only GMP_VERBOSE=1 counts, and the pool never starts.
 */
#include "runtime.h"
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

struct debug debug = {.maxm = 10000, .deep = true, .spinns = 50000};

static noreturn void bad(const char *name, const char *value, const char *allowed)
{
	gprintf("libgmp: %s=%s: allowed is %s\n", name, value, allowed);
	for (;;)
		SC1(SYS_exit_group, 2);
}

static int number(const char *name, const char *value, int lo, int hi, const char *allowed)
{
	long v = 0;

	if (*value == 0)
		bad(name, value, allowed);
	for (const char *s = value; *s; s++) {
		if (*s < '0' || *s > '9' || (v = v * 10 + (*s - '0')) > hi)
			bad(name, value, allowed);
	}
	if (v < lo)
		bad(name, value, allowed);
	return (int)v;
}

static int choice(const char *name, const char *value, const char *const *words, const char *allowed)
{
	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(value, words[i]) == 0)
			return i;
	bad(name, value, allowed);
}

/* MS or MS,FILE: the FILE, nil if there is none; the number goes to *ms. */
static const char *trace(const char *name, const char *value, uint64_t *ms)
{
	static const char allowed[] = "a whole number of milliseconds from 1 to 1000000, or that, a comma and a file's name";
	const char *comma = strchr(value, ',');
	char num[16];
	size_t n = comma ? (size_t)(comma - value) : strlen(value);

	if (n == 0 || n >= sizeof(num) || (comma && comma[1] == 0))
		bad(name, value, allowed);
	memcpy(num, value, n);
	num[n] = 0;
	for (const char *s = num; *s; s++)
		if (*s < '0' || *s > '9')
			bad(name, value, allowed);
	*ms = (uint64_t)number(name, num, 1, 1000000, allowed);
	return comma ? comma + 1 : NULL;
}

static void setting(const char *name, const char *value)
{
	static const char *const fs[] = {"auto", "wrfsbase", "syscall", NULL};
	static const char *const deadlocks[] = {"warn", "abort", "off", NULL};
	static const char *const loaders[] = {"auto", "names", NULL};
	static const char *const guards[] = {"auto", "madvise", "mprotect", NULL};

	if (strcmp(name, "GMP_PROCS") == 0)
		debug.procs = number(name, value, 1, 1024, "a whole number from 1 to 1024");
	else if (strcmp(name, "GMP_MAXM") == 0)
		debug.maxm = number(name, value, 3, 32768, "a whole number from 3 to 32768");
	else if (strcmp(name, "GMP_VERBOSE") == 0)
		debug.verbose = number(name, value, 0, 1, "0 or 1");
	else if (strcmp(name, "GMP_DEEP") == 0)
		debug.deep = number(name, value, 0, 1, "0 or 1");
	else if (strcmp(name, "GMP_SPIN") == 0)
		debug.spinns = 1000L * number(name, value, 0, 1000, "a whole number of microseconds from 0 to 1000");
	else if (strcmp(name, "GMP_ASYNCPREEMPT") == 0)
		debug.noasync = number(name, value, 0, 1, "0 or 1") == 0;
	else if (strcmp(name, "GMP_FORCEPREEMPT") == 0)
		debug.forcens = 1000L * number(name, value, 0, 1000000, "a whole number of microseconds from 0 to 1000000");
	else if (strcmp(name, "GMP_TRACEBACK") == 0)
		debug.traceback = number(name, value, 0, 1, "0 or 1");
	else if (strcmp(name, "GMP_DEADLOCK") == 0)
		deadlock = (enum deadlock)choice(name, value, deadlocks, "warn, abort or off");
	else if (strcmp(name, "GMP_FSBASE") == 0)
		debug.fsbase = (enum fsbase)choice(name, value, fs, "auto, wrfsbase or syscall");
	else if (strcmp(name, "GMP_LOADER") == 0)
		debug.loader = (enum loader)choice(name, value, loaders, "auto or names");
	else if (strcmp(name, "GMP_SCHEDTRACE") == 0) {
		debug.schedtracefile = trace(name, value, &debug.schedtrace);
		debug.schedtrace *= 1000000;
	} else if (strcmp(name, "GMP_GUARD") == 0)
		guardhow = (enum guardhow)choice(name, value, guards, "auto, madvise or mprotect");
	else if (strcmp(name, "GMP_LIB") != 0) /* the launcher's */
		gprintf("libgmp: %s is no setting (known: GMP_PROCS GMP_MAXM GMP_VERBOSE GMP_DEEP GMP_SPIN "
			"GMP_ASYNCPREEMPT GMP_FORCEPREEMPT GMP_FSBASE GMP_GUARD GMP_LOADER GMP_SCHEDTRACE GMP_DEADLOCK GMP_TRACEBACK); "
			"ignored\n", name);
}

void envinit(char **envp)
{
	timeinit();
	semainit();
	debug.secure = getauxval(AT_SECURE) != 0;
	for (char **e = envp; e != NULL && *e != NULL; e++) {
		char name[256]; /* of ours none is longer; a longer one is told cut short */
		if (strncmp(*e, "GMP_", 4) != 0)
			continue;
		const char *eq = strchr(*e, '=');
		size_t n = eq ? (size_t)(eq - *e) : 0;
		if (n == 0)
			continue;
		if (n >= sizeof(name))
			n = sizeof(name) - 1;
		memcpy(name, *e, n);
		name[n] = 0;
		if (likely(!debug.secure))
			setting(name, eq + 1);
		else if (strcmp(*e, "GMP_VERBOSE=1") == 0)
			debug.verbose = true;
	}
}
