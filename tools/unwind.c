/* SPDX-License-Identifier: MIT
 *
 * unwind.c: stacks by libunwind, over registers and memory of another process (or a copy of its
 * stack).
 *
 * libunwind asks for memory word by word, so it is read in pages that are kept: those of code and
 * unwind tables for good, those of a stack for one unwinding. What libunwind works out for a
 * program counter it keeps itself, and so do we with names: 10,000 threads mostly stand in the same
 * few places.
 */
#define _GNU_SOURCE 1
#include "live.h"

#include <libunwind.h>
#include <stdlib.h>
#include <string.h>

enum { PAGESIZE = 4096, NPAGES = 4096 /* a power of two */, NSTACKPAGES = 64 };

/* libunwind exports it for the likes of us (perf, too), but no header declares it. */
#define dwarf_search_unwind_table UNW_OBJ(dwarf_search_unwind_table)
int dwarf_search_unwind_table(unw_addr_space_t as, unw_word_t ip, unw_dyn_info_t *di,
			      unw_proc_info_t *pi, int need_unwind_info, void *arg);

struct page {
	uint64_t at; /* 1: none */
	unsigned char data[PAGESIZE];
	bool bad;
};

static struct page *codepages[NPAGES];
static struct page stackpages[NSTACKPAGES];

struct walk {
	struct target *t;
	const struct unwinder *u;
};

static struct page *load(const struct target *t, struct page *p, uint64_t at)
{
	p->at = at;
	p->bad = !peek(t, at, p->data, PAGESIZE);
	return p;
}

static const struct page *page(const struct walk *w, uint64_t at)
{
	size_t slot = (at / PAGESIZE) % NPAGES;

	if (at >= (w->u->lo & ~(uint64_t)(PAGESIZE - 1)) && at < w->u->hi) {
		struct page *p = &stackpages[(at / PAGESIZE) % NSTACKPAGES];
		return p->at == at ? p : load(w->t, p, at);
	}
	/* What the program can write may change between two stacks; tables do not. */
	const struct map *m = mapof(w->t, at);
	if (m == NULL)
		return NULL;
	if (m->write) {
		static struct page p;
		return load(w->t, &p, at);
	}
	if (codepages[slot] == NULL)
		codepages[slot] = xcalloc(1, sizeof(struct page));
	else if (codepages[slot]->at == at)
		return codepages[slot];
	return load(w->t, codepages[slot], at);
}

static int accessmem(unw_addr_space_t as, unw_word_t addr, unw_word_t *val, int write, void *arg)
{
	const struct walk *w = arg;
	const struct unwinder *u = w->u;

	(void)as;
	if (write)
		return -UNW_EINVAL;
	if (u->copy != NULL && addr >= u->copyat && addr + 8 <= u->copyat + u->ncopy) {
		memcpy(val, u->copy + (addr - u->copyat), 8);
		return 0;
	}
	if (u->copy != NULL && addr >= u->lo && addr < u->hi)
		return -UNW_EINVAL; /* the stack has changed since */
	uint64_t off = addr % PAGESIZE;
	const struct page *p = page(w, addr - off);
	if (p == NULL || p->bad)
		return -UNW_EINVAL;
	if (off <= PAGESIZE - 8) {
		memcpy(val, p->data + off, 8);
		return 0;
	}
	size_t first = PAGESIZE - off;
	unsigned char both[8];
	memcpy(both, p->data + off, first);
	p = page(w, addr - off + PAGESIZE);
	if (p == NULL || p->bad)
		return -UNW_EINVAL;
	memcpy(both + first, p->data, 8 - first);
	memcpy(val, both, 8);
	return 0;
}

static int accessreg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *val, int write, void *arg)
{
	const struct regs *r = &((const struct walk *)arg)->u->regs;

	(void)as;
	if (write)
		return -UNW_EREADONLYREG;
	switch (reg) {
	case UNW_X86_64_RIP:
		*val = r->pc;
		break;
	case UNW_X86_64_RSP:
		*val = r->sp;
		break;
	case UNW_X86_64_RBP:
		*val = r->bp;
		break;
	case UNW_X86_64_RBX:
		*val = r->bx;
		break;
	case UNW_X86_64_R12:
		*val = r->r12;
		break;
	case UNW_X86_64_R13:
		*val = r->r13;
		break;
	case UNW_X86_64_R14:
		*val = r->r14;
		break;
	case UNW_X86_64_R15:
		*val = r->r15;
		break;
	default:
		*val = 0; /* dead at a call */
	}
	return 0;
}

static int findprocinfo(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *pi, int need,
			void *arg)
{
	const struct walk *w = arg;
	struct module *m = moduleof(w->t, ip);

	if (m == NULL || m->hdr == 0)
		return -UNW_ENOINFO;
	unw_dyn_info_t di = {
	    .start_ip = m->start,
	    .end_ip = m->end,
	    .format = UNW_INFO_FORMAT_REMOTE_TABLE,
	    .u.rti = {.segbase = m->hdr,
		      .table_data = m->table,
		      .table_len = m->nentries * 8 / sizeof(unw_word_t)},
	};
	return dwarf_search_unwind_table(as, ip, &di, pi, need, arg);
}

static void putunwindinfo(unw_addr_space_t as, unw_proc_info_t *pi, void *arg)
{
	(void)as, (void)pi, (void)arg; /* belongs to a pool of libunwind's */
}

static int nolist(unw_addr_space_t as, unw_word_t *addr, void *arg)
{
	(void)as, (void)addr, (void)arg;
	return -UNW_ENOINFO;
}

static int nofpreg(unw_addr_space_t as, unw_regnum_t reg, unw_fpreg_t *val, int write, void *arg)
{
	(void)as, (void)reg, (void)val, (void)write, (void)arg;
	return -UNW_EINVAL;
}

static int noresume(unw_addr_space_t as, unw_cursor_t *c, void *arg)
{
	(void)as, (void)c, (void)arg;
	return -UNW_EINVAL;
}

static int noname(unw_addr_space_t as, unw_word_t ip, char *buf, size_t n, unw_word_t *off,
		  void *arg)
{
	(void)as, (void)ip, (void)buf, (void)n, (void)off, (void)arg;
	return -UNW_ENOINFO;
}

static unw_addr_space_t space(void)
{
	static unw_accessors_t acc = {
	    .find_proc_info = findprocinfo,
	    .put_unwind_info = putunwindinfo,
	    .get_dyn_info_list_addr = nolist,
	    .access_mem = accessmem,
	    .access_reg = accessreg,
	    .access_fpreg = nofpreg,
	    .resume = noresume,
	    .get_proc_name = noname,
	};
	static unw_addr_space_t as;

	if (as == NULL) {
		as = unw_create_addr_space(&acc, 0);
		if (as == NULL)
			die(1, "libunwind does not work here");
		unw_set_caching_policy(as, UNW_CACHE_GLOBAL);
	}
	return as;
}

/* The kernel's way back from a handler: mov $15, %rax; syscall. libunwind flags the frame behind it. */
static bool trampoline(const struct target *t, uint64_t pc)
{
	static const unsigned char code[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
	unsigned char at[sizeof(code)];

	return peek(t, pc, at, sizeof(at)) && memcmp(at, code, sizeof(at)) == 0;
}

/* Module and name of a frame's function; found once for each address. */
static void naming(struct target *t, struct frame *f, bool exact)
{
	static struct {
		uint64_t pc;
		struct module *mod;
		const struct sym *sym;
		bool signal;
	} known[8192];
	/* A return address may be the first byte of the next function: look at the call. */
	uint64_t pc = exact ? f->pc : f->pc - 1;
	size_t slot = (pc * 0x9E3779B97F4A7C15u >> 40) % nelem(known);

	if (known[slot].pc != pc) {
		known[slot].pc = pc;
		known[slot].mod = moduleof(t, pc);
		known[slot].sym = known[slot].mod ? symof(t, known[slot].mod, pc) : NULL;
		known[slot].signal = trampoline(t, f->pc);
	}
	f->mod = known[slot].mod;
	f->sym = known[slot].sym;
	f->signal = known[slot].signal;
}

size_t unwind(struct target *t, const struct unwinder *u, struct frame *out, size_t max)
{
	struct walk w = {t, u};
	unw_cursor_t c;
	size_t n = 0;
	bool exact = true;

	for (int i = 0; i < NSTACKPAGES; i++)
		stackpages[i].at = 1;
	if (unw_init_remote(&c, space(), &w) < 0)
		return 0;
	for (uint64_t last = 0; n < max;) {
		unw_word_t pc, sp;
		if (unw_get_reg(&c, UNW_REG_IP, &pc) < 0 || unw_get_reg(&c, UNW_REG_SP, &sp) < 0 ||
		    pc == 0)
			break;
		/* Nonsense, from code without unwind tables. */
		if (n > 0 && sp <= last && !out[n - 1].signal && sp >= u->lo && sp < u->hi)
			break;
		out[n] = (struct frame){.pc = pc};
		naming(t, &out[n], exact);
		if (out[n].mod == NULL && n > 0)
			break;
		exact = out[n].signal;
		last = sp;
		n++;
		if (unw_step(&c) <= 0)
			break;
	}
	return n;
}
