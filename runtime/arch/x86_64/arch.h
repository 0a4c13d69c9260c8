/* SPDX-License-Identifier: MIT
 *
 * arch.h (x86-64): what the runtime asks of a CPU. Another CPU supplies the same names:
 *
 *   raw_syscall        a system call; returns the kernel's value (-errno), touches no TLS
 *   settls, gettls     write, read the thread pointer (FS base here); archinit() chooses how
 *   mcall, gogo        switch stack and thread pointer together (asm.S)
 *   gostartcall        lay out a new G's first frame so that gogo() enters gostart(gp)
 *   clone_m            a kernel thread on a given stack and TCB
 *   SIGPC, SIGSP       program counter and stack pointer in a signal frame's ucontext_t
 *   sigmoved, sigmove  the kernel's signal frame, taken to another stack
 *   sigtramp           enters sigtrampoline() on the frame which sigframe() names
 *   dlprobe            stubs that note a call's first argument
 *   patchspan ... deepslots  a jump over a function's entry (patch.c)
 *   cputicks, procyield, curg offsets checked by _Static_assert in tls.c
 */
#ifndef ARCH_H
#define ARCH_H

#include <stdint.h>
#include <stdbool.h>

struct g;
struct m;

static inline long raw_syscall6(long n, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#define SC0(n) raw_syscall6(n, 0, 0, 0, 0, 0, 0)
#define SC1(n, a) raw_syscall6(n, (long)(a), 0, 0, 0, 0, 0)
#define SC2(n, a, b) raw_syscall6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define SC3(n, a, b, c) raw_syscall6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SC4(n, a, b, c, d) raw_syscall6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SC5(n, a, b, c, d, e) raw_syscall6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SC6(n, a, b, c, d, e, f) \
	raw_syscall6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

enum fsbase { FSBASE_AUTO, FSBASE_WRFSBASE, FSBASE_SYSCALL };
/* Chooses how settls works. False if `how` is not to be had on this machine. */
bool archinit(enum fsbase how);
extern uint32_t arch_fsgsbase; /* 1: wrfsbase; 0: arch_prctl. Written once, before any switch. */

void *gettls(void);
void settls(void *tcb);

/*
 * A thread's rights to memory with protection keys, pkeys(7): a register of the kernel thread's, which user code writes
 * without a system call. Only if there are any (arch_pkeys).
 */
extern bool arch_pkeys;

static inline uint32_t pkrights(void)
{
	uint32_t rights, zero;

	__asm__ volatile("rdpkru" : "=a"(rights), "=d"(zero) : "c"(0));
	return rights;
}

static inline void setpkrights(uint32_t rights)
{
	__asm__ volatile("wrpkru" : : "a"(rights), "c"(0), "d"(0) : "memory");
}

/*
 * Saves the callee-saved state (mxcsr and x87 control word included) on the current stack and SP in
 * gp->sched.sp; loads g0->sched.sp as SP and g0->tcb as thread pointer; calls fn(gp) and does gogo() with what it
 * returns. Returns when somebody gogo()s gp. From the moment fn runs, nothing of gp's stack is in use.
 */
void mcall(struct g *gp, struct g *g0, struct g *(*fn)(struct g *));
/* Loads gp->tcb and gp->sched.sp and returns into the mcall() that saved it. */
_Noreturn void gogo(struct g *gp);
/* Makes gp->sched.sp such that gogo(gp) calls gostart(gp) on stack top `hi`, with no caller
 * (.cfi_undefined rip, rbp 0), the C ABI's alignment, and the caller's mxcsr and x87 control word:
 * call it on the creating thread, or on its g0 after an mcall(). */
void gostartcall(struct g *gp, void *hi);
/*
 * clone(2) with CLONE_VM|FS|FILES|SIGHAND|THREAD|SYSVSEM|SETTLS|PARENT_SETTID|CHILD_CLEARTID. The
 * child calls fn(arg) on `stack` (its top) with thread pointer tcb and never returns. Returns the
 * tid or -errno.
 */
long clone_m(void *stack, void *tcb, int *ptid, int *ctid, void (*fn)(void *), void *arg);

/* Calls fn(a, b, c) with `ret`, where a ret instruction stands, as its return address. */
void *callfrom(const void *ret, const void *fn, uintptr_t a, uintptr_t b, uintptr_t c);

/* Stub i, of DLPROBESIZE bytes each: stores the first argument in dlprobe_arg[i], jumps to dlprobe_fn[i]. */
enum { DLPROBES = 32, DLPROBESIZE = 16 };
extern char dlprobe[] __attribute__((visibility("hidden")));

#define SIGPC(uc) ((uintptr_t)(uc)->uc_mcontext.gregs[REG_RIP])
#define SIGSP(uc) ((uintptr_t)(uc)->uc_mcontext.gregs[REG_RSP])
/*
 * A signal frame is known by the address of the handler's return address in it. sigmoved: where it would be below
 * `top`; sigmove: copies it there. The ucontext and siginfo are at the same distances in the copy.
 */
/* The interrupted instruction was a system call, and gives EINTR because of this signal. */
bool sigeintr(const void *uc);
void sigtiles(const void *uc); /* before sigreturn on another M than that of the frame */
/* If the interrupted instruction is a system call, it is skipped and gives r. */
void sigskip(void *uc, long r);
enum { SIGREDZONE = 128 }; /* below SP, the interrupted code's still */
uintptr_t sigmoved(uintptr_t frame, void *uc, uintptr_t top);
void sigmove(uintptr_t frame, void *uc, uintptr_t to);

/* A jump written over the entry of a function, and the slots where what it covers is kept. patch.c, slots.S */
enum { PATCHJUMP = 5, SLOTLEN = 48 };
enum patchwhy { PATCH_BYTES, PATCH_BRANCH };
/* Where in the function the jump goes: its first byte, or behind an endbr64. */
int patchat(const uint8_t *code);
/* The length of the whole instructions up to the end of the jump; 0: leave it alone, *why. lo, hi: of all code. */
int patchspan(const uint8_t *code, const uint8_t *lo, const uint8_t *hi, enum patchwhy *why);
bool patchmulti(const uint8_t *code); /* there are several: a thread may be between them */
/* The jump itself, at ataddr. False: too far. */
bool patchjump(uint8_t at[PATCHJUMP], uintptr_t ataddr, uintptr_t to);
/* What goes into the slot at addr. False: too far. */
bool patchcopy(uint8_t slot[SLOTLEN], uintptr_t addr, const uint8_t *code, int span);
extern char deepslots[4096]; /* in our text; mapped over */

static inline int64_t cputicks(void)
{
	uint32_t lo, hi;
	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (int64_t)((uint64_t)hi << 32 | lo);
}

static inline void procyield(uint32_t n)
{
	while (n--)
		__asm__ volatile("pause");
}

#endif
