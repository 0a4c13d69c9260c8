/* SPDX-License-Identifier: MIT
 *
 * cancelbits.c: what libc has noted about a thread's cancellation in its struct pthread.
 *
 * libthread_db's descriptors name the word with the bits "cancelled" and "exiting". "Disabled" and
 * "asynchronous" are in the same word in some versions, elsewhere in others: found by changing them
 * on the template thread and looking. Read by anyone, racily: each bit is changed by one atomic
 * operation of libc's.
 */
#define _GNU_SOURCE 1
#include "runtime.h"

#include <linux/futex.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>

enum { CANCELED = 8, EXITING = 16 };

struct where {
	ptrdiff_t off;
	uint8_t bits; /* that change between the two values */
	uint8_t set;  /* their value in the state we ask for */
};

ptrdiff_t runtime_cancel __attribute__((visibility("hidden")));
static struct where disabled, async;
static bool known; /* both of them */
static int (*setstate)(int, int *); /* libc's pthread_setcancelstate() */
static uint8_t before[4096];

static bool is(const void *tcb, const struct where *w)
{
	return (__atomic_load_n((const uint8_t *)tcb + w->off, __ATOMIC_RELAXED) & w->bits) ==
	       w->set;
}

static _Atomic int *word(const void *tcb)
{
	return (_Atomic int *)((uintptr_t)tcb + (uintptr_t)tlslayout.cancelhandling);
}

bool cancelknown(void)
{
	return known;
}

bool cancelacts(const void *tcb)
{
	return known && tcb != NULL &&
	       (atomic_load_explicit(word(tcb), memory_order_relaxed) & (CANCELED | EXITING)) ==
		   CANCELED &&
	       !is(tcb, &disabled);
}

bool cancelasync(const void *tcb)
{
	return known && tcb != NULL && is(tcb, &async);
}

/*
 * libc leaves the bit to its handler if asynchronous cancellation is allowed. A call of its own that allows it, and has
 * come to its end by then, waits on the word for the bit, for it believes that the signal is on its way.
 */
void cancelmark(void *tcb)
{
	if (!(atomic_fetch_or(word(tcb), CANCELED) & CANCELED))
		SC3(SYS_futex, word(tcb), FUTEX_WAKE_PRIVATE, INT32_MAX);
}

void cancelunmark(void *tcb)
{
	atomic_store(word(tcb), 0);
}

bool goasync(void)
{
	return gocancelled() && cancelacts(gettls()) && is(gettls(), &async);
}

bool goasynctype(void)
{
	return cancelasync(gettls());
}

void cancelarm(void)
{
	if (known)
		runtime_cancel = tlslayout.cancelhandling;
}

void cancelmain(struct g *gp)
{
	if (atomic_load(word(gp->tcb)) & CANCELED)
		cancelarm();
}

/* ---- on the template thread: all signals are blocked, and nobody knows it -------------------- */

/* Which byte of the TCB differs from what it was. The kernel writes into rseq's. */
static bool differs(struct where *w, size_t n)
{
	const ptrdiff_t *rseq = libcown("__rseq_offset");
	const uint8_t *tcb = gettls();
	int found = 0;

	for (size_t i = 0; i < n; i++) {
		if (tcb[i] == before[i] || (rseq != NULL && *rseq > 0 && i - (size_t)*rseq < 32))
			continue;
		w->off = (ptrdiff_t)i;
		w->bits = tcb[i] ^ before[i];
		w->set = tcb[i] & w->bits;
		found++;
	}
	return found == 1;
}

static bool look(struct where *w, int (*setfn)(int, int *), int want)
{
	size_t n = tlslayout.tcbsize < sizeof(before) ? tlslayout.tcbsize : sizeof(before);
	int old;
	bool ok;

	setfn(!want, &old);
	memcpy(before, gettls(), n);
	setfn(want, NULL);
	ok = differs(w, n);
	setfn(old, NULL);
	return ok;
}

void cancelprobe(void)
{
	int (*type)(int, int *) = libcown("pthread_setcanceltype");

	setstate = libcown("pthread_setcancelstate");
	known = setstate && type && look(&disabled, setstate, PTHREAD_CANCEL_DISABLE) &&
		look(&async, type, PTHREAD_CANCEL_ASYNCHRONOUS);
}

int cancelhold(void)
{
	int old = PTHREAD_CANCEL_ENABLE;

	if (setstate != NULL)
		setstate(PTHREAD_CANCEL_DISABLE, &old);
	return old;
}

void cancelrelease(int old)
{
	if (setstate != NULL)
		setstate(old, NULL);
}
