/* SPDX-License-Identifier: MIT
 *
 * elf.c: modules of the process: where their unwind tables are, and what their functions are
 * called.
 *
 * All that unwinding needs is read from the process's memory, so that it works for a file that has
 * been replaced since. Names come from the file (.symtab is not loaded), or from its detached
 * symbols under /usr/lib/debug; what has none is told as module+offset.
 */
#define _GNU_SOURCE 1
#include "live.h"

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool header(const struct target *t, uint64_t at, Elf64_Ehdr *eh)
{
	return peek(t, at, eh, sizeof(*eh)) && memcmp(eh->e_ident, ELFMAG, SELFMAG) == 0 &&
	       eh->e_ident[EI_CLASS] == ELFCLASS64 && eh->e_phentsize == sizeof(Elf64_Phdr) &&
	       eh->e_phnum < 1000;
}

/* Program headers of the module that is mapped from `at`, to be freed. */
static Elf64_Phdr *headers(const struct target *t, uint64_t at, size_t *n, uint64_t *base)
{
	Elf64_Ehdr eh;

	if (!header(t, at, &eh))
		return NULL;
	Elf64_Phdr *ph = xcalloc(eh.e_phnum, sizeof(*ph));
	if (!peek(t, at + eh.e_phoff, ph, eh.e_phnum * sizeof(*ph))) {
		free(ph);
		return NULL;
	}
	*n = eh.e_phnum;
	*base = at;
	for (size_t i = 0; i < *n; i++) {
		if (ph[i].p_type == PT_LOAD) {
			*base = at - (ph[i].p_vaddr & ~(uint64_t)4095);
			break;
		}
	}
	return ph;
}

/* ---- a name in .dynsym, by the GNU hash table ------------------------------------------------ */

static uint32_t gnuhash(const char *s)
{
	uint32_t h = 5381;

	while (*s)
		h = h * 33 + (unsigned char)*s++;
	return h;
}

static bool sametext(const struct target *t, uint64_t addr, const char *name)
{
	char buf[128];
	size_t n = strlen(name) + 1;

	return n <= sizeof(buf) && peek(t, addr, buf, n) && memcmp(buf, name, n) == 0;
}

static uint64_t lookup(const struct target *t, uint64_t base, uint64_t hash, uint64_t symtab,
		       uint64_t strtab, const char *name)
{
	struct {
		uint32_t nbuckets, symoffset, bloomsize, bloomshift;
	} h;
	uint32_t want = gnuhash(name), i, chain;

	if (!peek(t, hash, &h, sizeof(h)) || h.nbuckets == 0)
		return 0;
	uint64_t buckets = hash + sizeof(h) + 8ul * h.bloomsize,
		 chains = buckets + 4ul * h.nbuckets;
	if (!peek(t, buckets + 4ul * (want % h.nbuckets), &i, 4) || i < h.symoffset)
		return 0;
	for (;; i++) {
		Elf64_Sym sym;
		if (!peek(t, chains + 4ul * (i - h.symoffset), &chain, 4) ||
		    !peek(t, symtab + i * sizeof(sym), &sym, sizeof(sym)))
			return 0;
		if ((chain | 1) == (want | 1) && sym.st_shndx != SHN_UNDEF &&
		    sametext(t, strtab + sym.st_name, name))
			return base + sym.st_value;
		if (chain & 1)
			return 0;
	}
}

uint64_t dynsym(const struct target *t, const struct map *m, const char *name)
{
	uint64_t base, symtab = 0, strtab = 0, hash = 0, found = 0;
	size_t n;
	Elf64_Phdr *ph = headers(t, m->start, &n, &base);

	for (size_t i = 0; ph != NULL && i < n; i++) {
		if (ph[i].p_type != PT_DYNAMIC)
			continue;
		size_t nd = ph[i].p_memsz / sizeof(Elf64_Dyn);
		Elf64_Dyn *d = xcalloc(nd, sizeof(*d));
		if (!peek(t, base + ph[i].p_vaddr, d, nd * sizeof(*d)))
			nd = 0;
		for (size_t k = 0; k < nd && d[k].d_tag != DT_NULL; k++) {
			/* ld.so adds the base to these where it may write. */
			uint64_t v =
			    d[k].d_un.d_ptr < base ? d[k].d_un.d_ptr + base : d[k].d_un.d_ptr;
			if (d[k].d_tag == DT_SYMTAB)
				symtab = v;
			else if (d[k].d_tag == DT_STRTAB)
				strtab = v;
			else if (d[k].d_tag == DT_GNU_HASH)
				hash = v;
		}
		free(d);
		if (symtab && strtab && hash)
			found = lookup(t, base, hash, symtab, strtab, name);
		break;
	}
	free(ph);
	return found;
}

/* ---- modules --------------------------------------------------------------------------------- */

static struct module *modules;
static size_t nmodules;

/* An encoded pointer of .eh_frame_hdr; 4-byte forms only, as linkers write them. */
static bool tables(struct target *t, struct module *m)
{
	unsigned char h[12];
	int32_t ehframe;
	uint32_t n;

	/* version, encodings of: pointer to .eh_frame, count, table */
	if (!peek(t, m->hdr, h, sizeof(h)) || h[0] != 1 || h[1] != 0x1b || h[2] != 0x03 ||
	    h[3] != 0x3b)
		return false;
	memcpy(&ehframe, h + 4, 4);
	memcpy(&n, h + 8, 4);
	(void)ehframe;
	m->nentries = n;
	m->table = m->hdr + 12;
	return true;
}

/* The mapping in which the file of the one at addr begins. */
static const struct map *firstof(const struct target *t, const struct map *m)
{
	const struct map *first = m;

	while (first > t->maps && first->offset != 0 && first[-1].inode == m->inode &&
	       strcmp(first[-1].path, m->path) == 0)
		first--;
	return first;
}

struct module *moduleof(struct target *t, uint64_t addr)
{
	for (size_t i = 0; i < nmodules; i++)
		if (addr >= modules[i].start && addr < modules[i].end)
			return &modules[i];
	const struct map *at = mapof(t, addr);
	if (at == NULL || !at->exec)
		return NULL;
	const struct map *first = firstof(t, at);
	struct module m = {.start = at->start, .end = at->end, .path = at->path};
	const char *slash = strrchr(at->path, '/');
	m.name = slash != NULL ? slash + 1 : *at->path ? at->path : "anonymous memory";
	m.islib = t->libpath != NULL && strcmp(at->path, t->libpath) == 0;
	size_t n;
	Elf64_Phdr *ph = headers(t, first->start, &n, &m.base);
	for (size_t i = 0; ph != NULL && i < n; i++)
		if (ph[i].p_type == PT_GNU_EH_FRAME)
			m.hdr = m.base + ph[i].p_vaddr;
	free(ph);
	if (m.hdr != 0 && !tables(t, &m))
		m.hdr = 0;
	/* Pointers to modules stay valid: room for all there can be is made at once. */
	if (modules == NULL)
		modules = xcalloc(t->nmaps + 64, sizeof(*modules));
	else if (nmodules == t->nmaps + 64)
		return NULL;
	modules[nmodules] = m;
	return &modules[nmodules++];
}

/* ---- names ----------------------------------------------------------------------------------- */

static const char *mapfile(const char *path, size_t *size)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	void *p = MAP_FAILED;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size > (off_t)sizeof(Elf64_Ehdr)) {
		*size = (size_t)st.st_size;
		p = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd,
			 0); /* kept: names point into it */
	}
	if (fd >= 0)
		close(fd);
	return p == MAP_FAILED ? NULL : p;
}

static const Elf64_Shdr *sections(const char *file, size_t size, size_t *n)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)file;

	if (memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 || eh->e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh->e_shentsize != sizeof(Elf64_Shdr) || eh->e_shoff > size ||
	    eh->e_shnum > (size - eh->e_shoff) / sizeof(Elf64_Shdr))
		return NULL;
	*n = eh->e_shnum;
	return (const Elf64_Shdr *)(file + eh->e_shoff);
}

static void addsyms(struct module *m, const char *file, size_t size, uint32_t type)
{
	size_t n;
	const Elf64_Shdr *sh = sections(file, size, &n);

	for (size_t i = 0; sh != NULL && i < n; i++) {
		if (sh[i].sh_type != type || sh[i].sh_link >= n || sh[i].sh_offset > size ||
		    sh[i].sh_size > size - sh[i].sh_offset)
			continue;
		const Elf64_Shdr *str = &sh[sh[i].sh_link];
		if (str->sh_offset > size || str->sh_size > size - str->sh_offset ||
		    str->sh_size == 0 || file[str->sh_offset + str->sh_size - 1] != 0)
			continue;
		const Elf64_Sym *sym = (const Elf64_Sym *)(file + sh[i].sh_offset);
		size_t nsym = sh[i].sh_size / sizeof(*sym);
		m->sym = xrealloc(m->sym, (m->nsym + nsym) * sizeof(*m->sym));
		for (size_t k = 0; k < nsym; k++) {
			int what = ELF64_ST_TYPE(sym[k].st_info);
			if (sym[k].st_shndx == SHN_UNDEF || sym[k].st_shndx >= SHN_LORESERVE ||
			    sym[k].st_name >= str->sh_size ||
			    (what != STT_FUNC && what != STT_GNU_IFUNC && what != STT_NOTYPE))
				continue;
			const char *name = file + str->sh_offset + sym[k].st_name;
			if (*name == 0)
				continue;
			m->sym[m->nsym++] =
			    (struct sym){m->base + sym[k].st_value, sym[k].st_size, name,
					 ELF64_ST_BIND(sym[k].st_info) != STB_LOCAL};
		}
	}
}

/* /usr/lib/debug/.build-id/ab/cdef...debug, if the file has a build id. */
static void debugfile(const char *file, size_t size, char *path, size_t room)
{
	size_t n;
	const Elf64_Shdr *sh = sections(file, size, &n);

	*path = 0;
	for (size_t i = 0; sh != NULL && i < n; i++) {
		if (sh[i].sh_type != SHT_NOTE || sh[i].sh_offset > size ||
		    sh[i].sh_size > size - sh[i].sh_offset || sh[i].sh_size < 16)
			continue;
		const uint32_t *note = (const uint32_t *)(file + sh[i].sh_offset);
		if (note[0] != 4 || note[2] != NT_GNU_BUILD_ID || note[1] < 2 ||
		    note[1] > sh[i].sh_size - 16)
			continue;
		const unsigned char *id = (const unsigned char *)(note + 4);
		int at = snprintf(path, room, "/usr/lib/debug/.build-id/%02x/", id[0]);
		for (uint32_t k = 1; k < note[1] && (size_t)at + 8 < room; k++)
			at += snprintf(path + at, room - (size_t)at, "%02x", id[k]);
		snprintf(path + at, room - (size_t)at, ".debug");
		return;
	}
}

/* By address; at the same address what is best known: exported, then without underscores, then
 * short. */
static int bestfirst(const void *a, const void *b)
{
	const struct sym *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if ((x->size != 0) != (y->size != 0))
		return x->size != 0 ? -1 : 1;
	if (x->global != y->global)
		return x->global ? -1 : 1;
	if ((*x->name == '_') != (*y->name == '_'))
		return *x->name == '_' ? 1 : -1;
	size_t nx = strlen(x->name), ny = strlen(y->name);
	return nx != ny ? (nx < ny ? -1 : 1) : strcmp(x->name, y->name);
}

static void readsyms(struct target *t, struct module *m)
{
	char path[4200];
	const char *file = NULL;
	size_t size;

	m->looked = true;
	if (*m->path != '/')
		return;
	if (strstr(m->path, " (deleted)") == NULL) {
		snprintf(path, sizeof(path), "/proc/%d/root%s", t->pid, m->path);
		file = mapfile(path, &size);
		if (file == NULL)
			file = mapfile(m->path, &size);
	} else {
		snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", t->pid, m->start,
			 m->end);
		file = mapfile(path, &size);
	}
	if (file == NULL)
		return;
	addsyms(m, file, size, SHT_SYMTAB);
	if (m->nsym == 0) {
		size_t dsize;
		debugfile(file, size, path, sizeof(path));
		const char *dfile = *path ? mapfile(path, &dsize) : NULL;
		if (dfile != NULL)
			addsyms(m, dfile, dsize, SHT_SYMTAB);
	}
	addsyms(m, file, size, SHT_DYNSYM);
	if (m->nsym == 0)
		return;
	qsort(m->sym, m->nsym, sizeof(*m->sym), bestfirst);
	size_t kept = 1;
	for (size_t i = 1; i < m->nsym; i++)
		if (m->sym[i].addr != m->sym[kept - 1].addr)
			m->sym[kept++] = m->sym[i];
	m->nsym = kept;
}

const struct sym *symof(struct target *t, struct module *m, uint64_t addr)
{
	if (!m->looked)
		readsyms(t, m);
	size_t lo = 0, hi = m->nsym;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (m->sym[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return NULL;
	const struct sym *s = &m->sym[lo - 1];
	/* Without a size (assembler): up to the next one, but not out of sight. */
	return addr - s->addr < (s->size ? s->size : 4096) ? s : NULL;
}
