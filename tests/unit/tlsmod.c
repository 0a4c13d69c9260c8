/* SPDX-License-Identifier: MIT
 *
 * tlsmod.c: a module to be dlopened: its TLS is static (STATICTLS) or dynamic. Its constructor has
 * to find first values, and changes them for its own thread.
 */
#include <stdlib.h>

#ifdef STATICTLS
#define MODEL __attribute__((tls_model("initial-exec")))
#else
#define MODEL
#endif

static __thread int var MODEL = 1234;
static __thread int zero MODEL;

int modget(void);
void modset(int n);

__attribute__((constructor)) static void init(void)
{
	__asm__ volatile("" ::: "memory"); /* else clang 14 runs it while it compiles, for all threads at once */
	if (var != 1234 || zero != 0)
		abort();
	var = zero = 99;
}

int modget(void)
{
	return var == zero ? var : var + zero;
}

void modset(int n)
{
	var = zero = n;
}
