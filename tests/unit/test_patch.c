/* SPDX-License-Identifier: MIT
 *
 * test_patch.c: the jump over a function's entry, and the slot that stands for it: on code made by
 * hand, and on this machine's libc, all of whose text is searched for branches to where a jump
 * would be.
 */
#include "unit.h"
#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>

static uint8_t *page, *end; /* code, writable and executable: only here */

static void setup(void)
{
	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	cr_assert_neq(page, MAP_FAILED);
	memset(page, 0xcc, 8192);
	end = page + 8192;
}

/* The slot of code, at page + 2048. */
static int (*slotof(const uint8_t *code, int want))(int)
{
	uint8_t slot[SLOTLEN];
	enum patchwhy why;
	int span = patchspan(code, page, end, &why);

	cr_assert_eq(span, want, "span %d, not %d", span, want);
	cr_assert(patchcopy(slot, (uintptr_t)page + 2048, code, span));
	memcpy(page + 2048, slot, sizeof slot);
	return (int (*)(int))(void *)(page + 2048);
}

static int other(int x)
{
	return x + 1000;
}

/* What is at page is run as it was, by the slot, after its entry has been overwritten. */
static void both(const uint8_t *code, size_t n, int span, int arg, int want)
{
	memcpy(page, code, n);
	int (*f)(int) = (int (*)(int))(void *)page;
	cr_assert_eq(f(arg), want);
	int (*slot)(int) = slotof(page, span);
	cr_assert_eq(slot(arg), want);
	/* A way to `other`, which may be far away. */
	static const uint8_t far[] = {0x48, 0xb8};
	memcpy(page + 3000, far, 2);
	memcpy(page + 3002, &(void *){(void *)other}, 8);
	memcpy(page + 3010, (uint8_t[]){0xff, 0xe0}, 2);
	uint8_t *at = page + patchat(page);
	cr_assert(patchjump(at, (uintptr_t)at, (uintptr_t)page + 3000));
	cr_assert_eq(f(arg), arg + 1000);
	cr_assert_eq(slot(arg), want);
}
#define BOTH(span, arg, want, ...)                                                                 \
	both((uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}), span, arg, want)

Test(patch, one_instruction, .init = setup)
{
	BOTH(5, 0, 42, 0xb8, 42, 0, 0, 0, 0xc3); /* mov $42, %eax; ret */
	memcpy(page, (uint8_t[]){0xb8, 42, 0, 0, 0, 0xc3}, 6);
	cr_assert_not(patchmulti(page));
}

Test(patch, short_branch_becomes_long, .init = setup)
{
	/* cmp $3, %edi; je 1f; xor %eax, %eax; ret; 1: mov $7, %eax; ret */
	BOTH(5, 3, 7, 0x83, 0xff, 3, 0x74, 3, 0x31, 0xc0, 0xc3, 0xb8, 7, 0, 0, 0, 0xc3);
	BOTH(5, 4, 0, 0x83, 0xff, 3, 0x74, 3, 0x31, 0xc0, 0xc3, 0xb8, 7, 0, 0, 0, 0xc3);
	memcpy(page, (uint8_t[]){0x83, 0xff, 3, 0x74, 3}, 5);
	cr_assert(patchmulti(page));
}

Test(patch, relative_addresses, .init = setup)
{
	page[100] = 5;
	/* cmpb $5, 93(%rip); sete %al; movzbl %al, %eax; ret */
	BOTH(7, 0, 1, 0x80, 0x3d, 93, 0, 0, 0, 5, 0x0f, 0x94, 0xc0, 0x0f, 0xb6, 0xc0, 0xc3);
	/* endbr64; lea 0(%rip), %rax; sub $11, %rax ... gives its own address: as the copy would
	 * not, were it not mended */
	BOTH(11, 0, 11, 0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x8d, 0x05, 0, 0, 0,
	     0,					       /* the address of the next */
	     0x48, 0x8d, 0x15, 0xee, 0xff, 0xff, 0xff, /* lea -18(%rip), %rdx: the first */
	     0x29, 0xd0, 0xc3);			       /* sub %edx, %eax; ret */
	/* Who calls by a pointer finds the endbr64 still, and one in the slot. */
	static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa};
	cr_assert_eq(memcmp(page, endbr, 4), 0);
	cr_assert_eq(page[4], 0xe9);
	cr_assert_eq(memcmp(page + 2048, endbr, 4), 0);
}

Test(patch, usual_prologues, .init = setup)
{
	/* push %rbx; sub $16, %rsp; mov %edi, %eax; add $16, %rsp; pop %rbx; ret */
	BOTH(5, 9, 9, 0x53, 0x48, 0x83, 0xec, 0x10, 0x89, 0xf8, 0x48, 0x83, 0xc4, 0x10, 0x5b, 0xc3);
	/* push %r12; mov %rcx, %r10; xor %r12d, %r12d; mov %edi, %eax; pop %r12; ret */
	BOTH(5, 9, 9, 0x41, 0x54, 0x49, 0x89, 0xca, 0x45, 0x31, 0xe4, 0x89, 0xf8, 0x41, 0x5c, 0xc3);
	/* sub $120, %rsp; mov %rcx, 88(%rsp); mov %edi, %eax; add $120, %rsp; ret */
	BOTH(9, 9, 9, 0x48, 0x83, 0xec, 0x78, 0x48, 0x89, 0x4c, 0x24, 0x58, 0x89, 0xf8, 0x48, 0x83,
	     0xc4, 0x78, 0xc3);
	/* xor %eax, %eax; cmp $0x1234, %rax; mov %edi, %eax; ret */
	BOTH(8, 9, 9, 0x31, 0xc0, 0x48, 0x3d, 0x34, 0x12, 0, 0, 0x89, 0xf8, 0xc3);
	/* mov %fs:0, %rax; test %rax, %rax; setne %al; movzbl %al, %eax; ret */
	BOTH(9, 9, 1, 0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0x48, 0x85, 0xc0, 0x0f, 0x95, 0xc0,
	     0x0f, 0xb6, 0xc0, 0xc3);
}

static enum patchwhy refused(const uint8_t *code, size_t n)
{
	enum patchwhy why;

	memset(page, 0xcc, 4096);
	memcpy(page, code, n);
	cr_assert_eq(patchspan(page, page, end, &why), 0);
	return why;
}
#define REFUSED(...) refused((uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}))

Test(patch, left_alone, .init = setup)
{
	/* xor %eax, %eax; 1: add %edi, %eax; sub $1, %edi; jne 1b; ret: a loop into what would be
	 * covered */
	cr_assert_eq(REFUSED(0x31, 0xc0, 0x01, 0xf8, 0x83, 0xef, 1, 0x75, 0xf9, 0xc3),
		     PATCH_BRANCH);
	/* 1: add $1, %edi; mov %edi, %eax; cmp $9, %edi; jne 1b; ret: to the jump itself */
	cr_assert_eq(REFUSED(0x83, 0xc7, 1, 0x89, 0xf8, 0x83, 0xff, 9, 0x75, 0xf6, 0xc3),
		     PATCH_BRANCH);
	/* The same behind an endbr64. */
	cr_assert_eq(REFUSED(0xf3, 0x0f, 0x1e, 0xfa, 0x83, 0xc7, 1, 0x89, 0xf8, 0x83, 0xff, 9, 0x75,
			     0xf6, 0xc3),
		     PATCH_BRANCH);
	cr_assert_eq(REFUSED(0xc3), PATCH_BYTES); /* ret: too short */
	cr_assert_eq(REFUSED(0x31, 0xc0, 0xc3), PATCH_BYTES);
	cr_assert_eq(REFUSED(0x0f, 0xa2, 0x90, 0x90, 0x90, 0x90), PATCH_BYTES); /* cpuid */
	cr_assert_eq(REFUSED(0xe8, 0, 0, 0, 0), PATCH_BYTES);			/* call */
	cr_assert_eq(REFUSED(0xe9, 0, 0, 0, 0), PATCH_BYTES);	       /* somebody's jump */
	cr_assert_eq(REFUSED(0xcc, 0x3d, 0, 0, 0, 0, 5), PATCH_BYTES); /* a debugger's breakpoint */
	cr_assert_eq(REFUSED(0xff, 0x25, 0, 0, 0, 0), PATCH_BYTES);    /* jmp *0(%rip) */
}

Test(patch, too_far, .init = setup)
{
	uint8_t at[PATCHJUMP], slot[SLOTLEN];
	enum patchwhy why;

	cr_assert(patchjump(at, 0x7f0000000000, 0x7f0000000000 + (1l << 31)));
	cr_assert_not(patchjump(at, 0x7f0000000000, 0x7f0000000000 + (1l << 31) + 10));
	cr_assert(patchjump(at, 0x7f0080000000, 0x7f0000000010));
	cr_assert_not(patchjump(at, 0x7f0080000000, 0x7f0000000000));
	memcpy(page, (uint8_t[]){0xb8, 42, 0, 0, 0, 0xc3}, 6);
	cr_assert_not(
	    patchcopy(slot, (uintptr_t)page + (1l << 32), page, patchspan(page, page, end, &why)));
	/* The code is near, what it refers to is not. */
	memcpy(page, (uint8_t[]){0x80, 0x3d, 0xf0, 0xff, 0xff, 0x7f, 5, 0xc3}, 8);
	cr_assert_not(
	    patchcopy(slot, (uintptr_t)page - 4096, page, patchspan(page, page, end, &why)));
}

/* ---- this machine's libc --------------------------------------------------------------------- */

struct text {
	const uint8_t *lo, *hi;
};

static int findtext(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct text *t = arg;
	uintptr_t self = (uintptr_t)dlsym(RTLD_DEFAULT, "malloc_usable_size");

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + ph->p_vaddr;
		if (ph->p_type == PT_LOAD && (ph->p_flags & PF_X) && self - lo < ph->p_memsz) {
			t->lo = (const uint8_t *)lo;
			t->hi = t->lo + ph->p_memsz;
			return 1;
		}
	}
	return 0;
}

static const char *const names[] = {
    "read",	"write",	   "readv",	  "writev",	  "pread64",	"pwrite64",
    "recv",	"recvfrom",	   "recvmsg",	  "send",	  "sendto",	"sendmsg",
    "sendmmsg", "accept",	   "connect",	  "socket",	  "setsockopt", "open",
    "openat",	"close",	   "dup2",	  "fcntl",	  "ioctl",	"poll",
    "ppoll",	"select",	   "pselect",	  "epoll_wait",	  "wait4",	"nanosleep",
    "pipe2",	"clock_nanosleep", "posix_spawn", "posix_spawnp",
};

/* The first instructions of a function, by the same decoder; then every branch in libc that could
 * lead into them. */
Test(patch, libc_has_no_branch_to_a_jump)
{
	struct text t = {NULL, NULL};
	int patchable = 0;

	cr_assert(dl_iterate_phdr(findtext, &t));
	for (size_t i = 0; i < nelem(names); i++) {
		const uint8_t *code = dlsym(RTLD_DEFAULT, names[i]);
		enum patchwhy why;
		int span = code ? patchspan(code, t.lo, t.hi, &why) : 0;
		if (span == 0) {
			cr_log_info("%s would be left alone", names[i]);
			continue;
		}
		patchable++;
		for (const uint8_t *p = t.lo; p + 6 <= t.hi; p++) {
			int32_t rel;
			const uint8_t *to = NULL;
			if (*p == 0xe8 || *p == 0xe9) {
				memcpy(&rel, p + 1, 4);
				to = p + 5 + rel;
			} else if (*p == 0x0f && (p[1] & 0xf0) == 0x80) {
				memcpy(&rel, p + 2, 4);
				to = p + 6 + rel;
			}
			if (to > code && to < code + PATCHJUMP && !(p >= code && p < code + span))
				cr_assert(false,
					  "%s+%ld is the target of something at libc's text+%#lx",
					  names[i], (long)(to - code), (unsigned long)(p - t.lo));
		}
	}
	cr_log_info("%d of %zu can be patched", patchable, nelem(names));
}
