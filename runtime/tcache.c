/* SPDX-License-Identifier: MIT
 *
 * tcache.c: a thread's end empties libc's malloc cache, as glibc's own does (Go has nothing like
 * it).
 *
 * A dead G keeps its TLS, and with it libc's cache of free chunks. Were these kept too, they would
 * lie scattered over the arena, in the way of what is free around them: a server whose connections
 * come and go ended up with arenas that had no room for a buffer, and asked the kernel for each. So
 * at the end of each life all chunks go back to the arena; the cache's own block stays, and so does
 * the thread's arena, which makes the next life's first malloc a short one.
 *
 * libc exports no function for it. Its cache is two arrays, counts and heads of lists, and a flag
 * beside the pointer to them says that the thread is past having one. All this is tried out in the
 * template thread: another libc (before 2.32, since 2.42), or another allocator, is left alone, and
 * its dead threads' caches are given back by scavenge.c only.
 *
 * A handler that runs in the middle finds no cache, and malloc and free work without.
 */
#include "runtime.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { BINS = 64, TRIES = 3, SMALL = 24, LARGE = 1000 };

struct tcache {
	uint16_t counts[BINS];
	void *entries[BINS]; /* a chunk's first word: the next, mangled with the chunk's address */
};

static ptrdiff_t
    cacheoff; /* libc's pointer to it, from the TCB; 0: not known. The flag is in the next word */
static void (*freechunk)(void *);

static struct tcache **cacheof(char *tcb)
{
	return (struct tcache **)(tcb + cacheoff);
}

static _Atomic bool *flagof(char *tcb)
{
	return (_Atomic bool *)(tcb + cacheoff + sizeof(void *));
}

static void *nextof(void *chunk)
{
	return (void *)((uintptr_t)chunk >> 12 ^ *(uintptr_t *)chunk);
}

static bool empty(const struct tcache *t)
{
	uint16_t any = 0;

	for (int i = 0; i < BINS; i++)
		any |= t->counts[i];
	return any == 0;
}

static void detach(char *tcb)
{
	*cacheof(tcb) = NULL;
	atomic_store_explicit(flagof(tcb), true, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
}

static void attach(char *tcb, struct tcache *t)
{
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(flagof(tcb), false, memory_order_relaxed);
	*cacheof(tcb) = t;
}

void tcacheflush(char *tcb)
{
	struct tcache *t = cacheoff != 0 ? *cacheof(tcb) : NULL;

	if (t == NULL || empty(t))
		return;
	detach(tcb);
	for (int i = 0; i < BINS; i++) {
		for (void *chunk = t->entries[i], *next; chunk != NULL; chunk = next) {
			next = nextof(chunk);
			freechunk(chunk);
		}
		t->entries[i] = NULL;
		t->counts[i] = 0;
	}
	attach(tcb, t);
}

/* ---- is it so? In the template thread ---------------------------------------------------------
 */

/* Some chunks of one size, freed again, the last of them first in its list. */
static void cachesome(void *chunk[TRIES], size_t size)
{
	for (int i = 0; i < TRIES; i++)
		chunk[i] = malloc(size);
	for (int i = 0; i < TRIES; i++)
		free(chunk[i]);
}

static bool inlist(const struct tcache *t, int bin, void *const chunk[TRIES])
{
	void *p = t->entries[bin];

	for (int i = TRIES - 1; i >= 0; i--) {
		if (chunk[i] == NULL || p != chunk[i])
			return false;
		p = nextof(p);
	}
	return t->counts[bin] == TRIES && p == NULL;
}

/* Its bins are 16 bytes apart, the first for 24 bytes. */
static bool asknown(const struct tcache *t, void *const small[TRIES], void *const large[TRIES])
{
	/* In this order: what is behind the word at hand may not be libc's chunk at all. */
	if (t == NULL || !inlist(t, 0, small) || !inlist(t, (LARGE - SMALL + 15) / 16, large))
		return false;
	return malloc_usable_size((void *)t) == sizeof(*t) + 8;
}

/* Without a cache, and told that it shall have none, malloc makes do. */
static bool doeswithout(char *tcb)
{
	struct tcache *t = *cacheof(tcb);

	if (*(uintptr_t *)flagof(tcb) != 0)
		return false;
	detach(tcb);
	void *volatile p = malloc(SMALL);
	free(p);
	bool without = *cacheof(tcb) == NULL;
	attach(tcb, t);
	return without;
}

void tcacheprobe(void)
{
	char *tcb = gettls();
	void *small[TRIES], *large[TRIES];

	freechunk = libcown("free");
	cachesome(small, SMALL);
	cachesome(large, LARGE);
	for (uint32_t i = 0; freechunk != NULL && i < tlstmpl.nkeep; i++) {
		cacheoff = tlstmpl.keep[i];
		if (asknown(*cacheof(tcb), small, large) && doeswithout(tcb))
			return;
	}
	cacheoff = 0;
}
