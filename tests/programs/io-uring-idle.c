/* SPDX-License-Identifier: MIT */
/* Requests that threads have given to io_uring outlive their idling: the kernel cancels what waits
 * in its workers when the kernel thread that submitted it ends. Each thread of some submits a read
 * of an empty pipe and then waits for seconds; then the pipes are written, and all reads succeed.
 * io_uring_enter(2), by system calls that no library sees. */
#include "t.h"
#include <linux/io_uring.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define THREADS 12

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static int submitted, finished;
static bool end;
static int pipes[THREADS][2];
static char got[THREADS];
static const char *path;

/* As liburing does it: no call that could be intercepted. */
static long inlined(long nr, long a, long b, long c3, long d, long e)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = 0;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "0"(nr), "D"(a), "S"(b), "d"(c3), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

static void *works(void *arg)
{
	long id = (long)arg;
	struct io_uring_params p = {0};
	long ring = inlined(SYS_io_uring_setup, 4, (long)&p, 0, 0, 0);
	char *sq, *cq;
	struct io_uring_sqe *sqe;
	struct iovec iov = {&got[id], 1};
	int lock = open(path, O_RDWR);

	MUST(ring >= 0 && lock >= 0);
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		  IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
		  PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	sqe = mmap(NULL, p.sq_entries * sizeof *sqe, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		   IORING_OFF_SQES);
	MUST(sq != MAP_FAILED && cq != MAP_FAILED && sqe != MAP_FAILED);
	sqe[0] = (struct io_uring_sqe){.opcode = IORING_OP_READV,
				       .flags = IOSQE_ASYNC,
				       .fd = pipes[id][0],
				       .addr = (unsigned long)&iov,
				       .len = 1,
				       .off = -1ull};
	*(unsigned *)(sq + p.sq_off.array) = 0;
	__atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	MUST(inlined(SYS_io_uring_enter, ring, 1, 0, 0, 0) == 1);
	MUST(pthread_mutex_lock(&m) == 0);
	submitted++;
	MUST(pthread_mutex_unlock(&m) == 0);
	/* All side by side, in a call that blocks in the kernel. */
	MUST(flock(lock, LOCK_SH) == 0);
	close(lock);
	MUST(pthread_mutex_lock(&m) == 0);
	while (!end)
		MUST(pthread_cond_wait(&c, &m) == 0);
	finished++;
	MUST(pthread_mutex_unlock(&m) == 0);
	while (__atomic_load_n((unsigned *)(cq + p.cq_off.tail), __ATOMIC_ACQUIRE) == 0)
		usleep(1000);
	struct io_uring_cqe *cqe = (void *)(cq + p.cq_off.cqes);
	if (cqe->res != 1 || got[id] != 'x')
		printf("thread %ld: result %d\n", id, cqe->res);
	return (void *)(long)cqe->res;
}

int main(void)
{
	struct io_uring_params p = {0};
	pthread_t t[THREADS];
	char name[] = "/tmp/io-uring-idle.XXXXXX";
	int lock = mkstemp(name), right = 0;
	long ring = inlined(SYS_io_uring_setup, 4, (long)&p, 0, 0, 0);

	MUST(lock >= 0);
	path = name;
	if (ring < 0) { /* not there, or forbidden */
		printf("no io_uring\n");
		return unlink(name);
	}
	close((int)ring);
	MUST(flock(lock, LOCK_EX) == 0);
	for (long i = 0; i < THREADS; i++) {
		MUST(pipe(pipes[i]) == 0);
		MUST(pthread_create(&t[i], NULL, works, (void *)i) == 0);
	}
	for (int n = 0; n < THREADS; usleep(1000)) {
		MUST(pthread_mutex_lock(&m) == 0);
		n = submitted;
		MUST(pthread_mutex_unlock(&m) == 0);
	}
	MUST(flock(lock, LOCK_UN) == 0);
	sleep(4);
	for (int i = 0; i < THREADS; i++)
		MUST(write(pipes[i][1], "x", 1) == 1);
	MUST(pthread_mutex_lock(&m) == 0);
	end = true;
	MUST(pthread_cond_broadcast(&c) == 0);
	MUST(pthread_mutex_unlock(&m) == 0);
	for (int i = 0; i < THREADS; i++) {
		void *r;
		MUST(pthread_join(t[i], &r) == 0);
		right += r == (void *)1;
	}
	printf("%d of %d reads\n", right, THREADS);
	return unlink(name) != 0 || right != THREADS;
}
