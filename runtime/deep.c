/* SPDX-License-Identifier: MIT
 *
 * deep.c: the calls that libc makes inside itself (fgets on a socket, getaddrinfo, syslog), which
 * no symbol catches: a jump is written over the entry of libc's own read, poll, connect and so on,
 * to our wrapper.
 *
 * The wrapper's real function is from then on a slot: the covered instructions and a jump to the
 * rest (arch/, patch.c). So nothing changes for who has no G (foreign threads, the child of a fork,
 * of vfork or posix_spawn): wrapper, slot, libc's function. That is also why a wrapper never meets
 * itself: the calls it makes by real_ go to slots. It is set for every name that libc has at that
 * address (reals).
 *
 * When: once, when the pool starts, before it has a second thread. A process without threads is not
 * touched. If there are other threads even so (made by a library, in ways of its own), only
 * functions are patched whose first instruction is as long as the jump: a thread is before it or
 * behind it, never inside.
 *
 * How: each page is copied to a memfd, changed there, and mapped in its place. No page is ever
 * writable and executable, which systems that forbid that (PR_SET_MDWE, SELinux) would not let us
 * have.
 *
 * What is left alone, and why, is told by deepreport(), for GMP_VERBOSE and the launcher's doctor.
 * A point may need another: where that one is left alone, so is it. libgmp works without any of
 * this (GMP_DEEP=0): then such calls hold their kernel thread, and sysmon gives the P away.
 *
 * Locks: none; one thread.
 */
#include "runtime.h"
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { PAGE = 4096, MAXPOINTS = 96, SETTLE = 50 /* looks for other threads */ };
#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

struct range {
	uintptr_t in, lo, hi;
	uint32_t flags;
	const char *file;
	int64_t off; /* of lo */
};

static struct point {
	struct deeppoint d;
	uint8_t *entry;
	uintptr_t jump; /* where the jump goes */
	void *orig;	/* its slot */
	enum deephow how;
} points[MAXPOINTS];
static int npoints;
static void **reals;
static int nreals;
static enum deephow all =
    DEEP_NOTYET;	  /* why none of them is patched, if there is a common reason */
static struct range text; /* libc's */
static int textfd = -1;

__thread bool runtime_stays __attribute__((tls_model("initial-exec"), visibility("hidden")));

void goendmark(void)
{
	struct g *gp = getg();

	if (gp != NULL &&
	    unlikely(atomic_load_explicit(&gp->status, memory_order_relaxed) == Gsyscall))
		exitsyscall();
}

void deepregister(const struct deeppoint *d, int n, void **real, int nreal)
{
	if (npoints + n > MAXPOINTS)
		throw("deepregister: too many");
	for (int i = 0; i < n; i++)
		points[npoints++].d = d[i];
	if (real != NULL) {
		reals = real;
		nreals = nreal;
	}
}

const char *deepwhy(enum deephow how)
{
	static const char *const why[] = {
	    [DEEP_NOTYET] = "no thread has been created yet",
	    [DEEP_CHOSEN] = "not patched yet",
	    [DEEP_PATCHED] = "patched",
	    [DEEP_SAME] = "patched, under another name",
	    [DEEP_OFF] = "GMP_DEEP=0",
	    [DEEP_MISSING] = "libc has no such function",
	    [DEEP_OTHERS] = "another library's function stands before it",
	    [DEEP_BYTES] = "begins in a way that is not understood",
	    [DEEP_BRANCH] = "may branch to where the jump would be",
	    [DEEP_CHANGED] = "is not in memory what it is in the file",
	    [DEEP_FAR] = "too far away",
	    [DEEP_THREADS] = "other threads run already",
	    [DEEP_NEEDS] = "useless without another that is not patched",
	    [DEEP_KERNEL] = "the kernel refused to map the changed code",
	};
	return why[how];
}

void deepreport(void (*fn)(const char *name, enum deephow how, void *arg), void *arg)
{
	for (int i = 0; i < npoints; i++)
		fn(points[i].d.name, all == DEEP_PATCHED ? points[i].how : all, arg);
}

/* ---- where things are -------------------------------------------------------------------------
 */

static int findrange(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct range *r = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + ph->p_vaddr;
		if (ph->p_type == PT_LOAD && r->in - lo < ph->p_memsz &&
		    (ph->p_flags & r->flags) == r->flags) {
			r->lo = lo;
			r->hi = lo + ph->p_memsz;
			r->file = info->dlpi_name;
			r->off = (int64_t)ph->p_offset;
			return 1;
		}
	}
	return 0;
}

/* The segment that p is in, if it has these PF_*. */
static bool rangeof(const void *p, uint32_t flags, struct range *r)
{
	*r = (struct range){.in = (uintptr_t)p, .flags = flags};
	return p != NULL && dl_iterate_phdr(findrange, r) != 0;
}

bool deeprange(const void *p, uint32_t flags, uintptr_t *lo, uintptr_t *hi)
{
	struct range r;

	if (!rangeof(p, flags, &r))
		return false;
	*lo = r.lo;
	*hi = r.hi;
	return true;
}

/* Is this the only thread? The template thread, just ended, may be seen for a moment yet. */
static bool alone(void)
{
	struct timespec nap = {0, 100000};
	struct stat st;

	for (int i = 0; i < SETTLE; i++) {
		if (SC4(SYS_newfstatat, AT_FDCWD, "/proc/self/task", &st, 0) !=
		    0) /* no /proc: libc's own count */
			return libcnthreads != NULL && atomic_load(libcnthreads) <= 1;
		if (st.st_nlink == 3)
			return true;
		SC2(SYS_nanosleep, &nap, NULL);
	}
	return false;
}

/* ---- which, and their slots --------------------------------------------------------------------
 */

static int nslots;
static uint8_t slots[PAGE];

/* The first of the points at that address: it has the slot. */
static struct point *pointat(const void *entry)
{
	for (int i = 0; i < npoints; i++)
		if (points[i].entry == entry && points[i].orig != NULL)
			return &points[i];
	return NULL;
}

/* Can it be patched? Then it gets a slot. */
static enum deephow choose(struct point *p, bool single)
{
	enum patchwhy why;
	uint8_t jump[PATCHJUMP];

	p->entry = p->d.find != NULL ? p->d.find() : libcown(p->d.name);
	if (p->entry == NULL)
		return DEEP_MISSING;
	if ((p->d.real != NULL && *p->d.real != p->entry) ||
	    (uintptr_t)p->entry - text.lo >= text.hi - text.lo)
		return DEEP_OTHERS;
	if (pointat(p->entry) != NULL)
		return DEEP_SAME;
	int span = patchspan(p->entry, (uint8_t *)text.lo, (uint8_t *)text.hi, &why);
	if (span == 0)
		return why == PATCH_BRANCH ? DEEP_BRANCH : DEEP_BYTES;
	p->jump = (uintptr_t)p->entry + (uintptr_t)patchat(p->entry);
	if (!single && patchmulti(p->entry))
		return DEEP_THREADS;
	uint8_t *slot = slots + nslots * SLOTLEN;
	uintptr_t addr = (uintptr_t)deepslots + (uintptr_t)(slot - slots);
	if (nslots == PAGE / SLOTLEN || !patchcopy(slot, addr, p->entry, span) ||
	    !patchjump(jump, p->jump, (uintptr_t)p->d.to))
		return DEEP_FAR;
	p->orig = (void *)addr;
	nslots++;
	return DEEP_CHOSEN;
}

static struct point *named(const char *name)
{
	for (int i = 0; i < npoints; i++)
		if (strcmp(points[i].d.name, name) == 0)
			return &points[i];
	return NULL;
}

static bool dead(const struct point *p)
{
	return p == NULL || (p->how != DEEP_CHOSEN && p->how != DEEP_PATCHED);
}

/* Drops points whose need is not met. */
static void needs(void)
{
	for (int i = 0; i < npoints; i++) {
		struct point *p = &points[i];
		if (p->how != DEEP_CHOSEN || p->d.needs == NULL)
			continue;
		struct point *q = named(p->d.needs);
		if (dead(q)) {
			p->how = DEEP_NEEDS;
			i = -1; /* others may have needed this one */
		}
	}
}

/* ---- changing pages -----------------------------------------------------------------------------
 */

static int memfd = -1;
static int64_t memlen;

static bool openmem(void)
{
	struct rlimit rl = {RLIM_INFINITY, RLIM_INFINITY};

	/* Beyond it we would get a signal. */
	SC4(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &rl);
	if (rl.rlim_cur < (MAXPOINTS + 1) * 4ul * PAGE)
		return false;
	memfd = (int)SC2(SYS_memfd_create, "gmp-deep", MFD_CLOEXEC | MFD_EXEC);
	if (memfd == -EINVAL) /* before Linux 6.3 */
		memfd = (int)SC2(SYS_memfd_create, "gmp-deep", MFD_CLOEXEC);
	return memfd >= 0;
}

/* Puts n bytes at `at` of the memfd. */
static bool put(const void *p, size_t n, int64_t at)
{
	return SC4(SYS_pwrite64, memfd, p, n, at) == (long)n;
}

/* Maps the memfd's [at, at + n) in the place of code. */
static bool mapover(uintptr_t to, size_t n, int64_t at)
{
	long r = SC6(SYS_mmap, to, n, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, memfd, at);

	return r == (long)to;
}

static bool overlaps(const struct point *p, uintptr_t lo, uintptr_t hi)
{
	return p->how == DEEP_CHOSEN && p->jump + PATCHJUMP > lo && p->jump < hi;
}

static bool anyin(uintptr_t lo, uintptr_t hi)
{
	for (int i = 0; i < npoints; i++)
		if (overlaps(&points[i], lo, hi))
			return true;
	return false;
}

/*
 * Is [lo, hi) what the linker wrote? A breakpoint of the kernel's (uprobes) in a page that is
 * copied would be one that it knows nothing of, and end the process. If the file cannot be had,
 * after a chroot(), nothing can be said.
 */
static bool pristine(uintptr_t lo, uintptr_t hi)
{
	static uint8_t page[PAGE];

	for (; textfd >= 0 && lo < hi; lo += PAGE)
		if (SC4(SYS_pread64, textfd, page, PAGE, text.off + (int64_t)(lo - text.lo)) !=
			PAGE ||
		    memcmp(page, (const void *)lo, PAGE) != 0)
			return false;
	return true;
}

/* Patches the points in [lo, hi), whole pages, at once. */
static enum deephow patchrun(uintptr_t lo, uintptr_t hi)
{
	int64_t at = memlen;
	uint8_t jump[PATCHJUMP];

	if (!pristine(lo, hi))
		return DEEP_CHANGED;
	memlen += (int64_t)(hi - lo);
	if (!put((void *)lo, hi - lo, at))
		return DEEP_KERNEL;
	for (int i = 0; i < npoints; i++) {
		const struct point *p = &points[i];
		if (!overlaps(p, lo, hi))
			continue;
		patchjump(jump, p->jump, (uintptr_t)p->d.to);
		if (!put(jump, PATCHJUMP, at + (int64_t)(p->jump - lo)))
			return DEEP_KERNEL;
	}
	return mapover(lo, hi - lo, at) ? DEEP_PATCHED : DEEP_KERNEL;
}

/* The next to be patched: one that another needs, as long as there is such a one. */
static struct point *nextpoint(void)
{
	struct point *any = NULL;

	for (int i = 0; i < npoints; i++) {
		if (points[i].how != DEEP_CHOSEN)
			continue;
		any = &points[i];
		for (int j = 0; j < npoints; j++)
			if (points[j].how == DEEP_CHOSEN && points[j].d.needs != NULL &&
			    strcmp(points[j].d.needs, any->d.name) == 0)
				return any;
	}
	return any;
}

static void patchall(void)
{
	struct point *p;

	while ((p = nextpoint()) != NULL) {
		uintptr_t lo = p->jump & ~(uintptr_t)(PAGE - 1), hi = lo + PAGE;
		/* Neighbours go along: the fewer mappings the better, and a jump may lie across. */
		while (anyin(lo - PAGE, lo))
			lo -= PAGE;
		while (anyin(hi, hi + PAGE))
			hi += PAGE;
		enum deephow how = patchrun(lo, hi);
		for (int i = 0; i < npoints; i++)
			if (overlaps(&points[i], lo, hi))
				points[i].how = how;
		needs();
	}
}

/* ---- start ----------------------------------------------------------------------------------- */

static enum deephow init(void)
{
	if (!debug.deep)
		return DEEP_OFF;
	if (!rangeof(libcown("__libc_start_main"), PF_X, &text))
		return DEEP_MISSING;
	bool single = alone();
	lllinit();
	for (int i = 0; i < npoints; i++)
		points[i].how = choose(&points[i], single);
	needs();
	if (!openmem() || !put(slots, PAGE, 0) || !mapover((uintptr_t)deepslots, PAGE, 0))
		return DEEP_KERNEL;
	memlen = PAGE;
	if (text.file != NULL && text.file[0] == '/')
		textfd = (int)SC4(SYS_openat, AT_FDCWD, text.file, O_RDONLY | O_CLOEXEC, 0);
	/* First the slots, which hold with and without the jump, then the jumps: nobody ever goes
	 * in a circle. */
	for (int i = 0; i < nreals; i++) {
		const struct point *p = reals[i] ? pointat(reals[i]) : NULL;
		if (p != NULL)
			reals[i] = p->orig;
	}
	patchall();
	for (int i = 0; i < npoints; i++)
		if (points[i].how == DEEP_SAME)
			points[i].how = dead(pointat(points[i].entry)) ? DEEP_NEEDS : DEEP_SAME;
	return DEEP_PATCHED;
}

static void say(void)
{
	int n = 0;

	for (int i = 0; i < npoints; i++)
		n += all == DEEP_PATCHED &&
		     (points[i].how == DEEP_PATCHED || points[i].how == DEEP_SAME);
	gprintf("libgmp: %d of %d functions inside libc patched%s%s\n", n, npoints,
		all == DEEP_PATCHED ? "" : ": ", all == DEEP_PATCHED ? "" : deepwhy(all));
	for (int i = 0; all == DEEP_PATCHED && i < npoints; i++)
		if (points[i].how != DEEP_PATCHED && points[i].how != DEEP_SAME)
			gprintf("libgmp: %s: not patched: %s\n", points[i].d.name,
				deepwhy(points[i].how));
}

void deepinit(void)
{
	if (all != DEEP_NOTYET) /* a fork's child has it all */
		return;
	all = init();
	if (memfd >= 0)
		SC1(SYS_close, memfd);
	if (textfd >= 0)
		SC1(SYS_close, textfd);
	if (debug.verbose)
		say();
}
