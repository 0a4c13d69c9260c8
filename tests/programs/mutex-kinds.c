/* SPDX-License-Identifier: MIT */
/* Mutexes normal, recursive, error-checking and adaptive: exclusion, and the errors of each kind.
 * pthread_mutex_lock(3p), pthread_mutexattr_settype(3) */
#include "t.h"

struct shared {
	pthread_mutex_t m;
	int kind, in;
	long count;
};

static void *adder(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < scaled(3000); i++) {
		int depth = s->kind == PTHREAD_MUTEX_RECURSIVE ? 3 : 1;
		for (int k = 0; k < depth; k++)
			OK(pthread_mutex_lock(&s->m));
		MUST(s->in++ == 0);
		s->count++;
		if (i % 100 == 0)
			sched_yield(); /* while holding it */
		MUST(--s->in == 0);
		for (int k = 0; k < depth; k++)
			OK(pthread_mutex_unlock(&s->m));
	}
	return NULL;
}

static void *not_owner(void *arg)
{
	struct shared *s = arg;

	if (s->kind != PTHREAD_MUTEX_NORMAL && s->kind != PTHREAD_MUTEX_ADAPTIVE_NP)
		say("  unlock by another: %s", errname(pthread_mutex_unlock(&s->m)));
	say("  trylock by another: %s", errname(pthread_mutex_trylock(&s->m)));
	return NULL;
}

static void kind(const char *name, int type)
{
	struct shared s = {.kind = type};
	pthread_mutexattr_t a;
	pthread_t t[16];

	OK(pthread_mutexattr_init(&a));
	OK(pthread_mutexattr_settype(&a, type));
	OK(pthread_mutex_init(&s.m, &a));
	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(adder, &s);
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	MUST(s.count == 16L * scaled(3000));
	say("%s: 16 threads counted right", name);

	OK(pthread_mutex_lock(&s.m));
	finish(start(not_owner, &s));
	say("  trylock by the owner: %s", errname(pthread_mutex_trylock(&s.m)));
	if (type == PTHREAD_MUTEX_RECURSIVE)
		OK(pthread_mutex_unlock(&s.m));
	if (type == PTHREAD_MUTEX_ERRORCHECK)
		say("  second lock: %s", errname(pthread_mutex_lock(&s.m)));
	say("  destroy while locked: %s", errname(pthread_mutex_destroy(&s.m)));
	say("  unlock: %s", errname(pthread_mutex_unlock(&s.m)));
	if (type == PTHREAD_MUTEX_RECURSIVE || type == PTHREAD_MUTEX_ERRORCHECK)
		say("  unlock of an unlocked one: %s", errname(pthread_mutex_unlock(&s.m)));
	say("  destroy: %s", errname(pthread_mutex_destroy(&s.m)));
}

int main(void)
{
	pthread_mutexattr_t a;
	static pthread_mutex_t rec = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	static pthread_mutex_t chk = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;

	kind("normal", PTHREAD_MUTEX_NORMAL);
	kind("recursive", PTHREAD_MUTEX_RECURSIVE);
	kind("errorcheck", PTHREAD_MUTEX_ERRORCHECK);
	kind("adaptive", PTHREAD_MUTEX_ADAPTIVE_NP);
	RC(pthread_mutex_lock(&rec));
	RC(pthread_mutex_lock(&rec));
	RC(pthread_mutex_lock(&chk));
	RC(pthread_mutex_lock(&chk));
	OK(pthread_mutexattr_init(&a));
	RC(pthread_mutexattr_settype(&a, 77));
	return 0;
}
