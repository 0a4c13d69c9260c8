/* SPDX-License-Identifier: MIT */
/* Other processes compute on all CPUs, and so do threads of this one: who only naps goes on all the same, within the time that a
 * run has (it took minutes: a due timer waited until the kernel ran the thread that had computed). */
#include "t.h"
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { OTHERS = 6, HOGS = 6, NAPS = 100 };

static _Atomic bool quit;

static void *hog(void *arg)
{
	uint64_t n = 0;

	while (!quit)
		n++;
	*(uint64_t *)arg = n;
	return arg;
}

static void *naps(void *arg)
{
	for (int i = 0; i < scaled(NAPS); i++)
		MUST(usleep(1000) == 0);
	return arg;
}

int main(void)
{
	uint64_t n[HOGS] = {0};
	pid_t others[OTHERS];
	pthread_t h[HOGS], a;

	for (int i = 0; i < OTHERS; i++) {
		MUST((others[i] = fork()) >= 0);
		if (others[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			alarm(60);
			for (volatile uint64_t x = 0;; x++)
				;
		}
	}
	for (int i = 0; i < HOGS; i++)
		h[i] = start(hog, &n[i]);
	a = start(naps, NULL);
	finish(a);
	quit = true;
	for (int i = 0; i < HOGS; i++)
		finish(h[i]);
	for (int i = 0; i < OTHERS; i++) {
		int st;
		MUST(kill(others[i], SIGKILL) == 0 && waitpid(others[i], &st, 0) == others[i]);
		MUST(WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL);
	}
	say("naps taken, all ended");
	return 0;
}
