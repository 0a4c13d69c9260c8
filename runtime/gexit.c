/* SPDX-License-Identifier: MIT
 *
 * gexit.c: a G's first and last frame.
 *
 * gostart() is to a G what glibc's start_thread is to a pthread. Its frame holds the jump buffer
 * that ends a forced unwind: glibc's own pthread_exit() runs on our TCB, unwinds frame by frame
 * (cleanup handlers, C++ destructors) and, when it has come to the frame of TCB->cleanup_jmp_buf,
 * longjmps there, to us. An exception nobody catches finds no caller beyond gostartstub and ends in
 * terminate(), as with glibc.
 *
 * main() was not started by us. Its buffer lies in libc's frame below main(), and glibc would exit
 * the kernel thread there, which is M 0 by then. So when the pool starts, the program counter in
 * that buffer is replaced (libc mangles it with a secret in the TCB) by mainunwound in asm.S, on
 * the same stack. Once more when main exits or is cancelled: if a constructor has started the pool, libc made its
 * buffer afterwards.
 *
 * All of this is program code in the scheduler's eyes: destructors may block and park, so gp may be
 * on another M after any call here. Nothing of M or P is held.
 *
 * Rejected: an own unwinder over _Unwind_ForcedUnwind (C's cleanup handlers are registered in
 * glibc's TCB in two ways, both known to glibc's only).
 */
#define _GNU_SOURCE 1
#include "runtime.h"

#include <limits.h>
#include <pthread.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>

/* pthread_setspecific's two levels, the same since glibc 2.0. */
enum { BLOCKKEYS = 32, NBLOCKS = PTHREAD_KEYS_MAX / BLOCKKEYS };
/* Words of __pthread_unwind_buf_t: rip; the buffer registered before. */
enum { JB_PC = 7, JB_PREV = 9 };

struct keydata {
	uintptr_t seq;
	void *data;
};

static struct {
	void (*registercancel)(__pthread_unwind_buf_t *);
	void (*calltlsdtors)(void);
	void (*exit)(void *) __attribute__((__noreturn__));
	void (*exitprocess)(int) __attribute__((__noreturn__));
	void (*resclose)(struct __res_state *);
	char *(*dlerror)(void);
	const struct {
		uintptr_t seq;
		void (*destr)(void *);
	} *keys;
} libc;

extern void mainunwound(void);
noreturn void gomainexit(void); /* called by asm.S */

#define WORD(tcb, off) (*(uintptr_t *)((char *)(tcb) + (off)))

bool gexitinit(void)
{
	libc.registercancel = libcown("__pthread_register_cancel");
	libc.calltlsdtors = libcown("__call_tls_dtors");
	libc.exit = libcown("pthread_exit");
	libc.exitprocess = libcsym("exit");
	libc.resclose = libcown("__res_nclose");
	libc.dlerror = libcown("dlerror");
	libc.keys = libcown("__pthread_keys");
	return libc.registercancel && libc.calltlsdtors && libc.exit && libc.exitprocess &&
	       libc.resclose && libc.keys;
}

/* The first block is in the TCB; it is cleared with it. */
static void tsdfree(char *tcb)
{
	struct keydata **blocks = (struct keydata **)(tcb + tlslayout.specific);

	for (size_t i = 1; i < NBLOCKS; i++) {
		free(blocks[i]);
		blocks[i] = NULL;
	}
	*(bool *)(tcb + tlslayout.specificused) = false;
}

/* pthread_setspecific's destructors: what nptl does at a thread's end, on its own data. */
static void tsddestroy(char *tcb)
{
	struct keydata **blocks = (struct keydata **)(tcb + tlslayout.specific);
	volatile bool *used = (bool *)(tcb + tlslayout.specificused);

	if (likely(!*used))
		return;
	for (int round = 0; *used && round < PTHREAD_DESTRUCTOR_ITERATIONS; round++) {
		*used = false;
		for (size_t i = 0; i < NBLOCKS; i++) {
			struct keydata *d = blocks[i];
			for (size_t j = 0; d && j < BLOCKKEYS; j++) {
				void *data = d[j].data;
				if (!data)
					continue;
				d[j].data = NULL;
				/*
				 * The key may have been deleted and made anew: then it is another's
				 * value.
				 */
				size_t key = i * BLOCKKEYS + j;
				void (*destr)(void *) = libc.keys[key].destr;
				if (d[j].seq == libc.keys[key].seq && destr)
					destr(data);
			}
		}
	}
	tsdfree(tcb);
}

/*
 * The buffers which libc allocates per thread and frees in __libc_thread_freeres, which is hidden.
 */
static void libcfree(char *tcb)
{
	static const ptrdiff_t *const bufs[] = {&tlslayout.strsignal, &tlslayout.strerror};

	for (size_t i = 0; i < nelem(bufs); i++) {
		if (!*bufs[i] || likely(!WORD(tcb, *bufs[i])))
			continue;
		free((void *)WORD(tcb, *bufs[i]));
		WORD(tcb, *bufs[i]) = 0;
	}
	/* The word is ~0 where libc could not allocate the result. */
	if (tlslayout.dlerror && unlikely(WORD(tcb, tlslayout.dlerror) + 1 > 1)) {
		libc.dlerror(); /* hands the message out ... */
		libc.dlerror(); /* ... and frees it */
		free((void *)WORD(tcb, tlslayout.dlerror));
		WORD(tcb, tlslayout.dlerror) = 0;
	}
	/* nscount: the resolver was initialised in this thread, and may have sockets open. */
	struct __res_state *res = (struct __res_state *)(tcb + tlslayout.res);
	if (tlslayout.res && unlikely(res->nscount))
		libc.resclose(res);
}

/*
 * Thread-local blocks of dlopened modules: freed, and the slot says "allocate at first use" again.
 */
static void dtvfree(char *tcb)
{
	uintptr_t *dtv = (uintptr_t *)WORD(tcb, 8);

	for (uintptr_t i = 1, n = dtv[-2]; i <= n; i++) {
		if (likely(!dtv[2 * i + 1]))
			continue;
		free((void *)dtv[2 * i + 1]);
		dtv[2 * i] = (uintptr_t)-1;
		dtv[2 * i + 1] = 0;
	}
}

void tlsexit(struct g *gp)
{
	char *tcb = gettls();

	libc.calltlsdtors();
	tsddestroy(tcb);
	libcfree(tcb);
	/* main's shell is not used again, and libc may still run atexit handlers on it. */
	if (gp && gp->area) {
		dtvfree(tcb);
		tcacheflush(tcb);
	}
}

void tlsdrop(struct g *gp)
{
	if (gp->area == NULL)
		return;
	tsdfree(gp->tcb);
	libcfree(gp->tcb);
	dtvfree(gp->tcb);
}

/*
 * In a fork's child nobody is a G until the pool starts again, and a thread that ends there is the
 * process's last: exit(0), says POSIX. Destructors may start the pool, so ask afterwards.
 */
static noreturn void finish(void)
{
	tlsexit(getg());
	struct g *gp = getg();
	if (!gp)
		libc.exitprocess(0);
	gosigends();
	goexit(gp);
}

static void run(struct g *gp, __pthread_unwind_buf_t *buf)
{
	libc.registercancel(buf);
	enterforeign();
	gp->retval = gp->fn(gp->arg);
}

/* pthread_exit's value, or PTHREAD_CANCELED where libc itself acted on a cancellation. */
static void takeresult(void)
{
	struct g *gp = getg();

	if (gp)
		gp->retval = (void *)WORD(gp->tcb, tlslayout.result);
}

void gostart(struct g *gp)
{
	__pthread_unwind_buf_t buf;

	/*
	 * Before anything else: the ctype tables are per-thread pointers, nil in a new TLS block.
	 */
	tlstmpl.ctypeinit();
	if (likely(__sigsetjmp_cancel(buf.__cancel_jmp_buf, 0) == 0))
		run(gp, &buf);
	else
		takeresult();
	finish();
}

noreturn void gounwind(void *retval)
{
	struct g *gp = getg();

	if (gp != NULL && gp->ismain)
		unwindmain(gp);
	libc.exit(retval);
}

/* main's stack has been unwound; entered from mainunwound on what is left of it. */
noreturn void gomainexit(void)
{
	takeresult();
	finish();
}

/* libc's pointer mangling: xor with the TCB's guard word, then rotate. */
static uintptr_t mangle(uintptr_t p)
{
	__asm__("xor %%fs:0x30, %0\n\trol $17, %0" : "+r"(p));
	return p;
}

void unwindmain(struct g *gp)
{
	uintptr_t *buf = (uintptr_t *)WORD(gp->tcb, tlslayout.cleanupjmp);

	/* A G that forked is main in the child, with gostart()'s frame below it. */
	if (gp->area)
		return;
	/*
	 * The outermost buffer: main may be inside pthread_cleanup_push()es, which chain theirs
	 * before it.
	 */
	while (buf && buf[JB_PREV])
		buf = (uintptr_t *)buf[JB_PREV];
	if (buf)
		buf[JB_PC] = mangle((uintptr_t)mainunwound);
}
