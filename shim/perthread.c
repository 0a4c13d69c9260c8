/* SPDX-License-Identifier: MIT
 *
 * perthread.c: what Linux keeps by thread although POSIX or common sense has it by process:
 * niceness, capabilities, file system ids, namespaces, most of prctl.
 *
 * Who changes such a thing owns his kernel thread from then on (ownthread()), and threads which he
 * creates are the kernel's and inherit it. Reading needs nothing: without a change all kernel
 * threads are alike. The kernel does not know our thread ids. One's own becomes 0, that of another
 * thread with a kernel thread of its own becomes that one's id; any other G is as the process's
 * threads are, and cannot be made different from outside: that is accepted and has no effect.
 *
 * All that Linux keeps by thread (struct task_struct, clone(2)), and whose it is here. "Owned" is the above.
 *
 *   id, name, exit signal's parent             the G's: gettid(), PR_SET_NAME; the child of a fork is the process's
 *   signal mask, alternate stack, pending      the G's (runtime/sig*.c)
 *   CPU time, timers that signal a thread      the G's (cputime.c, sigtimer.c)
 *   robust list, clear_child_tid, rseq         the G's; refused; refused (syscall.c)
 *   registers, mxcsr, FS base, PKRU            the G's, in its frame. GS base, CPUID faulting, shadow stack: owned (arch_prctl)
 *   policy, priority, affinity, uclamp         wishes of the G, or owned (affinity.c, policy.c; sched_setattr)
 *   niceness, I/O priority, timer slack        owned
 *   user and group ids, groups                 by libc's names the process's (cred.c); by syscall() owned
 *   fsuid, fsgid, capabilities, their bounding and ambient sets, securebits, KEEPCAPS, thread keyring: owned
 *   no_new_privs, seccomp, landlock            owned; a filter for all threads (TSYNC) is the process's
 *   namespaces, root and current directory and umask after unshare(CLONE_FS), descriptors after CLONE_FILES: owned
 *   personality, I/O permissions, TSC, MCE policy, speculation, IO_FLUSHER, core scheduling, memory policy: owned
 *   PDEATHSIG, syscall user dispatch, tracer of others, perf events on oneself: bound to its kernel thread
 *   io_uring's workers                         the kernel thread's; it is kept (runtime/uring.c)
 *
 * The process's, for any thread: DUMPABLE, CHILD_SUBREAPER, PTRACER, THP_DISABLE, MDWE, SET_MM, timers, limits, AMX's permission.
 */
#include "shim.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/prctl.h>

/* The calling G owns its kernel thread for nothing but no_new_privs, which goes before each filter. */
static __thread bool onlyprivs;

__thread bool shim_heir;

bool changesthread(void)
{
	onlyprivs = false;
	if (getg() == NULL && poolstarted())
		shim_heir = true;
	return ownthread();
}

void filtersall(void)
{
	/* The kernel has given our no_new_privs to all threads, with the filter: we are like the others again. */
	if (onlyprivs && getg() != NULL)
		disownthread();
	onlyprivs = false;
}

void filterinstalled(const struct sock_fprog *prog, bool all)
{
	if (gofiltered(prog ? prog->filter : NULL, prog ? prog->len : 0, all))
		shim_filtered = true;
}

/* A call that changes such a thing, unless it fails. */
#define OWN(call)                                                                                  \
	({                                                                                         \
		bool new_ = changesthread();                                                           \
		int r_ = (call);                                                                   \
		if (r_ < 0 && new_)                                                                \
			disownthread();                                                            \
		r_;                                                                                \
	})

/* ---- prctl ----------------------------------------------------------------------------------- */

/* Is it the calling thread's own? Inherited by its threads: 2; not: 1. The process's, or a
 * question: 0 */
static int ofthread(int op, unsigned long a)
{
	switch (op) {
	case PR_SET_PDEATHSIG:
	case PR_SET_SYSCALL_USER_DISPATCH:
		return 1;
	case PR_SET_KEEPCAPS:
	case PR_SET_SECCOMP:
	case PR_CAPBSET_DROP:
	case PR_SET_TSC:
	case PR_SET_SECUREBITS:
	case PR_SET_TIMERSLACK:
	case PR_MCE_KILL:
	case PR_SET_NO_NEW_PRIVS:
	case PR_SET_SPECULATION_CTRL:
	case PR_SET_IO_FLUSHER:
	case PR_SCHED_CORE:
		return 2;
	case PR_CAP_AMBIENT:
		return a == PR_CAP_AMBIENT_IS_SET ? 0 : 2;
	default:
		return 0;
	}
}

EXPORT int prctl(int op, ...)
{
	struct g *gp = getg();
	unsigned long a[4];
	va_list ap;

	va_start(ap, op);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (gp != NULL && op == PR_SET_NAME && goodname((const char *)a[0], 15)) {
		gosetname(gp, (const char *)a[0]);
		return 0;
	}
	if (gp != NULL && op == PR_GET_NAME && goodwrite((void *)a[0], 16)) {
		gogetname(gp, (char *)a[0]);
		return 0;
	}
	switch (ofthread(op, a[0])) {
	case 1:
		lockosthread();
		break;
	case 2: {
		bool owned = ownsthread();
		int r = OWN(REAL(prctl)(op, a[0], a[1], a[2], a[3]));
		if (op == PR_SET_SECCOMP && r == 0)
			filterinstalled(a[0] == SECCOMP_MODE_FILTER ? (const void *)a[1] : NULL, false);
		onlyprivs = op == PR_SET_NO_NEW_PRIVS && r == 0 && gp != NULL && !owned;
		return r;
	}
	}
	return REAL(prctl)(op, a[0], a[1], a[2], a[3]);
}

/* ---- protection keys ------------------------------------------------------------------------- */

/* Rights to a key are a register of the kernel thread's, which each G has a copy of from now on. */
EXPORT int pkey_alloc(unsigned flags, unsigned rights)
{
	int key = REAL(pkey_alloc)(flags, rights);

	if (key >= 0)
		gopkeys();
	return key;
}

/* ---- credentials, namespaces, the machine ---------------------------------------------------- */

EXPORT int setfsuid(uid_t id)
{
	if (id != (uid_t)-1) /* which only asks */
		changesthread();
	return REAL(setfsuid)(id);
}

EXPORT int setfsgid(gid_t id)
{
	if (id != (gid_t)-1)
		changesthread();
	return REAL(setfsgid)(id);
}

EXPORT int capset(void *header, const void *data)
{
	return OWN(REAL(capset)(header, data));
}

EXPORT int unshare(int flags)
{
	return OWN(REAL(unshare)(flags));
}

EXPORT int setns(int fd, int type)
{
	return OWN(REAL(setns)(fd, type));
}

EXPORT int personality(unsigned long persona)
{
	if (persona != 0xffffffff)
		changesthread();
	return REAL(personality)(persona);
}

/* Who traces is a thread. The arguments are the kernel's, or nothing. */
EXPORT long ptrace(enum __ptrace_request op, ...)
{
	va_list ap;

	va_start(ap, op);
	pid_t pid = va_arg(ap, pid_t);
	void *addr = va_arg(ap, void *), *data = va_arg(ap, void *);
	va_end(ap);
	if (op != PTRACE_TRACEME)
		lockosthread();
	return REAL(ptrace)(op, pid, addr, data);
}

EXPORT int ioperm(unsigned long from, unsigned long n, int on)
{
	return OWN(REAL(ioperm)(from, n, on));
}

EXPORT int iopl(int level)
{
	return OWN(REAL(iopl)(level));
}

/* ---- niceness -------------------------------------------------------------------------------- */

/*
 * The kernel's id for a thread of the program's: 0, the caller; *id, not ours, or bound to that
 * thread. False: a G without a kernel thread of its own.
 */
static bool kernelof(id_t *id)
{
	struct g *self = getg(), *gp;

	if (!poolstarted() || *id == 0)
		return true;
	if (self != NULL && (int)*id == selftid()) {
		*id = 0;
		return true;
	}
	gp = gofid((int)*id);
	if (gp == NULL)
		return true;
	*id = (id_t)golockedtid(gp);
	return *id != 0;
}

EXPORT int nice(int inc)
{
	int e = errno;

	if (inc == 0)
		return REAL(nice)(inc);
	bool new = changesthread();
	errno = 0;
	int r = REAL(nice)(inc);
	if (r == -1 && errno != 0) { /* -1 may be the niceness */
		if (new)
			disownthread();
		return -1;
	}
	errno = e;
	return r;
}

EXPORT int getpriority(__priority_which_t which, id_t who)
{
	if (which == PRIO_PROCESS && !kernelof(&who))
		who = 0;
	return REAL(getpriority)(which, who);
}

EXPORT int setpriority(__priority_which_t which, id_t who, int prio)
{
	if (which == PRIO_PROCESS) {
		if (!kernelof(&who))
			return 0;
		if (who == 0)
			return OWN(REAL(setpriority)(which, who, prio));
	}
	return REAL(setpriority)(which, who, prio);
}

/* For sched_*: pid is an in and out parameter. */
static bool schedid(pid_t *pid)
{
	id_t id = (id_t)*pid;
	bool known = kernelof(&id);

	*pid = (pid_t)id;
	return known;
}

EXPORT int sched_rr_get_interval(pid_t pid, struct timespec *ts)
{
	return REAL(sched_rr_get_interval)(schedid(&pid) ? pid : 0, ts);
}
