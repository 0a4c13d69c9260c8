/* SPDX-License-Identifier: MIT
 *
 * tlsdl.c: modules with static TLS that are loaded while Gs live.
 *
 * ld.so gives such a module (initial-exec TLS: libGL, jemalloc, libgomp) a place below every TCB
 * and writes the module's first values into the threads of libc's own list. Gs are not in that
 * list. So
 *  - the caller of dlopen() is put into it for the length of the call: the module's constructors
 *    run on that G inside, and must find, and may change, their variables (gp->tlsgen ~0);
 *  - before and after, every other G older than the module (gp->tlsgen below the module's count)
 *    gets its first values from us.
 * A G made meanwhile has them from tlsnew() or tlsreset(). Modules whose TLS is dynamic need
 * nothing.
 *
 * Locks: dllock around all of it, and ld.so's write lock inside it (dl_iterate_phdr); the list's
 * own lock is hidden. That is sound because the list of threads with stacks of their own
 * (dl_stack_user) is changed by libc only when such a thread is created for real, which is never
 * while we run, and its readers (dlopen itself) see whole pointers: the node is complete before it
 * is linked.
 *
 * dlpi_tls_data is nil for a module the calling thread has not touched, hence link_map's offset, by
 * libthread_db's descriptor.
 *
 * Rejected: initialising after dlopen() only, the caller included (its constructors have run by
 * then).
 */
#define _GNU_SOURCE 1
#include "runtime.h"

#include <link.h>
#include <string.h>

#define WORD(p, off) (*(uintptr_t *)((char *)(p) + (off)))
#define MAXMODS 4096u

/* ld.so's list of TLS modules by number; published for libthread_db. Elements are never freed. */
struct slots {
	size_t len;
	struct slots *next;
	struct {
		size_t gen;
		struct link_map *map;
	} s[];
};

static mutex dllock;

static struct {
	struct slots **slots;
	char *userlist; /* list head of threads with stacks of their own */
	struct r_debug *debug;
	ptrdiff_t tlsoffset; /* in struct link_map */
	int (*iterate)(int (*)(struct dl_phdr_info *, size_t, void *), void *);
	size_t *seen; /* by module number: 1 + its count when it was handled. Under dllock */
} dl;

struct module {
	size_t gen;
	uintptr_t offset; /* below the TCB */
	const char *image;
	size_t filesz, memsz;
};

static size_t generationof(size_t modid)
{
	for (struct slots *l = *dl.slots; l; l = l->next) {
		if (modid < l->len)
			return l->s[modid].gen;
		modid -= l->len;
	}
	return 0;
}

static void initblock(struct g *gp, void *arg)
{
	const struct module *mod = arg;

	/*
	 * main, and whoever is inside dlopen(), is in libc's list. A G without TCB gets the block
	 * with it.
	 */
	if (!gp->area || !gp->tcb ||
	    atomic_load_explicit(&gp->tlsgen, memory_order_acquire) >= mod->gen)
		return;
	char *to = (char *)gp->tcb - mod->offset;
	memcpy(to, mod->image, mod->filesz);
	memset(to + mod->filesz, 0, mod->memsz - mod->filesz);
}

/* Called with ld.so's list of modules locked. */
static int eachmodule(struct dl_phdr_info *info, size_t size, void *first)
{
	struct module mod = {0};
	struct link_map *map;

	if (size < sizeof *info || !info->dlpi_tls_modid || info->dlpi_tls_modid >= MAXMODS)
		return 0;
	for (map = dl.debug->r_map; map; map = map->l_next)
		if (map->l_addr == info->dlpi_addr && map->l_name == info->dlpi_name)
			break;
	if (!map)
		return 0;
	mod.offset = WORD(map, dl.tlsoffset);
	mod.gen = generationof(info->dlpi_tls_modid);
	/* 0: not decided; -1, -2: dynamic for good */
	if (mod.offset == 0 || mod.offset + 2 <= 1 || dl.seen[info->dlpi_tls_modid] == mod.gen + 1)
		return 0;
	dl.seen[info->dlpi_tls_modid] = mod.gen + 1;
	if (first)
		return 0; /* at start: there are no Gs */
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		if (ph->p_type != PT_TLS)
			continue;
		mod.image = (const char *)info->dlpi_addr + ph->p_vaddr;
		mod.filesz = ph->p_filesz;
		mod.memsz = ph->p_memsz;
		foreachg(initblock, &mod);
	}
	return 0;
}

void tlsdlinit(void)
{
	char *rtld = libcown("_rtld_global");
	ptrdiff_t slots = tlsdesc("_thread_db_rtld_global__dl_tls_dtv_slotinfo_list");
	ptrdiff_t user = tlsdesc("_thread_db_rtld_global__dl_stack_user");

	dl.debug = libcown("_r_debug");
	dl.iterate = libcown("dl_iterate_phdr");
	dl.tlsoffset = tlsdesc("_thread_db_link_map_l_tls_offset");
	dl.seen = sysalloc(MAXMODS * sizeof *dl.seen);
	if (!rtld || !slots || !user || !dl.debug || !dl.iterate || !dl.tlsoffset || !dl.seen)
		return;
	dl.userlist = rtld + user;
	dl.slots = (struct slots **)(rtld + slots);
	dl.iterate(eachmodule, &dl);
}

void tlsdllock(void)
{
	lock(&dllock);
}

void tlsdlunlock(void)
{
	unlock(&dllock);
}

bool tlsdlbegin(void)
{
	struct g *gp = getg();

	/* Nested: a constructor that calls dlopen() is on a G that is linked already. */
	if (!dl.slots)
		return false;
	if (gp && atomic_load_explicit(&gp->tlsgen, memory_order_relaxed) == SIZE_MAX)
		return false;
	lock(&dllock);
	dl.iterate(eachmodule, NULL);
	if (gp && gp->area) {
		char *n = (char *)gp->tcb + tlslayout.list, *head = dl.userlist;
		char *next = (char *)WORD(head, 0);
		WORD(n, 0) = (uintptr_t)next;
		WORD(n, 8) = (uintptr_t)head;
		WORD(next, 8) = (uintptr_t)n;
		__atomic_store_n(&WORD(head, 0), (uintptr_t)n, __ATOMIC_RELEASE);
		atomic_store_explicit(&gp->tlsgen, SIZE_MAX, memory_order_relaxed);
	}
	unlock(&dllock);
	return true;
}

void tlsdlend(bool begun)
{
	struct g *gp = getg();

	if (!begun)
		return;
	lock(&dllock);
	dl.iterate(eachmodule, NULL);
	if (gp && gp->area) {
		char *n = (char *)gp->tcb + tlslayout.list;
		WORD(WORD(n, 0), 8) = WORD(n, 8);
		WORD(WORD(n, 8), 0) = WORD(n, 0);
		WORD(n, 0) = WORD(n, 8) = (uintptr_t)n;
		/*
		 * Whatever is loaded by now, libc has initialised here; a later module counts
		 * higher.
		 */
		atomic_store_explicit(&gp->tlsgen, tlstmpl.generation ? *tlstmpl.generation : 0,
				      memory_order_relaxed);
	}
	unlock(&dllock);
}
