/* SPDX-License-Identifier: MIT
 *
 * uring.c: does a kernel thread work for io_uring? Then it must not end.
 *
 * What waits in io_uring's workers belongs to the kernel thread that submitted it, and is cancelled
 * when that ends. For the program that is one of its threads, which goes on; for us it is an M,
 * which becomes superfluous. Submissions are not to be seen, as liburing makes its system calls
 * itself; but the workers are: threads of the process, named after their owner. The last one stays
 * for as long as its owner does, so an M that has had one is never given back.
 *
 * The name has the owner's id in the first pid namespace. In another one any worker counts; so does
 * one that has not run yet, and has no name of its own.
 */
#include "runtime.h"
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

enum { PF_IO_WORKER = 0x10 };

struct look {
	int tid, owner; /* owner: 0 is any */
	bool found;
};

static bool firstnamespace(void)
{
	char link[32] = "";

	return SC4(SYS_readlinkat, AT_FDCWD, "/proc/self/ns/pid", link, sizeof(link) - 1) > 0 &&
	       strcmp(link, "pid:[4026531836]") == 0;
}

/* From a thread's stat: "tid (comm) S ppid pgrp session tty tpgid flags ...". */
static bool works(char *stat, int owner)
{
	static const char prefix[] = "iou-wrk-", others[] = "iou-";
	char *comm = strchr(stat, '('), *p = strrchr(stat, ')');

	if (comm++ == NULL || p == NULL)
		return false;
	if (strncmp(comm, prefix, sizeof(prefix) - 1) == 0)
		return owner == 0 || decimal(comm + sizeof(prefix) - 1) == owner;
	for (int field = 2; field < 9 && p != NULL; field++)
		p = strchr(p + 1, ' ');
	return p != NULL && decimal(p + 1) & PF_IO_WORKER &&
	       strncmp(comm, others, sizeof(others) - 1) != 0;
}

/* Yes, too, if it cannot be told. */
static bool isworker(int dir, int tid, void *arg)
{
	struct look *l = arg;
	char path[32], stat[256] = "";

	taskpath(path, tid, "stat");
	int fd = (int)SC4(SYS_openat, dir, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd != -ENOENT && fd != -ESRCH;
	SC3(SYS_read, fd, stat, sizeof(stat) - 1);
	SC1(SYS_close, fd);
	return works(stat, l->owner);
}

static void look(void *arg)
{
	struct look *l = arg;

	l->owner = firstnamespace() ? l->tid : 0;
	int r = anytask(isworker, l);
	l->found = r != 0 && r != -ENOENT; /* without /proc there is no telling */
}

bool uringworks(int tid)
{
	struct look l = {.tid = tid};

	aside(look, &l);
	return l.found;
}
