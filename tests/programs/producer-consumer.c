/* SPDX-License-Identifier: MIT */
/* A bounded queue under one mutex and two condition variables: 8 producers, 8 consumers, sums
 * agree. */
#include "t.h"

#define SLOTS 16

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER, not_empty = PTHREAD_COND_INITIALIZER;
static long queue[SLOTS];
static int head, count, per;

static void put(long v)
{
	OK(pthread_mutex_lock(&m));
	while (count == SLOTS)
		OK(pthread_cond_wait(&not_full, &m));
	queue[(head + count++) % SLOTS] = v;
	OK(pthread_cond_signal(&not_empty));
	OK(pthread_mutex_unlock(&m));
}

static long get(void)
{
	OK(pthread_mutex_lock(&m));
	while (count == 0)
		OK(pthread_cond_wait(&not_empty, &m));
	long v = queue[head];
	head = (head + 1) % SLOTS;
	count--;
	OK(pthread_mutex_unlock(&m)); /* signal without the lock, for a change */
	OK(pthread_cond_signal(&not_full));
	return v;
}

static void *producer(void *arg)
{
	for (int i = 1; i <= per; i++)
		put((intptr_t)arg * 1000000 + i);
	return NULL;
}

static void *consumer(void *arg)
{
	long *sum = arg, v;

	while ((v = get()) >= 0)
		*sum += v;
	return NULL;
}

int main(void)
{
	pthread_t p[8], c[8];
	long sums[8] = {0}, sum = 0, want = 0;

	per = scaled(4000);
	for (int i = 0; i < 8; i++) {
		p[i] = start(producer, (void *)(intptr_t)i);
		c[i] = start(consumer, &sums[i]);
		want += i * 1000000L * per + (long)per * (per + 1) / 2;
	}
	for (int i = 0; i < 8; i++)
		finish(p[i]);
	for (int i = 0; i < 8; i++)
		put(-1);
	for (int i = 0; i < 8; i++) {
		finish(c[i]);
		sum += sums[i];
	}
	say("sum is right: %d, left in the queue: %d", sum == want, count);
	return 0;
}
