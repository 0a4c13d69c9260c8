/* SPDX-License-Identifier: MIT
 *
 * cred.c: credentials, which the kernel keeps by thread and POSIX by process (see
 * runtime/allthreads.c).
 *
 * libc's own function is called first: it says what is wrong with the arguments. A raw system call
 * (syscall(SYS_setuid)) is not ours to spread: it is meant for the calling thread alone.
 */
#include "shim.h"
#include <grp.h>
#include <stdlib.h>
#include <sys/syscall.h>

/* libc's function, with ids of any width in words. */
struct call {
	int (*fn1)(uid_t);
	int (*fn2)(uid_t, uid_t);
	int (*fn3)(uid_t, uid_t, uid_t);
	uid_t a, b, c;
};

static int libc(void *arg)
{
	const struct call *k = arg;
	int r = k->fn1 ? k->fn1(k->a) : k->fn2 ? k->fn2(k->a, k->b) : k->fn3(k->a, k->b, k->c);

	return r == 0 ? 0 : -errno;
}

/* A raw call's -1 ("as it is") is a uid_t's. */
static int each(long nr, struct call k, uid_t a, uid_t b, uid_t c)
{
	return (int)ret_errno(allthreads(nr, a, b, c, libc, &k));
}

EXPORT int setuid(uid_t id)
{
	return each(SYS_setuid, (struct call){.fn1 = REALFN(setuid), .a = id}, id, 0, 0);
}

EXPORT int setgid(gid_t id)
{
	return each(SYS_setgid, (struct call){.fn1 = REALFN(setgid), .a = id}, id, 0, 0);
}

EXPORT int seteuid(uid_t id)
{
	return each(SYS_setresuid, (struct call){.fn1 = REALFN(seteuid), .a = id}, (uid_t)-1, id,
		    (uid_t)-1);
}

EXPORT int setegid(gid_t id)
{
	return each(SYS_setresgid, (struct call){.fn1 = REALFN(setegid), .a = id}, (gid_t)-1, id,
		    (gid_t)-1);
}

EXPORT int setreuid(uid_t r, uid_t e)
{
	return each(SYS_setreuid, (struct call){.fn2 = REALFN(setreuid), .a = r, .b = e}, r, e, 0);
}

EXPORT int setregid(gid_t r, gid_t e)
{
	return each(SYS_setregid, (struct call){.fn2 = REALFN(setregid), .a = r, .b = e}, r, e, 0);
}

EXPORT int setresuid(uid_t r, uid_t e, uid_t s)
{
	return each(SYS_setresuid, (struct call){.fn3 = REALFN(setresuid), .a = r, .b = e, .c = s},
		    r, e, s);
}

EXPORT int setresgid(gid_t r, gid_t e, gid_t s)
{
	return each(SYS_setresgid, (struct call){.fn3 = REALFN(setresgid), .a = r, .b = e, .c = s},
		    r, e, s);
}

struct groups {
	size_t n;
	const gid_t *list;
};

static int libcgroups(void *arg)
{
	const struct groups *k = arg;

	return REAL(setgroups)(k->n, k->list) == 0 ? 0 : -errno;
}

EXPORT int setgroups(size_t n, const gid_t *list)
{
	struct groups k = {n, list};

	return (int)ret_errno(allthreads(SYS_setgroups, (long)n, (long)list, 0, libcgroups, &k));
}

/* libc's calls setgroups() inside itself, which does not come by here. */
EXPORT int initgroups(const char *user, gid_t group)
{
	gid_t few[64], *list = few, *mem = NULL;
	int n = sizeof(few) / sizeof(few[0]), r;

	if (!poolstarted())
		return REAL(initgroups)(user, group);
	while (getgrouplist(user, group, list, &n) < 0) {
		gid_t *more = realloc(mem, (size_t)n * sizeof(gid_t));
		if (more == NULL) {
			free(mem);
			return -1;
		}
		list = mem = more;
	}
	/* As libc: as many as the kernel takes. */
	while ((r = setgroups((size_t)n, list)) < 0 && errno == EINVAL && --n > 0)
		;
	int e = errno;
	free(mem);
	errno = e;
	return r;
}
