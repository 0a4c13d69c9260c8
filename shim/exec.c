/* SPDX-License-Identifier: MIT
 *
 * exec.c: the exec family. A signal that the runtime has sent this thread and that is still on its way would outlive
 * the program and end the next one, which has no handler for it: goexecbegin() sees to it that there is none.
 *
 * Each form is brought to execve() or execvpe(), as libc does. In a vfork child there is no G, and nothing on its way:
 * the real call with what the parent sees untouched. The argument lists are on the stack (async-signal-safe).
 */
#include "shim.h"
#include <alloca.h>
#include <stdarg.h>

#define EXECUTE(call)             \
	({                        \
		goexecbegin();    \
		int r_ = (call);  \
		int e_ = errno;   \
		goexecfailed();   \
		errno = e_;       \
		r_;               \
	})

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	return EXECUTE(REAL(execve)(path, argv, envp));
}

EXPORT int execv(const char *path, char *const argv[])
{
	return EXECUTE(REAL(execv)(path, argv));
}

EXPORT int execvp(const char *file, char *const argv[])
{
	return EXECUTE(REAL(execvp)(file, argv));
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	return EXECUTE(REAL(execvpe)(file, argv, envp));
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	return EXECUTE(REAL(fexecve)(fd, argv, envp));
}

EXPORT int execveat(int fd, const char *path, char *const argv[], char *const envp[], int flags)
{
	return EXECUTE(REAL(execveat)(fd, path, argv, envp, flags));
}

/* The words from arg on up to the nil, in *argv; the nil is included. */
#define ARGS(arg, ap, argv)                                                             \
	do {                                                                            \
		size_t n_ = 1;                                                          \
		va_start(ap, arg);                                                      \
		for (const char *a_ = (arg); a_ != NULL; n_++)                          \
			a_ = va_arg(ap, const char *);                                  \
		va_end(ap);                                                             \
		(argv) = alloca(n_ * sizeof(char *));                                   \
		va_start(ap, arg);                                                      \
		(argv)[0] = (char *)(arg);                                              \
		for (size_t i_ = 1; (argv)[i_ - 1] != NULL; i_++)                       \
			(argv)[i_] = va_arg(ap, char *);                                \
	} while (0)

EXPORT int execl(const char *path, const char *arg, ...)
{
	va_list ap;
	char **argv;

	ARGS(arg, ap, argv);
	va_end(ap);
	return execv(path, argv);
}

EXPORT int execlp(const char *file, const char *arg, ...)
{
	va_list ap;
	char **argv;

	ARGS(arg, ap, argv);
	va_end(ap);
	return execvp(file, argv);
}

EXPORT int execle(const char *path, const char *arg, ...)
{
	va_list ap;
	char **argv;

	ARGS(arg, ap, argv);
	char *const *envp = va_arg(ap, char *const *);
	va_end(ap);
	return execve(path, argv, envp);
}
