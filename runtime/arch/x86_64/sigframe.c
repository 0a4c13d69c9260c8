/* SPDX-License-Identifier: MIT
 *
 * sigframe.c (x86-64): the kernel's signal frame, and how it is taken to another stack.
 *
 * From its lowest address: return address (8), ucontext as the kernel has it (304), siginfo (128); then,
 * aligned to 64, the vector state, which uc_mcontext.fpregs points to. Its size is in its own words at 464
 * (magic, size) if it is more than the 512 bytes of fxsave.
 */
#include "runtime.h"
#include <string.h>
#include <ucontext.h>

enum { FRAME = 8 + 304 + 128, FXSAVE = 512, SWBYTES = 464, XMAGIC1 = 0x46505853 };

static size_t vectorsize(const ucontext_t *uc)
{
	const uint32_t *sw = (const uint32_t *)((const char *)uc->uc_mcontext.fpregs + SWBYTES);

	if (uc->uc_mcontext.fpregs == NULL)
		return 0;
	return sw[0] == XMAGIC1 ? sw[1] : FXSAVE;
}

uintptr_t sigmoved(uintptr_t frame, void *uc, uintptr_t top)
{
	uintptr_t vec = (top - vectorsize(uc)) & ~(uintptr_t)63;

	(void)frame;
	return ((vec - FRAME) & ~(uintptr_t)15) - 8; /* as after a call */
}

void sigmove(uintptr_t frame, void *ctx, uintptr_t to)
{
	ucontext_t *uc = ctx, *copy = (ucontext_t *)(to + ((uintptr_t)uc - frame));
	uintptr_t vec = (to + FRAME + 63) & ~(uintptr_t)63;

	memcpy((void *)to, (void *)frame, FRAME);
	if (uc->uc_mcontext.fpregs == NULL)
		return;
	memcpy((void *)vec, uc->uc_mcontext.fpregs, vectorsize(uc));
	copy->uc_mcontext.fpregs = (void *)vec;
}

bool sigeintr(const void *ctx)
{
	const greg_t *regs = ((const ucontext_t *)ctx)->uc_mcontext.gregs;
	const uint8_t *pc = (const uint8_t *)regs[REG_RIP];

	return regs[REG_RAX] == -EINTR && pc[-2] == 0x0f && pc[-1] == 0x05;
}

void sigskip(void *ctx, long r)
{
	greg_t *regs = ((ucontext_t *)ctx)->uc_mcontext.gregs;
	const uint8_t *pc = (const uint8_t *)regs[REG_RIP];

	if (pc[0] != 0x0f || pc[1] != 0x05)
		return;
	regs[REG_RIP] += 2;
	regs[REG_RAX] = r;
}
