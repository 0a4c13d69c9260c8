/* SPDX-License-Identifier: MIT */
/* A program with a runtime like Go's in it, marked as Go's linker does: its system calls for
 * signals, alternate stacks and ids go past libc. Each thread is interrupted by SIGURG many times,
 * and finds itself on its own alternate stack, on the kernel thread on which it began, also after
 * it was blocked in libc. elf(5), sigaltstack(2), tgkill(2) */
#include "t.h"
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>

enum { THREADS = 12, TIMES = 200, SIZE = 32 << 10 };

static const struct {
	int namesz, descsz, type;
	char name[4], desc[12];
} note __attribute__((section(".note.go.buildid"), used, aligned(4))) = {4, 12, 4, "Go\0",
									 "go/like/this"};

static struct thread {
	_Atomic long tid;
	_Atomic int times, strange;
	char *alt;
	int pipe[2];
} threads[THREADS];
static __thread struct thread *self;
static atomic_bool quit;

static long raw(long n, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return r;
}

void restorer(void);
__asm__(".text\n.type restorer,@function\nrestorer:\n\tmov $15, %eax\n\tsyscall\n.size restorer, "
	".-restorer\n");

static void on_urg(int sig, siginfo_t *si, void *uc)
{
	char here;

	(void)sig, (void)si, (void)uc;
	if (self == NULL)
		return; /* a thread that is not of the runtime's */
	if (&here < self->alt || &here >= self->alt + SIZE ||
	    raw(SYS_gettid, 0, 0, 0, 0) != self->tid)
		self->strange++;
	self->times++;
}

static void *work(void *arg)
{
	struct thread *t = arg;
	stack_t ss = {.ss_sp = t->alt, .ss_size = SIZE};
	struct timespec ts = {0, 100000};
	_Atomic int word = 0;
	char c = 1;

	MUST(raw(SYS_sigaltstack, (long)&ss, 0, 0, 0) == 0);
	self = t;
	t->tid = raw(SYS_gettid, 0, 0, 0, 0);
	while (!quit) {
		for (volatile int i = 0; i < 20000; i++)
			;
		raw(SYS_futex, (long)&word, FUTEX_WAIT_PRIVATE, 0, (long)&ts);
		while (write(t->pipe[1], &c, 1) != 1)
			MUST(errno == EINTR);
		while (read(t->pipe[0], &c, 1) != 1)
			MUST(errno == EINTR);
		sched_yield();
		if (raw(SYS_gettid, 0, 0, 0, 0) != t->tid)
			t->strange++;
	}
	return NULL;
}

/* Go's sysmon: whoever is behind is asked again. */
static void *sysmon(void *arg)
{
	struct timespec ts = {0, 50000};
	bool behind = true;
	long pid = raw(SYS_getpid, 0, 0, 0, 0);

	while (behind) {
		behind = false;
		for (int i = 0; i < THREADS; i++) {
			behind |= threads[i].times < TIMES;
			if (threads[i].tid != 0)
				MUST(raw(SYS_tgkill, pid, threads[i].tid, SIGURG, 0) == 0);
		}
		raw(SYS_nanosleep, (long)&ts, 0, 0, 0);
	}
	quit = true;
	return arg;
}

int main(void)
{
	struct {
		void (*handler)(int, siginfo_t *, void *);
		unsigned long flags;
		void (*restorer)(void);
		unsigned long mask;
	} sa = {on_urg, SA_SIGINFO | SA_ONSTACK | SA_RESTART | 0x04000000, restorer, 0};
	pthread_t t[THREADS], mon;
	int strange = 0;

	MUST(raw(SYS_rt_sigaction, SIGURG, (long)&sa, 0, 8) == 0);
	for (int i = 0; i < THREADS; i++) {
		MUST((threads[i].alt = malloc(SIZE)) != NULL);
		MUST(pipe(threads[i].pipe) == 0);
		t[i] = start(work, &threads[i]);
	}
	mon = start(sysmon, NULL);
	OK(pthread_join(mon, NULL));
	for (int i = 0; i < THREADS; i++) {
		OK(pthread_join(t[i], NULL));
		strange += threads[i].strange;
	}
	say("%d threads were interrupted, %d times on a stack or a kernel thread not their own",
	    THREADS, strange);
	return 0;
}
