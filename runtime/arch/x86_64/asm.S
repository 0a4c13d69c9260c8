/* SPDX-License-Identifier: MIT
 *
 * asm.S: switching stack and thread pointer together.
 *
 * A G that is not running has, from gp->sched.sp upwards:
 *
 *	mxcsr(4) x87cw(2) pad(2) | r15 r14 r13 r12 rbx rbp | return address
 *
 * that is all the C ABI lets a function keep over a call; every other register is dead at the call
 * of mcall(). struct g's first two words are sched.sp and tcb (asserted in tls.c).
 *
 * Rejected: exchanging the FS base only when the next G starts to run program code. The scheduler
 * would then run on a G's TLS which, the moment that G is on a queue, another M may load too:
 * errno, the stack canary and malloc's cache would have two users.
 */
	.text

#define G_SP 0
#define G_TCB 8

/*
 * Loads FS with the word at `src`. Spoils rax, rcx, r11, and rdi, rsi if the system call is used.
 */
.macro SETTLS src
	cmpl	$0, arch_fsgsbase(%rip)
	je	7f
	mov	\src, %rax
	wrfsbase %rax
	jmp	8f
7:	mov	\src, %rsi
	mov	$0x1002, %edi		/* ARCH_SET_FS */
	mov	$158, %eax		/* SYS_arch_prctl */
	syscall
8:
.endm

/*
 * void mcall(struct g *gp, struct g *g0, struct g *(*fn)(struct g *))
 * The stack changes before FS does: from the first instruction that touches g0's stack nothing
 * is written to gp's, and fn is the first who may publish gp.
 *
 * fn returns instead of going to gogo() by itself, and gogo() is jumped to, so that calls and returns are paired: if the next G
 * waited in the same place as this one, all its returns are as the CPU predicts them.
 */
	.globl	mcall
	.hidden	mcall
	.type	mcall, @function
	.p2align 4
mcall:
	.cfi_startproc
	push	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	push	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	push	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	push	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	push	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	push	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	sub	$8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	mov	%rsp, G_SP(%rdi)
	mov	%rdi, %rbx
	mov	%rdx, %rbp
	mov	G_SP(%rsi), %rsp
	.cfi_undefined rip		/* here the trace of the scheduler's stack ends */
	and	$-16, %rsp
	SETTLS	G_TCB(%rsi)
	mov	%rbx, %rdi
	mov	%rbp, %rax
	xor	%ebp, %ebp
	call	*%rax
	mov	%rax, %rdi
	jmp	gogo
	.cfi_endproc
	.size	mcall, .-mcall

/*
 * void gogo(struct g *gp)
 * FS before the stack: g0's stack is this M's alone, so being on it with gp's FS harms nobody.
 */
	.globl	gogo
	.hidden	gogo
	.type	gogo, @function
	.p2align 4
gogo:
	.cfi_startproc
	mov	%rdi, %rbx
	SETTLS	G_TCB(%rdi)
	mov	G_SP(%rbx), %rsp
	.cfi_def_cfa rsp, 64
	.cfi_offset rip, -8
	.cfi_offset rbp, -16
	.cfi_offset rbx, -24
	.cfi_offset r12, -32
	.cfi_offset r13, -40
	.cfi_offset r14, -48
	.cfi_offset r15, -56
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	add	$8, %rsp
	.cfi_adjust_cfa_offset -8
	pop	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore r15
	pop	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore r14
	pop	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore r13
	pop	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore r12
	pop	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	pop	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbp
	ret
	.cfi_endproc
	.size	gogo, .-gogo

/*
 * Outermost frame of every G: gostartcall() makes gogo() return here with gp in rbx and rbp 0.
 * The undefined rip tells libgcc's unwinder, libunwind and gdb that nobody called; without it they
 * go on into whatever lies above, and an exception nobody catches would not reach terminate().
 */
	.globl	gostartstub
	.hidden	gostartstub
	.type	gostartstub, @function
	.p2align 4
gostartstub:
	.cfi_startproc
	.cfi_undefined rip
	.cfi_undefined rbp
	nop				/* unwinders look at the return address less one */
	mov	%rbx, %rdi
	xor	%ebp, %ebp
	call	gostart
	ud2
	.cfi_endproc
	.size	gostartstub, .-gostartstub

/*
 * Where main's unwinding lands: libc's setjmp buffer in its frame below main() is made to point
 * here (gexit.c), so this is entered by a longjmp, with that frame's stack pointer.
 */
	.globl	mainunwound
	.hidden	mainunwound
	.type	mainunwound, @function
	.p2align 4
mainunwound:
	.cfi_startproc
	.cfi_undefined rip
	nop
	and	$-16, %rsp
	xor	%ebp, %ebp
	call	gomainexit
	ud2
	.cfi_endproc
	.size	mainunwound, .-mainunwound

/*
 * void *callfrom(const void *ret, void *(*fn)(), uintptr_t a, uintptr_t b, uintptr_t c)
 * Calls fn(a, b, c) so that it sees `ret`, the address of a ret instruction, as its return address;
 * from there the call comes back here.
 */
	.globl	callfrom
	.hidden	callfrom
	.type	callfrom, @function
	.p2align 4
callfrom:
	.cfi_startproc
	push	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset rbp, -16
	mov	%rsp, %rbp
	.cfi_def_cfa_register rbp
	mov	%rdi, %r10
	mov	%rsi, %r11
	mov	%rdx, %rdi
	mov	%rcx, %rsi
	mov	%r8, %rdx
	lea	1f(%rip), %rax
	sub	$8, %rsp		/* a function is entered 8 off a multiple of 16 */
	push	%rax
	push	%r10
	jmp	*%r11
1:	mov	%rbp, %rsp
	pop	%rbp
	.cfi_def_cfa rsp, 8
	ret
	.cfi_endproc
	.size	callfrom, .-callfrom

/*
 * long clone_m(void *stack, void *tcb, int *ptid, int *ctid, void (*fn)(void *), void *arg)
 * No CLONE_DETACHED-like forms and no clone3: the kernel reads nothing but registers.
 */
	.globl	clone_m
	.hidden	clone_m
	.type	clone_m, @function
	.p2align 4
clone_m:
	.cfi_startproc
	and	$-16, %rdi
	sub	$16, %rdi
	mov	%r8, (%rdi)
	mov	%r9, 8(%rdi)
	mov	%rsi, %r8		/* tls */
	mov	%rdi, %rsi		/* stack */
	mov	%rcx, %r10		/* child_tid; parent_tid is in rdx already */
	/* CLONE_VM|FS|FILES|SIGHAND|THREAD|SYSVSEM|SETTLS|PARENT_SETTID|CHILD_CLEARTID */
	mov	$0x3d0f00, %edi
	mov	$56, %eax		/* SYS_clone */
	syscall
	test	%rax, %rax
	jz	1f
	ret
1:	.cfi_undefined rip
	xor	%ebp, %ebp
	pop	%rax
	pop	%rdi
	call	*%rax
	xor	%edi, %edi
	mov	$60, %eax		/* SYS_exit */
	syscall
	ud2
	.cfi_endproc
	.size	clone_m, .-clone_m

	.section .note.GNU-stack, "", @progbits
