/* SPDX-License-Identifier: MIT
 *
 * target.c: a process with libgmp.so in it: its maps, its memory, and where the library says what
 * is what.
 */
#define _GNU_SOURCE 1
#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* As runtime/visible.c publishes it. */
struct published {
	char magic[8];
	uint32_t version, size;
	uint64_t fields, nfields, sched, debug, allp, gomaxprocs;
	uint64_t words[4];
	uint32_t nwords[4];
};
struct pfield {
	char name[24];
	uint32_t offset, size;
};
enum { VERSION = 1 };

static const char *const layoutnames[NLAYOUT] = {
#define L(id, name) name,
    LAYOUT(L)
#undef L
};

/* ---- memory ---------------------------------------------------------------------------------- */

size_t peeksome(const struct target *t, uint64_t addr, void *buf, size_t n)
{
	struct iovec here = {buf, n}, there = {(void *)(uintptr_t)addr, n};
	ssize_t r = process_vm_readv(t->pid, &here, 1, &there, 1, 0);

	return r < 0 ? 0 : (size_t)r;
}

bool peek(const struct target *t, uint64_t addr, void *buf, size_t n)
{
	return n == 0 || peeksome(t, addr, buf, n) == n;
}

uint64_t peekword(const struct target *t, uint64_t addr)
{
	uint64_t v;

	return peek(t, addr, &v, sizeof(v)) ? v : 0;
}

uint64_t field(const struct target *t, const void *copy, enum layout l)
{
	const char *at = (const char *)copy + t->at[l].offset;
	uint64_t v = 0;

	memcpy(&v, at, t->at[l].size > 8 ? 8 : t->at[l].size);
	return v;
}

const char *word(const struct words *w, uint64_t i)
{
	return i < w->n ? w->word[i] : "?";
}

uint64_t monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- maps ------------------------------------------------------------------------------------ */

static FILE *procfile(int pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return fopen(path, "re");
}

void readmaps(struct target *t)
{
	FILE *f = procfile(t->pid, "maps");
	char *line = NULL;
	size_t size = 0, room = 0;

	if (f == NULL)
		die(1, "process %d: /proc/%d/maps cannot be read: %s", t->pid, t->pid,
		    strerror(errno));
	t->nmaps = 0;
	while (getline(&line, &size, f) > 0) {
		struct map m = {0};
		char perms[8];
		int end = 0;
		if (sscanf(line, "%lx-%lx %7s %lx %*s %lu %n", &m.start, &m.end, perms, &m.offset,
			   &m.inode, &end) < 5)
			continue;
		m.exec = perms[2] == 'x';
		m.write = perms[1] == 'w';
		line[strcspn(line, "\n")] = 0;
		m.path = strdup(end ? line + end : "");
		/* Pages that the library has put in the place of a file's (runtime/deep.c) are part of that file. */
		const struct map *before = t->nmaps != 0 ? &t->maps[t->nmaps - 1] : NULL;
		if (before != NULL && before->end == m.start && strncmp(m.path, "/memfd:gmp-deep", 15) == 0) {
			free(m.path);
			m.path = strdup(before->path);
			m.inode = before->inode;
			m.offset = before->offset + (before->end - before->start);
		}
		if (t->nmaps == room)
			t->maps =
			    xrealloc(t->maps, (room = room ? room * 2 : 256) * sizeof(*t->maps));
		t->maps[t->nmaps++] = m;
	}
	free(line);
	fclose(f);
}

const struct map *mapof(const struct target *t, uint64_t addr)
{
	size_t lo = 0, hi = t->nmaps;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (addr < t->maps[mid].start)
			hi = mid;
		else if (addr >= t->maps[mid].end)
			lo = mid + 1;
		else
			return &t->maps[mid];
	}
	return NULL;
}

/* ---- the library ----------------------------------------------------------------------------- */

/* First those that look like it by name: a stranger's modules need not be searched then. */
static uint64_t findlib(struct target *t)
{
	for (int named = 1; named >= 0; named--) {
		for (size_t i = 0; i < t->nmaps; i++) {
			const struct map *m = &t->maps[i];
			const char *base = strrchr(m->path, '/');
			if (m->offset != 0 || base == NULL ||
			    (strstr(base, "gmp") != NULL) != (named == 1))
				continue;
			uint64_t addr = dynsym(t, m, "libgmp_published");
			if (addr != 0) {
				t->libpath = m->path;
				return addr;
			}
		}
	}
	return 0;
}

static char *peekstring(const struct target *t, uint64_t addr)
{
	char buf[64];
	size_t n = peeksome(t, addr, buf, sizeof(buf) - 1);

	buf[n] = 0;
	return strdup(buf);
}

static void readwords(const struct target *t, struct words *w, uint64_t addr, uint32_t n)
{
	if (n > 1000)
		n = 1000;
	w->n = n;
	w->word = xcalloc(n + 1, sizeof(*w->word));
	for (uint32_t i = 0; i < n; i++)
		w->word[i] = peekstring(t, peekword(t, addr + 8ul * i));
}

static void readlayout(struct target *t, const struct published *pub)
{
	struct pfield *f = xcalloc(pub->nfields, sizeof(*f));

	if (!peek(t, pub->fields, f, pub->nfields * sizeof(*f)))
		die(1, "process %d: the description in %s cannot be read", t->pid, t->libpath);
	for (int l = 0; l < NLAYOUT; l++) {
		uint64_t i = 0;
		while (i < pub->nfields &&
		       strncmp(f[i].name, layoutnames[l], sizeof(f[i].name)) != 0)
			i++;
		if (i == pub->nfields)
			die(1,
			    "process %d: its %s is of another version: it does not know \"%s\"; "
			    "use the gmp "
			    "that belongs to it",
			    t->pid, t->libpath, layoutnames[l]);
		t->at[l].offset = f[i].offset;
		t->at[l].size = f[i].size;
	}
	free(f);
}

static noreturn void denied(int pid)
{
	FILE *f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	int scope = f != NULL ? fgetc(f) - '0' : 0;

	die(1, "process %d: not allowed to look into it: only its owner may (and root)%s", pid,
	    scope > 0 ? ", and kernel.yama.ptrace_scope forbids even that unless it is a child or "
			"you are root"
		      : "");
}

struct target *attach(int pid)
{
	struct target *t = xcalloc(1, sizeof(*t));
	struct published pub;
	char path[64];
	uint64_t v;

	t->pid = pid;
	snprintf(path, sizeof(path), "/proc/%d", pid);
	if (access(path, F_OK) != 0)
		die(1, "there is no process %d", pid);
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		denied(pid);
	close(fd);
	readmaps(t);
	if (t->nmaps == 0) /* a kernel thread or a zombie; or /proc shows nothing of a stranger's */
		die(1,
		    "process %d has no memory to look at: it has ended, is a kernel thread, or not "
		    "yours",
		    pid);
	if (peeksome(t, t->maps[0].start, &v, sizeof(v)) == 0) {
		struct iovec here = {&v, 8}, there = {(void *)(uintptr_t)t->maps[0].start, 8};
		if (process_vm_readv(pid, &here, 1, &there, 1, 0) < 0 && errno == EPERM)
			denied(pid);
	}
	uint64_t addr = findlib(t);
	if (addr == 0)
		die(1, "process %d does not run with libgmp.so", pid);
	if (!peek(t, addr, &pub, sizeof(pub)) || strcmp(pub.magic, "libgmp") != 0)
		die(1, "process %d: its %s does not describe itself", pid, t->libpath);
	if (pub.version != VERSION || pub.size < sizeof(pub) || pub.nfields > 10000)
		die(1,
		    "process %d: its %s is of another version (%u, this gmp knows %d); use the gmp "
		    "that belongs to it",
		    pid, t->libpath, pub.version, VERSION);
	readlayout(t, &pub);
	struct words *w[] = {&t->gstatus, &t->pstatus, &t->reasons, &t->counters};
	for (size_t i = 0; i < nelem(w); i++)
		readwords(t, w[i], pub.words[i], pub.nwords[i]);
	t->sched = pub.sched;
	t->debug = pub.debug;
	t->allp = peekword(t, pub.allp);
	t->gomaxprocs = (int32_t)peekword(t, pub.gomaxprocs);
	if (!(uint8_t)peekword(t, t->sched + t->at[L_s_started].offset))
		die(3,
		    "process %d has libgmp.so but no pool: it has not created a thread yet (or "
		    "libgmp is inactive; "
		    "GMP_VERBOSE=1 at its start says why)",
		    pid);
	if (t->gomaxprocs < 1 || t->gomaxprocs > 4096 || t->allp == 0)
		die(1, "process %d: what is read of its Ps makes no sense", pid);
	return t;
}

/* ---- a thread, as the kernel sees it --------------------------------------------------------- */

static size_t slurp(int pid, int tid, const char *name, char *buf, size_t size)
{
	char path[80];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", pid, tid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = 0;
	return n > 0 ? (size_t)n : 0;
}

bool kernelstate(const struct target *t, int tid, struct kernelstate *out)
{
	char buf[512];

	memset(out, 0, sizeof(*out));
	out->call = -1;
	if (slurp(t->pid, tid, "stat", buf, sizeof(buf)) == 0)
		return false;
	char *par = strrchr(buf, ')');
	out->state = par != NULL && par[1] != 0 ? par[2] : '?';
	if (slurp(t->pid, tid, "syscall", buf, sizeof(buf)) == 0)
		return true;
	if (sscanf(buf, "%ld %lx %lx %lx %lx %lx %lx %lx %lx", &out->call, &out->arg[0],
		   &out->arg[1], &out->arg[2], &out->arg[3], &out->arg[4], &out->arg[5], &out->sp,
		   &out->pc) != 9) {
		out->call = -1;
		sscanf(buf, "-1 %lx %lx", &out->sp,
		       &out->pc); /* blocked, but not in a call: a page fault */
	}
	return true;
}

const char *syscallname(long nr)
{
	static const struct {
		long nr;
		const char *name;
	} names[] = {
#define S(name) {SYS_##name, #name},
	    S(read) S(write) S(open) S(close) S(stat) S(fstat) S(lstat) S(poll) S(lseek) S(mmap)
		S(munmap) S(ioctl) S(pread64) S(pwrite64) S(readv) S(writev) S(access) S(pipe) S(
		    select) S(mremap) S(msync) S(madvise) S(nanosleep) S(sendfile) S(socket)
		    S(connect) S(accept) S(sendto) S(recvfrom) S(sendmsg) S(recvmsg) S(shutdown) S(
			clone) S(fork) S(vfork) S(execve) S(wait4) S(kill) S(semop) S(semtimedop)
			S(msgsnd) S(msgrcv) S(fcntl) S(flock) S(fsync) S(fdatasync) S(truncate)
			    S(ftruncate) S(getdents) S(rename) S(mkdir) S(rmdir) S(creat) S(link) S(
				unlink) S(symlink) S(readlink) S(chmod) S(rt_sigsuspend)
				S(rt_sigtimedwait) S(sync) S(futex) S(io_getevents) S(epoll_wait) S(
				    getdents64) S(restart_syscall) S(fadvise64) S(clock_nanosleep)
				    S(epoll_ctl) S(tgkill) S(mq_timedsend)
					S(mq_timedreceive) S(waitid) S(openat) S(mkdirat) S(
					    newfstatat) S(unlinkat) S(renameat) S(pselect6) S(ppoll)
					    S(splice) S(tee) S(sync_file_range) S(vmsplice)
						S(utimensat) S(epoll_pwait) S(signalfd) S(fallocate)
						    S(accept4) S(preadv) S(pwritev) S(recvmmsg) S(
							syncfs) S(sendmmsg) S(process_vm_readv)
							S(renameat2) S(getrandom) S(copy_file_range)
							    S(preadv2) S(pwritev2) S(statx) S(
								io_uring_enter) S(clone3) S(openat2)
								S(epoll_pwait2) S(pause) S(prctl)
								    S(sched_yield) S(getsockopt)
									S(setsockopt) S(lgetxattr)
									    S(setxattr)
#undef S
	};
	static char other[32];

	for (size_t i = 0; i < nelem(names); i++)
		if (names[i].nr == nr)
			return names[i].name;
	snprintf(other, sizeof(other), "system call %ld", nr);
	return other;
}
