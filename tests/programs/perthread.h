/* SPDX-License-Identifier: MIT
 * perthread.h: what the kernel keeps by thread stays with its thread, and is nobody else's: the
 * program says by state() what there is. */
#ifndef PERTHREAD_H
#define PERTHREAD_H
#include "t.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

/* A seccomp filter: getppid() fails with EXDEV. */
static struct sock_filter no_getppid_filter[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
static struct sock_fprog no_getppid = {NELEM(no_getppid_filter), no_getppid_filter};

static _Atomic int quit, odd; /* odd: of the plain threads, how often one was different */

/* What this thread has, in one line. */
static void state(char *s, size_t n);

/* In each way there is, so that other threads run in between. */
T_INLINE void waits(int i)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static int p[2];
	char c;

	pthread_mutex_lock(&lock);
	if (p[1] == 0)
		MUST(pipe(p) == 0);
	pthread_mutex_unlock(&lock);
	switch (i % 3) {
	case 0:
		usleep(300);
		break;
	case 1:
		pthread_mutex_lock(&lock);
		usleep(50);
		pthread_mutex_unlock(&lock);
		break;
	case 2:
		MUST(write(p[1], "x", 1) == 1 && read(p[0], &c, 1) == 1);
	}
}

static char usual[300]; /* what main has, and plain threads */

/* Has nothing of its own, and looks until it is to quit. */
T_INLINE void *plain(void *arg)
{
	char s[300];

	for (int i = 0; !quit; i++) {
		waits(i);
		state(s, sizeof s);
		if (strcmp(s, usual) && odd++ == 0)
			say("a plain thread has: %s", s);
	}
	return arg;
}

T_INLINE void *child(void *arg)
{
	char s[300];

	waits(0);
	waits(1);
	state(s, sizeof s);
	say("  its child: %s", s);
	return arg;
}

/* What it has now stays, and its children have it. */
T_INLINE void stays(const char *what)
{
	char s[300], t[300];

	state(s, sizeof s);
	say("%s: %s", what, s);
	for (int i = 0; i < scaled(60); i++) {
		waits(i);
		state(t, sizeof t);
		if (strcmp(s, t)) {
			say("now: %s", t);
			break;
		}
	}
	finish(start(child, NULL));
}
#endif
