/* SPDX-License-Identifier: MIT
 *
 * sigframe.c (x86-64): the kernel's signal frame, and how it is taken to another stack.
 *
 * From its lowest address: return address (8), ucontext as the kernel has it (304), siginfo (128); then,
 * aligned to 64, the vector state, which uc_mcontext.fpregs points to. Its size is in its own words at 464
 * (magic, size, bits of what it holds) if it is more than the 512 bytes of fxsave.
 */
#include "runtime.h"
#include <string.h>
#include <ucontext.h>

enum { FRAME = 8 + 304 + 128, FXSAVE = 512, SWBYTES = 464, XMAGIC1 = 0x46505853, XTILEDATA = 1 << 18 };

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

/*
 * The frame has AMX tiles in it, but this kernel thread has never used any: the kernel keeps no room for them, and sigreturn
 * would then restore no more than what fxsave knows, without a word. Using a tile makes room.
 */
void sigtiles(const void *ctx)
{
	const struct {
		uint8_t palette, row, zero[14];
		uint16_t width[16];
		uint8_t rows[16];
	} one = {.palette = 1, .width = {64}, .rows = {1}};
	const ucontext_t *uc = ctx;
	const uint32_t *sw = (const uint32_t *)((const char *)uc->uc_mcontext.fpregs + SWBYTES);

	if (uc->uc_mcontext.fpregs == NULL || sw[0] != XMAGIC1 || !(sw[2] & XTILEDATA))
		return;
	__asm__ volatile("ldtilecfg %0\n\ttilezero %%tmm0\n\ttilerelease" : : "m"(one));
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
