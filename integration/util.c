/* SPDX-License-Identifier: MIT */
/* Arguments and limits, for the servers and the client alike. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "integration.h"

long parse_number(const char *what, const char *text, long min, long max)
{
	char *end;
	errno = 0;
	long n = strtol(text, &end, 10);
	long unit = 1;
	if (end != text && (*end == 'K' || *end == 'k'))
		unit = 1L << 10, end++;
	else if (end != text && *end == 'M')
		unit = 1L << 20, end++;
	if (end == text || *end || errno || n < min / unit || n > max / unit || n * unit < min) {
		fprintf(stderr, "%s: %s is \"%s\", must be a whole number from %ld to %ld\n",
			program_invocation_short_name, what, text, min, max);
		exit(2);
	}
	return n * unit;
}

size_t parse_stacksize(const char *text)
{
	return (size_t)parse_number("the stack size (-s)", text, sysconf(_SC_THREAD_STACK_MIN),
				    1L << 30);
}

void raise_fd_limit(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}
