/* SPDX-License-Identifier: MIT
 *
 * unwind.c: stacks from inside, when the process is about to die or stands still: by .eh_frame, for most programs have no
 * frame pointers.
 *
 * May be called from any state: a signal handler, with the loader's or the allocator's lock held, on a broken
 * heap. So: no libc, no lock, nothing allocated; modules come from /proc/self/maps, and all memory is read through the
 * kernel (process_vm_readv of ourselves), which says EFAULT where a bad pointer would kill us. The tables of code are
 * those of the System V ABI and DWARF 4, section 6.4. One caller at a time (traceback.c).
 *
 * Rejected: libunwind in every process (it locks and allocates; `gmp dump` uses it, from outside); frame pointers (our own
 * frames have them, the program's end the chain).
 */
#include "runtime.h"
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum { MAXMODULES = 512, PROGRAM = 8192, REMEMBERED = 8, BP = 6, SP = 7, RA = 16 };

struct module {
	uintptr_t start, end, base, hdr;
	uint32_t entries;
	uintptr_t symtab, strtab;
	uint32_t nsym;
	const char *path; /* in names[]; nil: it did not fit */
	char name[40];	  /* without folders */
	bool looked;
	const Elf64_Sym *local;
	size_t nlocal, strsize;
	const char *strings;
};

static struct module modules[MAXMODULES];
static uint32_t nmodules;
static unsigned char program[PROGRAM];
static char names[16 << 10];
static size_t nnames;

/* ---- memory ------------------------------------------------------------------------------------ */

static size_t peeksome(uintptr_t at, void *buf, size_t n)
{
	struct iovec here = {buf, n}, there = {(void *)at, n};
	long r = SC6(SYS_process_vm_readv, SC0(SYS_getpid), &here, 1, &there, 1, 0);

	return r < 0 ? 0 : (size_t)r;
}

bool peek(uintptr_t at, void *buf, size_t n)
{
	return peeksome(at, buf, n) == n;
}

static uintptr_t peekword(uintptr_t at)
{
	uintptr_t v;

	return peek(at, &v, sizeof(v)) ? v : 0;
}

/* ---- modules ----------------------------------------------------------------------------------- */

static const char *hex(const char *s, const char *end, uintptr_t *v)
{
	for (*v = 0; s < end; s++) {
		unsigned d = (unsigned)*s - '0';
		if (d > 9)
			d = ((unsigned)*s | 32) - 'a' + 10;
		if (d > 15 || ((unsigned)*s < 'A' && (unsigned)*s > '9'))
			break;
		*v = *v * 16 + d;
	}
	return s;
}

static const char *skip(const char *s, const char *end, int words)
{
	while (words-- > 0) {
		while (s < end && *s != ' ')
			s++;
		while (s < end && *s == ' ')
			s++;
	}
	return s;
}

/* Where tables and names of the module are whose first page is at m->base, until now the address of its ELF header. */
static void headers(struct module *m)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	Elf64_Dyn dyn;
	uintptr_t at = m->base, dynamic = 0, hash = 0;
	unsigned char h[12];

	if (!peek(at, &eh, sizeof(eh)) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0)
		return;
	bool first = true;
	for (int i = 0; i < eh.e_phnum && peek(at + eh.e_phoff + (size_t)i * sizeof(ph), &ph, sizeof(ph)); i++) {
		if (ph.p_type == PT_LOAD && first) {
			m->base = at - (ph.p_vaddr & ~(uintptr_t)4095);
			first = false;
		}
	}
	for (int i = 0; i < eh.e_phnum && peek(at + eh.e_phoff + (size_t)i * sizeof(ph), &ph, sizeof(ph)); i++) {
		if (ph.p_type == PT_GNU_EH_FRAME)
			m->hdr = m->base + ph.p_vaddr;
		else if (ph.p_type == PT_DYNAMIC)
			dynamic = m->base + ph.p_vaddr;
	}
	/* version 1; the table's pointers are 4 bytes, counted from the header: what linkers write */
	if (m->hdr != 0 && peek(m->hdr, h, sizeof(h)) && h[0] == 1 && h[1] == 0x1b && h[2] == 3 && h[3] == 0x3b)
		memcpy(&m->entries, h + 8, 4);
	while (dynamic != 0 && peek(dynamic, &dyn, sizeof(dyn)) && dyn.d_tag != DT_NULL) {
		uintptr_t v = dyn.d_un.d_ptr < m->base ? dyn.d_un.d_ptr + m->base : dyn.d_un.d_ptr;
		if (dyn.d_tag == DT_SYMTAB)
			m->symtab = v;
		else if (dyn.d_tag == DT_STRTAB)
			m->strtab = v;
		else if (dyn.d_tag == DT_GNU_HASH)
			hash = v;
		dynamic += sizeof(dyn);
	}
	/* How many symbols: the last of the longest chain of the hash table. */
	uint32_t g[4], last = 0, v;
	if (hash == 0 || !peek(hash, g, sizeof(g)))
		return;
	uintptr_t buckets = hash + 16 + 8ul * g[2], chains = buckets + 4ul * g[0];
	for (uint32_t i = 0; i < g[0] && i < 100000; i++)
		if (peek(buckets + 4ul * i, &v, 4) && v > last)
			last = v;
	while (last >= g[1] && peek(chains + 4ul * (last - g[1]), &v, 4) && !(v & 1))
		last++;
	m->nsym = last != 0 ? last + 1 : 0;
}

/* One line of /proc/self/maps: "start-end rwxp offset dev inode   path". */
static void mapline(const char *s, const char *end)
{
	static uintptr_t first; /* of the file that the lines before are about */
	static char file[40];
	static const char *whole;
	uintptr_t lo, hi, offset;
	const char *at = hex(s, end, &lo);

	at = hex(at + 1, end, &hi);
	bool exec = at + 3 < end && at[3] == 'x';
	at = hex(skip(at, end, 2), end, &offset);
	const char *path = skip(at, end, 3), *base = path;
	for (const char *c = path; c < end; c++)
		if (*c == '/')
			base = c + 1;
	size_t n = (size_t)(end - base) < sizeof(file) - 1 ? (size_t)(end - base) : sizeof(file) - 1;
	if (path == end)
		return;
	/* Pages that deep.c has put in the place of a file's are part of that file. */
	static const char patched[] = "memfd:gmp-deep";
	bool copy = (size_t)(end - base) >= sizeof(patched) - 1 && strncmp(base, patched, sizeof(patched) - 1) == 0;
	if (offset == 0 && !copy) {
		first = lo;
		memcpy(file, base, n);
		file[n] = 0;
		whole = NULL;
		if (*path == '/' && (size_t)(end - path) < sizeof(names) - nnames) {
			whole = memcpy(names + nnames, path, (size_t)(end - path));
			nnames += (size_t)(end - path);
			names[nnames++] = 0;
		}
	}
	if (!exec || nmodules == MAXMODULES || (!copy && strncmp(file, base, n) != 0))
		return;
	struct module *m = &modules[nmodules++];
	*m = (struct module){.start = lo, .end = hi, .base = first, .path = whole};
	memcpy(m->name, file, sizeof(file));
	headers(m);
}

void unwindinit(void)
{
	char buf[1024];
	size_t have = 0;
	long fd = SC4(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0), n;

	nmodules = 0;
	nnames = 0;
	if (fd < 0)
		return;
	while ((n = SC3(SYS_read, fd, buf + have, sizeof(buf) - have)) > 0) {
		have += (size_t)n;
		char *line = buf, *nl;
		while ((nl = memchr(line, '\n', have - (size_t)(line - buf))) != NULL) {
			mapline(line, nl);
			line = nl + 1;
		}
		have -= (size_t)(line - buf);
		memmove(buf, line, have);
		if (have == sizeof(buf)) /* a path longer than that is of no use to us */
			have = 0;
	}
	SC1(SYS_close, fd);
}

static struct module *moduleof(uintptr_t pc)
{
	for (uint32_t i = 0; i < nmodules; i++)
		if (pc >= modules[i].start && pc < modules[i].end)
			return &modules[i];
	return NULL;
}

/* ---- names: exported ones are in memory, for others the file is looked at ----------------------- */

/* off: to look for; more: to what is told. */
static bool exported(struct out *o, const struct module *m, uintptr_t off, unsigned more)
{
	char name[64];
	Elf64_Sym sym[64];

	for (uint32_t i = 0; i < m->nsym; i += nelem(sym)) {
		uint32_t n = m->nsym - i < nelem(sym) ? m->nsym - i : nelem(sym);
		if (!peek(m->symtab + i * sizeof(sym[0]), sym, n * sizeof(sym[0])))
			return false;
		for (uint32_t k = 0; k < n; k++) {
			if (sym[k].st_shndx == SHN_UNDEF || off - sym[k].st_value >= sym[k].st_size)
				continue;
			name[peeksome(m->strtab + sym[k].st_name, name, sizeof(name) - 1)] = 0;
			outf(o, "%s+0x%lx  ", name, (unsigned long)(off + more - sym[k].st_value));
			return true;
		}
	}
	return false;
}

/* Maps the file's table of symbols, if it has one. */
static void symbols(struct module *m)
{
	struct stat st;
	long fd = m->path ? SC4(SYS_openat, AT_FDCWD, m->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0) : -1, p = -1;

	m->looked = true;
	if (fd < 0)
		return;
	if (SC2(SYS_fstat, fd, &st) == 0 && S_ISREG(st.st_mode) && (size_t)st.st_size > sizeof(Elf64_Ehdr))
		p = SC6(SYS_mmap, 0, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	SC1(SYS_close, fd);
	if (p < 0 && p > -4096)
		return;
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)p;
	size_t size = (size_t)st.st_size;
	if (memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 || eh->e_shentsize != sizeof(Elf64_Shdr) || eh->e_shoff > size ||
	    eh->e_shnum > (size - eh->e_shoff) / sizeof(Elf64_Shdr))
		return;
	const Elf64_Shdr *sh = (const Elf64_Shdr *)(p + (long)eh->e_shoff);
	for (int i = 0; i < eh->e_shnum; i++) {
		if (sh[i].sh_type != SHT_SYMTAB || sh[i].sh_link >= eh->e_shnum || sh[i].sh_offset > size ||
		    sh[i].sh_size > size - sh[i].sh_offset)
			continue;
		const Elf64_Shdr *str = &sh[sh[i].sh_link];
		if (str->sh_offset > size || str->sh_size > size - str->sh_offset)
			continue;
		m->local = (const Elf64_Sym *)(p + (long)sh[i].sh_offset);
		m->nlocal = sh[i].sh_size / sizeof(Elf64_Sym);
		m->strings = (const char *)(p + (long)str->sh_offset);
		m->strsize = str->sh_size;
	}
}

static bool local(struct out *o, struct module *m, uintptr_t off, unsigned more)
{
	if (!m->looked)
		symbols(m);
	for (size_t i = 0; i < m->nlocal; i++) {
		const Elf64_Sym *s = &m->local[i];
		if (ELF64_ST_TYPE(s->st_info) != STT_FUNC || off - s->st_value >= s->st_size || s->st_name >= m->strsize)
			continue;
		size_t n = strnlen(m->strings + s->st_name, m->strsize - s->st_name);
		for (size_t k = 0; k < n && k < 64; k++)
			outf(o, "%c", m->strings[s->st_name + k]);
		outf(o, "+0x%lx  ", (unsigned long)(off + more - s->st_value));
		return true;
	}
	return false;
}

void unwindname(struct out *o, uintptr_t pc, bool exact)
{
	/* A return address may be the first byte of the next function: look at the call. */
	struct module *m = moduleof(pc - !exact);

	if (m == NULL) {
		outf(o, "0x%lx", (unsigned long)pc);
		return;
	}
	if (!exported(o, m, pc - m->base - !exact, !exact))
		local(o, m, pc - m->base - !exact, !exact);
	outf(o, "%s+0x%lx", m->name, (unsigned long)(pc - m->base)); /* as addr2line wants it */
}

/* ---- one frame's rules --------------------------------------------------------------------------- */

enum how { SAME, UNDEFINED, ATCFA, ISCFA, REGISTER, EXPRESSION, ISEXPRESSION };
struct rule {
	uint8_t how;
	int64_t v; /* offset, register, or where in program[] the expression is */
};
struct row {
	struct rule reg[RA + 1];
	struct rule cfa; /* REGISTER: reg + off; EXPRESSION */
	int64_t cfaoff;
};
struct reader {
	const unsigned char *p, *end;
	uintptr_t at; /* where p is in memory */
};

static uint64_t bytes(struct reader *r, int n)
{
	uint64_t v = 0;

	if (r->end - r->p < n) {
		r->p = r->end;
		return 0;
	}
	memcpy(&v, r->p, (size_t)n);
	r->p += n;
	r->at += (uintptr_t)n;
	return v;
}

static uint64_t uleb(struct reader *r)
{
	uint64_t v = 0;

	for (int shift = 0; r->p < r->end; shift += 7) {
		uint64_t b = bytes(r, 1);
		if (shift < 64)
			v |= (b & 127) << shift;
		if (!(b & 128))
			break;
	}
	return v;
}

static int64_t sleb(struct reader *r)
{
	uint64_t v = 0;
	int shift = 0;

	while (r->p < r->end) {
		uint64_t b = bytes(r, 1);
		if (shift < 64)
			v |= (b & 127) << shift;
		shift += 7;
		if (!(b & 128)) {
			if ((b & 64) && shift < 64)
				v |= ~(uint64_t)0 << shift;
			break;
		}
	}
	return (int64_t)v;
}

/* A pointer in encoding enc. pcrel: relative to itself, if the encoding says so. */
static uintptr_t encoded(struct reader *r, unsigned enc, bool pcrel)
{
	uintptr_t at = r->at;
	int64_t v = 0;

	switch (enc & 15) {
	case 0: case 4: case 12: v = (int64_t)bytes(r, 8); break;
	case 1: v = (int64_t)uleb(r); break;
	case 9: v = sleb(r); break;
	case 2: v = (int64_t)bytes(r, 2); break;
	case 10: v = (int16_t)bytes(r, 2); break;
	case 3: v = (int64_t)bytes(r, 4); break;
	case 11: v = (int32_t)bytes(r, 4); break;
	}
	return (uintptr_t)v + (pcrel && (enc & 0x70) == 0x10 ? at : 0);
}

/* A DWARF expression over r, beginning with `first` on its stack. */
static bool expression(int64_t where, const struct uregs *u, bool push, uint64_t first, uint64_t *result)
{
	struct reader r = {program + where, program + PROGRAM, 0};
	uint64_t n = uleb(&r), st[16], a;
	int sp = 0;

	if (n > (uint64_t)(r.end - r.p))
		return false;
	r.end = r.p + n;
	if (push)
		st[sp++] = first;
	while (r.p < r.end) {
		unsigned op = (unsigned)bytes(&r, 1);
		if (sp > 14)
			return false;
		if (op >= 0x30 && op <= 0x4f) { /* lit */
			st[sp++] = op - 0x30;
			continue;
		}
		if (op >= 0x70 && op <= 0x80) { /* breg */
			int64_t off = sleb(&r);
			st[sp++] = u->r[op - 0x70] + (uint64_t)off;
			continue;
		}
		switch (op) {
		case 0x03: st[sp++] = bytes(&r, 8); continue;
		case 0x08: st[sp++] = bytes(&r, 1); continue;
		case 0x09: st[sp++] = (uint64_t)(int8_t)bytes(&r, 1); continue;
		case 0x0a: st[sp++] = bytes(&r, 2); continue;
		case 0x0b: st[sp++] = (uint64_t)(int16_t)bytes(&r, 2); continue;
		case 0x0c: st[sp++] = bytes(&r, 4); continue;
		case 0x0d: st[sp++] = (uint64_t)(int32_t)bytes(&r, 4); continue;
		case 0x10: st[sp++] = uleb(&r); continue;
		case 0x11: st[sp++] = (uint64_t)sleb(&r); continue;
		}
		if (sp < 1)
			return false;
		a = st[sp - 1];
		switch (op) {
		case 0x06: st[sp - 1] = peekword(a); continue;
		case 0x12: st[sp++] = a; continue;
		case 0x13: sp--; continue;
		case 0x1f: st[sp - 1] = -a; continue;
		case 0x20: st[sp - 1] = ~a; continue;
		case 0x23: st[sp - 1] = a + uleb(&r); continue;
		}
		if (sp < 2)
			return false;
		uint64_t b = st[sp - 2];
		sp--;
		switch (op) {
		case 0x16: st[sp] = b; st[sp - 1] = a; sp++; break;
		case 0x1a: st[sp - 1] = b & a; break;
		case 0x1c: st[sp - 1] = b - a; break;
		case 0x1e: st[sp - 1] = b * a; break;
		case 0x21: st[sp - 1] = b | a; break;
		case 0x22: st[sp - 1] = b + a; break;
		case 0x24: st[sp - 1] = a < 64 ? b << a : 0; break;
		case 0x25: st[sp - 1] = a < 64 ? b >> a : 0; break;
		case 0x27: st[sp - 1] = b ^ a; break;
		case 0x29: st[sp - 1] = b == a; break;
		case 0x2a: st[sp - 1] = (int64_t)b >= (int64_t)a; break;
		case 0x2b: st[sp - 1] = (int64_t)b > (int64_t)a; break;
		case 0x2c: st[sp - 1] = (int64_t)b <= (int64_t)a; break;
		case 0x2d: st[sp - 1] = (int64_t)b < (int64_t)a; break;
		case 0x2e: st[sp - 1] = b != a; break;
		default: return false;
		}
	}
	if (sp < 1)
		return false;
	*result = st[sp - 1];
	return true;
}

struct cie {
	uint64_t codealign;
	int64_t dataalign;
	unsigned enc;
	bool signal, augmented;
	struct reader initial;
};

/* Runs call frame instructions until the row that holds at pc. */
static bool instructions(struct reader r, const struct cie *c, uintptr_t loc, uintptr_t pc, struct row *row,
			 const struct row *initial)
{
	static struct row remembered[REMEMBERED];
	int depth = 0;

	while (r.p < r.end) {
		unsigned op = (unsigned)bytes(&r, 1), low = op & 63;
		uint64_t reg = 0;
		struct rule rule = {SAME, 0};

		switch (op >> 6) {
		case 1:
			loc += low * c->codealign;
			goto moved;
		case 2:
			reg = low;
			rule = (struct rule){ATCFA, (int64_t)uleb(&r) * c->dataalign};
			goto set;
		case 3:
			reg = low;
			if (reg <= RA && initial != NULL)
				rule = initial->reg[reg];
			goto set;
		}
		switch (op) {
		case 0x00: continue;				    /* nop */
		case 0x01: loc = encoded(&r, c->enc, true); goto moved; /* set_loc */
		case 0x02: loc += bytes(&r, 1) * c->codealign; goto moved;
		case 0x03: loc += bytes(&r, 2) * c->codealign; goto moved;
		case 0x04: loc += bytes(&r, 4) * c->codealign; goto moved;
		case 0x05: /* offset_extended */
			reg = uleb(&r);
			rule = (struct rule){ATCFA, (int64_t)uleb(&r) * c->dataalign};
			goto set;
		case 0x06: /* restore_extended */
			reg = uleb(&r);
			if (reg <= RA && initial != NULL)
				rule = initial->reg[reg];
			goto set;
		case 0x07: reg = uleb(&r); rule.how = UNDEFINED; goto set;
		case 0x08: reg = uleb(&r); goto set; /* same_value */
		case 0x09:
			reg = uleb(&r);
			rule = (struct rule){REGISTER, (int64_t)uleb(&r)};
			goto set;
		case 0x0a:
			if (depth == REMEMBERED)
				return false;
			remembered[depth++] = *row;
			continue;
		case 0x0b: {
			if (depth == 0)
				return false;
			*row = remembered[--depth];
			continue;
		}
		case 0x0c: /* def_cfa */
			row->cfa = (struct rule){REGISTER, (int64_t)uleb(&r)};
			row->cfaoff = (int64_t)uleb(&r);
			continue;
		case 0x0d: row->cfa = (struct rule){REGISTER, (int64_t)uleb(&r)}; continue;
		case 0x0e: row->cfaoff = (int64_t)uleb(&r); continue;
		case 0x0f: /* def_cfa_expression */
		case 0x10: /* expression */
		case 0x16: { /* val_expression */
			if (op != 0x0f)
				reg = uleb(&r);
			rule = (struct rule){op == 0x16 ? ISEXPRESSION : EXPRESSION, r.p - program};
			uint64_t n = uleb(&r);
			if (n > (uint64_t)(r.end - r.p))
				return false;
			r.p += n;
			r.at += n;
			if (op != 0x0f)
				goto set;
			row->cfa = rule;
			continue;
		}
		case 0x11:
			reg = uleb(&r);
			rule = (struct rule){ATCFA, sleb(&r) * c->dataalign};
			goto set;
		case 0x12:
			row->cfa = (struct rule){REGISTER, (int64_t)uleb(&r)};
			row->cfaoff = sleb(&r) * c->dataalign;
			continue;
		case 0x13: row->cfaoff = sleb(&r) * c->dataalign; continue;
		case 0x14:
			reg = uleb(&r);
			rule = (struct rule){ISCFA, (int64_t)uleb(&r) * c->dataalign};
			goto set;
		case 0x15:
			reg = uleb(&r);
			rule = (struct rule){ISCFA, sleb(&r) * c->dataalign};
			goto set;
		case 0x2e: uleb(&r); continue; /* GNU_args_size */
		default: return false;
		}
	set:
		if (reg <= RA)
			row->reg[reg] = rule;
		continue;
	moved:
		if (loc > pc)
			return true;
	}
	return true;
}

/* Reads an entry of .eh_frame to `to` in program[]; *r: what is behind its length and pointer, *id: that pointer. */
static bool entry(uintptr_t at, size_t to, size_t room, struct reader *r, uint32_t *id)
{
	uint32_t len;

	if (!peek(at, &len, 4) || len < 4 || len > room || !peek(at + 4, program + to, len))
		return false;
	memcpy(id, program + to, 4);
	*r = (struct reader){program + to + 4, program + to + len, at + 8};
	return true;
}

static bool readcie(uintptr_t at, struct cie *c)
{
	uint32_t id;
	struct reader r;
	char aug[8];

	if (!entry(at, 0, PROGRAM / 4, &r, &id) || id != 0)
		return false;
	unsigned version = (unsigned)bytes(&r, 1);
	size_t n = 0;
	for (unsigned ch; (ch = (unsigned)bytes(&r, 1)) != 0;) {
		if (n == sizeof(aug) - 1)
			return false;
		aug[n++] = (char)ch;
	}
	aug[n] = 0;
	*c = (struct cie){.codealign = uleb(&r), .dataalign = 0};
	c->dataalign = sleb(&r);
	if ((version == 1 ? bytes(&r, 1) : uleb(&r)) != RA || (version != 1 && version != 3))
		return false;
	if (aug[0] == 'z') {
		uint64_t len = uleb(&r);
		const unsigned char *end = r.p + len;
		if (len > (uint64_t)(r.end - r.p))
			return false;
		c->augmented = true;
		for (const char *a = aug + 1; *a; a++) {
			if (*a == 'R')
				c->enc = (unsigned)bytes(&r, 1);
			else if (*a == 'L')
				bytes(&r, 1);
			else if (*a == 'P') {
				unsigned enc = (unsigned)bytes(&r, 1);
				encoded(&r, enc, false);
			} else if (*a == 'S')
				c->signal = true;
			else
				break;
		}
		r.at += (uintptr_t)(end - r.p);
		r.p = end;
	} else if (aug[0] != 0) {
		return false;
	}
	c->initial = r;
	return true;
}

/* The frame description entry for pc: by the table of the header, sorted by address. */
static uintptr_t findfde(const struct module *m, uintptr_t pc)
{
	uint32_t lo = 0, hi = m->entries;
	int32_t e[2] = {0, 0};

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (!peek(m->hdr + 12 + 8ul * mid, e, sizeof(e)))
			return 0;
		if (m->hdr + (uintptr_t)(intptr_t)e[0] <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0 || !peek(m->hdr + 12 + 8ul * (lo - 1), e, sizeof(e)))
		return 0;
	return m->hdr + (uintptr_t)(intptr_t)e[1];
}

static bool value(const struct rule *rule, int reg, uintptr_t cfa, const struct uregs *u, uint64_t *v)
{
	switch (rule->how) {
	case SAME: *v = u->r[reg]; return true;
	case ATCFA: return peek(cfa + (uintptr_t)rule->v, v, 8);
	case ISCFA: *v = cfa + (uintptr_t)rule->v; return true;
	case REGISTER: *v = (uint64_t)rule->v <= RA ? u->r[rule->v] : 0; return true;
	case EXPRESSION: return expression(rule->v, u, true, cfa, v) && peek((uintptr_t)*v, v, 8);
	case ISEXPRESSION: return expression(rule->v, u, true, cfa, v);
	default: return false;
	}
}

bool unwindstep(struct uregs *u)
{
	static struct row row, initial;
	uintptr_t pc = u->r[RA] - (u->exact ? 0 : 1), cfa;
	struct module *m = moduleof(pc);
	uintptr_t fde = m != NULL && m->entries != 0 ? findfde(m, pc) : 0;
	struct cie cie;
	struct reader r;
	struct uregs next = {.exact = false};
	uint32_t id;

	if (fde == 0 || !entry(fde, PROGRAM / 4, PROGRAM - PROGRAM / 4, &r, &id) || id == 0 ||
	    !readcie(fde + 4 - id, &cie))
		return false;
	uintptr_t begin = encoded(&r, cie.enc, true), len = encoded(&r, cie.enc & 15, false);
	if (pc - begin >= len)
		return false;
	if (cie.augmented) {
		uint64_t n = uleb(&r);
		if (n > (uint64_t)(r.end - r.p))
			return false;
		r.p += n;
		r.at += n;
	}
	memset(&row, 0, sizeof(row));
	if (!instructions(cie.initial, &cie, 0, UINTPTR_MAX, &row, NULL))
		return false;
	initial = row;
	if (!instructions(r, &cie, begin, pc, &row, &initial))
		return false;
	if (row.cfa.how == EXPRESSION) {
		uint64_t v;
		if (!expression(row.cfa.v, u, false, 0, &v))
			return false;
		cfa = v;
	} else if (row.cfa.how == REGISTER && (uint64_t)row.cfa.v <= RA) {
		cfa = u->r[row.cfa.v] + (uintptr_t)row.cfaoff;
	} else {
		return false;
	}
	for (int i = 0; i <= RA; i++)
		if (!value(&row.reg[i], i, cfa, u, &next.r[i]) && i == RA)
			return false; /* the outermost frame */
	if (row.reg[SP].how == SAME)
		next.r[SP] = cfa;
	if (row.reg[RA].how == SAME || next.r[RA] == 0 || (next.r[SP] <= u->r[SP] && !cie.signal && !u->exact))
		return false;
	next.exact = cie.signal;
	*u = next;
	return true;
}
