/* SPDX-License-Identifier: MIT
 *
 * arch.c (x86-64): how the thread pointer is written, and a new G's first frame.
 *
 * The kernel says in AT_HWCAP2 whether wrfsbase is allowed in user mode (Linux 5.9+, CPUs since Ivy
 * Bridge): some nanoseconds. Otherwise every switch pays a system call. The choice is made once,
 * before the first switch, so arch_fsgsbase is a plain variable.
 *
 * Rejected: asking cpuid for that. The CPU may know the instruction while the kernel forbids it: SIGILL. (Of protection
 * keys cpuid tells whether the kernel has them on.)
 */
#include "runtime.h"

#include <cpuid.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#define HWCAP2_FSGSBASE 2
#define ARCH_SET_FS 0x1002

uint32_t arch_fsgsbase;
bool arch_pkeys;

extern void gostartstub(void);

bool archinit(enum fsbase how)
{
	bool have = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
	uint32_t a, b, c = 0, d;

	if (how == FSBASE_WRFSBASE && !have)
		return false;
	arch_fsgsbase = have && how != FSBASE_SYSCALL;
	arch_pkeys = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & bit_OSPKE);
	return true;
}

/* The first word of a TCB is its own address: the ABI's promise for the TLS variant in use. */
void *gettls(void)
{
	void *tcb;

	__asm__ volatile("mov %%fs:0, %0" : "=r"(tcb));
	return tcb;
}

void settls(void *tcb)
{
	if (arch_fsgsbase)
		__asm__ volatile("wrfsbase %0" : : "r"(tcb) : "memory");
	else
		SC2(SYS_arch_prctl, ARCH_SET_FS, tcb);
}

void gostartcall(struct g *gp, void *hi)
{
	uint64_t *sp = (uint64_t *)((uintptr_t)hi & ~(uintptr_t)15);

	/*
	 * Fresh stacks are zero, recycled ones are not: a frame-pointer walk must find its end
	 * here.
	 */
	*--sp = 0;
	*--sp = 0;
	*--sp = (uint64_t)gostartstub;
	*--sp = 0;		 /* rbp */
	*--sp = (uint64_t)gp;	 /* rbx */
	sp -= 5;		 /* r12-r15, control words */
	sp[1] = sp[2] = sp[3] = sp[4] = 0;
	/*
	 * POSIX: a thread inherits its creator's floating-point environment, and this is the
	 * creator.
	 */
	sp[0] = 0;
	__asm__ volatile("stmxcsr %0" : "=m"(*(uint32_t *)sp));
	__asm__ volatile("fnstcw %0" : "=m"(*((uint16_t *)sp + 2)));
	gp->sched.sp = sp;
}

/*
 * A ret instruction is the byte 0xc3, wherever it stands: the caller's own function has one not far
 * behind. If not within its page, our own return address has to do (RUNPATH is then not the caller's).
 */
__attribute__((visibility("hidden"))) void *callas(const void *near, const void *fn, uintptr_t a, uintptr_t b, uintptr_t c)
{
	const unsigned char *p = near, *end = (const unsigned char *)(((uintptr_t)near | 4095) + 1);

	while (p < end && *p != 0xc3)
		p++;
	if (p == end)
		return ((void *(*)(uintptr_t, uintptr_t, uintptr_t))fn)(a, b, c);
	return callfrom(p, fn, a, b, c);
}
