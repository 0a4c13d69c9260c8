/* SPDX-License-Identifier: MIT
 *
 * dlprobe.S: DLPROBES stubs of DLPROBESIZE bytes: note the first argument, go on to where the caller
 * wanted to be, with every register as it was.
 */
	.text
	.globl	dlprobe
	.hidden	dlprobe
	.type	dlprobe, @function
	.p2align 4
dlprobe:
	.cfi_startproc
	.set	i, 0
	.rept	32
	.p2align 4
	mov	%rdi, dlprobe_arg + i*8(%rip)
	jmp	*dlprobe_fn + i*8(%rip)
	.set	i, i + 1
	.endr
	.p2align 4
	.cfi_endproc
	.size	dlprobe, .-dlprobe

	.section .note.GNU-stack, "", @progbits
