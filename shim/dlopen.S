/* SPDX-License-Identifier: MIT
 *
 * dlopen.S: dlopen() and dlmopen() as they are exported (x86-64): on to libc's, with the caller's return address as it
 * was. Not in C: libc looks at that address, and an exception that a constructor throws is unwound through it. Where
 * ld.so's pointers could not be hooked: to dl.c.
 */
	.macro forward name, byname, real
	.globl	\name
	.type	\name, @function
	.p2align 4
\name:
	.cfi_startproc
	cmpb	$0, runtime_dlnames(%rip)
	jne	\byname
	push	%rdi
	.cfi_adjust_cfa_offset 8
	push	%rsi
	.cfi_adjust_cfa_offset 8
	push	%rdx
	.cfi_adjust_cfa_offset 8
	call	\real
	pop	%rdx
	.cfi_adjust_cfa_offset -8
	pop	%rsi
	.cfi_adjust_cfa_offset -8
	pop	%rdi
	.cfi_adjust_cfa_offset -8
	jmp	*%rax
	.cfi_endproc
	.size	\name, .-\name
	.endm

	.text
	forward	dlopen, dlopenbyname, realdlopen
	forward	dlmopen, dlmopenbyname, realdlmopen

	.section .note.GNU-stack, "", @progbits
