/* SPDX-License-Identifier: MIT
 *
 * open.c: descriptors made from a path.
 *
 * Opening may take as long as a FIFO's other end, or a network file system, likes: marked. What it
 * gives is looked at when first used; the flags are known from here, so that nobody need ask for
 * them. libc's own openers (fopen, opendir, mkstemp...) are wrapped because they call its internal
 * open: the number may have belonged to something else, of whose end we have not heard.
 */
#include "io.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include "arch.h"

static inline int path(int fd, int flags)
{
	if (fd >= 0)
		fdopenedpath(fd, flags, TOLD_START);
	return fd;
}

/* Neither O_NONBLOCK, O_DIRECT nor O_DSYNC; where in the file it stands is libc's business. */
static inline void bylibc(int fd)
{
	fdopenedpath(fd, 0, TOLD_FLAGS);
}

#define OPENMODE(flags)                                                                            \
	mode_t mode = 0;                                                                           \
	if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                   \
		va_list ap;                                                                        \
		va_start(ap, flags);                                                               \
		mode = va_arg(ap, mode_t);                                                         \
		va_end(ap);                                                                        \
	}

static int doopen(int dir, const char *name, int flags, mode_t mode)
{
	if (getg() == NULL)
		return path(REAL(openat)(dir, name, flags, mode), flags);
	testcancel();
	return path((int)ret_point(RAW(POINT(SC4(SYS_openat, dir, name, flags, mode)))), flags);
}

EXPORT int open(const char *name, int flags, ...)
{
	OPENMODE(flags);
	return doopen(AT_FDCWD, name, flags, mode);
}

EXPORT int open64(const char *name, int flags, ...)
{
	OPENMODE(flags);
	return doopen(AT_FDCWD, name, flags, mode);
}

EXPORT int __open(const char *name, int flags, ...)
{
	OPENMODE(flags);
	return doopen(AT_FDCWD, name, flags, mode);
}

EXPORT int __open64(const char *name, int flags, ...)
{
	OPENMODE(flags);
	return doopen(AT_FDCWD, name, flags, mode);
}

EXPORT int openat(int dir, const char *name, int flags, ...)
{
	OPENMODE(flags);
	return doopen(dir, name, flags, mode);
}

EXPORT int openat64(int dir, const char *name, int flags, ...)
{
	OPENMODE(flags);
	return doopen(dir, name, flags, mode);
}

/* Fortify's, without a mode: libc's own ends the process if one is missing. */
#define MODELESS(flags) (((flags) & (O_CREAT | __O_TMPFILE)) == 0)

EXPORT int __open_2(const char *name, int flags)
{
	return MODELESS(flags) ? doopen(AT_FDCWD, name, flags, 0) : REAL(__open_2)(name, flags);
}

EXPORT int __open64_2(const char *name, int flags)
{
	return MODELESS(flags) ? doopen(AT_FDCWD, name, flags, 0) : REAL(__open64_2)(name, flags);
}

EXPORT int __openat_2(int dir, const char *name, int flags)
{
	return MODELESS(flags) ? doopen(dir, name, flags, 0) : REAL(__openat_2)(dir, name, flags);
}

EXPORT int __openat64_2(int dir, const char *name, int flags)
{
	return MODELESS(flags) ? doopen(dir, name, flags, 0) : REAL(__openat64_2)(dir, name, flags);
}

EXPORT int creat(const char *name, mode_t mode)
{
	return doopen(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

EXPORT int creat64(const char *name, mode_t mode)
{
	return creat(name, mode);
}

EXPORT int open_by_handle_at(int mount, struct file_handle *h, int flags)
{
	return path(MARKED(REAL(open_by_handle_at)(mount, h, flags)), flags);
}

/* ---- by libc --------------------------------------------------------------------------------- */

static FILE *stream(FILE *f)
{
	if (f != NULL && poolstarted())
		bylibc(fileno(f));
	return f;
}

EXPORT FILE *fopen(const char *name, const char *mode)
{
	return stream(MARKED(REAL(fopen)(name, mode)));
}

EXPORT FILE *fopen64(const char *name, const char *mode)
{
	return fopen(name, mode);
}

/* Closes the old number inside libc, after writing what is left, and mostly opens the new one under
 * it. */
EXPORT FILE *freopen(const char *name, const char *mode, FILE *f)
{
	if (poolstarted()) {
		int e = errno, fd = fileno(f);
		errno = e;
		if (fd >= 0) {
			fflush(f);
			fdclosing(fd);
		}
	}
	return stream(MARKEDWRITE(REAL(freopen)(name, mode, f)));
}

EXPORT FILE *freopen64(const char *name, const char *mode, FILE *f)
{
	return freopen(name, mode, f);
}

EXPORT FILE *tmpfile(void)
{
	return stream(MARKED(REAL(tmpfile)()));
}

EXPORT FILE *tmpfile64(void)
{
	return tmpfile();
}

EXPORT DIR *opendir(const char *name)
{
	DIR *d = MARKED(REAL(opendir)(name));

	if (d != NULL && poolstarted())
		bylibc(dirfd(d));
	return d;
}

EXPORT int mkostemps(char *name, int suffix, int flags)
{
	return path(MARKED(REAL(mkostemps)(name, suffix, flags)), flags);
}

EXPORT int mkstemp(char *name)
{
	return mkostemps(name, 0, 0);
}
EXPORT int mkostemp(char *name, int flags)
{
	return mkostemps(name, 0, flags);
}
EXPORT int mkstemps(char *name, int suffix)
{
	return mkostemps(name, suffix, 0);
}
EXPORT int mkstemp64(char *name)
{
	return mkostemps(name, 0, 0);
}
EXPORT int mkostemp64(char *name, int flags)
{
	return mkostemps(name, 0, flags);
}
EXPORT int mkstemps64(char *name, int suffix)
{
	return mkostemps(name, suffix, 0);
}
EXPORT int mkostemps64(char *name, int suffix, int flags)
{
	return mkostemps(name, suffix, flags);
}

EXPORT int shm_open(const char *name, int flags, mode_t mode)
{
	return path(MARKED(REAL(shm_open)(name, flags, mode)), flags);
}

/* A pipe, whose other end a process has. */
EXPORT FILE *popen(const char *cmd, const char *mode)
{
	FILE *f = SPAWNS(REAL(popen)(cmd, mode));

	if (f != NULL && poolstarted())
		fdopened(fileno(f), FD_PIPE, false, true);
	return f;
}
