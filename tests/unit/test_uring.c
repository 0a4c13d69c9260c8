/* SPDX-License-Identifier: MIT
 *
 * test_uring.c: a kernel thread's workers are found, however many other threads come and go while
 * they are looked for; another's are not taken for its own; threads that have none are seen to have
 * none.
 */
#include "unit.h"

#include <linux/io_uring.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ROUNDS = 150, BEFORE = 40 };

static atomic_bool end, go;
static _Atomic int maker, living;

static int gettidof(void)
{
	return (int)syscall(SYS_gettid);
}

/* Stands in the list before the worker, and ends while that is looked for. */
static void *ends(void *arg)
{
	while (!atomic_load(&go))
		usleep(1000);
	usleep((unsigned)(uintptr_t)arg);
	atomic_fetch_sub(&living, 1);
	return NULL;
}

/* A read of an empty pipe in a worker of this kernel thread. False: there is no io_uring here. */
static bool submit(void)
{
	struct io_uring_params p = {0};
	int ring = (int)syscall(SYS_io_uring_setup, 4, &p), fds[2];
	static char byte;
	static struct iovec iov = {&byte, 1};

	if (ring < 0)
		return false;
	char *sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED,
			ring, IORING_OFF_SQ_RING);
	struct io_uring_sqe *sqe = mmap(NULL, p.sq_entries * sizeof *sqe, PROT_READ | PROT_WRITE,
					MAP_SHARED, ring, IORING_OFF_SQES);
	cr_assert(sq != MAP_FAILED && sqe != MAP_FAILED && pipe(fds) == 0);
	sqe[0] = (struct io_uring_sqe){.opcode = IORING_OP_READV,
				       .flags = IOSQE_ASYNC,
				       .fd = fds[0],
				       .addr = (uintptr_t)&iov,
				       .len = 1,
				       .off = -1ull};
	*(unsigned *)(sq + p.sq_off.array) = 0;
	__atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	return syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0) == 1;
}

static void *submits(void *arg)
{
	int tid = gettidof();

	atomic_store(&maker, submit() ? tid : -1);
	while (!atomic_load(&end))
		usleep(1000);
	return arg;
}

static void begin(pthread_t *t)
{
	atomic_store(&maker, 0);
	atomic_store(&end, false);
	cr_assert(pthread_create(t, NULL, submits, NULL) == 0);
	while (atomic_load(&maker) == 0)
		usleep(1000);
	if (atomic_load(&maker) < 0)
		cr_skip_test("no io_uring");
}

static void finish(pthread_t t)
{
	atomic_store(&end, true);
	pthread_join(t, NULL);
}

Test(uring, worker_is_found_while_threads_before_it_end)
{
	int missed = 0, looks = 0;

	for (int r = 0; r < ROUNDS; r++) {
		pthread_t t, before[BEFORE];
		atomic_store(&go, false);
		atomic_store(&living, BEFORE);
		for (uintptr_t i = 0; i < BEFORE; i++)
			cr_assert(pthread_create(&before[i], NULL, ends, (void *)(i * 20)) == 0);
		begin(&t);
		atomic_store(&go, true);
		for (; atomic_load(&living) > 0; looks++)
			missed += !uringworks(atomic_load(&maker));
		for (int i = 0; i < BEFORE; i++)
			pthread_join(before[i], NULL);
		finish(t);
	}
	cr_assert_eq(missed, 0, "missed %d times of %d", missed, looks);
}

/* A worker is nobody's until it has run; in another pid namespace it is everybody's. */
Test(uring, anothers_is_not_mine)
{
	char link[64] = "";
	pthread_t t;

	cr_assert(readlink("/proc/self/ns/pid", link, sizeof link - 1) > 0);
	begin(&t);
	cr_assert(uringworks(atomic_load(&maker)));
	if (strcmp(link, "pid:[4026531836]") == 0)
		while (uringworks(gettidof()))
			usleep(1000);
	finish(t);
}

Test(uring, none)
{
	cr_assert_not(uringworks(gettidof()));
}
