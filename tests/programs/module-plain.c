/* SPDX-License-Identifier: MIT */
/* A module to dlopen many times: a constructor, a destructor, one dynamic TLS variable. */

static __thread int value = 7;
int loaded;

__attribute__((constructor)) static void up(void)
{
	loaded = 1;
}

int answer(void);
int answer(void)
{
	return loaded ? value++ : -1;
}
