/* SPDX-License-Identifier: MIT
 *
 * test_filter.c: seccomp filters are run as the kernel runs them, for each call that the runtime needs.
 */
#include "unit.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RET(k) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_##k)
#define JUMP(op, k, t, f) BPF_JUMP(BPF_JMP | BPF_##op | BPF_K, k, t, f)
#define FORBIDS(...)                                                                               \
	filterforbids((struct sock_filter[]){__VA_ARGS__}, sizeof((struct sock_filter[]){__VA_ARGS__}) / sizeof(struct sock_filter))

static bool says(const char *why, const char *call)
{
	return why != NULL && strcmp(strrchr(why, ' ') + 1, call) == 0;
}

Test(filter, broad)
{
	cr_assert_null(FORBIDS(RET(ALLOW)));
	cr_assert_null(FORBIDS(RET(LOG)));
	cr_assert_null(FORBIDS(LOAD(nr), JUMP(JEQ, SYS_reboot, 0, 1), RET(KILL_PROCESS), RET(ALLOW)));
	cr_assert_null(FORBIDS(LOAD(arch), JUMP(JEQ, AUDIT_ARCH_X86_64, 1, 0), RET(KILL_PROCESS), RET(ALLOW)));
}

Test(filter, narrow)
{
	cr_assert_not_null(FORBIDS(RET(KILL_PROCESS)));
	cr_assert_not_null(FORBIDS(RET(TRAP)));
	cr_assert_not_null(FORBIDS(LOAD(arch), JUMP(JEQ, AUDIT_ARCH_I386, 0, 1), RET(ALLOW), RET(KILL_PROCESS)));
	cr_assert(says(FORBIDS(LOAD(nr), JUMP(JEQ, SYS_epoll_ctl, 0, 1), RET(KILL_THREAD), RET(ALLOW)), "epoll_ctl"));
	cr_assert(says(FORBIDS(LOAD(nr), JUMP(JEQ, SYS_tgkill, 0, 1), RET(ERRNO) /* 0 */, RET(ALLOW)), "tgkill"));
}

Test(filter, instructions)
{
	/* A binary search, as libseccomp writes it. */
	cr_assert(says(FORBIDS(LOAD(nr), JUMP(JGT, SYS_preadv2 - 1, 0, 2), JUMP(JGE, SYS_preadv2 + 1, 1, 0), RET(KILL_PROCESS), RET(ALLOW)),
		       "preadv2"));
	/* The number by way of memory, X and arithmetic: (nr + 5 - 5) & 0xffff | 0 */
	cr_assert(says(FORBIDS(LOAD(nr), BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 5), BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LDX | BPF_MEM, 3),
			       BPF_STMT(BPF_LD | BPF_IMM, 0), BPF_STMT(BPF_MISC | BPF_TXA, 0), BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 5),
			       BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xffff), BPF_STMT(BPF_ALU | BPF_OR | BPF_K, 0),
			       BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_LD | BPF_IMM, SYS_epoll_pwait),
			       BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1), RET(KILL_PROCESS), RET(ALLOW)),
		       "epoll_pwait"));
	/* A jump over what would allow, and the accumulator returned. */
	cr_assert_not_null(FORBIDS(BPF_STMT(BPF_JMP | BPF_JA, 1), RET(ALLOW), BPF_STMT(BPF_LD | BPF_IMM, SECCOMP_RET_TRAP),
				   BPF_STMT(BPF_RET | BPF_A, 0)));
	cr_assert_null(FORBIDS(BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), JUMP(JEQ, sizeof(struct seccomp_data), 1, 0), RET(TRAP),
			       BPF_STMT(BPF_LD | BPF_IMM, 0x3ffc0000), BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 1),
			       BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, SECCOMP_RET_ALLOW ^ 0x7ff80000), BPF_STMT(BPF_RET | BPF_A, 0)));
}
