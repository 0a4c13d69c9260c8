/* SPDX-License-Identifier: MIT
 *
 * dl.c: dlopen where ld.so's own pointers could not be hooked (runtime/dlhook.c); else the calls are only passed on.
 *
 * dlopen looks at its return address to know whose RUNPATH, namespace and $ORIGIN hold. So the real
 * one is called with a return address in the caller's code (callas), as if we were not there.
 */
#include "io.h"

EXPORT void *dlopen(const char *file, int mode)
{
	const void *real = (const void *)&REAL(dlopen);
	bool begun = dlnamebegin();
	void *h = callas(__builtin_return_address(0), real, (uintptr_t)file, (uintptr_t)mode, 0);

	if (begun)
		dlnameend();
	return h;
}

EXPORT void *dlmopen(Lmid_t ns, const char *file, int mode)
{
	const void *real = (const void *)&REAL(dlmopen);
	bool begun = dlnamebegin();
	void *h = callas(__builtin_return_address(0), real, (uintptr_t)ns, (uintptr_t)file, (uintptr_t)mode);

	if (begun)
		dlnameend();
	return h;
}
