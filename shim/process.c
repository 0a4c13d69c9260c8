/* SPDX-License-Identifier: MIT
 *
 * process.c: fork and waiting for children.
 *
 * fork itself is libc's: our part hangs on it by pthread_atfork, registered before anything of the program's,
 * so our prepare handler runs last and our child handler first, and libc's own callers of fork are covered as well.
 *
 * Behind our handler libc takes two more locks. That of the list of FILEs may be held for long, by a thread in fflush(NULL)
 * which waits for a reader; it may need a kernel thread in order to go on, and that one our locks. So we take it first (it
 * is recursive). The allocator's is held for short times only.
 */
#include "io.h"
#include <shadow.h>
#include <spawn.h>
#include <stdlib.h>

/* Of libc's, for its debuggers and for us. */
static void (*listlock)(void), (*listunlock)(void);
static __thread bool listlocked; /* since prepare() */

static void prepare(void)
{
	if (poolstarted() && listlock != NULL && listunlock != NULL) {
		listlock();
		listlocked = true;
	}
	forkprepare();
}

static void parent(void)
{
	bool locked = listlocked;

	listlocked = false;
	forkparent();
	if (locked)
		listunlock();
}

static void child(void)
{
	listlocked = false; /* libc has made its lock anew */
	shim_heir = false;  /* all threads of this process will be like this one */
	forkchild();
}

__attribute__((constructor)) static void init(void)
{
	listlock = (void (*)(void))libcsym("_IO_list_lock");
	listunlock = (void (*)(void))libcsym("_IO_list_unlock");
	pthread_atfork(prepare, parent, child);
}

/* Without atfork handlers, and async-signal-safe. */
EXPORT pid_t _Fork(void)
{
	if (!poolstarted())
		return REAL(_Fork)();
	forkprepare();
	pid_t pid = REAL(_Fork)();
	int e = errno;
	if (pid == 0)
		forkchild();
	else
		forkparent();
	errno = e;
	return pid;
}

EXPORT pid_t wait4(pid_t pid, int *status, int options, struct rusage *ru)
{
	if (options & WNOHANG)
		return REAL(wait4)(pid, status, options, ru);
	for (struct nap n = {0, 0}; unlikely(!gomayblock());) {
		pid_t r = REAL(wait4)(pid, status, options | WNOHANG, ru);
		if (r != 0)
			return r;
		if (!nap(&n, 0, IS_POINT))
			return -1;
	}
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
	for (struct nap n = {0, 0}; unlikely(!gomayblock());) {
		siginfo_t si = {.si_pid = 0};
		int r = REAL(waitid)(type, id, &si, options | WNOHANG);
		if (r == 0 && si.si_pid != 0 && info != NULL)
			*info = si;
		if (r != 0 || si.si_pid != 0)
			return r;
		if (!nap(&n, 0, IS_POINT))
			return -1;
	}
	return MARKEDBLOCK(REAL(waitid)(type, id, info, options));
}

/* ---- what means the kernel thread (deep.c) --------------------------------------------------------------- */

#define STAYING(expr)                                  \
	SPAWNS(({                                      \
		bool was_ = runtime_stays;             \
		runtime_stays = true;                  \
		__typeof__(expr) stayed_ = (expr);     \
		runtime_stays = was_;                  \
		stayed_;                               \
	}))

/* The child closes and duplicates descriptors in our memory, as this thread. All signals are blocked meanwhile. */
EXPORT int posix_spawn(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *restrict fa,
		       const posix_spawnattr_t *restrict attr, char *const argv[restrict], char *const envp[restrict])
{
	if (runtime_stays) /* libc builds system() on it */
		return REAL(posix_spawn)(pid, path, fa, attr, argv, envp);
	return STAYING(REAL(posix_spawn)(pid, path, fa, attr, argv, envp));
}

EXPORT int posix_spawnp(pid_t *restrict pid, const char *restrict file, const posix_spawn_file_actions_t *restrict fa,
			const posix_spawnattr_t *restrict attr, char *const argv[restrict], char *const envp[restrict])
{
	if (runtime_stays)
		return REAL(posix_spawnp)(pid, file, fa, attr, argv, envp);
	return STAYING(REAL(posix_spawnp)(pid, file, fa, attr, argv, envp));
}

/* libc blocks SIGCHLD in the kernel until the command has ended. */
EXPORT int system(const char *cmd)
{
	return STAYING(REAL(system)(cmd));
}

/* And here it lets SIGALRM through, while it waits for the file's lock. */
EXPORT int lckpwdf(void)
{
	return STAYING(REAL(lckpwdf)());
}
