/* SPDX-License-Identifier: MIT
 *
 * real.c: the real functions behind our names, and the library's constructor.
 *
 * Everything is resolved at once, before main and without a system call; who calls one of our names
 * earlier (another constructor, the allocator that dlsym uses) triggers it by REAL().
 */
#include "shim.h"

struct real real_;

void realinit(void)
{
#define FN(ret, name, args) real_.name = (ret(*) args)libcsym(#name);
#include "names.def"
#undef FN
}

/* We are initialised before libc (initfirst), which has not set environ yet: ld.so passes it. */
__attribute__((constructor)) static void init(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	realinit();
	envinit(envp);
}
