/* SPDX-License-Identifier: MIT
 *
 * tlstmpl.c: learns struct pthread from one real thread, without knowing its layout.
 *
 * The template thread is created at a known address, with an odd stack size and a known result. It
 * copies its own TCB as glibc left it, before anything has used it, and then provokes what libc
 * allocates per thread. Words are told by what they hold:
 *   points into its own TCB or TLS      moved by the distance to the copy (tlstmpl.reloc)
 *   points into its stack               one only: cleanup_jmp_buf, cleared
 *   stack's address, then its size      stackblock, stackblock_size; then comes guardsize
 *   what strsignal, strerror returned   their buffers
 *   the result, found after its end     result
 *   changed in libc's TLS by malloc     tlstmpl.keep
 * list, tid, specific and cancelhandling come from libthread_db's descriptors, which
 * libc exports as data; robust_head from the kernel.
 *
 * The thread has ended when tlsinit() returns: glibc stays in its multi-threaded mode after a join
 * (measured, 2.36: __libc_single_threaded stays false, in a fork's child too).
 */
#define _GNU_SOURCE 1
#include "runtime.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define STACKBASE (64ul << 10)
#define STACKODD 0x1330ul
#define RESULT ((void *)0x676d702d72657375ul)
#define BADNUM 77777 /* no signal, no error: their texts are formatted into the thread's buffers */

struct tlslayout tlslayout;
struct tlstmpl tlstmpl;

/* What libc exports for libthread_db: size in bits, number of elements, offset. */
struct desc {
	uint32_t bits, n, off;
};

struct probe {
	char *lo;	/* copy of [tcb - below, tcb + tcbsize) */
	char *tcb;	/* where it was */
	uintptr_t robust;
	ptrdiff_t libclo, libchi; /* libc's TLS block, from the TCB */
	const char *strsignal, *strerror;
	ptrdiff_t strsignaloff, strerroroff;
};

void *sysalloc(size_t n)
{
	long p = SC6(SYS_mmap, 0, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p < 0 && p > -4096 ? NULL : (void *)p;
}

static uintptr_t word(const void *base, ptrdiff_t off)
{
	uintptr_t w;

	memcpy(&w, (const char *)base + off, sizeof w);
	return w;
}

static ptrdiff_t findword(const void *base, uintptr_t want)
{
	for (size_t off = 0; off < tlslayout.tcbsize; off += 8)
		if (word(base, (ptrdiff_t)off) == want)
			return (ptrdiff_t)off;
	return 0;
}

static void *tmplstart(void *arg)
{
	struct probe *pr = arg;
	char *tcb = gettls();
	size_t len;
	void *head = NULL;

	memcpy(pr->lo, tcb - tlslayout.below, tlslayout.below + tlslayout.tcbsize);
	pr->tcb = tcb;
	if (SC3(SYS_get_robust_list, 0, &head, &len) == 0)
		pr->robust = (uintptr_t)head;

	/*
	 * libc's allocator alone may keep words: another's (in its own TLS) are cleaned by its own
	 * destructors.
	 */
	void *volatile p = malloc(24);
	free(p);
	for (ptrdiff_t off = pr->libclo; off < pr->libchi; off += 8)
		if (word(tcb, off) != word(pr->lo + tlslayout.below, off) &&
		    tlstmpl.nkeep < MAXKEEP)
			tlstmpl.keep[tlstmpl.nkeep++] = (int32_t)off;
	tcacheprobe();

	pr->strsignaloff = findword(tcb, (uintptr_t)strsignal(BADNUM));
	pr->strerroroff = findword(tcb, (uintptr_t)strerror(BADNUM));
	cancelprobe();
	return RESULT;
}

/* libc's TLS block, in the calling thread. */
static int libctls(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct probe *pr = arg;
	uintptr_t fn = (uintptr_t)tlstmpl.ctypeinit, memsz = 0;
	bool here = false;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t at = info->dlpi_addr + ph->p_vaddr;
		if (ph->p_type == PT_TLS)
			memsz = ph->p_memsz;
		if (ph->p_type == PT_LOAD && fn >= at && fn < at + ph->p_memsz)
			here = true;
	}
	if (!here || !info->dlpi_tls_data)
		return 0;
	pr->libclo = (char *)info->dlpi_tls_data - (char *)gettls();
	pr->libchi = pr->libclo + (ptrdiff_t)(memsz & ~7ul);
	return 1;
}

/* Runs fn(arg) on a pthread of libc's own and waits for its end. A positive errno. */
static int realthread(void *(*fn)(void *), void *arg, char *stack, size_t stacksize)
{
	int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
		libcown("pthread_create");
	int (*join)(pthread_t, void **) = libcown("pthread_join");
	int (*attrinit)(pthread_attr_t *) = libcown("pthread_attr_init");
	int (*setstack)(pthread_attr_t *, void *, size_t) = libcown("pthread_attr_setstack");
	int (*setsize)(pthread_attr_t *, size_t) = libcown("pthread_attr_setstacksize");
	int (*attrdestroy)(pthread_attr_t *) = libcown("pthread_attr_destroy");
	pthread_attr_t attr;
	uint64_t all = ALLSIGS, old;
	pthread_t t;
	int err;

	if (!create || !join || !attrinit || !setstack || !setsize || !attrdestroy)
		return ENOSYS;
	/* No handler of the program's may run on it. */
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, 8);
	attrinit(&attr);
	err = stack ? setstack(&attr, stack, stacksize) : setsize(&attr, stacksize);
	if (!err)
		err = create(&t, &attr, fn, arg);
	if (!err)
		err = join(t, NULL);
	attrdestroy(&attr);
	SC4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
	return err;
}

static void *reapstart(void *arg)
{
	struct g *gp = arg;

	for (uint32_t i = 0; i < tlstmpl.nkeep; i++) {
		uintptr_t *from = (uintptr_t *)((char *)gp->tcb + tlstmpl.keep[i]);
		*(uintptr_t *)((char *)gettls() + tlstmpl.keep[i]) = *from;
		*from = 0;
	}
	return NULL;
}

/*
 * Not on the caller's stack of choice: libc's list of such threads is tlsdl.c's to change. The
 * thread has allocated nothing when it takes the words over, so none of its own are lost.
 */
bool tlsreap(struct g *gp)
{
	uintptr_t any = 0;

	for (uint32_t i = 0; gp->tcb && i < tlstmpl.nkeep; i++)
		any |= word(gp->tcb, tlstmpl.keep[i]);
	size_t stacksize = tlslayout.below + tlslayout.tcbsize + STACKBASE;
	return any && realthread(reapstart, gp, NULL, stacksize) == 0;
}

ptrdiff_t tlsdesc(const char *name)
{
	const struct desc *d = libcown(name);

	return d ? (ptrdiff_t)d->off : 0;
}

/* Offset of a TLS variable of libc's, or 0. dlsym answers with its address in this thread. */
static ptrdiff_t tlsvar(const char *name)
{
	char *p = libcown(name);

	return p ? p - (char *)gettls() : 0;
}

static const char *scan(struct probe *pr, char *stack, size_t stacksize)
{
	char *virgin = pr->lo + tlslayout.below;
	uintptr_t tcb = (uintptr_t)pr->tcb;
	uintptr_t lo = tcb - tlslayout.below, hi = tcb + tlslayout.tcbsize;
	struct tlslayout *l = &tlslayout;

	l->list = tlsdesc("_thread_db_pthread_list");
	l->tid = tlsdesc("_thread_db_pthread_tid");
	l->specific = tlsdesc("_thread_db_pthread_specific");
	l->cancelhandling = tlsdesc("_thread_db_pthread_cancelhandling");
	if (!l->list || !l->tid || !l->specific || !l->cancelhandling)
		return "libc exports no libthread_db descriptors";
	l->specificused = l->specific + 32 * 8;
	l->specific1 = (ptrdiff_t)(word(virgin, l->specific) - tcb);
	if (pr->robust > tcb && pr->robust < hi)
		l->robust = (ptrdiff_t)(pr->robust - tcb);
	l->strsignal = pr->strsignaloff;
	l->strerror = pr->strerroroff;
	l->result = findword(pr->tcb, (uintptr_t)RESULT);
	for (size_t off = 16; off < l->tcbsize; off += 8) {
		uintptr_t w = word(virgin, (ptrdiff_t)off);
		if (w == (uintptr_t)stack && word(virgin, (ptrdiff_t)off + 8) == stacksize) {
			l->stackblock = (ptrdiff_t)off;
		} else if (w >= (uintptr_t)stack && w < lo) {
			if (l->cleanupjmp)
				return "more than one word points into the stack";
			l->cleanupjmp = (ptrdiff_t)off;
			memset(virgin + off, 0, 8);
		}
	}
	if (!l->stackblock || !l->cleanupjmp)
		return "stackblock or cleanup_jmp_buf not found";
	ptrdiff_t *rseq = libcown("__rseq_offset");
	l->rseq = rseq ? *rseq : 0;
	l->resp = tlsvar("__resp");
	l->dlerror = tlsvar("__libc_dlerror_result");
	l->runtimeg = (char *)&runtime_g - (char *)gettls();
	if (l->resp) {
		l->res = (ptrdiff_t)(word(virgin, l->resp) - tcb);
		if (l->res <= 0 || (size_t)l->res >= l->tcbsize)
			return "the resolver's state is not in struct pthread";
	}
	/* From here on distances, not addresses: settcb() adds the copy's. */
	for (size_t off = 0; off < l->tcbsize; off += 8) {
		uintptr_t w = word(virgin, (ptrdiff_t)off);
		if (off == 8 || w < lo || w >= hi)
			continue;
		if (tlstmpl.nreloc == MAXRELOC)
			return "too many words to relocate";
		w -= tcb;
		memcpy(virgin + off, &w, 8);
		tlstmpl.reloc[tlstmpl.nreloc++] = (uint32_t)off;
	}
	return NULL;
}

/* Where a TCB with its static TLS goes in `block`, which has room for the alignment too. */
static char *tcbin(char *block, size_t align)
{
	return (char *)(((uintptr_t)block + tlslayout.below + align - 1) & ~(align - 1));
}

static int fail(const char *why)
{
	if (debug.verbose)
		gprintf("libgmp: this libc's threads cannot be taken over: %s\n", why);
	return -ENOSYS;
}

int tlsinit(void)
{
	void (*staticinfo)(size_t *, size_t *) = libcown("_dl_get_tls_static_info");
	int (*getdefault)(pthread_attr_t *) = libcown("pthread_getattr_default_np");
	uint32_t *sizeofpthread = libcown("_thread_db_sizeof_pthread");
	size_t size, align, stacksize = 8 << 20, guardsize = 4096;
	struct probe pr = {0};
	pthread_attr_t attr;

	if (tlstmpl.tcb)
		return 0;
	if (!gexitinit())
		return fail("no private names to end a thread with");
	tlstmpl.allocate = libcown("_dl_allocate_tls");
	tlstmpl.init = libcown("_dl_allocate_tls_init");
	tlstmpl.ctypeinit = libcown("__ctype_init");
	if (!staticinfo || !sizeofpthread || !tlstmpl.allocate || !tlstmpl.init ||
	    !tlstmpl.ctypeinit)
		return fail("no private names (is it glibc 2.34 or later?)");
	staticinfo(&size, &align);
	tlslayout.tcbsize = *sizeofpthread;
	tlslayout.below = size - tlslayout.tcbsize;

	size_t tmplsize = STACKBASE + STACKODD + ((size + align + 4095) & ~4095ul);
	char *stack = sysalloc(tmplsize + align + 4096), *block = sysalloc(2 * (size + align));
	if (!stack || !block)
		return fail("no memory");
	/* Both at the same distance from an alignment boundary as any TCB. */
	pr.lo = tcbin(block, align) - tlslayout.below;
	int (*iterate)(int (*)(struct dl_phdr_info *, size_t, void *), void *) =
		libcown("dl_iterate_phdr");
	if (iterate)
		iterate(libctls, &pr);
	int err = realthread(tmplstart, &pr, stack, tmplsize);
	if (err)
		return fail("the template thread could not be made");
	const char *why = scan(&pr, stack, tmplsize);
	if (why)
		return fail(why);
	SC2(SYS_munmap, stack, tmplsize + align + 4096);

	char *scratch = sysalloc(size + align);
	if (!scratch)
		return fail("no memory");
	tlstmpl.scratch = tcbin(scratch, align);
	if (!tlstmpl.allocate(tlstmpl.scratch))
		return fail("no memory");
	/* Before its first element, in the place of an element, is their number; that counts elements from 1. */
	const uintptr_t *dtv = (const uintptr_t *)word(tlstmpl.scratch, 8) - 2;
	tlstmpl.dtvlen = 2 * (dtv[0] + 2);
	tlstmpl.dtv = sysalloc(tlstmpl.dtvlen * sizeof *dtv);
	if (!tlstmpl.dtv)
		return fail("no memory");
	memcpy(tlstmpl.dtv, dtv, tlstmpl.dtvlen * sizeof *dtv);

	if (getdefault && getdefault(&attr) == 0) {
		int (*getstack)(const pthread_attr_t *, size_t *) =
			libcown("pthread_attr_getstacksize");
		int (*getguard)(const pthread_attr_t *, size_t *) =
			libcown("pthread_attr_getguardsize");
		if (getstack && getguard) {
			getstack(&attr, &stacksize);
			getguard(&attr, &guardsize);
		}
	}
	err = stackinit(size, align, tlslayout.tcbsize, stacksize, guardsize);
	if (err)
		return fail("GMP_GUARD=madvise: this kernel has no MADV_GUARD_INSTALL");
	if (!tlsdlinit())
		return fail("its list of threads was not found");
	tlstmpl.tcb = pr.lo + tlslayout.below;
	return 0;
}
