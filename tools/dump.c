/* SPDX-License-Identifier: MIT
 *
 * dump.c: `gmp dump`: every thread of a running process: state, what it waits for and since when,
 * its stack.
 *
 * Each G is told as it was at one moment; the whole is no moment's picture, for the program goes
 * on. Who holds a lock is read from the lock itself: glibc's layout, which the library keeps.
 */
#define _GNU_SOURCE 1
#include "live.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { NONE = -1, INSIDES = 24 /* frames of the library that may not be shown */ };

/* One G as it is printed. */
struct entry {
	struct ginfo g;
	struct frame *frame;
	size_t nframes;
	const char *why; /* what is missing of its stack, or nil */
	struct kernelstate ks;
	int mtid, mid;
	int fd;
	const char *fdname;
	long owner; /* index of the entry that holds what it waits for, or that it joins; NONE */
	char detail[160]; /* of the object: who holds it, how much is left of it */
	uint64_t ns;	  /* it has waited */
	uint64_t left;	  /* until its time-out */
};

static struct {
	struct target *t;
	struct snapshot *s;
	struct entry *e;
	size_t n;
	bool json, group, all, nostack;
	size_t depth;
} d = {.depth = 64};

/* ---- what it waits for ----------------------------------------------------------------------- */

static bool reasonis(const struct ginfo *g, const char *name)
{
	return g->status == STATE_WAITING && strcmp(word(&d.t->reasons, g->reason), name) == 0;
}

static bool reasonin(const struct ginfo *g, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (reasonis(g, names[i]))
			return true;
	return false;
}

static bool onfd(const struct ginfo *g)
{
	static const char *const names[] = {"read", "write", "accept", "connect", "poll"};

	return reasonin(g, names, nelem(names));
}

static bool onobject(const struct ginfo *g)
{
	static const char *const names[] = {"futex",  "mutex",	 "condition", "semaphore", "rdlock",
					    "wrlock", "barrier", "once",      "join"};

	return reasonin(g, names, nelem(names));
}

/* Entries by a key of theirs. */
struct key {
	uint64_t key;
	long index;
};
static struct key *tids, *addrs;

static int bykey(const void *a, const void *b)
{
	const struct key *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static void makekeys(void)
{
	tids = xcalloc(d.n, sizeof(*tids));
	addrs = xcalloc(d.n, sizeof(*addrs));
	for (size_t i = 0; i < d.n; i++) {
		tids[i] = (struct key){(uint64_t)d.e[i].g.tid, (long)i};
		addrs[i] = (struct key){d.e[i].g.addr, (long)i};
	}
	qsort(tids, d.n, sizeof(*tids), bykey);
	qsort(addrs, d.n, sizeof(*addrs), bykey);
}

static long find(const struct key *keys, uint64_t key)
{
	struct key k = {key, 0};
	const struct key *found =
	    key != 0 && d.n > 0 ? bsearch(&k, keys, d.n, sizeof(k), bykey) : NULL;

	return found != NULL ? found->index : NONE;
}

static const char *title(const struct entry *e)
{
	static char buf[64];

	snprintf(buf, sizeof(buf), *e->g.name ? "g%" PRIu64 " \"%s\"" : "g%" PRIu64, e->g.goid,
		 e->g.name);
	return buf;
}

static void heldby(struct entry *e, int tid, const char *how)
{
	e->owner = find(tids, (uint64_t)tid);
	if (e->owner != NONE)
		snprintf(e->detail, sizeof(e->detail), "%s by %s", how, title(&d.e[e->owner]));
	else if (tid != 0)
		snprintf(e->detail, sizeof(e->detail), "%s by kernel thread %d", how, tid);
}

static void lookobject(struct entry *e)
{
	const struct ginfo *g = &e->g;

	if (reasonis(g, "mutex")) {
		pthread_mutex_t m;
		if (peek(d.t, g->waitobj, &m, sizeof(m)))
			heldby(e, m.__data.__owner, "held");
	} else if (reasonis(g, "rdlock") || reasonis(g, "wrlock")) {
		pthread_rwlock_t rw;
		if (!peek(d.t, g->waitobj, &rw, sizeof(rw)))
			return;
		/* As shim/rwlock.c has it: the first word's low 28 bits count readers. */
		unsigned readers = rw.__data.__readers & 0x0fffffff;
		if (rw.__data.__cur_writer != 0)
			heldby(e, rw.__data.__cur_writer, "held for writing");
		else if (readers != 0)
			snprintf(e->detail, sizeof(e->detail), "held by %u reader%s", readers,
				 readers > 1 ? "s" : "");
	} else if (reasonis(g, "semaphore")) {
		uint32_t value;
		if (peek(d.t, g->waitobj, &value, sizeof(value)))
			snprintf(e->detail, sizeof(e->detail), "value %u", value);
	} else if (reasonis(g, "join")) {
		e->owner = find(addrs, g->waitobj);
		if (e->owner != NONE)
			snprintf(e->detail, sizeof(e->detail), "of %s", title(&d.e[e->owner]));
	}
}

/* The descriptor that a system call is about, by its first argument; NONE if it has none. */
static int callfd(const struct kernelstate *ks)
{
	static const char *const names[] = {"read",
					    "write",
					    "close",
					    "fstat",
					    "ioctl",
					    "pread64",
					    "pwrite64",
					    "readv",
					    "writev",
					    "connect",
					    "accept",
					    "sendto",
					    "recvfrom",
					    "sendmsg",
					    "recvmsg",
					    "shutdown",
					    "fcntl",
					    "flock",
					    "fsync",
					    "fdatasync",
					    "ftruncate",
					    "getdents64",
					    "epoll_wait",
					    "epoll_pwait",
					    "epoll_pwait2",
					    "preadv",
					    "pwritev",
					    "recvmmsg",
					    "sendmmsg",
					    "syncfs",
					    "sync_file_range",
					    "accept4",
					    "fallocate",
					    "preadv2",
					    "pwritev2",
					    "splice",
					    "copy_file_range",
					    "io_uring_enter",
					    "sendfile",
					    "lseek"};
	const char *call = ks->call >= 0 ? syscallname(ks->call) : "";

	for (size_t i = 0; i < nelem(names); i++)
		if (strcmp(call, names[i]) == 0)
			return (int)ks->arg[0];
	return NONE;
}

/* The file that a system call is about, by name: "" if none. */
static void callpath(const struct kernelstate *ks, char *out, size_t room)
{
	static const struct {
		const char *call;
		int arg;
	} names[] = {{"open", 0},     {"creat", 0},    {"stat", 0},	{"lstat", 0},
		     {"access", 0},   {"mkdir", 0},    {"rmdir", 0},	{"unlink", 0},
		     {"rename", 0},   {"readlink", 0}, {"chmod", 0},	{"truncate", 0},
		     {"link", 0},     {"symlink", 0},  {"openat", 1},	{"newfstatat", 1},
		     {"unlinkat", 1}, {"mkdirat", 1},  {"renameat", 1}, {"renameat2", 1},
		     {"statx", 1},    {"openat2", 1}};
	const char *call = ks->call >= 0 ? syscallname(ks->call) : "";

	*out = 0;
	for (size_t i = 0; i < nelem(names); i++) {
		if (strcmp(call, names[i].call) != 0)
			continue;
		size_t n = peeksome(d.t, ks->arg[names[i].arg], out, room - 1);
		out[n] = 0;
		for (char *s = out; *s; s++)
			if ((unsigned char)*s < ' ')
				*s = '?';
	}
}

static void look(struct entry *e, struct frame *frames)
{
	struct ginfo *g = &e->g;
	size_t n = 0;

	if (!d.nostack)
		n = stackof(d.t, d.s, g, frames, d.depth + INSIDES, &e->why, &e->ks);
	/* Only the library's own first frames: gostartcall() has laid them out. */
	size_t own = 0;
	while (own < n && frames[own].mod != NULL && frames[own].mod->islib)
		own++;
	if (n > 0 && own == n && !g->ismain && g->status == STATE_RUNNABLE) {
		struct module *m = moduleof(d.t, g->fn);
		const struct sym *s = m != NULL ? symof(d.t, m, g->fn) : NULL;
		snprintf(e->detail, sizeof(e->detail), "and has not run yet: it begins in %s",
			 s ? s->name : "its function");
	}
	e->frame = xcalloc(n, sizeof(*e->frame));
	memcpy(e->frame, frames, n * sizeof(*frames));
	e->nframes = n;
	e->owner = NONE;
	e->fd = NONE;
	for (size_t i = 0; i < d.s->nm; i++) {
		if (d.s->m[i].addr != g->m)
			continue;
		e->mtid = d.s->m[i].tid;
		e->mid = d.s->m[i].id;
		if (d.nostack && (g->status == STATE_RUNNING || g->status == STATE_SYSCALL))
			kernelstate(d.t, e->mtid, &e->ks);
	}
	bool incall = e->ks.state != 0 && e->ks.state != 'R' && e->ks.sp != 0;
	uint64_t now = monotonic();
	if (g->status == STATE_WAITING || g->status == STATE_SYSCALL)
		e->ns = g->waitsince != 0 && now > g->waitsince ? now - g->waitsince : 0;
	e->left = g->when > now ? g->when - now : 0;
	if (onfd(g))
		e->fd = (int)g->waitobj;
	else if (incall)
		e->fd = callfd(&e->ks);
	if (e->fd != NONE)
		e->fdname = fdname(d.t, e->fd);
	if (incall)
		callpath(&e->ks, e->detail, sizeof(e->detail));
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* Without --all: not the library's insides, from the wrapper that the program called down to where
 * it parked. */
static void outside(const struct entry *e, size_t *from, size_t *to)
{
	size_t i = 0, n = e->nframes;

	*from = 0;
	*to = n;
	if (d.all || n == 0)
		return;
	while (i < n && e->frame[i].mod != NULL && e->frame[i].mod->islib)
		i++;
	if (i > 0 && i < n)
		*from = e->frame[i].signal ? i + 1 : i - 1; /* interrupted: no wrapper was called */
	while (*to > *from + 1 && e->frame[*to - 1].mod != NULL && e->frame[*to - 1].mod->islib)
		--*to;
	if (*from >= *to)
		*from = 0;
}

/* At most --depth of them; true: there would be more. */
static bool visible(const struct entry *e, size_t *from, size_t *to)
{
	outside(e, from, to);
	if (*to - *from <= d.depth)
		return false;
	*to = *from + d.depth;
	return true;
}

/* Without what the compiler adds: "lockkind.cold" is lockkind. */
static int namelen(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot != NULL && dot > name ? (int)(dot - name) : (int)strlen(name);
}

static void printframes(const struct entry *e)
{
	size_t from, to;

	bool more = visible(e, &from, &to);
	for (size_t i = from; i < to; i++) {
		const struct frame *f = &e->frame[i];
		printf("    #%-2zu ", i - from);
		if (f->signal)
			printf("<signal handler called>\n");
		else if (f->sym != NULL)
			printf("%.*s+0x%" PRIx64 "  %s\n", namelen(f->sym->name), f->sym->name,
			       f->pc - f->sym->addr, f->mod->name);
		else if (f->mod != NULL)
			printf("%s+0x%" PRIx64 "\n", f->mod->name, f->pc - f->mod->base);
		else
			printf("0x%" PRIx64 "\n", f->pc);
	}
	if (more)
		printf("    ...\n");
	if (e->why != NULL)
		printf("    (no stack: %s)\n", e->why);
	else if (e->nframes == 0 && !d.nostack)
		printf("    (no stack: it could not be read)\n");
}

/* ---- for people ------------------------------------------------------------------------------ */

static const char *duration(uint64_t ns)
{
	static char b[2][32];
	static int at;
	char *s = b[at++ % 2];

	if (ns < 1000000000)
		snprintf(s, sizeof(b[0]), "%" PRIu64 " ms", ns / 1000000);
	else if (ns < 600000000000)
		snprintf(s, sizeof(b[0]), "%.1f s", (double)ns / 1e9);
	else if (ns < 7200000000000)
		snprintf(s, sizeof(b[0]), "%" PRIu64 " min", ns / 60000000000);
	else
		snprintf(s, sizeof(b[0]), "%.1f h", (double)ns / 3.6e12);
	return s;
}

static void printstate(const struct entry *e)
{
	const struct ginfo *g = &e->g;
	bool asleep = e->ks.state != 0 && e->ks.state != 'R' && e->ks.sp != 0;

	switch (g->status) {
	case STATE_WAITING:
		printf("waiting");
		if (!d.group)
			printf(" %s", duration(e->ns));
		printf(": %s", g->reason ? word(&d.t->reasons, g->reason) : "to be started");
		break;
	case STATE_SYSCALL:
		printf("in a system call");
		if (!d.group)
			printf(" %s", duration(e->ns));
		break;
	case STATE_RUNNING:
		printf("running%s", !asleep		 ? ""
				    : e->ks.state == 'T' ? ", but the process is stopped"
				    : e->ks.state == 't' ? ", but stopped by a debugger"
							 : ", but asleep in the kernel");
		break;
	default:
		printf("%s", word(&d.t->gstatus, g->status));
	}
	if ((g->status == STATE_SYSCALL || g->status == STATE_RUNNING) && asleep && e->ks.call >= 0)
		printf(": %s", syscallname(e->ks.call));
	if (d.group)
		return;
	if (e->fd != NONE)
		printf(" fd %d (%s)", e->fd, e->fdname);
	else if (onobject(g) && !reasonis(g, "join"))
		printf(" 0x%" PRIx64, g->waitobj);
	if (*e->detail)
		printf(" %s", e->detail);
	if (g->status == STATE_WAITING && g->when != 0)
		printf(", until %s from now", duration(e->left));
	if (e->mtid != 0 && (g->status == STATE_RUNNING || g->status == STATE_SYSCALL))
		printf(", on m%d (kernel thread %d)", e->mid, e->mtid);
	if (g->lockedm != 0)
		printf(", bound to its kernel thread");
	if (g->sigpending != 0)
		printf(", signals pending 0x%" PRIx64, g->sigpending);
}

static void people(void)
{
	for (size_t i = 0; i < d.n; i++) {
		printf("%s%s tid %d: ", title(&d.e[i]), d.e[i].g.ismain ? " main" : "",
		       d.e[i].g.tid);
		printstate(&d.e[i]);
		printf("\n");
		printframes(&d.e[i]);
		printf("\n");
	}
}

/* The same place, in the same state, for the same reason. */
static int samestack(const void *a, const void *b)
{
	const struct entry *x = *(const struct entry *const *)a,
			   *y = *(const struct entry *const *)b;

	if (x->g.status != y->g.status)
		return x->g.status < y->g.status ? -1 : 1;
	if (x->g.status == STATE_WAITING && x->g.reason != y->g.reason)
		return x->g.reason < y->g.reason ? -1 : 1;
	if (x->nframes != y->nframes)
		return x->nframes < y->nframes ? -1 : 1;
	for (size_t i = 0; i < x->nframes; i++)
		if (x->frame[i].pc != y->frame[i].pc)
			return x->frame[i].pc < y->frame[i].pc ? -1 : 1;
	return 0;
}

struct group {
	struct entry **e;
	size_t n;
	uint64_t longest;
};

static int biggestfirst(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	return x->n > y->n ? -1 : x->n < y->n;
}

static void groups(void)
{
	struct entry **e = xcalloc(d.n, sizeof(*e));
	struct group *g = xcalloc(d.n, sizeof(*g));
	size_t ng = 0;

	for (size_t i = 0; i < d.n; i++)
		e[i] = &d.e[i];
	if (d.n > 0)
		qsort(e, d.n, sizeof(*e), samestack);
	for (size_t i = 0; i < d.n; i++) {
		if (i == 0 || samestack(&e[i - 1], &e[i]) != 0)
			g[ng++] = (struct group){&e[i], 0, 0};
		g[ng - 1].n++;
		if (e[i]->ns > g[ng - 1].longest)
			g[ng - 1].longest = e[i]->ns;
	}
	if (ng > 0)
		qsort(g, ng, sizeof(*g), biggestfirst);
	for (size_t i = 0; i < ng; i++) {
		printf("%zu thread%s ", g[i].n, g[i].n > 1 ? "s" : "");
		printstate(g[i].e[0]);
		if (g[i].longest != 0)
			printf(", longest %s", duration(g[i].longest));
		printf(":");
		for (size_t k = 0; k < g[i].n && k < 8; k++)
			printf(" g%" PRIu64, g[i].e[k]->g.goid);
		printf("%s\n", g[i].n > 8 ? " ..." : "");
		printframes(g[i].e[0]);
		printf("\n");
	}
	free(e);
	free(g);
}

/* ---- for programs ---------------------------------------------------------------------------- */

static void jsonframes(const struct entry *e)
{
	size_t from, to;

	visible(e, &from, &to);
	printf(",\"stack\":[");
	for (size_t i = from; i < to; i++) {
		const struct frame *f = &e->frame[i];
		printf("%s{\"pc\":\"0x%" PRIx64 "\"", i > from ? "," : "", f->pc);
		if (f->signal)
			printf(",\"signal\":true");
		if (f->sym != NULL) {
			printf(",\"function\":");
			jstring(stdout, f->sym->name);
			printf(",\"offset\":%" PRIu64, f->pc - f->sym->addr);
		}
		if (f->mod != NULL) {
			printf(",\"module\":");
			jstring(stdout, f->mod->path);
			printf(",\"module_offset\":%" PRIu64, f->pc - f->mod->base);
		}
		printf("}");
	}
	printf("]");
	if (e->why != NULL) {
		printf(",\"no_stack\":");
		jstring(stdout, e->why);
	}
}

static void jsonentry(const struct entry *e)
{
	const struct ginfo *g = &e->g;

	printf("{\"id\":%" PRIu64 ",\"name\":", g->goid);
	jstring(stdout, g->name);
	printf(",\"tid\":%d,\"main\":%s,\"status\":", g->tid, g->ismain ? "true" : "false");
	jstring(stdout, word(&d.t->gstatus, g->status));
	if (g->status == STATE_WAITING) {
		printf(",\"reason\":");
		jstring(stdout, word(&d.t->reasons, g->reason));
		if (g->when != 0)
			printf(",\"left_ns\":%" PRIu64, e->left);
	}
	if (g->status == STATE_WAITING || g->status == STATE_SYSCALL)
		printf(",\"since_ns\":%" PRIu64, e->ns);
	if (e->fd != NONE) {
		printf(",\"fd\":%d,\"fd_name\":", e->fd);
		jstring(stdout, e->fdname);
	}
	if (onobject(g))
		printf(",\"object\":\"0x%" PRIx64 "\"", g->waitobj);
	if (*e->detail) {
		printf(",\"detail\":");
		jstring(stdout, e->detail);
	}
	if (e->owner != NONE)
		printf(",\"on\":%" PRIu64, d.e[e->owner].g.goid);
	if (e->mtid != 0)
		printf(",\"kernel_thread\":%d", e->mtid);
	if (e->ks.state != 0) {
		printf(",\"kernel_state\":\"%c\"", e->ks.state);
		if (e->ks.call >= 0) {
			printf(",\"system_call\":");
			jstring(stdout, syscallname(e->ks.call));
		}
	}
	printf(",\"bound\":%s", g->lockedm != 0 ? "true" : "false");
	if (!d.nostack)
		jsonframes(e);
	printf("}");
}

/* ---- who waits for whom, in a circle --------------------------------------------------------- */

/* The circle that begins at e[i], each waiting for the next; 0 if it is none, or is told from
 * another member. */
static size_t circle(size_t i, size_t *at)
{
	size_t n = 0, k = i;

	do {
		if (n > 0 && k < i)
			return 0;
		at[n++] = k;
		long next = d.e[k].owner;
		if (next == NONE || n == d.n + 1)
			return 0;
		k = (size_t)next;
	} while (k != i && n <= d.n);
	return k == i ? n : 0;
}

static size_t circles(void)
{
	size_t *at = xcalloc(d.n + 2, sizeof(*at)), found = 0;

	if (d.json)
		printf(",\"deadlocks\":[");
	for (size_t i = 0; i < d.n; i++) {
		size_t n = d.e[i].owner == NONE ? 0 : circle(i, at);
		if (n == 0)
			continue;
		if (d.json) {
			printf("%s[", found ? "," : "");
			for (size_t k = 0; k < n; k++)
				printf("%s%" PRIu64, k ? "," : "", d.e[at[k]].g.goid);
			printf("]");
		} else {
			printf("deadlock:");
			for (size_t k = 0; k < n; k++)
				printf(" g%" PRIu64 " waits for", d.e[at[k]].g.goid);
			printf(" g%" PRIu64 "\n", d.e[i].g.goid);
		}
		found++;
	}
	if (d.json)
		printf("]");
	free(at);
	return found;
}

/* ---- the command ----------------------------------------------------------------------------- */

static void header(void)
{
	uint32_t malive = 0;

	for (size_t i = 0; i < d.s->nm; i++)
		malive += d.s->m[i].alive;
	if (d.json)
		printf("{\"pid\":%d,\"procs\":%d,\"kernel_threads\":%u,\"threads\":[", d.t->pid,
		       d.t->gomaxprocs, malive);
	else
		printf("process %d: %zu threads, %d Ps, %u kernel threads\n\n", d.t->pid, d.n,
		       d.t->gomaxprocs, malive);
}

static void collect(uint64_t only)
{
	static struct frame frames[MAXDEPTH + INSIDES];

	d.s = snapshot(d.t, true);
	d.e = xcalloc(d.s->ng, sizeof(*d.e));
	for (size_t i = 0; i < d.s->ng; i++) {
		struct ginfo *g = &d.s->g[i];
		if (g->status == STATE_IDLE || g->status == STATE_DEAD)
			continue;
		d.e[d.n].g = *g;
		d.n++;
	}
	size_t n = 0;
	for (size_t i = 0; i < d.n; i++) {
		d.e[n] = d.e[i];
		struct entry *e = &d.e[n];
		if (only == 0 || e->g.goid == only)
			look(e, frames);
		else
			e->owner = e->fd = NONE;
		/* It may have ended while we looked at others. */
		if (e->g.status != STATE_DEAD && e->g.status != STATE_IDLE)
			n++;
	}
	d.n = n;
	makekeys();
	for (size_t i = 0; i < d.n; i++)
		lookobject(&d.e[i]);
}

static const char allowed[] = "--group, --json, --g ID, --depth N, --no-stack, --all, --help";

int cmddump(int argc, char **argv)
{
	static const struct option options[] = {
	    {"json", no_argument, NULL, 'j'},
	    {"group", no_argument, NULL, 'G'},
	    {"all", no_argument, NULL, 'a'},
	    {"no-stack", no_argument, NULL, 's'},
	    {"depth", required_argument, NULL, 'd'},
	    {"g", required_argument, NULL, 'g'},
	    {NULL, 0, NULL, 0},
	};
	uint64_t only = 0;
	int o;

	opterr = 0;
	while ((o = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (o) {
		case 'j':
			d.json = true;
			break;
		case 'G':
			d.group = true;
			break;
		case 'a':
			d.all = true;
			break;
		case 's':
			d.nostack = true;
			break;
		case 'd':
			d.depth = (size_t)number("--depth", optarg, 1, MAXDEPTH, true);
			break;
		case 'g':
			only = (uint64_t)number("--g", optarg + (*optarg == 'g'), 1, 1e15, true);
			break;
		case ':':
			die(2, "dump: %s needs a value; allowed: %s", argv[optind - 1], allowed);
		default:
			die(2, "dump: unknown option \"%s\"; allowed: %s", argv[optind - 1],
			    allowed);
		}
	}
	if (d.json && d.group)
		die(2, "dump: --group is for people, --json has every thread: not both");
	if (optind == argc)
		die(2, "dump: PID is missing: gmp dump [--group | --json] [--g ID] [--depth N] "
		       "[--no-stack] [--all] PID");
	if (optind + 1 < argc)
		die(2, "dump: one PID only, \"%s\" is too much", argv[optind + 1]);
	d.t = attach((int)number("dump: PID", argv[optind], 1, 4194304, true));
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	collect(only);
	if (only != 0) {
		size_t i = 0;
		while (i < d.n && d.e[i].g.goid != only)
			i++;
		if (i == d.n)
			die(1, "process %d has no thread g%" PRIu64 " now", d.t->pid, only);
		d.e[0] = d.e[i];
		d.e[0].owner = NONE;
		d.n = 1;
	}
	header();
	if (d.json) {
		for (size_t i = 0; i < d.n; i++) {
			printf("%s\n", i ? "," : "");
			jsonentry(&d.e[i]);
		}
		printf("]");
	} else if (d.group) {
		groups();
	} else {
		people();
	}
	circles();
	if (d.json)
		printf("}\n");
	fflush(stdout);
	return ferror(stdout) != 0;
}
