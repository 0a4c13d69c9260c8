/* SPDX-License-Identifier: MIT */
/* More of what the kernel keeps by thread (own-thread has the rest): capabilities and their sets,
 * securebits, KEEPCAPS, fsgid, I/O priority, a host name, rights by key: each stays with its
 * thread, whatever it waits for; threads which that one makes inherit it; nobody else has it. A
 * filter for all threads (TSYNC) is all threads'. capabilities(7), seccomp(2), pkeys(7) */
#include "perthread.h"
#include <dirent.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>

enum { PLAIN = 6, IOPRIO_IDLE = 3 << 13 };

static int key = -1;
static char home[65];

static int chown_allowed(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	MUST(syscall(SYS_capget, &h, d) == 0);
	return d[0].effective >> CAP_CHOWN & 1;
}

static void state(char *s, size_t n)
{
	char host[65] = "";

	gethostname(host, sizeof host);
	snprintf(s, n,
		 "keepcaps %d securebits %d bounding %d ambient %d chown %d fsgid %d ioprio %ld "
		 "host %s key %d",
		 prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0), prctl(PR_GET_SECUREBITS, 0, 0, 0, 0),
		 prctl(PR_CAPBSET_READ, CAP_SYS_BOOT, 0, 0, 0),
		 prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), chown_allowed(),
		 setfsgid(-1) - (int)getegid(), syscall(SYS_ioprio_get, 1, 0) >> 13,
		 strcmp(host, home) ? "mine" : "usual", key >= 0 ? pkey_get(key) : -1);
}

static void *keeps(void *arg)
{
	SYS(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
	stays("KEEPCAPS");
	return arg;
}

static void *bits(void *arg)
{
	SYS(prctl(PR_SET_SECUREBITS, 1 << 2 /* NO_SETUID_FIXUP */, 0, 0, 0));
	stays("securebits");
	return arg;
}

static void *bounds(void *arg)
{
	SYS(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT, 0, 0, 0));
	stays("bounding");
	return arg;
}

static void caps(int inheritable)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	MUST(syscall(SYS_capget, &h, d) == 0);
	if (inheritable)
		d[0].inheritable |= d[0].permitted & 1 << CAP_CHOWN;
	else
		d[0].effective &= ~(1u << CAP_CHOWN);
	say("capset: %d", (int)syscall(SYS_capset, &h, d));
}

static void *drops(void *arg)
{
	caps(0);
	stays("capset");
	return arg;
}

static void *ambient(void *arg)
{
	caps(1);
	SYS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
	stays("ambient");
	return arg;
}

static void *fsgid(void *arg)
{
	setfsgid(4321);
	stays("fsgid");
	return arg;
}

static void *ioprio(void *arg)
{
	SYS(syscall(SYS_ioprio_set, 1, 0, IOPRIO_IDLE));
	stays("ioprio");
	return arg;
}

static void *host(void *arg)
{
	int ns = open("/proc/thread-self/ns/uts", O_RDONLY);

	MUST(ns >= 0);
	if (unshare(CLONE_NEWUTS) == 0) {
		SYS(sethostname("mine", 4));
		stays("host name");
		SYS(setns(ns, CLONE_NEWUTS));
		stays("back");
	} else {
		say("unshare: %s", errname(errno));
	}
	close(ns);
	return arg;
}

static void *rights(void *arg)
{
	if (key >= 0)
		SYS(pkey_set(key, PKEY_DISABLE_WRITE));
	stays("rights by key");
	return arg;
}

/* Kernel threads which have not what the filter's maker has. */
static int unfiltered(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	char path[300], line[200];
	int n = 0, v;

	MUST(d != NULL);
	while ((e = readdir(d)) != NULL) {
		snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
		FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
		while (f && fgets(line, sizeof line, f)) {
			n += sscanf(line, "Seccomp: %d", &v) == 1 && v != 2;
			n += sscanf(line, "NoNewPrivs: %d", &v) == 1 && v != 1;
		}
		if (f)
			fclose(f);
	}
	closedir(d);
	return n;
}

static void *asks(void *arg)
{
	while (!quit) {
		waits(0);
		long r = syscall(SYS_getppid);
		if (r == -1 && errno == EXDEV)
			return arg;
		MUST(r >= 0);
	}
	return NULL;
}

static void *confines(void *arg)
{
	SYS(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &(uint32_t){SECCOMP_RET_ALLOW}));
	SYS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	SYS(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &no_getppid));
	return arg;
}

int main(void)
{
	void *(*const fn[])(void *) = {keeps, bits,   bounds, drops, ambient,
				       fsgid, ioprio, host,   rights};
	pthread_t t[PLAIN];

	MUST(gethostname(home, sizeof home) == 0);
	finish(start(child, NULL));
	SYS(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)); /* the process's */
	SYS(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	SYS(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	state(usual, sizeof usual);
	say("usual: %s", usual);
	for (int i = 0; i < PLAIN; i++)
		t[i] = start(plain, NULL);
	for (int i = 0; i < NELEM(fn); i++)
		finish(start(fn[i], NULL));
	say("plain threads that were different: %d", odd);
	quit = 1;
	for (int i = 0; i < PLAIN; i++)
		finish(t[i]);
	quit = 0;
	for (int i = 0; i < PLAIN; i++)
		t[i] = start(asks, &quit);
	finish(start(confines, NULL));
	for (int i = 0; i < PLAIN; i++)
		MUST(finish(t[i]) == &quit);
	MUST(finish(start(asks, &quit)) == &quit && asks(&quit) == &quit);
	say("threads without the filter: %d", unfiltered());
	/* Who has made a key has rights by it, and so have its threads. */
	key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
	if (key >= 0)
		pkey_set(key, 0);
	stays("key");
	for (int i = 0; i < 2; i++)
		finish(start(rights, NULL));
	stays("key");
	return 0;
}
