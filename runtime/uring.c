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
 * The name has the owner's id in the first pid namespace. In another one any worker counts.
 */
#include "runtime.h"
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

struct look {
	int tid;
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

static bool isworker(int dir, const char *id, int owner)
{
	static const char prefix[] = "iou-wrk-";
	char path[32] = "", comm[32] = "";

	if (strlen(id) > 10)
		return false;
	strcat(strcat(path, id), "/comm");
	int fd = (int)SC4(SYS_openat, dir, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	SC3(SYS_read, fd, comm, sizeof(comm) - 1);
	SC1(SYS_close, fd);
	return strncmp(comm, prefix, sizeof(prefix) - 1) == 0 &&
	       (owner == 0 || decimal(comm + sizeof(prefix) - 1) == owner);
}

static void look(void *arg)
{
	struct look *l = arg;
	int dir = (int)SC4(SYS_openat, AT_FDCWD, "/proc/self/task",
			   O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	int owner = firstnamespace() ? l->tid : 0;
	_Alignas(struct entry) char buf[2048];
	long n;

	if (dir < 0)
		return;
	while (!l->found && (n = SC3(SYS_getdents64, dir, buf, sizeof(buf))) > 0)
		for (long at = 0; at < n && !l->found; at += ((struct entry *)(buf + at))->len)
			l->found = isworker(dir, ((struct entry *)(buf + at))->name, owner);
	SC1(SYS_close, dir);
}

bool uringworks(int tid)
{
	struct look l = {tid, false};

	aside(look, &l);
	return l.found;
}
