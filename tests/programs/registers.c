/* SPDX-License-Identifier: MIT */
/* Whatever a thread has in its registers is there when it goes on: general purpose registers, the
 * red zone below the stack pointer, flags (DF too), x87 with control word and top of stack, SSE
 * with MXCSR, AVX, AVX-512, AMX tiles as far as the CPU has them; string instructions go on where
 * they were. Each thread has values of its own. With an argument it goes on until SIGTERM. */
#include "t.h"
#include <cpuid.h>
#include <signal.h>
#include <sys/syscall.h>

enum { THREADS = 6, SPIN = 60000, BLOCK = 1 << 16 };
enum { GENERAL, FLAGS, X87, SSE, AVX, AVX512, AMX, STRINGS, CLASSES };
static const char *const names[CLASSES] = {"general", "flags",	 "x87", "sse",
					   "avx",     "avx-512", "amx", "strings"};
static bool there[CLASSES];
static volatile sig_atomic_t over;

/* ---- general purpose: what differs after n rounds, or'ed */

unsigned long general(unsigned long seed, unsigned long n);
#define REGS(X)                                                                                    \
	X(1, rax)                                                                                  \
	X(2, rbx) X(3, rdx) X(4, rsi) X(5, rbp) X(6, r8) X(7, r9) X(8, r10) X(9, r11) X(10, r12)   \
	    X(11, r13) X(12, r14) X(13, r15)
#define ZONE(X)                                                                                    \
	X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16)
#define SET(k, r) "lea " #k "(%rdi), %" #r "\n"
#define TEST(k, r) "sub $" #k ", %" #r "\nxor %rdi, %" #r "\nor %" #r ", %rcx\n"
#define ZSET(k) "lea " #k "00(%rdi), %rax\nmov %rax, -8*" #k "(%rsp)\n"
#define ZTEST(k) "mov -8*" #k "(%rsp), %rax\nsub $" #k "00, %rax\nxor %rdi, %rax\nor %rax, %rcx\n"
__asm__(".text\n.type general, @function\ngeneral:\n"
	"push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
	"mov %rsi, %rcx\n" ZONE(ZSET) REGS(SET) "1: dec %rcx\njnz 1b\n" REGS(TEST)
	    ZONE(ZTEST) "mov %rcx, %rax\n"
			"pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n.size "
			"general, .-general\n");

/* ---- flags: `loop` touches none */

unsigned long flags(unsigned long set, unsigned long n);
__asm__(".text\n.type flags, @function\nflags:\n"
	"mov %rsi, %rcx\npush %rdi\npopfq\n1: loop 1b\npushfq\npop %rax\ncld\nret\n.size flags, "
	".-flags\n");

static bool flagskept(unsigned long seed)
{
	const unsigned long mask = 0xcd5; /* CF PF AF ZF SF DF OF */
	unsigned long want = (seed * 0x9e3779b97f4a7c15u >> 20) & mask;

	return (flags(want | 0x202, SPIN) & mask) == want;
}

/* ---- x87: eight values of 80 bits, control word, status word (top of stack and conditions) */

static bool x87kept(unsigned long seed)
{
	long double in[8], out[8];
	unsigned short cw = (unsigned short)(0x7f | (seed & 3) << 10 | (seed & 4 ? 0x300 : 0)), cw2,
		       sw, sw2;

	for (int i = 0; i < 8; i++)
		in[i] = (long double)(seed * 8 + (unsigned)i) / 7;
	__asm__ volatile("fninit\nfldcw %[cw]\n"
			 "fldt 112(%[in])\nfldt 96(%[in])\nfldt 80(%[in])\nfldt 64(%[in])\nfldt "
			 "48(%[in])\nfldt 32(%[in])\n"
			 "fldt 16(%[in])\nfldt (%[in])\nfucom %%st(1)\nfnstsw %[sw]\n"
			 "mov %[n], %%rcx\n1: dec %%rcx\njnz 1b\n"
			 "fnstsw %[sw2]\nfnstcw %[cw2]\n"
			 "fstpt (%[out])\nfstpt 16(%[out])\nfstpt 32(%[out])\nfstpt "
			 "48(%[out])\nfstpt 64(%[out])\n"
			 "fstpt 80(%[out])\nfstpt 96(%[out])\nfstpt 112(%[out])\nfninit"
			 : [sw] "=m"(sw), [sw2] "=m"(sw2), [cw2] "=m"(cw2), "=m"(out)
			 : [cw] "m"(cw), [in] "r"(in), [out] "r"(out), [n] "i"(SPIN), "m"(in)
			 : "rcx", "cc", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)",
			   "st(7)");
	bool same = sw == sw2 && cw == cw2;
	for (int i = 0; i < 8; i++)
		same = same && memcmp(&in[i], &out[i], 10) == 0;
	return same;
}

/* ---- vectors */

#define V16(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define V32(X)                                                                                     \
	V16(X)                                                                                     \
	X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30)  \
	    X(31)
#define K7(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define CLOBBER                                                                                    \
	"rcx", "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",     \
	    "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#define LOOP "mov %[n], %%rcx\n1: dec %%rcx\njnz 1b\n"

static void values(void *buf, size_t n, unsigned long seed)
{
	unsigned long *p = buf;

	for (size_t i = 0; i < n / sizeof *p; i++)
		p[i] = seed = seed * 6364136223846793005u + 1442695040888963407u;
}

static bool ssekept(unsigned long seed)
{
	_Alignas(16) char in[256], out[256];
	unsigned csr = 0x1f80 | (unsigned)(seed & 3) << 13 | (seed & 4 ? 0x8040 : 0), csr2,
		 usual = 0x1f80;

	values(in, sizeof in, seed);
#define LD(k) "movaps 16*" #k "(%[in]), %%xmm" #k "\n"
#define ST(k) "movaps %%xmm" #k ", 16*" #k "(%[out])\n"
	__asm__ volatile(
	    "ldmxcsr %[csr]\n" V16(LD) LOOP V16(ST) "stmxcsr %[csr2]\nldmxcsr %[usual]"
	    : [csr2] "=m"(csr2)
	    : [csr] "m"(csr), [usual] "m"(usual), [in] "r"(in), [out] "r"(out), [n] "i"(SPIN)
	    : CLOBBER);
	return csr == csr2 && memcmp(in, out, sizeof in) == 0;
#undef LD
#undef ST
}

static bool avxkept(unsigned long seed)
{
	_Alignas(32) char in[512], out[512];

	values(in, sizeof in, seed);
#define LD(k) "vmovaps 32*" #k "(%[in]), %%ymm" #k "\n"
#define ST(k) "vmovaps %%ymm" #k ", 32*" #k "(%[out])\n"
	__asm__ volatile(V16(LD) LOOP V16(ST) "vzeroupper"
			 :
			 : [in] "r"(in), [out] "r"(out), [n] "i"(SPIN)
			 : CLOBBER);
	return memcmp(in, out, sizeof in) == 0;
#undef LD
#undef ST
}

static bool avx512kept(unsigned long seed)
{
	_Alignas(64) char in[2048 + 64], out[2048 + 64];

	values(in, sizeof in, seed);
#define LD(k) "vmovaps 64*" #k "(%[in]), %%zmm" #k "\n"
#define ST(k) "vmovaps %%zmm" #k ", 64*" #k "(%[out])\n"
#define KLD(k) "kmovq 2048+8*" #k "(%[in]), %%k" #k "\n"
#define KST(k) "kmovq %%k" #k ", 2048+8*" #k "(%[out])\n"
	__asm__ volatile(V32(LD) K7(KLD) LOOP V32(ST) K7(KST) "vzeroupper"
			 :
			 : [in] "r"(in), [out] "r"(out), [n] "i"(SPIN)
			 : CLOBBER);
	return memcmp(in, out, 2048) == 0 && memcmp(in + 2056, out + 2056, 56) == 0;
#undef LD
#undef ST
}

/* Tiles: 8 of 16 rows of 64 bytes. */
static bool amxkept(unsigned long seed)
{
	struct {
		unsigned char palette, row, zero[14];
		unsigned short width[16];
		unsigned char rows[16];
	} cfg = {.palette = 1};
	static __thread _Alignas(64) char in[2][1024], out[2][1024];

	for (int i = 0; i < 8; i++) {
		cfg.width[i] = 64;
		cfg.rows[i] = 16;
	}
	values(in, sizeof in, seed);
	__asm__ volatile("ldtilecfg %[cfg]\ntileloadd (%[in0], %[w], 1), %%tmm0\ntileloadd "
			 "(%[in1], %[w], 1), %%tmm7\n" LOOP
			 "tilestored %%tmm0, (%[out0], %[w], 1)\ntilestored %%tmm7, (%[out1], "
			 "%[w], 1)\ntilerelease"
			 :
			 : [cfg] "m"(cfg), [in0] "r"(in[0]), [in1] "r"(in[1]), [out0] "r"(out[0]),
			   [out1] "r"(out[1]), [w] "r"(64L), [n] "i"(SPIN)
			 : "rcx", "cc", "memory");
	return memcmp(in, out, sizeof in) == 0;
}

/* ---- string instructions, forwards and backwards */

static bool stringskept(unsigned long seed)
{
	static __thread unsigned char a[BLOCK], b[BLOCK];
	unsigned char *from = a, *to = b;
	unsigned long n = BLOCK;

	values(a, sizeof a, seed);
	__asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(n) : : "memory");
	bool same = n == 0 && from == a + BLOCK && to == b + BLOCK && memcmp(a, b, BLOCK) == 0;
	memset(b, 0, BLOCK);
	from = a + BLOCK - 1;
	to = b + BLOCK - 1;
	n = BLOCK;
	__asm__ volatile("std\nrep movsb\ncld" : "+S"(from), "+D"(to), "+c"(n) : : "memory", "cc");
	same = same && n == 0 && (uintptr_t)from == (uintptr_t)a - 1 && memcmp(a, b, BLOCK) == 0;
	to = b;
	n = BLOCK / 8;
	__asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(seed) : "memory");
	for (int i = 0; i < BLOCK / 8; i++)
		same = same && ((unsigned long *)b)[i] == seed;
	b[BLOCK - 1] ^= 1;
	from = b;
	to = b;
	n = BLOCK;
	unsigned char equal;
	__asm__ volatile("repe cmpsb\nsete %[e]"
			 : "+S"(from), "+D"(to), "+c"(n), [e] "=q"(equal)
			 :
			 : "memory", "cc");
	same = same && n == 0 && equal;
	to = b;
	n = BLOCK;
	__asm__ volatile("repe scasq\nsete %[e]"
			 : "+D"(to), "+c"(n), [e] "=q"(equal)
			 : "a"(seed)
			 : "memory", "cc");
	return same && !equal && to == b + BLOCK;
}

static bool kept(int kind, unsigned long seed)
{
	switch (kind) {
	case GENERAL:
		return general(seed, SPIN) == 0;
	case FLAGS:
		return flagskept(seed);
	case X87:
		return x87kept(seed);
	case SSE:
		return ssekept(seed);
	case AVX:
		return avxkept(seed);
	case AVX512:
		return avx512kept(seed);
	case AMX:
		return amxkept(seed);
	default:
		return stringskept(seed);
	}
}

static __thread unsigned long mine;

static void *holds(void *arg)
{
	unsigned long seed = (unsigned long)arg * 1000000007;

	mine = seed;
	for (long i = 0; over ? over == 1 : i < scaled(100); i++)
		for (int k = 0; k < CLASSES; k++)
			if (there[k] && (!kept(k, ++seed) || mine != seed - 1))
				t_fail(__FILE__, __LINE__, names[k], 0);
			else
				mine = seed;
	return arg;
}

static void onterm(int s)
{
	(void)s;
	over = 2;
}

static void look(void)
{
	unsigned a, b, c, d;

	there[GENERAL] = there[FLAGS] = there[X87] = there[SSE] = there[STRINGS] = true;
	there[AVX] = __builtin_cpu_supports("avx");
	there[AVX512] = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
	/* AMX: the program has to ask for it. */
	there[AMX] = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & 1 << 24) != 0 &&
		     syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18) == 0;
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = onterm};
	pthread_t t[THREADS];

	(void)argv;
	look();
	if (argc > 1) {
		over = 1;
		MUST(sigaction(SIGTERM, &sa, NULL) == 0);
	}
	for (long i = 0; i < THREADS; i++)
		t[i] = start(holds, (void *)(i + 1));
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	for (int i = 0; i < CLASSES; i++)
		say("%s: %s", names[i], there[i] ? "kept" : "not on this machine");
	return 0;
}
