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
 *
 * One listing of /proc/self/task is not to be relied on: where a thread that it has named ends
 * meanwhile, the kernel may go on too far, or end. Two in a row that are the same show that nobody
 * named in the first had ended when the second named him; so the first missed nobody. Ms are
 * retired one after the other, so it does happen.
 */
#include "runtime.h"
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

enum { TRIES = 20, PF_IO_WORKER = 0x10 };

struct look {
	int tid, owner; /* owner: 0 is any */
	bool found;
};

struct entry { /* linux_dirent64 */
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

static int decimal(const char *s)
{
	int v = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (*s - '0');
	return v;
}

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

/* Is the thread with this directory a worker? Yes, too, if it cannot be told. */
static bool isworker(int dir, const char *id, int owner)
{
	char path[32] = "", stat[256] = "";

	if (id[0] == '.' || strlen(id) > 10)
		return false;
	strcat(strcat(path, id), "/stat");
	int fd = (int)SC4(SYS_openat, dir, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd != -ENOENT && fd != -ESRCH;
	SC3(SYS_read, fd, stat, sizeof(stat) - 1);
	SC1(SYS_close, fd);
	return works(stat, owner);
}

/* One listing, or as much as it takes to find a worker. Returns a hash of the names. */
static uint64_t listing(struct look *l)
{
	int dir = (int)SC4(SYS_openat, AT_FDCWD, "/proc/self/task",
			   O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	_Alignas(struct entry) char buf[2048];
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
	long n;

	if (dir < 0) {
		l->found = dir != -ENOENT; /* without /proc there is no telling */
		return 0;
	}
	while (!l->found && (n = SC3(SYS_getdents64, dir, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n && !l->found; at += ((struct entry *)(buf + at))->len) {
			const char *name = ((struct entry *)(buf + at))->name;
			for (size_t i = 0; i <= strlen(name); i++)
				hash = (hash ^ (unsigned char)name[i]) * 0x100000001b3;
			l->found = isworker(dir, name, l->owner);
		}
	}
	SC1(SYS_close, dir);
	return hash;
}

static void look(void *arg)
{
	struct look *l = arg;
	uint64_t last, now = 0;
	int tries = 0;

	l->owner = firstnamespace() ? l->tid : 0;
	do {
		last = now;
		now = listing(l);
	} while (!l->found && now != last && ++tries < TRIES);
	if (tries == TRIES)
		l->found = true;
}

bool uringworks(int tid)
{
	struct look l = {.tid = tid};

	aside(look, &l);
	return l.found;
}
