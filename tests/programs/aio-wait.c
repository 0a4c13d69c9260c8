/* SPDX-License-Identifier: MIT */
/* Asynchronous I/O, which libc does in threads of its own: many threads wait for theirs by
 * aio_suspend and lio_listio, the others go on. aio(7) */
#include "t.h"
#include <aio.h>
#include <signal.h>

#define THREADS 8
#define BLOCKS 16
#define BLOCK 3000

static int file;

static void *works(void *arg)
{
	static unsigned char buf[THREADS][BLOCKS][BLOCK];
	struct aiocb cb[BLOCKS] = {0}, *list[BLOCKS];
	long id = (long)arg;

	for (int round = 0; round < scaled(4); round++) {
		for (int i = 0; i < BLOCKS; i++) {
			cb[i] = (struct aiocb){.aio_fildes = file,
					       .aio_buf = buf[id][i],
					       .aio_nbytes = BLOCK,
					       .aio_offset = (id * BLOCKS + i) * BLOCK,
					       .aio_lio_opcode = LIO_WRITE};
			cb[i].aio_sigevent.sigev_notify = SIGEV_NONE;
			list[i] = &cb[i];
			fill(buf[id][i], BLOCK, 9 + round, cb[i].aio_offset);
		}
		MUST(lio_listio(LIO_WAIT, list, BLOCKS, NULL) == 0);
		memset(buf[id], 0, sizeof buf[id]);
		for (int i = 0; i < BLOCKS; i++) {
			MUST(aio_error(&cb[i]) == 0 && aio_return(&cb[i]) == BLOCK);
			MUST(aio_read(&cb[i]) == 0);
		}
		for (int i = 0; i < BLOCKS; i++) {
			while (aio_error(&cb[i]) == EINPROGRESS)
				MUST(aio_suspend((const struct aiocb *const *)&list[i], 1, NULL) ==
				     0);
			MUST(aio_return(&cb[i]) == BLOCK &&
			     right(buf[id][i], BLOCK, 9 + round, cb[i].aio_offset));
		}
		MUST(aio_fsync(O_DSYNC, &cb[0]) == 0);
		while (aio_error(&cb[0]) == EINPROGRESS)
			MUST(aio_suspend((const struct aiocb *const *)list, 1,
					 &(struct timespec){100, 0}) == 0);
		MUST(aio_return(&cb[0]) == 0);
	}
	return arg;
}

int main(void)
{
	pthread_t t[THREADS];
	int p[2];
	char buf[10];

	MUST((file = open("data", O_RDWR | O_CREAT | O_EXCL, 0600)) >= 0 && pipe(p) == 0);
	for (int i = 0; i < THREADS; i++)
		t[i] = start(works, (void *)(long)i);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	say("written and read");

	/* Not ready: the pipe is empty. */
	struct aiocb cb = {.aio_fildes = p[0], .aio_buf = buf, .aio_nbytes = 10}, *list[] = {&cb};
	cb.aio_sigevent.sigev_notify = SIGEV_NONE;
	MUST(aio_read(&cb) == 0);
	SYS(aio_suspend((const struct aiocb *const *)list, 1, &(struct timespec){0, 20000000}));
	MUST(write(p[1], "hello", 5) == 5);
	SYS(aio_suspend((const struct aiocb *const *)list, 1, NULL));
	SYS(aio_return(&cb));
	cb.aio_fildes = -1;
	cb.aio_lio_opcode = LIO_READ;
	SYS(lio_listio(LIO_WAIT, list, 1, NULL));
	SYS(aio_error(&cb) == EBADF);
	SYS(lio_listio(77, list, 1, NULL));
	return 0;
}
