/* SPDX-License-Identifier: MIT
 *
 * slots.S (x86-64): the page where deep.c puts the beginnings of the functions it has patched (see patch.c). It is in
 * our text so that it is near libc's, and for its unwind information: on entry of a function the
 * caller's frame is just above the return address. (A push there makes that untrue for one instruction.)
 */
	.section .text.slots, "ax", @progbits
	.globl	deepslots
	.hidden	deepslots
	.type	deepslots, @function
	.p2align 12
deepslots:
	.cfi_startproc
	.fill	4096, 1, 0xcc
	.cfi_endproc
	.size	deepslots, .-deepslots

	.section .note.GNU-stack, "", @progbits
