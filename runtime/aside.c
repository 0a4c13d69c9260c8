/* SPDX-License-Identifier: MIT
 *
 * aside.c: the kernel thread that opens files for the runtime where the program's descriptors are not concerned.
 *
 * open() takes the lowest free number, and programs rely on it: close(0), open(), and it is 0. So once there are threads the
 * runtime opens nothing in the program's table, not even for a moment: what it has to ask /proc is asked by this
 * thread, which has a table of its own. Nothing that the program closes is missing there.
 *
 * Above all: is an M asleep in the kernel? Its state in /proc/self/task/TID/stat says so; no system call without a
 * descriptor does, and its CPU clock stands still as well while it only waits for a CPU. sysmon asks by asleep() and goes on;
 * it is kicked when the answer is yes. The files stay open, one for each M: a look is a pread().
 *
 * The table: the thread begins with the program's, as every M. CLOSE_RANGE_UNSHARE then copies the numbers below 64 only, and
 * these copies are dropped before the pool starts, so that nothing is held open beyond the program's own close. Message
 * queues are not: close() of any copy ends the whole process's mq_notify().
 *
 * It is an M without a P (allthreads.c finds it) that never makes an M: that one would be born with this table.
 * Without /proc, or before Linux 5.9, it is of no use: asleep() then answers as Go does, without a look.
 *
 * Rejected: a descriptor for each M in the program's table (no call opens a file at a given number); one copied from
 * another table (SCM_RIGHTS and pidfd_getfd() take the lowest number too); io_uring's private descriptors (often
 * forbidden); a table of its own for sysmon (it makes Ms, prints, and sleeps in the netpoller); making this thread when it is
 * first needed (the copies below 64 are seen then, by a bind() after a close(), say).
 */
#include "runtime.h"
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

enum { COPIED = 64, UNSHARE = 2 /* CLOSE_RANGE_UNSHARE */, MQUEUE = 0x19800202 /* a file system's f_type */, FRESH = 1000000 };

static struct {
	note wake, begun;
	_Atomic bool usable;
	int taskdir;
	mutex lock; /* of aside(): held while fn runs */
	void (*_Atomic fn)(void *);
	void *arg;
	note done;
} self;

/* ---- the thread ------------------------------------------------------------------------------------- */

static bool owntable(void)
{
	struct statfs fs = {0};

	if (SC3(SYS_close_range, COPIED, ~0U, UNSHARE) < 0)
		return false;
	for (int fd = 0; fd < COPIED; fd++)
		if (SC2(SYS_fstatfs, fd, &fs) != -EBADF && fs.f_type != MQUEUE)
			SC1(SYS_close, fd);
	self.taskdir = (int)SC4(SYS_openat, AT_FDCWD, "/proc/self/task", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	return self.taskdir >= 0;
}

/* mp's file, for the thread it has now. */
static void openstat(struct m *mp, int tid)
{
	char path[32];

	taskpath(path, tid, "stat");
	if (mp->statfd > 0)
		SC1(SYS_close, mp->statfd);
	mp->statfd = (int)SC4(SYS_openat, self.taskdir, path, O_RDONLY | O_CLOEXEC, 0);
	mp->stattid = mp->statfd > 0 ? tid : 0;
}

/* The state letter of mp's thread; 0 if it cannot be read. */
static char threadstate(struct m *mp)
{
	int tid = atomic_load(&mp->procid);
	char buf[256];
	long n = -1;

	for (int tries = 0; tries < 2 && n <= 0; tries++) {
		/* The second time: the number is a new thread's. */
		if (mp->stattid != tid || tries > 0)
			openstat(mp, tid);
		n = mp->statfd > 0 ? SC4(SYS_pread64, mp->statfd, buf, sizeof(buf) - 1, 0) : -1;
	}
	/* pid (comm) S ...: comm may hold anything, so look for the last parenthesis. */
	for (long i = n - 1; i > 0; i--)
		if (buf[i] == ')')
			return i + 2 < n ? buf[i + 2] : 0;
	return 0;
}

static void answer(void)
{
	bool any = false;

	for (struct m *mp = atomic_load_explicit(&sched.allms, memory_order_acquire); mp; mp = mp->alllink) {
		uint32_t asked = atomic_load_explicit(&mp->asked, memory_order_acquire);
		if (asked == (uint32_t)(atomic_load_explicit(&mp->answer, memory_order_relaxed) >> 8))
			continue;
		char c = threadstate(mp);
		any |= c != 'R';
		atomic_store_explicit(&mp->answer, (uint64_t)asked << 8 | (unsigned char)c, memory_order_release);
	}
	if (any)
		sysmonkick();
}

static noreturn void lookout(void)
{
	SC5(SYS_prctl, PR_SET_NAME, "gmp-aside", 0, 0, 0);
	beprompt();
	atomic_store(&self.usable, owntable());
	notewakeup(&self.begun);
	for (;;) {
		notesleep(&self.wake);
		noteclear(&self.wake);
		/* StoreLoad with notewakeup(), after which the question is to be seen. */
		atomic_thread_fence(memory_order_seq_cst);
		void (*fn)(void *) = atomic_load(&self.fn);
		if (fn != NULL) {
			fn(self.arg);
			atomic_store(&self.fn, NULL);
			notewakeup(&self.done);
		}
		answer();
	}
}

/* ---- for the others --------------------------------------------------------------------------------- */

bool asleep(struct m *mp, uint64_t key, uint64_t now)
{
	uint64_t ans = atomic_load_explicit(&mp->answer, memory_order_acquire);

	if (!atomic_load_explicit(&self.usable, memory_order_relaxed))
		return true;
	/*
	 * An answer holds for as long as the thread has not run since: that is the same sleep, or it waits for a CPU. By a call's
	 * number nobody knows that, so such an answer is worth a moment only. For the clock there must be no such limit: the kick
	 * does not wake sysmon in the netpoller, so with all Ps stuck, each answer came too late and was asked for again, for ever.
	 */
	if (mp->askedkey == key && ((key & STILL) || now < mp->askedwhen + FRESH)) {
		if ((uint32_t)(ans >> 8) != atomic_load_explicit(&mp->asked, memory_order_relaxed))
			return false; /* it is on its way */
		if ((ans & 0xff) != 'R')
			return true;
	}
	mp->askedkey = key;
	mp->askedwhen = now;
	atomic_store_explicit(&mp->asked, atomic_load_explicit(&mp->asked, memory_order_relaxed) + 1,
			      memory_order_release);
	notewakeup(&self.wake);
	return false;
}

void aside(void (*fn)(void *), void *arg)
{
	struct g *gp = getg();

	if (!atomic_load(&self.usable)) {
		fn(arg);
		return;
	}
	/* No handler meanwhile: it might ask too. */
	if (gp != NULL) {
		entersyscallblock();
		gp->inruntime++;
	}
	atomic_signal_fence(memory_order_seq_cst);
	lock(&self.lock);
	noteclear(&self.done);
	self.arg = arg;
	atomic_store(&self.fn, fn);
	notewakeup(&self.wake);
	notesleep(&self.done);
	unlock(&self.lock);
	atomic_signal_fence(memory_order_seq_cst);
	if (gp != NULL) {
		gp->inruntime--;
		exitsyscall();
	}
}

void asidestart(void)
{
	noteclear(&self.begun);
	if (mspecial(lookout))
		notesleep(&self.begun);
}

/* In a fork's child: the thread and its table are the parent's. */
void asidefork(void)
{
	atomic_store(&self.usable, false);
	self.lock = (mutex){0};
	atomic_store(&self.fn, NULL);
	noteclear(&self.wake);
}
