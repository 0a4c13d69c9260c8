/* SPDX-License-Identifier: MIT
 *
 * probe.c: gmp-probe: makes one thread and says whether it became a user-level one: "yes" or "no". `gmp doctor` runs it with the
 * library preloaded and GMP_VERBOSE=1, to learn from libgmp itself whether, and how, it starts on this machine.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <sys/syscall.h>

/* Past anybody's syscall(). */
static long kerneltid(void)
{
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(SYS_gettid) : "rcx", "r11", "memory");
	return r;
}

static void *thread(void *arg)
{
	*(int *)arg = gettid() != kerneltid();
	return NULL;
}

int main(void)
{
	pthread_t t;
	int ours = 0;

	if (pthread_create(&t, NULL, thread, &ours) != 0 || pthread_join(t, NULL) != 0)
		return 1;
	puts(ours ? "yes" : "no");
	return 0;
}
