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

/*
 * What an allocator calls under its own lock, before all others: these exist, so that nothing is allocated for them. For a
 * name which libc lacks, dlsym() allocates a message and frees the one before, and would be asked for these from there.
 */
static void realfirst(void)
{
#define FIRST(name) realone(&real_.name, #name)
	FIRST(madvise);
	FIRST(prctl);
	FIRST(syscall);
	FIRST(sched_yield);
	FIRST(nanosleep);
	FIRST(open);
	FIRST(open64);
	FIRST(openat);
	FIRST(read);
	FIRST(write);
	FIRST(close);
	FIRST(getrandom);
	FIRST(sched_getaffinity);
	FIRST(pthread_once);
	FIRST(pthread_mutex_init);
	FIRST(pthread_mutex_lock);
	FIRST(pthread_mutex_trylock);
	FIRST(pthread_mutex_unlock);
#undef FIRST
}

void realinit(void)
{
	realfirst();
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
