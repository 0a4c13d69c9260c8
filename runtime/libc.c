/* SPDX-License-Identifier: MIT
 *
 * libc.c: libc's functions behind our own definitions. The only file that calls dlsym.
 *
 * libcsym() asks what the program would have got without us (RTLD_NEXT), so that other preloaded
 * libraries keep their place. libcown() asks libc itself: the runtime copies libc's private
 * structures and must not be handed a stranger's pthread_create. Both find GLIBC_PRIVATE names too:
 * an unversioned look-up takes the default version, measured right for pthread_cond_* (2.3.2, not
 * 2.2.5).
 *
 * dlsym and dlopen leave a message for dlerror() when they fail; it is taken away again, for the
 * program may be about to ask for its own.
 */
#define _GNU_SOURCE 1
#include "runtime.h"

#include <dlfcn.h>

static void *look(void *where, const char *name)
{
	static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.3.3", "GLIBC_2.3.2",
					       "GLIBC_2.2.5", "GLIBC_PRIVATE"};
	void *p = dlsym(where, name);

	/* Names kept only for old binaries have no default version. */
	for (size_t i = 0; !p && i < nelem(versions); i++)
		p = dlvsym(where, name, versions[i]);
	if (!p)
		dlerror();
	return p;
}

void *libcsym(const char *name)
{
	return look(RTLD_NEXT, name);
}

/* What the program itself and the libraries that it was linked with define. */
void *programsym(const char *name)
{
	return look(RTLD_DEFAULT, name);
}

void *libcown(const char *name)
{
	static void *libc;
	void *p = NULL;

	if (!libc) {
		/* Not by its bare name: dlopen may be one of our own exports. */
		void *(*opn)(const char *, int) = look(RTLD_NEXT, "dlopen");
		if (opn)
			libc = opn("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
		if (!libc)
			dlerror();
	}
	if (libc)
		p = look(libc, name); /* libc's dependencies, ld.so among them, are searched too */
	return p ? p : look(RTLD_NEXT, name);
}
