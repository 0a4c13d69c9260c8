/* SPDX-License-Identifier: MIT */
/* A module to dlopen: dynamic TLS, initialised and zeroed. */
#include <stdlib.h>

static __thread int counter = 100;
static __thread char buffer[3000];

int bump(int by);
int bump(int by)
{
	counter += by;
	return counter;
}

int all_zero(void);
int all_zero(void)
{
	for (int i = 0; i < 3000; i++)
		if (buffer[i])
			return 0;
	buffer[1234] = 1;
	return 1;
}
