/* SPDX-License-Identifier: MIT
 *
 * sigtramp.S: void sigtramp(int sig, siginfo_t *info, void *uc)
 *
 * The kernel enters here as a handler, with rsp at the return address, which is libc's restorer. sigframe()
 * says where the frame is to be; if it has moved, info and uc have moved along. Then on to
 * sigtrampoline() as if the kernel had entered it there.
 *
 * A file of its own: asm.S links without the scheduler.
 */
	.text
	.globl	sigtramp
	.hidden	sigtramp
	.type	sigtramp, @function
	.p2align 4
sigtramp:
	.cfi_startproc
	push	%rdi
	.cfi_adjust_cfa_offset 8
	push	%rsi
	.cfi_adjust_cfa_offset 8
	push	%rdx
	.cfi_adjust_cfa_offset 8
	lea	24(%rsp), %rcx
	call	sigframe
	pop	%rdx
	.cfi_adjust_cfa_offset -8
	pop	%rsi
	.cfi_adjust_cfa_offset -8
	pop	%rdi
	.cfi_adjust_cfa_offset -8
	mov	%rax, %rcx
	sub	%rsp, %rcx
	add	%rcx, %rsi
	add	%rcx, %rdx
	mov	%rax, %rsp
	jmp	sigtrampoline
	.cfi_endproc
	.size	sigtramp, .-sigtramp

	.section .note.GNU-stack, "", @progbits
