/* SPDX-License-Identifier: MIT */
/* Memory made in one thread, checked, resized and freed in others, of all sizes, while threads come
 * and go. malloc(3) */
#include "t.h"

#define SLOTS 256

static struct block {
	pthread_mutex_t m;
	unsigned char *p;
	size_t n;
	unsigned id;
} slot[SLOTS];

static size_t size_of(unsigned r)
{
	return r % 50 == 0 ? 200000 + r % 100000 : r % 10 == 0 ? r % 9000 + 1 : r % 300 + 1;
}

static void *worker(void *arg)
{
	unsigned seed = (unsigned)(intptr_t)arg * 7919 + 1;

	for (int i = 0; i < scaled(300); i++) {
		seed = seed * 1103515245 + 12345;
		unsigned r = seed >> 8;
		struct block *b = &slot[r % SLOTS];

		OK(pthread_mutex_lock(&b->m));
		if (b->p) {
			MUST(right(b->p, b->n, b->id, 0)); /* another thread wrote it */
			if (r % 4 == 0) {
				size_t n = size_of(r / 7);
				b->p = realloc(b->p, n);
				MUST(right(b->p, n < b->n ? n : b->n, b->id, 0));
				b->n = n;
				fill(b->p, n, b->id, 0);
			} else {
				free(b->p);
				b->p = NULL;
			}
		} else {
			b->n = size_of(r);
			b->id = r;
			if (r % 8 == 0)
				OK(posix_memalign((void **)&b->p, 64, b->n));
			else if (r % 8 == 1)
				b->p = calloc(b->n, 1);
			else
				b->p = malloc(b->n);
			fill(b->p, b->n, b->id, 0);
		}
		OK(pthread_mutex_unlock(&b->m));
		if (i % 16 == 0)
			sched_yield();
		if (i % 128 == 0)
			usleep(100);
	}
	return malloc(32); /* freed by main */
}

int main(void)
{
	pthread_t t[30];

	for (int i = 0; i < SLOTS; i++)
		OK(pthread_mutex_init(&slot[i].m, NULL));
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < NELEM(t); i++)
			t[i] = start(worker, (void *)(intptr_t)(round * 100 + i));
		for (int i = 0; i < NELEM(t); i++)
			free(finish(t[i]));
	}
	for (int i = 0; i < SLOTS; i++)
		if (slot[i].p) {
			MUST(right(slot[i].p, slot[i].n, slot[i].id, 0));
			free(slot[i].p);
		}
	say("every block held what was written");
	return 0;
}
