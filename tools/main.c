/* SPDX-License-Identifier: MIT
 *
 * main.c: gmp-live, the part of the launcher `gmp` that looks into a running process: stat and
 * dump.
 */
#define _GNU_SOURCE 1
#include "live.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

noreturn void die(int status, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("gmp: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

void *xrealloc(void *p, size_t n)
{
	p = realloc(p, n ? n : 1);
	if (p == NULL)
		die(1, "out of memory");
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (p == NULL)
		die(1, "out of memory");
	return p;
}

double number(const char *option, const char *value, double lo, double hi, bool whole)
{
	char *end = NULL;
	double v = 0;

	/* strtod takes more than we do: spaces, signs, hexadecimal, "inf". */
	bool good = value != NULL && *value != 0 &&
		    strspn(value, whole ? "0123456789" : "0123456789.") == strlen(value);
	if (good) {
		errno = 0;
		v = strtod(value, &end);
		good = *end == 0 && errno == 0 && v >= lo && v <= hi;
	}
	if (!good)
		die(2, "%s is \"%s\", must be a %snumber from %g to %.16g", option,
		    value ? value : "", whole ? "whole " : "", lo, hi);
	return v;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "stat") == 0)
		return cmdstat(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "dump") == 0)
		return cmddump(argc - 1, argv + 1);
	die(2, "usage: gmp-live stat|dump ...; it is run by `gmp stat` and `gmp dump`, whose "
	       "--help says more");
}
