/* SPDX-License-Identifier: MIT
 *
 * dl.c: dlopen where ld.so's own pointers could not be hooked (runtime/dlhook.c).
 *
 * dlopen looks at its return address to know whose RUNPATH, namespace and $ORIGIN hold. So the real
 * one is called with a return address in the caller's code (callas), as if we were not there. (What a
 * constructor throws does not get past that.)
 */
#include "shim.h"

/* For dlopen.S, as all here. */
void *dlopenbyname(const char *file, int mode);
void *dlmopenbyname(Lmid_t ns, const char *file, int mode);
void *realdlopen(void);
void *realdlmopen(void);

void *realdlopen(void)
{
	return (void *)&REAL(dlopen);
}

void *realdlmopen(void)
{
	return (void *)&REAL(dlmopen);
}

void *dlopenbyname(const char *file, int mode)
{
	dlnamebegin();
	void *h = callas(__builtin_return_address(0), realdlopen(), (uintptr_t)file, (uintptr_t)mode, 0);

	dlnameend();
	return h;
}

void *dlmopenbyname(Lmid_t ns, const char *file, int mode)
{
	dlnamebegin();
	void *h = callas(__builtin_return_address(0), realdlmopen(), (uintptr_t)ns, (uintptr_t)file, (uintptr_t)mode);

	dlnameend();
	return h;
}
