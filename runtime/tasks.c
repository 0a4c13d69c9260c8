/* SPDX-License-Identifier: MIT
 *
 * tasks.c: the process's kernel threads, all of them, as /proc/self/task lists them.
 *
 * One listing is not to be relied on: where a thread that it has just named ends, the kernel may go
 * on too far, or stop. Two in a row that are the same show that nobody named in the first had ended
 * when the second named him; so the first missed nobody who was there. Ms are given back one after
 * the other, so it does happen.
 */
#include "runtime.h"
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

enum { TRIES = 20 };

struct entry { /* linux_dirent64 */
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

int decimal(const char *s)
{
	int v = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (*s - '0');
	return v;
}

static char *putdec(char *s, int v)
{
	char tmp[12];
	int i = 0;

	do
		tmp[i++] = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	while (i > 0)
		*s++ = tmp[--i];
	return s;
}

/* The thread's file of that name, seen from /proc/self/task. path: 12 bytes and the name's. */
void taskpath(char *path, int tid, const char *file)
{
	char *s = putdec(path, tid);

	*s++ = '/';
	strcpy(s, file);
}

/* One listing, to the first whom is() wants. *hash: of all names. */
static int listing(bool (*is)(int dir, int tid, void *arg), void *arg, uint64_t *hash)
{
	long dir = SC4(SYS_openat, AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		       0),
	     n;
	_Alignas(struct entry) char buf[2048];
	bool found = false;

	if (dir < 0)
		return (int)dir;
	*hash = 0xcbf29ce484222325; /* FNV-1a */
	while (!found && (n = SC3(SYS_getdents64, dir, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n && !found; at += ((struct entry *)(buf + at))->len) {
			int tid = decimal(((struct entry *)(buf + at))->name);
			*hash = (*hash ^ (uint64_t)tid) * 0x100000001b3;
			found = tid != 0 && is((int)dir, tid, arg); /* 0: "." and ".." */
		}
	}
	SC1(SYS_close, dir);
	return found;
}

/*
 * 1: is() is true of a thread of this process; 0: of none; -errno: cannot be told (-EAGAIN: too
 * much coming and going). dir: /proc/self/task. is() may be asked several times about the same
 * thread. Opens descriptors: by aside().
 */
int anytask(bool (*is)(int dir, int tid, void *arg), void *arg)
{
	uint64_t last, now = 0;
	int tries = 0, r;

	do {
		last = now;
		r = listing(is, arg, &now);
		if (r != 0)
			return r;
	} while (now != last && ++tries < TRIES);
	return tries < TRIES ? 0 : -EAGAIN;
}
