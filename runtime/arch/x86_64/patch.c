/* SPDX-License-Identifier: MIT
 *
 * patch.c (x86-64): a jump over a function's entry, and a copy of what it covers.
 *
 * The jump takes five bytes. The instructions it covers, whole ones, go to a slot elsewhere,
 * followed by a jump to what comes after them: calling the slot is calling the function as it was.
 * Addresses relative to the program counter are made to fit; short branches become long ones.
 *
 * Only instructions that a function can begin with are understood; at any other, the function is
 * left alone. It is also left alone if a branch may lead to a covered instruction other than the
 * first, or a loop to the first: every byte around it is taken for the beginning of a branch, so
 * that none is overlooked whatever the boundaries are there.
 *
 * An endbr64 stays where it is: who calls by a pointer must find it. The jump is behind it, and the
 * slot has one, too.
 *
 * Calls are not copied: they would return to the slot, where no unwind information holds.
 */
#include "arch.h"
#include <stddef.h>
#include <string.h>

enum { WINDOW = 4096, BODY = 1024 };

struct insn {
	int len;
	int disp;   /* where its displacement from the next instruction is, 4 bytes; 0: none */
	int branch; /* 1: a short conditional jump; 2: a near one; 3: jmp near */
};

/* The length of ModRM, SIB and displacement at p. */
static int modrm(const uint8_t *p, bool *riprel)
{
	int mod = p[0] >> 6, rm = p[0] & 7, n = 1;

	*riprel = false;
	if (mod == 3)
		return n;
	if (rm == 4) {
		n++;
		if (mod == 0 && (p[1] & 7) == 5)
			n += 4;
	} else if (mod == 0 && rm == 5) {
		*riprel = true;
		n += 4;
	}
	return n + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

/* Operands in ModRM form, and how many bytes of immediate follow them; -1: not one of those we
 * know. */
static int immediate(const uint8_t *op)
{
	static const uint8_t plain[] = {0x01, 0x09, 0x21, 0x29, 0x31, 0x33, 0x39, 0x3b, 0x63,
					0x84, 0x85, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8d};

	for (size_t i = 0; i < sizeof(plain); i++)
		if (op[0] == plain[i])
			return 0;
	if (op[0] == 0x80 || op[0] == 0x83 || op[0] == 0xc6)
		return 1;
	if (op[0] == 0x81 || op[0] == 0xc7)
		return 4;
	return -1;
}

static bool decode(const uint8_t *code, struct insn *in)
{
	const uint8_t *p = code;
	bool riprel = false;
	int rex = 0, imm;

	*in = (struct insn){0, 0, 0};
	if (*p == 0x64) /* %fs: */
		p++;
	if ((*p & 0xf0) == 0x40)
		rex = *p++;
	if (*p >= 0x50 && *p <= 0x57) { /* push */
		p++;
	} else if (*p == 0x6a) {
		p += 2;
	} else if (*p >= 0xb8 && *p <= 0xbf) {
		p += (rex & 8) ? 9 : 5;
	} else if (*p == 0x25 || *p == 0x3d ||
		   *p == 0xa9) { /* and, cmp, test of eax with an immediate */
		p += 5;
	} else if (*p >= 0x70 && *p <= 0x7f) {
		in->branch = 1;
		p += 2;
	} else if (*p == 0xe9) {
		in->branch = 3;
		p += 5;
	} else if (*p == 0x0f && p[1] == 0x05) { /* syscall */
		p += 2;
	} else if (*p == 0x0f && (p[1] & 0xf0) == 0x80) {
		in->branch = 2;
		p += 6;
	} else if (*p == 0x0f && ((p[1] & 0xf0) == 0x40 || p[1] == 0xb6 || p[1] == 0xb7)) {
		p += 2 + modrm(p + 2, &riprel);
		imm = 0;
		in->disp = riprel ? (int)(p - code) - 4 : 0;
	} else if ((imm = immediate(p)) >= 0) {
		p += 1 + modrm(p + 1, &riprel);
		in->disp = riprel ? (int)(p - code) - 4 : 0;
		p += imm;
	} else {
		return false;
	}
	in->len = (int)(p - code);
	if (in->branch >= 2)
		in->disp = in->len - 4;
	return true;
}

static int32_t get32(const uint8_t *p)
{
	int32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static bool put32(uint8_t *p, intptr_t v)
{
	int32_t v32 = (int32_t)v;

	memcpy(p, &v32, sizeof(v32));
	return v32 == v;
}

/*
 * May a branch lead to a boundary behind the jump's first byte (bit n: byte n), or, within the
 * function and not as a call or another's last jump, back to its beginning? lo, hi: of all code.
 */
static bool branchedto(const uint8_t *code, const uint8_t *lo, const uint8_t *hi, int at,
		       uint32_t boundaries)
{
	const uint8_t *from = code - lo > WINDOW ? code - WINDOW : lo,
		      *to = hi - code > WINDOW ? code + WINDOW : hi;

	for (const uint8_t *p = from; p + 6 <= to; p++) {
		ptrdiff_t d = -1;
		bool inside = false;
		if ((*p >= 0x70 && *p <= 0x7f) || *p == 0xeb || (*p >= 0xe0 && *p <= 0xe3)) {
			d = p + 2 + (int8_t)p[1] - code;
			inside = p > code;
		} else if (*p == 0xe8 || *p == 0xe9) {
			d = p + 5 + get32(p + 1) - code;
		} else if (*p == 0x0f && (p[1] & 0xf0) == 0x80) {
			d = p + 6 + get32(p + 2) - code;
			inside = p > code && p - code < BODY;
		}
		if ((d > at && d < at + PATCHJUMP && (boundaries & 1u << d)) ||
		    (at > 0 && d == at) || (inside && d == 0))
			return true;
	}
	return false;
}

static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};

int patchat(const uint8_t *code)
{
	return memcmp(code, endbr64, sizeof(endbr64)) == 0 ? (int)sizeof(endbr64) : 0;
}

int patchspan(const uint8_t *code, const uint8_t *lo, const uint8_t *hi, enum patchwhy *why)
{
	uint32_t boundaries = 0;
	struct insn in;
	int at, n;

	*why = PATCH_BYTES;
	if (hi - code < 32)
		return 0;
	at = n = patchat(code);
	if (code[at] == 0xe9 || code[at] == 0xcc) /* somebody else's */
		return 0;
	while (n < at + PATCHJUMP) {
		if (hi - (code + n) < 16 || !decode(code + n, &in))
			return 0;
		boundaries |= 1u << n;
		n += in.len;
		if (in.branch == 3 && n < at + PATCHJUMP)
			return 0;
	}
	*why = PATCH_BRANCH;
	return branchedto(code, lo, hi, at, boundaries) ? 0 : n;
}

bool patchmulti(const uint8_t *code)
{
	struct insn in;

	return !decode(code + patchat(code), &in) || in.len < PATCHJUMP;
}

bool patchjump(uint8_t at[PATCHJUMP], uintptr_t ataddr, uintptr_t to)
{
	at[0] = 0xe9;
	return put32(at + 1, (intptr_t)(to - (ataddr + PATCHJUMP)));
}

bool patchcopy(uint8_t slot[SLOTLEN], uintptr_t addr, const uint8_t *code, int span)
{
	struct insn in;
	uint8_t *to = slot;
	int at = patchat(code);

	memcpy(to, code, (size_t)at);
	to += at;
	for (int n = at; n < span; n += in.len) {
		const uint8_t *from = code + n;
		uintptr_t next = (uintptr_t)from, target;
		if (!decode(from, &in))
			return false;
		next += (uintptr_t)in.len;
		if (in.branch == 1) {
			target = next + (uintptr_t)(intptr_t)(int8_t)from[1];
			to[0] = 0x0f;
			to[1] = from[0] + 0x10;
			to += 6;
			if (!put32(to - 4, (intptr_t)(target - (addr + (uintptr_t)(to - slot)))))
				return false;
		} else {
			memcpy(to, from, (size_t)in.len);
			to += in.len;
			target = next + (uintptr_t)(intptr_t)(in.disp ? get32(from + in.disp) : 0);
			if (in.disp && !put32(to - in.len + in.disp,
					      (intptr_t)(target - (addr + (uintptr_t)(to - slot)))))
				return false;
		}
		if (in.branch && target - (uintptr_t)code < (uintptr_t)span)
			return false;
	}
	return patchjump(to, addr + (uintptr_t)(to - slot), (uintptr_t)code + (uintptr_t)span);
}
