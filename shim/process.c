/* SPDX-License-Identifier: MIT
 *
 * process.c: fork and waiting for children.
 *
 * fork itself is libc's: our part hangs on it by pthread_atfork, registered before anything of the program's,
 * so our prepare handler runs last and our child handler first, and libc's own callers of fork are covered as well.
 */
#include "io.h"
#include <stdlib.h>

__attribute__((constructor)) static void init(void)
{
	pthread_atfork(forkprepare, forkparent, forkchild);
}

EXPORT pid_t wait4(pid_t pid, int *status, int options, struct rusage *ru)
{
	if (options & WNOHANG)
		return REAL(wait4)(pid, status, options, ru);
	return MARKEDBLOCK(REAL(wait4)(pid, status, options, ru));
}

EXPORT pid_t waitpid(pid_t pid, int *status, int options)
{
	return wait4(pid, status, options, NULL);
}

EXPORT pid_t wait(int *status)
{
	return wait4(-1, status, 0, NULL);
}

EXPORT pid_t wait3(int *status, int options, struct rusage *ru)
{
	return wait4(-1, status, options, ru);
}

EXPORT int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	if (options & WNOHANG)
		return REAL(waitid)(type, id, info, options);
	return MARKEDBLOCK(REAL(waitid)(type, id, info, options));
}

EXPORT int system(const char *cmd)
{
	return MARKEDBLOCK(REAL(system)(cmd));
}
