/* SPDX-License-Identifier: MIT
 *
 * syscall.S: the entry of syscall() (x86-64).
 *
 * One indirect jump, and no frame of ours below a call that we leave alone: it may be one that returns twice or on another
 * stack. syscallentry (syscall.c) says where to: syscallraw until our constructor ran, then syscallearly: libc's own, but for
 * seccomp(2), which decides whether a pool may start; and syscallpool (clone.S) once it has.
 */
	.text
	.globl	syscall
	.type	syscall, @function
	.p2align 4
syscall:
	.cfi_startproc
	jmp	*syscallentry(%rip)
	.cfi_endproc
	.size	syscall, .-syscall

	.globl	syscallearly
	.hidden	syscallearly
	.type	syscallearly, @function
	.p2align 4
syscallearly:
	.cfi_startproc
	cmp	$317, %rdi			/* SYS_seccomp */
	je	gosyscall
	jmp	*syscalllibc(%rip)
	.cfi_endproc
	.size	syscallearly, .-syscallearly

/* long syscallraw(long n, ...): what libc's does. */
	.globl	syscallraw
	.hidden	syscallraw
	.type	syscallraw, @function
	.p2align 4
syscallraw:
	.cfi_startproc
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsi
	mov	%rcx, %rdx
	mov	%r8, %r10
	mov	%r9, %r8
	mov	8(%rsp), %r9
	syscall
	cmp	$-4095, %rax
	jae	1f
	ret
1:	neg	%eax
	push	%rax
	.cfi_adjust_cfa_offset 8
	call	__errno_location@PLT
	pop	%rcx
	.cfi_adjust_cfa_offset -8
	mov	%ecx, (%rax)
	mov	$-1, %rax
	ret
	.cfi_endproc
	.size	syscallraw, .-syscallraw

	.section .note.GNU-stack, "", @progbits
