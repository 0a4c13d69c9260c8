/* SPDX-License-Identifier: MIT
 *
 * vfork.S: vfork() for a G (x86-64).
 *
 * The child runs on the caller's frames, in our memory, with the parent's TLS, and returns from here
 * before the parent does: so the return address is kept in a register, as libc does, and no C frame of
 * ours is below it. In the child runtime_g is nil (its wrappers pass through) and runtime_vforked has it
 * (the descriptor books are not touched; other threads still find the G by its pthread_t). The
 * parent, stopped until then, undoes both.
 *
 * rdi, rsi, rdx, r8, r9: the kernel keeps them, and the child has copies of its own.
 */
	.text
	.globl	vfork
	.globl	__vfork
	.type	vfork, @function
	.type	__vfork, @function
	.p2align 4
vfork:
__vfork:
	.cfi_startproc
	sub	$8, %rsp
	.cfi_adjust_cfa_offset 8
	call	vforkenter			/* the G, or nil; hands the P over */
	add	$8, %rsp
	.cfi_adjust_cfa_offset -8
	mov	%rax, %rsi
	pop	%rdi
	.cfi_adjust_cfa_offset -8
	.cfi_register rip, rdi
	mov	runtime_g@gottpoff(%rip), %r9
	mov	runtime_vforked@gottpoff(%rip), %rdx
	mov	%fs:(%rdx), %r8
	mov	$58, %eax			/* SYS_vfork */
	syscall
	push	%rdi
	.cfi_adjust_cfa_offset 8
	.cfi_offset rip, -8
	test	%eax, %eax
	jnz	1f
	mov	%fs:0, %rcx			/* not nil, and no G */
	test	%rsi, %rsi
	cmovz	%rcx, %rsi
	mov	%rsi, %fs:(%rdx)
	movq	$0, %fs:(%r9)
	xor	%eax, %eax
	ret
1:	mov	%rsi, %fs:(%r9)
	mov	%r8, %fs:(%rdx)
	push	%rax
	.cfi_adjust_cfa_offset 8
	mov	%rsi, %rdi
	call	vforkleave
	pop	%rax
	.cfi_adjust_cfa_offset -8
	test	%rax, %rax
	jns	2f
	neg	%eax
	push	%rax
	.cfi_adjust_cfa_offset 8
	call	__errno_location@PLT
	pop	%rcx
	.cfi_adjust_cfa_offset -8
	mov	%ecx, (%rax)
	mov	$-1, %rax
2:	ret
	.cfi_endproc
	.size	vfork, .-vfork

	.section .note.GNU-stack, "", @progbits
