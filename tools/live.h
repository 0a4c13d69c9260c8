/* SPDX-License-Identifier: MIT
 *
 * live.h: what the files of gmp-live share: a look into a process that runs with libgmp.so, from
 * outside.
 *
 * Nothing here stops or asks the process: its memory is read (process_vm_readv), and what is read
 * is taken as seen only if it was the same before and after where that matters (gs.c). The kernel
 * allows it to those who may ptrace the process.
 *
 * The layout comes from libgmp_published in the process itself (runtime/visible.c), by name.
 */
#ifndef LIVE_H
#define LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define nelem(x) (sizeof(x) / sizeof((x)[0]))
#define noreturn _Noreturn

/* ---- main.c ---------------------------------------------------------------------------------- */
noreturn void die(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* An option's number, or exit with a message that says what is allowed. */
double number(const char *option, const char *value, double lo, double hi, bool whole);
void *xrealloc(void *p, size_t n);
void *xcalloc(size_t n, size_t size);

/* ---- target.c: the process ------------------------------------------------------------------- */
struct map {
	uint64_t start, end, offset, inode;
	bool exec, write;
	char *path; /* "" for anonymous memory */
};

/* The names that this tool needs: L(identifier, name). */
/* clang-format off */
#define LAYOUT(L)                                                                                  \
	L(g, "g") L(g_alllink, "g.alllink") L(g_goid, "g.goid") L(g_tid, "g.tid")                  \
	L(g_status, "g.status") L(g_park, "g.park") L(g_m, "g.m") L(g_sp, "g.sched.sp")            \
	L(g_waitreason, "g.waitreason") L(g_waitobj, "g.waitobj") L(g_waitsince, "g.waitsince")    \
	L(g_syscallbp, "g.syscallbp") L(g_when, "g.timer.when") L(g_lo, "g.stack.lo")              \
	L(g_hi, "g.stack.hi") L(g_ismain, "g.ismain") L(g_lockedm, "g.lockedm") L(g_fn, "g.fn")    \
	L(g_name, "g.name") L(g_sigpending, "g.sigpending")                                        \
	L(m, "m") L(m_alllink, "m.alllink") L(m_id, "m.id") L(m_procid, "m.procid")                \
	L(m_exited, "m.exited") L(m_curg, "m.curg") L(m_spinning, "m.spinning")                    \
	L(p, "p") L(p_id, "p.id") L(p_status, "p.status") L(p_schedtick, "p.schedtick")            \
	L(p_head, "p.runqhead") L(p_tail, "p.runqtail") L(p_next, "p.runnext")                     \
	L(p_ntimers, "p.ntimers") L(p_count, "p.count") L(p_latency, "p.preemptlat")               \
	L(s, "sched") L(s_started, "sched.started") L(s_startns, "sched.startns")                  \
	L(s_allgs, "sched.allgs") L(s_allms, "sched.allms") L(s_runqsize, "sched.runqsize")        \
	L(s_npidle, "sched.npidle") L(s_nmidle, "sched.nmidle") L(s_nm, "sched.nm")                \
	L(s_nmspinning, "sched.nmspinning") L(s_nlockedm, "sched.nlockedm")                        \
	L(s_lastpoll, "sched.lastpoll") L(s_count, "sched.count") L(maxm, "debug.maxm")
/* clang-format on */

enum layout {
#define L(id, name) L_##id,
	LAYOUT(L)
#undef L
	NLAYOUT
};

struct words {
	char **word;
	uint32_t n;
};

struct target {
	int pid;
	struct map *maps;
	size_t nmaps;
	const char *libpath;
	struct {
		uint32_t offset, size;
	} at[NLAYOUT];
	uint64_t sched, debug, allp;
	int32_t gomaxprocs;
	struct words gstatus, pstatus, reasons, counters;
};

struct target *attach(int pid);
void readmaps(struct target *t); /* again */
const struct map *mapof(const struct target *t, uint64_t addr);
/* All n bytes at addr, or false. */
bool peek(const struct target *t, uint64_t addr, void *buf, size_t n);
size_t peeksome(const struct target *t, uint64_t addr, void *buf,
		size_t n);				  /* as many as there are */
uint64_t peekword(const struct target *t, uint64_t addr); /* 0 if it cannot be read */
/* A number of 1, 2, 4 or 8 bytes out of a copy of the structure. */
uint64_t field(const struct target *t, const void *copy, enum layout l);
/* The words of `names`, or "?". */
const char *word(const struct words *w, uint64_t i);
uint64_t monotonic(void);
/* What /proc says: "S", "R", ...; and of a thread that sleeps in the kernel the call, its
 * arguments, sp and pc. */
struct kernelstate {
	char state;
	long call; /* -1: not in a system call */
	uint64_t arg[6], sp, pc;
};
bool kernelstate(const struct target *t, int tid, struct kernelstate *out);
const char *syscallname(long nr);

/* ---- gs.c: lists of Gs, Ms, Ps --------------------------------------------------------------- */
struct ginfo {
	uint64_t addr, goid, park, m, sp, waitobj, waitsince, syscallbp, when, lo, hi, lockedm, fn,
	    sigmask, sigpending;
	int tid;
	uint32_t status, reason;
	bool ismain;
	char name[17];
};
struct minfo {
	uint64_t addr, curg;
	int id, tid;
	bool alive, spinning;
};
struct pinfo {
	int id, m;
	uint32_t state, queue, timers, schedtick;
	uint64_t *count, *latency;
};

enum { STATE_IDLE, STATE_RUNNABLE, STATE_RUNNING, STATE_SYSCALL, STATE_WAITING, STATE_DEAD };
enum { NLATENCYMAX = 64 };

struct snapshot {
	uint64_t when; /* CLOCK_MONOTONIC */
	struct ginfo *g;
	size_t ng;
	struct minfo *m;
	size_t nm;
	struct pinfo *p;
	int32_t np;
	uint32_t nlatency;
	uint64_t startns, lastpoll;
	int32_t runqsize, npidle, nmidle, nmall, nmspinning, nlockedm, maxm;
	uint64_t *count, latency[NLATENCYMAX]; /* sums over all Ps */
};
bool readg(const struct target *t, uint64_t addr, struct ginfo *out);
struct snapshot *snapshot(const struct target *t, bool gs);
void snapshotfree(struct snapshot *s);

/* ---- elf.c: modules and their symbols -------------------------------------------------------- */
struct module {
	uint64_t start, end, base; /* mapped; what is added to addresses in the file */
	const char *path, *name;   /* name: without folders */
	bool islib;		   /* libgmp.so */
	/* .eh_frame_hdr */
	uint64_t hdr, table, nentries;
	struct sym *sym;
	size_t nsym;
	bool looked;
};
struct sym {
	uint64_t addr, size; /* in the process */
	const char *name;
	bool global;
};
struct module *moduleof(struct target *t, uint64_t addr);
/* The function that addr is in, nil if no name is known. */
const struct sym *symof(struct target *t, struct module *m, uint64_t addr);
/* The address of an exported name in the module that begins with map m, from the process's memory
 * alone. 0: not there. */
uint64_t dynsym(const struct target *t, const struct map *m, const char *name);

/* ---- unwind.c -------------------------------------------------------------------------------- */
struct frame {
	uint64_t pc;
	bool signal; /* the kernel's frame: what is below was interrupted by a signal */
	struct module *mod;
	const struct sym *sym;
};
enum { MAXDEPTH = 256 };
struct regs {
	uint64_t pc, sp, bp, bx, r12, r13, r14, r15;
};
/*
 * copy, n: what was at copyat when the registers were; nil: memory is read as it is, and `still`
 * says afterwards whether what was read can be believed.
 */
struct unwinder {
	struct regs regs;
	uint64_t lo, hi; /* the stack */
	const unsigned char *copy;
	uint64_t copyat;
	size_t ncopy;
};
size_t unwind(struct target *t, const struct unwinder *u, struct frame *out, size_t max);

/* ---- stacks.c -------------------------------------------------------------------------------- */
/*
 * gp's stack; *why says what is missing, if something is. g is read again if it moved on meanwhile.
 */
size_t stackof(struct target *t, const struct snapshot *s, struct ginfo *g, struct frame *out,
	       size_t max, const char **why, struct kernelstate *ks);

/* ---- fds.c ----------------------------------------------------------------------------------- */
const char *fdname(const struct target *t,
		   int fd); /* "tcp 127.0.0.1:80 <- 127.0.0.1:1234"; valid until the end */

/* ---- json.c ---------------------------------------------------------------------------------- */
void jstring(FILE *f, const char *s);

/* ---- commands -------------------------------------------------------------------------------- */
int cmdstat(int argc, char **argv);
int cmddump(int argc, char **argv);

#endif
