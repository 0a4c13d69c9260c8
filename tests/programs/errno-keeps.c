/* SPDX-License-Identifier: MIT */
/* errno belongs to its thread across many kinds of blocking call, failing and succeeding. errno(3)
 */
#include "t.h"
#include <semaphore.h>

static int pipes[64][2];
static sem_t sems[64];

static void *worker(void *arg)
{
	int id = (int)(intptr_t)arg, n = scaled(300);
	char c;
	int own[2];

	MUST(pipe2(own, O_NONBLOCK) == 0);
	for (int i = 0; i < n; i++) {
		errno = 1000 + id;
		MUST(read(pipes[id][0], &c, 1) == 1); /* success leaves errno alone */
		MUST(errno == 1000 + id);
		MUST(read(own[0], &c, 1) == -1 && errno == EAGAIN);
		sched_yield();
		MUST(errno == EAGAIN);
		MUST(read(-1, &c, 1) == -1 && errno == EBADF);
		MUST(write(pipes[(id + 1) % 64][1], "x", 1) == 1);
		MUST(errno == EBADF);
		MUST(sem_trywait(&sems[id]) == -1 && errno == EAGAIN);
		MUST(sem_post(&sems[id]) == 0 && sem_wait(&sems[id]) == 0 && errno == EAGAIN);
		if (i % 50 == 0) {
			struct timespec past = {0, 0};
			MUST(sem_timedwait(&sems[id], &past) == -1 && errno == ETIMEDOUT);
			usleep(500);
			MUST(errno == ETIMEDOUT);
			MUST(connect(own[0], NULL, 0) == -1 && errno == ENOTSOCK);
			MUST(poll(NULL, 0, 1) == 0 && errno == ENOTSOCK);
		}
	}
	return NULL;
}

int main(void)
{
	pthread_t t[64];

	for (int i = 0; i < 64; i++) {
		MUST(pipe(pipes[i]) == 0);
		MUST(sem_init(&sems[i], 0, 0) == 0);
	}
	errno = 4242;
	for (int i = 0; i < 64; i++)
		t[i] = start(worker, (void *)(intptr_t)i);
	/* Eight tokens go round the ring of pipes; the last one of each stays in its pipe. */
	for (int i = 0; i < 64; i += 8)
		MUST(write(pipes[i][1], "x", 1) == 1);
	for (int i = 0; i < 64; i++)
		finish(t[i]);
	say("main's errno: %d", errno);
	return 0;
}
