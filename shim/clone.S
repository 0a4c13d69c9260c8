/* SPDX-License-Identifier: MIT
 *
 * clone.S: syscall(SYS_clone), clone3 and fork once the pool has started (x86-64).
 *
 * As libc's syscall(), it returns to the caller in the child too: on a copy of the stack, on another stack on which the
 * caller has put the address to return to, or (CLONE_VM without a stack) on the very same one. In that case the child's next
 * call overwrites the parent's return address; with CLONE_VFORK, where the parent waits, it is kept in a register.
 *
 * What clonebegin() said is in r9 over the call: the kernel keeps it, and clone takes five arguments.
 */
	.text
	.globl	syscallpool
	.hidden	syscallpool
	.type	syscallpool, @function
	.p2align 4
syscallpool:
	.cfi_startproc
	cmp	$56, %rdi			/* SYS_clone, fork, vfork */
	jb	gosyscall
	cmp	$58, %rdi
	jb	sysclone
	je	vfork@PLT
	cmp	$435, %rdi			/* SYS_clone3 */
	jne	gosyscall
sysclone:
	push	%rdi
	.cfi_adjust_cfa_offset 8
	push	%rsi
	.cfi_adjust_cfa_offset 8
	push	%rdx
	.cfi_adjust_cfa_offset 8
	push	%rcx
	.cfi_adjust_cfa_offset 8
	push	%r8
	.cfi_adjust_cfa_offset 8
	push	%r9
	.cfi_adjust_cfa_offset 8
	sub	$8, %rsp
	.cfi_adjust_cfa_offset 8
	call	syscloning
	add	$8, %rsp
	.cfi_adjust_cfa_offset -8
	pop	%r8				/* the arguments, one place further */
	.cfi_adjust_cfa_offset -8
	pop	%r10
	.cfi_adjust_cfa_offset -8
	pop	%rdx
	.cfi_adjust_cfa_offset -8
	pop	%rsi
	.cfi_adjust_cfa_offset -8
	pop	%rdi
	.cfi_adjust_cfa_offset -8
	pop	%r11
	.cfi_adjust_cfa_offset -8
	mov	%rax, %r9
	mov	%r11, %rax
	cmp	$4, %r9				/* CLONED_NOMEM */
	je	3f
	cmp	$2, %r9				/* CLONED_VFORK */
	jne	1f
	cmp	$56, %rax
	jne	1f
	test	%rsi, %rsi
	jz	4f
1:	syscall
	test	%rax, %rax
	jz	2f
	push	%rax
	.cfi_adjust_cfa_offset 8
	mov	%r9, %rdi
	mov	%rax, %rsi
	call	cloneparent
	pop	%rax
	.cfi_adjust_cfa_offset -8
	cmp	$-4095, %rax
	jae	5f
	ret

	/* The child, on whatever stack. */
2:	push	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	mov	%rsp, %rbp
	.cfi_def_cfa_register rbp
	and	$-16, %rsp
	mov	%r9, %rdi
	call	clonechild
	mov	%rbp, %rsp
	.cfi_def_cfa_register rsp
	pop	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbp
	xor	%eax, %eax
	ret

3:	mov	$-12, %rax			/* ENOMEM */
	jmp	5f

	/* A vfork on one stack: r9 is where to return to. */
4:	pop	%r9
	.cfi_adjust_cfa_offset -8
	.cfi_register rip, r9
	syscall
	push	%r9
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rip, 0
	mov	$2, %edi
	push	%rax
	.cfi_adjust_cfa_offset 8
	mov	%rax, %rsi
	test	%rax, %rax
	jz	6f
	call	cloneparent
	pop	%rax
	.cfi_adjust_cfa_offset -8
	cmp	$-4095, %rax
	jae	5f
	ret
	.cfi_adjust_cfa_offset 8
6:	call	clonechild
	pop	%rax
	.cfi_adjust_cfa_offset -8
	ret

5:	neg	%eax
	push	%rax
	.cfi_adjust_cfa_offset 8
	call	__errno_location@PLT
	pop	%rcx
	.cfi_adjust_cfa_offset -8
	mov	%ecx, (%rax)
	mov	$-1, %rax
	ret
	.cfi_endproc
	.size	syscallpool, .-syscallpool

	.section .note.GNU-stack, "", @progbits
