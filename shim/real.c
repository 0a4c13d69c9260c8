/* SPDX-License-Identifier: MIT
 *
 * real.c: the real functions behind our names, and the library's constructor.
 *
 * Everything is resolved at once, before main and without a system call; what is called
 * earlier (by another constructor, the allocator that dlsym uses) is resolved by REAL() by itself.
 */
#include "shim.h"
#include <string.h>

struct real real_;

void realinit(void)
{
#define FN(ret, name, args) real_.name = (ret(*) args)libcsym(#name);
#include "names.def"
#undef FN
}

void *realone(void *slot, const char *name)
{
	void *fn = libcsym(name);

	memcpy(slot, &fn, sizeof(fn));
	return fn;
}

/* We are initialised before libc (initfirst), which has not set environ yet: ld.so passes it. */
__attribute__((constructor)) static void init(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	realinit();
	envinit(envp);
}
