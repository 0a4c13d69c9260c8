/* SPDX-License-Identifier: MIT */
/* What files are and where: each call from many threads, in folders of their own, results known.
 * stat(2), chmod(2), utimensat(2), rename(2), link(2), symlink(7), readdir(3), statfs(2),
 * truncate(2), fallocate(2), xattr(7)... */
#include "t.h"
#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

#define THREADS 16

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

static void put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0640);

	MUST(fd >= 0);
	write_all(fd, text, strlen(text));
	MUST(close(fd) == 0);
}

static long size(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (long)st.st_size : -errno;
}

static void stats(int dir, const char *path)
{
	struct stat a, b, c, d;
	struct stat64 e;
	struct statx x;
	int fd = openat(dir, "f", O_RDWR);

	MUST(stat(path, &a) == 0 && lstat(path, &b) == 0 && fstat(fd, &c) == 0);
	MUST(fstatat(dir, "f", &d, 0) == 0 && stat64(path, &e) == 0);
	MUST(statx(dir, "f", 0, STATX_BASIC_STATS, &x) == 0);
	MUST(a.st_ino == b.st_ino && a.st_ino == c.st_ino && a.st_ino == d.st_ino);
	MUST(a.st_ino == e.st_ino && a.st_ino == x.stx_ino && a.st_size == 5 && x.stx_size == 5);
	MUST(S_ISREG(a.st_mode) && (a.st_mode & 07777) == 0640);
	MUST(access(path, R_OK) == 0 && faccessat(dir, "f", F_OK, 0) == 0 &&
	     euidaccess(path, W_OK) == 0);
	MUST(chmod(path, 0600) == 0 && stat(path, &a) == 0 && (a.st_mode & 07777) == 0600);
	MUST(fchmod(fd, 0620) == 0 && fstat(fd, &a) == 0 && (a.st_mode & 07777) == 0620);
	MUST(fchmodat(dir, "f", 0644, 0) == 0 && fchown(fd, -1, -1) == 0 &&
	     chown(path, -1, -1) == 0);
	MUST(lchown(path, -1, -1) == 0 && fchownat(dir, "f", -1, -1, 0) == 0);
	struct utimbuf ub = {1000, 2000};
	MUST(utime(path, &ub) == 0 && stat(path, &a) == 0 && a.st_mtime == 2000 &&
	     a.st_atime == 1000);
	struct timeval tv[2] = {{3000, 5}, {4000, 6}};
	MUST(utimes(path, tv) == 0 && stat(path, &a) == 0 && a.st_mtim.tv_nsec == 6000);
	MUST(futimes(fd, tv) == 0 && lutimes(path, tv) == 0 && futimesat(dir, "f", tv) == 0);
	struct timespec ts[2] = {{5000, 7}, {6000, 8}};
	MUST(utimensat(dir, "f", ts, 0) == 0 && futimens(fd, ts) == 0 && fstat(fd, &a) == 0);
	MUST(a.st_mtime == 6000 && a.st_atim.tv_nsec == 7);
	MUST(ftruncate(fd, 10000) == 0 && size(dir, "f") == 10000 && truncate(path, 100) == 0);
	MUST(truncate64(path, 200) == 0 && ftruncate64(fd, 300) == 0 && size(dir, "f") == 300);
	MUST(posix_fallocate(fd, 0, 9000) == 0 && size(dir, "f") == 9000);
	MUST(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000) == 0 && size(dir, "f") == 9000);
	MUST(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED) == 0 && readahead(fd, 0, 4096) == 0);
	if (setxattr(path, "user.a", "value", 5, 0) == 0) { /* not everywhere */
		char buf[100];
		MUST(fsetxattr(fd, "user.b", "b", 1, 0) == 0 &&
		     getxattr(path, "user.a", buf, 100) == 5);
		MUST(fgetxattr(fd, "user.b", buf, 100) == 1 &&
		     lgetxattr(path, "user.a", buf, 2) == -1 && errno == ERANGE);
		MUST(listxattr(path, NULL, 0) >= 14 && flistxattr(fd, buf, 100) >= 14);
		MUST(removexattr(path, "user.a") == 0 && fremovexattr(fd, "user.b") == 0);
		MUST(lremovexattr(path, "user.a") == -1 && errno == ENODATA);
	}
	struct statfs sf, sg;
	struct statvfs sv, sw;
	MUST(statfs(path, &sf) == 0 && fstatfs(fd, &sg) == 0 && sf.f_bsize == sg.f_bsize);
	MUST(statvfs(path, &sv) == 0 && fstatvfs(fd, &sw) == 0 && sv.f_namemax == sw.f_namemax);
	MUST(pathconf(path, _PC_NAME_MAX) == fpathconf(fd, _PC_NAME_MAX));
	MUST(close(fd) == 0);
}

static int byname(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All names of a folder in order, in one line. */
static void list(const char *path, char *out)
{
	char *names[40];
	struct dirent *e;
	DIR *d = opendir(path);
	int n = 0;

	MUST(d != NULL);
	while ((errno = 0, e = readdir(d)) != NULL)
		names[n++] = strdup(e->d_name);
	MUST(errno == 0 && closedir(d) == 0);
	qsort(names, n, sizeof names[0], byname);
	*out = 0;
	for (int i = 0; i < n; i++) {
		strcat(strcat(out, names[i]), " ");
		free(names[i]);
	}
}

static void links(int dir, const char *path, char *found)
{
	char buf[PATH_MAX], at[PATH_MAX];
	struct stat st;
	int sub;

	snprintf(buf, sizeof buf, "%s/g", path);
	snprintf(at, sizeof at, "%s/f", path);
	MUST(link(at, buf) == 0 && stat(buf, &st) == 0 && st.st_nlink == 2);
	MUST(linkat(dir, "f", dir, "h", 0) == 0 && unlink(buf) == 0 && unlinkat(dir, "h", 0) == 0);
	MUST(symlinkat("f", dir, "s") == 0 && readlinkat(dir, "s", buf, sizeof buf) == 1 &&
	     buf[0] == 'f');
	snprintf(at, sizeof at, "%s/s", path);
	MUST(readlink(at, buf, sizeof buf) == 1 && lstat(at, &st) == 0 && S_ISLNK(st.st_mode));
	MUST(realpath(at, buf) != NULL && strcmp(strrchr(buf, '/'), "/f") == 0);
	snprintf(buf, sizeof buf, "%s/t", path);
	MUST(symlink("nowhere", buf) == 0 && stat(buf, &st) == -1 && errno == ENOENT);
	MUST(renameat(dir, "s", dir, "u") == 0 && rename(buf, at) == 0 && size(dir, "s") == 7);
	MUST(renameat2(dir, "s", dir, "u", RENAME_NOREPLACE) == -1 && errno == EEXIST);
	MUST(mkdirat(dir, "sub", 0700) == 0 &&
	     (sub = openat(dir, "sub", O_RDONLY | O_DIRECTORY)) >= 0);
	put(sub, "x", "in the folder");
	MUST(mkfifoat(sub, "fifo", 0600) == 0 && mknodat(sub, "node", S_IFREG | 0600, 0) == 0);
	MUST(unlinkat(dir, "sub", AT_REMOVEDIR) == -1 && errno == ENOTEMPTY);
	snprintf(buf, sizeof buf, "%s/sub", path);
	list(buf, found);
	list(path, found + strlen(found));
	MUST(getdents64(sub, at, sizeof at) > 0);
	MUST(unlinkat(sub, "x", 0) == 0 && unlinkat(sub, "fifo", 0) == 0 &&
	     unlinkat(sub, "node", 0) == 0);
	MUST(close(sub) == 0 && rmdir(buf) == 0 && mkdir(buf, 0700) == 0 && remove(buf) == 0);
}

static void *works(void *arg)
{
	char path[100], file[120], found[400];

	for (int i = 0; i < scaled(20); i++) {
		snprintf(path, sizeof path, "d%ld", (long)arg);
		snprintf(file, sizeof file, "%s/f", path);
		MUST(mkdir(path, 0755) == 0);
		int dir = open(path, O_RDONLY | O_DIRECTORY);
		MUST(dir >= 0);
		put(dir, "f", "hello");
		stats(dir, file);
		links(dir, path, found);
		MUST(unlink(file) == 0 && unlinkat(dir, "s", 0) == 0 && unlinkat(dir, "u", 0) == 0);
		MUST(close(dir) == 0 && rmdir(path) == 0 && access(path, F_OK) == -1 &&
		     errno == ENOENT);
	}
	OK(pthread_mutex_lock(&order));
	static char first[400];
	if (first[0] == 0)
		say("%s", strcpy(first, found));
	MUST(strcmp(first, found) == 0);
	OK(pthread_mutex_unlock(&order));
	return arg;
}

static void *fails(void *arg)
{
	struct stat st;
	char buf[10];

	SYS(stat("missing", &st));
	SYS(lstat("", &st));
	SYS(fstat(-1, &st));
	SYS(fstatat(-5, "x", &st, 0));
	SYS(access("/proc/self/exe/x", F_OK));
	SYS(mkdir(".", 0700));
	SYS(rmdir("missing"));
	SYS(unlink("."));
	SYS(rename("missing", "other"));
	SYS(readlink(".", buf, sizeof buf));
	SYS(truncate("missing", 0));
	SYS(ftruncate(0x7fffff, 0));
	SYS(chmod("missing", 0));
	SYS(fallocate(-1, 0, 0, 1));
	SYS(posix_fallocate(-1, 0, 1));
	SYS(posix_fadvise(-1, 0, 0, POSIX_FADV_NORMAL));
	SYS(realpath("missing", NULL) == NULL);
	SYS(opendir("missing") == NULL);
	SYS(chdir("missing"));
	return arg;
}

int main(void)
{
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		t[i] = start(works, (void *)(long)i);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	finish(start(fails, NULL));
	return 0;
}
