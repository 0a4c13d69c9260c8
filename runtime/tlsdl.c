/* SPDX-License-Identifier: MIT
 *
 * tlsdl.c: modules that are loaded and unloaded while Gs live.
 *
 * ld.so gives a module with static TLS (initial-exec: libGL, jemalloc, libgomp) a place below every
 * TCB and, before the module's constructors run, writes the first values into the threads of libc's
 * list. It walks the same list before it frees what a symbol look-up in another thread may be
 * reading. So while the loader is at work, and only then, all of our TCBs are in that list: the
 * ring of their nodes is spliced into it as a whole, and taken out afterwards. They are not there
 * all the time because libc's set*id(), fork() and gdb go by it.
 *
 * The ring: every TCB ever made by tlsnew(), of living and dead Gs and of threads that the program cloned. None is ever unmapped,
 * none leaves the ring save for the length of a fork. `ring` is its head; while it is spliced in,
 * the head is left out, but still says which nodes are first and last.
 *
 * A TCB that is being made or remade meanwhile must not miss a module. tlsdlopens() is odd while
 * the ring is spliced in, and changes when it is spliced in. Patterns (StoreLoad):
 *   tlsreset:  writes all of the TLS; full fence; looks at the count again.
 *   loader:    count++ (seq_cst); writes the module's first values into what is in the ring.
 * If the count is what it was, and even, the loader's write came after; if not, once more. While it
 * is odd ld.so itself fills the block in, module by module, and the loader's write is the same.
 *
 * Locks: dllock around all of it, and inside it libc's own lock of the list where its nodes are written too, since libc's
 * threads come and go. A new TCB is put between two of the ring: nobody else writes there, and who reads the list goes
 * forward. (The loader holds the list's lock while it waits for a symbol look-up in another thread, which a signal handler
 * may have interrupted for as long as it likes: pthread_create() must not wait for that.) Who may call the loader, and
 * that begin and end are in pairs: dlhook.c.
 *
 * Who does not see the calls (dlhook.c) says so by tlsdlblind(): the count is odd for ever.
 *
 * Rejected: writing the first values ourselves, after dlopen(): the constructors have run by then, and
 * whoever they have woken; nor does it help with what libc itself loads.
 */
#include "runtime.h"

struct node {
	struct node *next, *prev;
};

static mutex dllock;
static struct node ring = {&ring, &ring};

static struct {
	struct node *users; /* libc's list of threads with stacks of their callers' */
	mutex *lock;	    /* libc's: 0 free, 1 held, 2 somebody waits, as ours */
	bool spliced;	    /* under dllock, as the next */
	uint32_t depth;
} dl;
static _Atomic uint32_t opens;
static uint32_t step = 1; /* what splicing adds to it */

static struct node *nodeof(void *tcb)
{
	return (struct node *)((char *)tcb + tlslayout.list);
}

/*
 * In _rtld_global, in a row: lists of threads with libc's stacks, of those with their own (its place
 * is known to libthread_db), of cached stacks; the size of the cache; a stack on its way between
 * them; the lock.
 */
bool tlsdlinit(void)
{
	ptrdiff_t user = tlsdesc("_thread_db_rtld_global__dl_stack_user");
	char *rtld = libcown("_rtld_global");

	if (rtld == NULL || user == 0)
		return false;
	struct node *users = (struct node *)(void *)(rtld + user), *cache = users + 1;
	uintptr_t *size = (uintptr_t *)(cache + 1);
	if (users->next->prev != users || cache->next->prev != cache || cache->prev->next != cache ||
	    (*size == 0) != (cache->next == cache) || size[1] != 0 || (uint32_t)size[2] > 2)
		return false;
	dl.users = users;
	dl.lock = (mutex *)(size + 2);
	return true;
}

void tlsdllock(void)
{
	lock(&dllock);
}

void tlsdlunlock(void)
{
	unlock(&dllock);
}

uint32_t tlsdlopens(void)
{
	return atomic_load(&opens);
}

/* At start, once: modules may come unseen. Any block may be old, so ld.so makes each. */
void tlsdlblind(void)
{
	if (step == 1)
		atomic_fetch_add(&opens, 1);
	step = 2;
}

static void splice(void)
{
	struct node *first = ring.next, *last = ring.prev;

	if (first == &ring)
		return;
	lock(dl.lock);
	first->prev = dl.users;
	last->next = dl.users->next;
	last->next->prev = last;
	dl.users->next = first;
	dl.spliced = true;
	unlock(dl.lock);
}

/* A new TCB. Nobody else sees it yet. */
void tlsdladd(void *tcb)
{
	struct node *n = nodeof(tcb), *first;

	lock(&dllock);
	first = ring.next;
	if (likely(first != ring.prev)) {
		n->prev = first;
		n->next = first->next;
		n->next->prev = n;
		__atomic_store_n(&first->next, n, __ATOMIC_RELEASE); /* partner: libc, who reads along */
	} else { /* none yet, or one */
		if (dl.spliced)
			lock(dl.lock);
		n->prev = ring.prev;
		n->next = ring.prev->next;
		n->next->prev = n;
		n->prev->next = n;
		ring.prev = n;
		if (dl.spliced)
			unlock(dl.lock);
	}
	if (unlikely(dl.depth != 0 && !dl.spliced)) /* it was empty, or we are a child of who is in the loader */
		splice();
	unlock(&dllock);
}

static void unsplice(void)
{
	struct node *first = ring.next, *last = ring.prev;

	lock(dl.lock);
	first->prev->next = last->next;
	last->next->prev = first->prev;
	first->prev = last->next = &ring;
	dl.spliced = false;
	unlock(dl.lock);
}

/* Before and after a call of the loader's, which may nest. No other thread is in one. In the runtime. */
void tlsdlbegin(void)
{
	lock(&dllock);
	if (dl.depth++ == 0)
		atomic_fetch_add(&opens, step);
	if (!dl.spliced)
		splice();
	unlock(&dllock);
}

void tlsdlend(void)
{
	lock(&dllock);
	if (--dl.depth == 0) {
		if (dl.spliced)
			unsplice();
		atomic_fetch_add(&opens, step);
	}
	unlock(&dllock);
}

/* ---- fork: in the child libc puts the forking thread into a list of its own --------------------------- */

static struct node saved;

void tlsdlforkbegin(struct g *gp)
{
	lock(&dllock);
	if (gp != NULL && gp->area != NULL)
		saved = *nodeof(gp->tcb);
}

void tlsdlforkend(void)
{
	unlock(&dllock);
}

/* The ring out of libc's list, if it still is in it. */
static void closering(void)
{
	struct node *first = ring.next, *last = ring.prev;

	if (first->prev->next == first)
		first->prev->next = last->next;
	if (last->next->prev == last)
		last->next->prev = first->prev;
	first->prev = last->next = &ring;
	dl.spliced = false;
}

/*
 * In the child, before tlsmain() and tlsdlforkend(). inside: the forking thread is in the loader. libc's lists are new, and
 * it has moved our node there; but not after _Fork() or clone().
 */
void tlsdlforkchild(struct g *gp, bool inside)
{
	struct node *n = gp != NULL && gp->area != NULL ? nodeof(gp->tcb) : NULL;
	bool moved = n != NULL && (n->next != saved.next || n->prev != saved.prev);

	if (dl.spliced && !moved)
		closering();
	if (n != NULL && !moved) {
		n->next->prev = n->prev;
		n->prev->next = n->next;
		n->next = n->prev = n;
	} else if (n != NULL) { /* out of the ring, wherever it stood */
		bool first = ring.next == n, last = ring.prev == n;
		if (first)
			ring.next = last ? &ring : saved.next;
		else
			saved.prev->next = saved.next;
		if (last)
			ring.prev = first ? &ring : saved.prev;
		else
			saved.next->prev = saved.prev;
	}
	if (dl.spliced) {
		ring.next->prev = ring.prev->next = &ring;
		dl.spliced = false;
	}
	if (dl.lock != NULL)
		*dl.lock = (mutex){0};
	if (!inside && dl.depth != 0) {
		dl.depth = 0;
		atomic_fetch_add(&opens, step);
	}
}

void tlsdladopt(void *tcb)
{
	struct node *n = nodeof(tcb);

	n->next->prev = n->prev;
	n->prev->next = n->next;
	tlsdladd(tcb);
}
