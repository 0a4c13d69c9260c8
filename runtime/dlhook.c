/* SPDX-License-Identifier: MIT
 *
 * dlhook.c: in front of ld.so's dlopen and dlclose.
 *
 * libc reaches the loader through two pointers of ld.so's, whoever asks: dlopen(), dlmopen(),
 * dlclose(), and libc itself for nss, iconv and libgcc_s. So the pointers are where to stand, not
 * the names. Around each call all Gs are in libc's list of threads (tlsdl.c), and one thread is in
 * the loader at a time: ld.so's own lock, which it takes next and holds while constructors run,
 * would block the M; ours parks the G.
 *
 * The pointers lie in _rtld_global_ro, among others, at a place that nobody tells. So each word
 * there that points into ld.so's code is for a moment led through a stub that notes the first
 * argument and goes on (arch/); then a module is opened and closed; the stubs which have seen its
 * name and its handle were called in the places sought. The page is read-only: it is made writable
 * for as long. Other threads may call through the stubs meanwhile, and for ever.
 *
 * A failure leaves the loader by a longjmp to libc's catcher, so ours is put in between and throws it
 * on.
 *
 * Where any of this is not as it is here, nothing is hooked, and the program's own calls are led through
 * begin() and end() by their names (shim/dl.c): what libc loads by itself is then not seen.
 *
 * Rejected: the names dlopen and dlclose only (libc's own calls are not seen, and dlopen looks at its
 * return address to know whose RUNPATH, namespace and $ORIGIN hold).
 */
#define _GNU_SOURCE 1
#include "runtime.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>

typedef void *openfn(const char *, int, const void *, Lmid_t, int, char **, char **);
typedef void closefn(void *);

struct exception {
	const char *objname, *errstring;
	void *message;
};

static struct {
	openfn *open;
	closefn *close;
	int (*catch)(struct exception *, void (*)(void *), void *);
	void (*signal)(int, struct exception *, const char *) __attribute__((__noreturn__));
	/* Whose turn it is. Recursive: constructors load modules. */
	_Atomic uint32_t turn; /* 0 free, 1 taken, 2 and somebody waits */
	void *_Atomic owner;   /* its TCB */
	uint32_t depth;	       /* the owner's */
	bool forks;	       /* the owner's: has taken it for a fork */
} dl;

bool runtime_dlnames;

enum { FORKWAIT = 20000000 /* ns */ };

/* ---- one at a time ----------------------------------------------------------------------------------- */

/* Keeps handlers out while a lock is held. */
static void enter(uint64_t *saved)
{
	const uint64_t all = ALLSIGS;

	if (getg() != NULL)
		exitforeign();
	else
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &all, saved, 8);
}

static void leave(uint64_t saved)
{
	if (getg() != NULL)
		enterforeign();
	else
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &saved, NULL, 8);
}

static bool mine(void)
{
	return atomic_load_explicit(&dl.owner, memory_order_relaxed) == gettls();
}

/* False: the deadline has passed. */
static bool take(uint64_t deadline)
{
	uint32_t none = 0;

	/* Partner of give()'s release. */
	if (!atomic_compare_exchange_strong_explicit(&dl.turn, &none, 1, memory_order_acquire,
						     memory_order_relaxed))
		while (atomic_exchange_explicit(&dl.turn, 2, memory_order_acquire) != 0)
			if (futexwait(&dl.turn, 2, deadline, FUTEX_NOCANCEL) == -ETIMEDOUT)
				return false;
	atomic_store_explicit(&dl.owner, gettls(), memory_order_relaxed);
	return true;
}

static void give(void)
{
	atomic_store_explicit(&dl.owner, NULL, memory_order_relaxed);
	if (atomic_exchange_explicit(&dl.turn, 0, memory_order_release) == 2)
		futexwake(&dl.turn, 1);
}

static void begin(void)
{
	uint64_t saved;

	if (!mine())
		take(0);
	dl.depth++;
	enter(&saved);
	tlsdlbegin();
	leave(saved);
}

static void end(void)
{
	uint64_t saved;

	enter(&saved);
	tlsdlend();
	leave(saved);
	if (--dl.depth == 0)
		give();
}

/* ---- fork ---------------------------------------------------------------------------------------------- */

/*
 * A child that finds ld.so's books half written (libc does not lock them) dies in its first pthread_create(). So wait
 * for who is in the loader, but not for ever: it may be a constructor that waits for us.
 */
void dlhookforkbegin(void)
{
	if ((dl.open != NULL || runtime_dlnames) && !mine() && take(reldeadline(FORKWAIT)))
		dl.forks = true;
}

void dlhookforkend(void)
{
	if (!mine() || !dl.forks)
		return;
	dl.forks = false;
	give();
}

bool dlhookforkchild(void)
{
	bool inside = mine() && !dl.forks;

	if (!inside) {
		atomic_store(&dl.owner, NULL);
		dl.depth = 0;
	}
	dl.forks = false;
	atomic_store(&dl.turn, inside);
	return inside;
}

struct call {
	const char *file;
	int mode;
	const void *caller;
	Lmid_t ns;
	int argc;
	char **argv, **env;
	void *handle;
};

static void doopen(void *arg)
{
	struct call *c = arg;

	c->handle = dl.open(c->file, c->mode, c->caller, c->ns, c->argc, c->argv, c->env);
}

static void doclose(void *arg)
{
	dl.close(arg);
}

static void inturn(void (*fn)(void *), void *arg)
{
	struct exception exc = {NULL, NULL, NULL};

	begin();
	int err = dl.catch(&exc, fn, arg);
	end();
	if (unlikely(exc.errstring != NULL))
		dl.signal(err, &exc, NULL);
}

static void *hookopen(const char *file, int mode, const void *caller, Lmid_t ns, int argc,
		      char **argv, char **env)
{
	struct call c = {file, mode, caller, ns, argc, argv, env, NULL};

	inturn(doopen, &c);
	return c.handle;
}

static void hookclose(void *handle)
{
	inturn(doclose, handle);
}

void dlnamebegin(void)
{
	begin();
}

void dlnameend(void)
{
	end();
}

/* ---- where the pointers are ---------------------------------------------------------------------------- */

/* arch/: stub i stores its first argument in dlprobe_arg[i] and jumps to dlprobe_fn[i]. */
void *_Atomic dlprobe_arg[DLPROBES];
void *dlprobe_fn[DLPROBES];

static struct {
	uintptr_t in; /* somewhere in ld.so's data */
	uintptr_t lo, hi; /* its code */
	uintptr_t rolo, rohi; /* the pages that are read-only since it has relocated itself */
} ldso;

static int findcode(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t lo = 0, hi = 0, rolo = 0, rohi = 0;
	bool here = false;

	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t at = info->dlpi_addr + ph->p_vaddr;
		if (ph->p_type == PT_GNU_RELRO) { /* as ld.so counts them */
			rolo = at & ~4095ul;
			rohi = (at + ph->p_memsz) & ~4095ul;
		}
		if (ph->p_type != PT_LOAD)
			continue;
		if (ldso.in - at < ph->p_memsz)
			here = true;
		if (ph->p_flags & PF_X) {
			lo = at;
			hi = at + ph->p_memsz;
		}
	}
	if (here) {
		ldso.lo = lo;
		ldso.hi = hi;
		ldso.rolo = rolo;
		ldso.rohi = rohi;
	}
	return here;
}

struct probe {
	void **word[DLPROBES];
	uint32_t n;
};

static bool collect(struct probe *p)
{
	int (*iterate)(int (*)(struct dl_phdr_info *, size_t, void *), void *) =
		libcown("dl_iterate_phdr");
	int (*addr)(const void *, Dl_info *, void **, int) = libcown("dladdr1");
	void **ro = libcown("_rtld_global_ro");
	const ElfW(Sym) *sym = NULL;
	Dl_info info;

	if (!iterate || !addr || !ro || !addr(ro, &info, (void **)(void *)&sym, RTLD_DL_SYMENT) ||
	    sym == NULL)
		return false;
	ldso.in = (uintptr_t)ro;
	iterate(findcode, NULL);
	for (size_t i = 0; i < sym->st_size / sizeof(void *); i++) {
		if ((uintptr_t)ro[i] < ldso.lo || (uintptr_t)ro[i] >= ldso.hi)
			continue;
		if (p->n == DLPROBES)
			return false;
		p->word[p->n++] = &ro[i];
	}
	return p->n >= 2;
}

static struct {
	void *(*open)(const char *, int);
	int (*close)(void *);
	char *(*error)(void);
} libc;

/* The stub that saw arg, and no other did. */
static int whosaw(const struct probe *p, const void *arg)
{
	int found = -1;

	for (uint32_t i = 0; i < p->n; i++) {
		if (atomic_load(&dlprobe_arg[i]) != arg)
			continue;
		if (found >= 0)
			return -1;
		found = (int)i;
	}
	return found;
}

static bool tryout(const struct probe *p, int *open, int *close)
{
	char name[] = "libc.so.6"; /* an address that nobody else has */
	void *h = libc.open(name, RTLD_LAZY | RTLD_NOLOAD);

	if (h == NULL)
		return false;
	*open = whosaw(p, name);
	libc.close(h);
	*close = whosaw(p, h);
	return *open >= 0 && *close >= 0 && *open != *close;
}

/* Hooked: one call succeeds, one fails (for want of a mode, without a system call), and libc is told why. */
static bool works(void)
{
	const char *why;

	libc.error();
	void *h = libc.open("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	if (h == NULL || libc.close(h) != 0 || libc.open("libc.so.6", 0) != NULL)
		return false;
	why = libc.error();
	return why != NULL && why[0] != 0 && libc.error() == NULL;
}

static bool hook(void)
{
	struct probe p = {.n = 0};
	int open = -1, close = -1;
	bool ok = false;

	libc.open = libcown("dlopen");
	libc.close = libcown("dlclose");
	libc.error = libcown("dlerror");
	dl.catch = libcown("_dl_catch_exception");
	dl.signal = libcown("_dl_signal_exception");
	if (!libc.open || !libc.close || !libc.error || !dl.catch || !dl.signal || !collect(&p))
		return false;
	uintptr_t lo = (uintptr_t)p.word[0] & ~4095ul;
	uintptr_t hi = ((uintptr_t)p.word[p.n - 1] | 4095) + 1;
	if (lo < ldso.rolo || hi > ldso.rohi || SC3(SYS_mprotect, lo, hi - lo, PROT_READ | PROT_WRITE) != 0)
		return false;
	for (uint32_t i = 0; i < p.n; i++) {
		dlprobe_fn[i] = *p.word[i];
		/* Release: whoever is led there finds where to go on. */
		__atomic_store_n(p.word[i], dlprobe + i * DLPROBESIZE, __ATOMIC_RELEASE);
	}
	/* Another thread's call may come in between. */
	for (int i = 0; i < 8 && !ok; i++)
		ok = tryout(&p, &open, &close);
	for (uint32_t i = 0; i < p.n; i++)
		__atomic_store_n(p.word[i], dlprobe_fn[i], __ATOMIC_RELEASE);
	if (ok) {
		dl.open = (openfn *)dlprobe_fn[open];
		dl.close = (closefn *)dlprobe_fn[close];
		__atomic_store_n(p.word[open], (void *)hookopen, __ATOMIC_RELEASE);
		__atomic_store_n(p.word[close], (void *)hookclose, __ATOMIC_RELEASE);
		ok = works();
		if (!ok) { /* dl.open and dl.close stay: another thread may be on its way there */
			__atomic_store_n(p.word[open], dlprobe_fn[open], __ATOMIC_RELEASE);
			__atomic_store_n(p.word[close], dlprobe_fn[close], __ATOMIC_RELEASE);
		}
	}
	SC3(SYS_mprotect, lo, hi - lo, PROT_READ);
	return ok;
}

void dlhookinit(void)
{
	if (dl.open != NULL || runtime_dlnames)
		return; /* a fork's child has it */
	if (debug.loader != LOADER_NAMES && hook())
		return;
	tlsdlblind();
	runtime_dlnames = true;
	if (debug.verbose)
		gprintf("libgmp: loader: ld.so's own pointers to dlopen and dlclose are not hooked: what libc loads by "
			"itself (nss, iconv) is not seen\n");
}
