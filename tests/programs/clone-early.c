/* SPDX-License-Identifier: MIT */
/* A thread made by clone(), with main's thread pointer, before the first pthread_create; it uses
 * the program's objects while threads come and go. */
#include "t.h"
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>

static sem_t go, done;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static int p[2];
static long n;

static int early(void *arg)
{
	char c;

	(void)arg;
	for (int i = 0; i < 100; i++) {
		while (sem_wait(&go) != 0)
			;
		if (read(p[0], &c, 1) != 1)
			return 1;
		pthread_mutex_lock(&m);
		n++;
		pthread_mutex_unlock(&m);
		sem_post(&done);
	}
	return 0;
}

static void *posts(void *arg)
{
	for (int i = 0; i < 10; i++) {
		pthread_mutex_lock(&m);
		n++;
		pthread_mutex_unlock(&m);
		MUST(write(p[1], "x", 1) == 1);
		sem_post(&go);
		MUST(sem_wait(&done) == 0);
	}
	return arg;
}

int main(void)
{
	char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(pipe(p) == 0 && sem_init(&go, 0, 0) == 0 && sem_init(&done, 0, 0) == 0);
	MUST(clone(early, stack + 65536,
		   CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
		   NULL) > 0);
	settle();
	for (int i = 0; i < 10; i++)
		finish(start(posts, NULL));
	say("%ld", n);
	return 0;
}
