/* SPDX-License-Identifier: MIT */
/* get_robust_list(2), set_robust_list(2) by syscall(): each thread has a list of its own, libc's or what it gave; whoever
 * waits for a word on a list that a thread leaves behind learns that its owner died. */
#include "t.h"
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>

enum { THREADS = 8 };

static pthread_barrier_t gate;
static void *heads[THREADS];

static void *ask(size_t *len)
{
	void *head = NULL;

	*len = 0;
	MUST(syscall(SYS_get_robust_list, 0, &head, len) == 0);
	return head;
}

static void *asks(void *arg)
{
	void **mine = arg;
	size_t len;

	*mine = ask(&len);
	MUST(*mine != NULL && len == sizeof(struct robust_list_head));
	MUST(ask(&len) == *mine);
	pthread_barrier_wait(&gate);
	usleep(1000);
	MUST(ask(&len) == *mine); /* on whatever kernel thread */
	return NULL;
}

static struct lock {
	struct robust_list link;
	_Atomic uint32_t word;
} locks[3];

static void *leaves(void *arg)
{
	static struct robust_list_head head;
	size_t len;

	(void)arg;
	head.list.next = &locks[0].link;
	head.futex_offset = offsetof(struct lock, word);
	for (int i = 0; i < 3; i++) {
		locks[i].link.next = i < 2 ? &locks[i + 1].link : &head.list;
		locks[i].word = (uint32_t)gettid();
	}
	locks[1].word = 1; /* another's */
	say("wrong size: %s", syscall(SYS_set_robust_list, &head, 8L) == 0 ? "0" : errname(errno));
	MUST(syscall(SYS_set_robust_list, &head, sizeof head) == 0);
	MUST(ask(&len) == &head);
	return NULL;
}

int main(void)
{
	pthread_t t[THREADS];
	size_t len;

	pthread_barrier_init(&gate, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		t[i] = start(asks, &heads[i]);
	for (int i = 0; i < THREADS; i++)
		OK(pthread_join(t[i], NULL));
	for (int i = 0; i < THREADS; i++)
		for (int j = 0; j < i; j++)
			MUST(heads[i] != heads[j]);
	MUST(ask(&len) != NULL);
	say("a list each");
	OK(pthread_join(start(leaves, NULL), NULL));
	for (int i = 0; i < 3; i++)
		say("word %d: %s", i, locks[i].word & FUTEX_OWNER_DIED ? "owner died" : "as it was");
	void *nowhere = NULL;
	say("bad address: %s", syscall(SYS_get_robust_list, 0, nowhere, &len) == 0 ? "0" : errname(errno));
	return 0;
}
