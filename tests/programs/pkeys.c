/* SPDX-License-Identifier: MIT */
/* Rights to memory with protection keys are each thread's own, inherited from its maker, and the
 * least in a signal handler. pkeys(7) */
#include "t.h"
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { THREADS = 24 };

static int key, gate;
static volatile int *page;
static volatile sig_atomic_t inhandler;
static const unsigned rights[3] = {0, PKEY_DISABLE_WRITE, PKEY_DISABLE_ACCESS};

static void await(int value)
{
	while (__atomic_load_n(&gate, __ATOMIC_SEQ_CST) < value)
		usleep(100);
}

static void *early(void *arg)
{
	(void)arg;
	await(1);
	return (void *)(intptr_t)pkey_get(key);
}

static void *tells(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)pkey_get(key);
}

static void *uses(void *arg)
{
	unsigned mine = rights[(intptr_t)arg % 3];
	intptr_t wrong = 0;

	MUST(pkey_set(key, mine) == 0);
	for (int i = 0; i < 400; i++) {
		if (mine != PKEY_DISABLE_ACCESS)
			wrong += page[100] != 7;
		if (mine == 0)
			page[(intptr_t)arg] = i;
		wrong += pkey_get(key) != (int)mine;
		if (i % 4 == 0)
			usleep(1 + i % 50);
		else
			sched_yield();
		if (i % 100 == 0)
			wrong += (intptr_t)finish(start(tells, NULL)) != (intptr_t)mine;
		wrong += pkey_get(key) != (int)mine;
	}
	return (void *)wrong;
}

static void handler(int sig)
{
	(void)sig;
	inhandler = pkey_get(key);
}

int main(void)
{
	pthread_t t[THREADS], before = start(early, NULL);
	intptr_t wrong = 0;
	int st;

	usleep(1000);
	key = pkey_alloc(0, 0);
	if (key < 0) {
		say("no protection keys here");
		return 0;
	}
	MUST(pkey_get(key) == 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(page != MAP_FAILED);
	page[100] = 7;
	MUST(pkey_mprotect((void *)page, 4096, PROT_READ | PROT_WRITE, key) == 0);
	__atomic_store_n(&gate, 1, __ATOMIC_SEQ_CST);
	say("a thread from before: %d", (int)(intptr_t)finish(before));
	for (int i = 0; i < THREADS; i++)
		t[i] = start(uses, (void *)(intptr_t)i);
	for (int i = 0; i < THREADS; i++)
		wrong += (intptr_t)finish(t[i]);
	say("wrong: %ld; last written %d", (long)wrong, page[0]);

	MUST(signal(SIGUSR1, handler) != SIG_ERR);
	MUST(raise(SIGUSR1) == 0);
	say("in a handler: %d, after it: %d", (int)inhandler, pkey_get(key));
	pid_t pid = fork();
	if (pid == 0)
		_exit(pkey_get(key) * 16 + (int)(intptr_t)finish(start(tells, NULL)));
	MUST(waitpid(pid, &st, 0) == pid && WIFEXITED(st));
	say("in a child: %d", WEXITSTATUS(st));

	/* By number, and given back. */
	int k = (int)syscall(SYS_pkey_alloc, 0, PKEY_DISABLE_WRITE);
	MUST(k > 0);
	say("another: %d", pkey_get(k));
	for (int i = 0; i < 100; i++) {
		usleep(10);
		MUST(pkey_get(k) == PKEY_DISABLE_WRITE);
	}
	MUST(pkey_free(k) == 0);
	return 0;
}
