/* SPDX-License-Identifier: MIT
 *
 * dl.c: loading modules while Gs live: libc initialises a new module's static TLS only in the threads it
 * lists, so its list is lengthened for as long as the loader runs (runtime/tlsdl.c says how).
 *
 * dlopen looks at its return address to know whose RUNPATH, namespace and $ORIGIN hold. So the real
 * one is called with a return address in the caller's code (callas), as if we were not there.
 */
#include "io.h"



EXPORT void *dlopen(const char *file, int mode)
{
	const void *real = (const void *)&REAL(dlopen);
	bool begun = poolstarted() && tlsdlbegin();
	void *h = callas(__builtin_return_address(0), real, (uintptr_t)file, (uintptr_t)mode, 0);

	tlsdlend(begun);
	return h;
}

EXPORT void *dlmopen(Lmid_t ns, const char *file, int mode)
{
	const void *real = (const void *)&REAL(dlmopen);
	bool begun = poolstarted() && tlsdlbegin();
	void *h = callas(__builtin_return_address(0), real, (uintptr_t)ns, (uintptr_t)file, (uintptr_t)mode);

	tlsdlend(begun);
	return h;
}
