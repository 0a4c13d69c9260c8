/* SPDX-License-Identifier: MIT
 *
 * test_tls.c: Gs switched by hand must be whole glibc threads: errno, TLS, TSD, malloc, stdio,
 * floating point, unwinding, exceptions, dlopen and fork; and a recycled one must look new.
 */
#define _GNU_SOURCE 1
#include "fakesched.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fenv.h>
#include <limits.h>
#include <malloc.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern int cxxdestroyed, cxxtls;
void cxxcall(void (*fn)(void));
void *cxxuncaught(void *);
long cxxcatch(void (*between)(void));
void cxxthreadlocal(void);

static __thread int tls = 42;
static __thread char big[3000];
static pthread_key_t key;
static int destroyed;

static void start(enum fsbase how)
{
	cr_assert_eq(fakestart(how), 0);
}

static void *nop(void *arg)
{
	return arg;
}

static void destroy(void *p)
{
	destroyed++;
	free(p);
}

/* Whatever libc keeps per thread, used between switches. */
static void *busy(void *arg)
{
	long id = (long)arg;
	jmp_buf env;
	char buf[100], want[100];

	cr_assert_eq(tls, 42);
	cr_assert_eq(big[2999], 0);
	cr_assert_eq(errno, 0);
	cr_assert_null(pthread_getspecific(key));
	tls += (int)id;
	big[2999] = 1;
	errno = (int)id;
	int *where = &errno;
	pthread_setspecific(key, strdup("x"));
	for (volatile int i = 0; i < 5; i++) {
		char *p = malloc(50 + (size_t)id);
		snprintf(want, sizeof want, "%ld %d %g", id, i, i * 1.5);
		if (setjmp(env) == 0) {
			goyield();
			longjmp(env, 1);
		}
		snprintf(buf, sizeof buf, "%ld %d %g", id, i, i * 1.5);
		cr_assert_str_eq(buf, want);
		free(p);
		cr_assert(isalpha('x'));
		cr_assert_eq(tls, 42 + id);
		cr_assert_eq(*where, id);
		cr_assert_eq((struct g *)gofthread(pthread_self()), getg());
		cr_assert_eq(selftid(), getg()->tid);
	}
	strerror(100000 + (int)id);
	strsignal(100000);
	dlsym(RTLD_DEFAULT, "there is no such symbol");
	return arg;
}

static void wholethreads(void)
{
	struct g *gs[50];

	pthread_key_create(&key, destroy);
	for (int round = 0; round < 3; round++) {
		for (long i = 0; i < 50; i++)
			gs[i] = go(busy, (void *)i);
		for (long i = 0; i < 50; i++)
			cr_assert_eq(join(gs[i]), (void *)i);
	}
	cr_assert_eq(destroyed, 150);
}

Test(tls, whole_threads)
{
	start(FSBASE_AUTO);
	wholethreads();
}

Test(tls, whole_threads_by_arch_prctl)
{
	start(FSBASE_SYSCALL);
	wholethreads();
}

/* As above, but ld.so initialises each block, as it does while the loader is at work. */
Test(tls, whole_threads_during_dlopen)
{
	start(FSBASE_AUTO);
	tlsdlbegin();
	wholethreads();
	tlsdlend();
	destroyed = 0;
	wholethreads();
}

static void *rounding(void *arg)
{
	int mode = (int)(long)arg;

	cr_assert_eq(fegetround(), FE_DOWNWARD, "inherited");
	fesetround(mode);
	goyield();
	volatile double one = 1.0, three = 3.0;
	volatile long double lone = 1.0L, lthree = 3.0L;
	cr_assert_eq(fegetround(), mode);
	cr_assert_eq(one / three > 1.0 / 3.0, mode == FE_UPWARD);
	cr_assert_eq(lone / lthree >= 1.0L / 3.0L, mode == FE_UPWARD); /* nearest is up here */
	return NULL;
}

Test(tls, floating_point_environment)
{
	start(FSBASE_AUTO);
	fesetround(FE_DOWNWARD);
	struct g *a = go(rounding, (void *)FE_UPWARD), *b = go(rounding, (void *)FE_DOWNWARD);
	join(a);
	join(b);
	cr_assert_eq(fegetround(), FE_DOWNWARD);
}

Test(tls, ids_are_new_and_foreign_threads_are_not_ours)
{
	pthread_t t;

	cr_assert_eq(selftid(), getpid());
	start(FSBASE_AUTO);
	cr_assert_eq(selftid(), getpid());
	struct g *gp = go(nop, NULL);
	int tid = gp->tid;
	cr_assert_eq(gofthread((uintptr_t)gp->tcb), gp);
	join(gp);
	cr_assert_eq(go(nop, NULL), gp, "recycled");
	cr_assert_neq(gp->tid, tid);
	join(gp);
	pthread_create(&t, NULL, nop, NULL);
	cr_assert_null(gofthread(t));
	cr_assert_null(gofthread(0));
	pthread_join(t, NULL);
	cr_assert_eq(gofthread(pthread_self()), &fakemain);
}

/* ---- ends ----------------------------------------------------------------------------------- */

static int cleaned;

static void clean(void *arg)
{
	goyield(); /* a handler may block */
	cleaned = cleaned * 10 + (int)(long)arg;
}

static void leave(void)
{
	goyield();
	gounwind((void *)77);
}

static void *unwinder(void *arg)
{
	pthread_cleanup_push(clean, (void *)2);
	pthread_cleanup_push(clean, (void *)1);
	cxxcall(leave);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return arg;
}

Test(tls, pthread_exit_unwinds)
{
	start(FSBASE_AUTO);
	for (int i = 1; i <= 3; i++) {
		struct g *a = go(unwinder, NULL), *b = go(unwinder, NULL);
		cleaned = 0;
		cr_assert_eq(join(a), (void *)77);
		cr_assert_eq(join(b), (void *)77);
		cr_assert(cleaned == 1122 || cleaned == 1212);
		cr_assert_eq(cxxdestroyed, 2 * i);
	}
}

static void *mainisgone(void *arg)
{
	cr_assert_eq(join(&fakemain), (void *)5);
	cr_assert_eq(cleaned, 7);
	cr_assert_eq(cxxdestroyed, 1);
	_exit(55);
	return arg;
}

static void leavemain(void)
{
	gounwind((void *)5);
}

/* main ends, the process stays: nobody may end the kernel thread below main(). */
Test(tls, pthread_exit_of_main, .exit_code = 55)
{
	pthread_cleanup_push(clean, (void *)7);
	start(FSBASE_AUTO);
	go(mainisgone, NULL);
	cxxcall(leavemain);
	pthread_cleanup_pop(0);
}

static void *catcher(void *arg)
{
	cr_assert_eq(cxxcatch(goyield), 84);
	cxxthreadlocal();
	return arg;
}

Test(tls, exceptions)
{
	start(FSBASE_AUTO);
	struct g *a = go(catcher, NULL), *b = go(catcher, NULL);
	join(a);
	join(b);
	cr_assert_eq(cxxtls, 0, "thread_local destructors");
}

Test(tls, uncaught_exception_terminates, .signal = SIGABRT)
{
	start(FSBASE_AUTO);
	freopen("/dev/null", "w", stderr);
	join(go(cxxuncaught, NULL));
}

static int rounds;

static void again(void *arg)
{
	rounds++;
	pthread_setspecific(key, arg);
}

static void *setonce(void *arg)
{
	pthread_setspecific(key, &rounds);
	return arg;
}

Test(tls, destructors_that_set_again)
{
	pthread_key_t k;

	start(FSBASE_AUTO);
	for (int i = 0; i < 40; i++) /* into the second-level blocks */
		pthread_key_create(&k, NULL);
	pthread_key_create(&key, again);
	join(go(setonce, NULL));
	cr_assert_eq(rounds, PTHREAD_DESTRUCTOR_ITERATIONS);
	join(go(setonce, NULL));
	cr_assert_eq(rounds, 2 * PTHREAD_DESTRUCTOR_ITERATIONS);
}

static void *tracer(void *arg)
{
	void *pcs[64];
	int n = backtrace(pcs, 64);

	cr_assert(n >= 2 && n < 10);
	n = 0;
	for (void **fp = __builtin_frame_address(0); fp; fp = *fp)
		cr_assert_lt(n++, 10);
	return arg;
}

Test(tls, traces_end)
{
	start(FSBASE_AUTO);
	join(go(tracer, NULL));
	join(go(tracer, NULL));
}

/* Dying threads free what libc allocated for them, and what its malloc keeps for them. */
Test(tls, nothing_leaks)
{
	size_t used = 0;

	start(FSBASE_AUTO);
	cr_assert_eq(tlstmpl.nkeep, 2, "tcache and thread_arena");
	pthread_key_create(&key, destroy);
	for (int i = 0; i < 1000; i++) {
		struct g *a = go(busy, (void *)1), *b = go(busy, (void *)2);
		join(a);
		join(b);
		if (i == 10)
			used = mallinfo2().uordblks;
	}
	cr_assert_lt(mallinfo2().uordblks, used + 4096);
}

static void *hoarder(void *arg)
{
	void *p[200];

	for (int i = 0; i < 200; i++)
		p[i] = malloc(16 + 16 * (size_t)(i / 7)); /* seven of a size are cached */
	for (int i = 0; i < 200; i++)
		free(p[i]);
	return arg;
}

/* What the thread freed is not kept for the next one; the rest goes when the shell is reaped. */
Test(tls, dead_threads_give_their_malloc_cache_back)
{
	start(FSBASE_AUTO);
	struct g *gp = go(hoarder, NULL);
	size_t none = mallinfo2().uordblks;
	join(gp);
	cr_assert_leq(mallinfo2().uordblks, none + 4000, "tcacheflush()");
	for (int i = 0; i < 100; i++) {
		cr_assert(tlsreap(gp));
		cr_assert_not(tlsreap(gp));
		cr_assert_leq(mallinfo2().uordblks, none + 1000);
		cr_assert_eq(go(hoarder, NULL), gp);
		join(gp);
	}
}

/* ---- libc at large -------------------------------------------------------------------------- */

static void *libcuser(void *arg)
{
	struct addrinfo *ai = NULL;
	char line[32] = "";

	cr_assert_eq(getaddrinfo("127.0.0.1", "80", NULL, &ai), 0);
	freeaddrinfo(ai);
	gethostbyname("localhost");
	FILE *f = popen("echo hello", "r");
	cr_assert_not_null(f);
	fgets(line, sizeof line, f);
	cr_assert_str_eq(line, "hello\n");
	cr_assert_eq(pclose(f), 0);
	cr_assert_eq(system("true"), 0);
	return arg;
}

Test(tls, resolver_popen_system)
{
	start(FSBASE_AUTO);
	for (int i = 0; i < 3; i++)
		join(go(libcuser, NULL));
}

static int childof(pid_t pid)
{
	int st = -1;

	waitpid(pid, &st, 0);
	return st;
}

/*
 * The forking G is the child's main thread; libc must be able to make threads there, and to fork
 * again.
 */
static void *forker(void *depth)
{
	pthread_t t;

	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();
		cr_assert_geq(pid, 0);
		if (pid) {
			cr_assert_eq(childof(pid), 0);
			continue;
		}
		tlsmain(getg(), true);
		if (selftid() != getpid() || getg()->tid != getpid())
			_exit(1);
		if (pthread_create(&t, NULL, nop, NULL) || pthread_join(t, NULL))
			_exit(2);
		if (depth)
			forker(NULL);
		_exit(0);
	}
	return NULL;
}

Test(tls, fork_in_a_g)
{
	start(FSBASE_AUTO);
	join(go(forker, (void *)1));
	join(go(forker, (void *)1));
}

/* In a fork's child without a pool the thread's end is the process's. */
static void *forkend(void *how)
{
	pid_t pid = fork();
	if (pid) {
		cr_assert_eq(childof(pid), 0);
		return NULL;
	}
	tlsmain(getg(), true);
	runtime_g = NULL;
	pthread_setspecific(key, strdup("x"));
	if (how)
		pthread_exit(how);
	return how;
}

Test(tls, end_of_a_forks_child)
{
	start(FSBASE_AUTO);
	pthread_key_create(&key, destroy);
	join(go(forkend, NULL));
	join(go(forkend, (void *)1));
}

static int (*modget)(void);
static void (*modset)(int);

static void *opener(void *path)
{
	tlsdlbegin();
	void *h = dlopen(path, RTLD_NOW);
	tlsdlend();
	cr_assert_not_null(h, "%s", dlerror());
	*(void **)&modget = dlsym(h, "modget");
	*(void **)&modset = dlsym(h, "modset");
	cr_assert_eq(modget(), 99, "the constructor ran in this thread");
	return NULL;
}

static void *moduser(void *arg)
{
	int id = (int)(long)arg;

	while (!modget)
		goyield();
	cr_assert_eq(modget(), 1234);
	modset(id);
	goyield();
	cr_assert_eq(modget(), id);
	return NULL;
}

static void modules(char *path)
{
	struct g *gs[10], *dead;

	start(FSBASE_AUTO);
	dead = go(nop, NULL);
	for (long i = 0; i < 9; i++)
		gs[i] = go(moduser, (void *)i);
	join(dead);
	gs[9] = go(opener, path);
	for (int i = 9; i >= 0; i--)
		join(gs[i]);
	cr_assert_eq(modget(), 1234);
	for (long i = 0; i < 10; i++)
		gs[i] = go(moduser, (void *)i);
	for (int i = 0; i < 10; i++)
		join(gs[i]);
}

Test(tls, dlopen_static)
{
	modules(TLSMOD_STATIC);
}

Test(tls, dlopen_dynamic)
{
	modules(TLSMOD_DYNAMIC);
}

static _Atomic int ctid = 1;
static int ptid;

static void kernelthread(void *arg)
{
	struct g *gp = arg;

	if (getg() != gp || pthread_self() != (pthread_t)gp->tcb || SC0(SYS_gettid) != ptid)
		abort();
	errno = 7;
	for (int i = 0; i < 1000; i++)
		free(malloc((size_t)i));
	if (errno != 7)
		abort();
	forker(NULL);
}

/* A raw kernel thread on a cloned TCB, as Ms are. */
Test(tls, clone_m)
{
	struct g g0 = {0};
	static uintptr_t dtv[4096];

	start(FSBASE_AUTO);
	cr_assert_eq(stackalloc(&g0, 64 << 10, 4096, NULL), 0);
	cr_assert_leq(tlstmpl.dtvlen, nelem(dtv));
	tlsg0(&g0, dtv);
	cr_assert_gt(clone_m(g0.stack.hi, g0.tcb, &ptid, (int *)&ctid, kernelthread, &g0), 0);
	for (int v; (v = atomic_load(&ctid)) != 0;)
		SC4(SYS_futex, &ctid, 0, v, NULL);
}

/* ---- stacks --------------------------------------------------------------------------------- */

static __attribute__((noinline)) void *deep(void *arg)
{
	char frame[4096];

	memset(frame, 1, sizeof frame);
	__asm__ volatile("" : : "r"(frame) : "memory");
	return arg ? deep((char *)arg - 1) : (void *)(uintptr_t)frame[0];
}

Test(stack, small_ones_hold_what_was_asked)
{
	start(FSBASE_AUTO);
	join(gowith(deep, (void *)6, 32 << 10, 4096, NULL));
	join(gowith(nop, NULL, 0, 0, NULL));
	join(gowith(nop, NULL, 100, 1, NULL));
}

Test(stack, guard, .signal = SIGSEGV)
{
	start(FSBASE_AUTO);
	join(gowith(deep, (void *)100, 32 << 10, 4096, NULL));
}

Test(stack, guard_by_mprotect, .signal = SIGSEGV)
{
	guardhow = GUARD_MPROTECT;
	start(FSBASE_AUTO);
	join(gowith(deep, (void *)100, 32 << 10, 4096, NULL));
}

static void *where(void *arg)
{
	return arg ? __builtin_frame_address(0) : NULL;
}

Test(stack, reported_as_asked)
{
	start(FSBASE_AUTO);
	for (size_t asked = 16 << 10; asked < 10 << 20; asked += 36 << 10) {
		struct g *gp = gowith(where, (void *)1, asked, 4096, NULL);
		char *sp = join(gp);
		cr_assert_eq((uintptr_t)gp->stack.lo % 4096, 0);
		cr_assert(sp > gp->stack.lo && sp < gp->stack.lo + asked);
		cr_assert_eq(gp->stacksize, asked);
	}
}

Test(stack, of_the_callers_own)
{
	static char own[64 << 10];

	start(FSBASE_AUTO);
	for (int i = 0; i < 2; i++) {
		char *sp = join(gowith(where, own, sizeof own, 0, own));
		cr_assert(sp > own && sp < own + sizeof own);
	}
}

static void *parked(void *arg)
{
	goyield();
	return arg;
}

/* A parked thread that has done nothing costs two pages, and 10,000 of them few mappings. */
Test(stack, ten_thousand)
{
	enum { N = 10000 };
	static struct g *gs[N];
	unsigned char in[64 << 20 >> 12];
	size_t pages = 0;

	start(FSBASE_AUTO);
	for (long i = 0; i < N; i++)
		gs[i] = go(parked, (void *)i);
	goyield();
	for (int i = 0; i < 100; i++) {
		char *lo = gs[i]->stack.lo;
		size_t n = ((size_t)((char *)gs[i]->tcb - lo) + tlslayout.tcbsize + 4095) / 4096;
		cr_assert_eq(mincore(lo, n * 4096, in), 0);
		for (size_t j = 0; j < n; j++)
			pages += in[j] & 1;
	}
	cr_assert_leq(pages, 300);
	size_t maps = 0;
	FILE *f = fopen("/proc/self/maps", "r");
	for (int c; (c = getc(f)) != EOF;)
		maps += c == '\n';
	fclose(f);
	cr_assert_lt(maps, 500);
	for (long i = 0; i < N; i++)
		cr_assert_eq(join(gs[i]), (void *)i);
	cr_assert_gt(stackscavenge(gs[0]), 0);
	for (long i = 0; i < N; i++)
		gs[i] = go(parked, (void *)i);
	for (long i = 0; i < N; i++)
		cr_assert_eq(join(gs[i]), (void *)i);
}
