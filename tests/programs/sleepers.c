/* SPDX-License-Identifier: MIT */
/* A thousand sleepers with different deadlines, started in no order: none wakes early, groups wake
 * in the order of their deadlines, by nanosleep, absolute clock_nanosleep, poll and timed waits.
 * nanosleep(2)
 *
 * A machine that stands still for longer than there is between two groups wakes both at once. So
 * another process looks whether it did; then once more. */
#include "t.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define N 1000
#define GROUPS 5
#define GAP 600

static struct timespec deadline[GROUPS];
static int first[GROUPS], order;
static double late[GROUPS]; /* by how much, at most; for whoever looks into a failure */
static pthread_barrier_t go;

static double left_ms(int g)
{
	struct timespec n = now(CLOCK_MONOTONIC);

	return (deadline[g].tv_sec - n.tv_sec) * 1e3 + (deadline[g].tv_nsec - n.tv_nsec) / 1e6;
}

static void *sleeper(void *arg)
{
	int id = (int)(intptr_t)arg, g = id * 7 % GROUPS;
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c = PTHREAD_COND_INITIALIZER;

	pthread_barrier_wait(&go);
	double left = left_ms(g);
	struct timespec ts = {(time_t)(left / 1000), (long)(left * 1e6) % 1000000000};
	switch (left <= 0 ? 1 : id % 4) { /* a machine that slow has slept already */
	case 0:
		MUST(nanosleep(&ts, NULL) == 0);
		break;
	case 1:
		OK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline[g], NULL));
		break;
	case 2:
		MUST(poll(NULL, 0, (int)left + 1) == 0);
		break;
	case 3:
		OK(pthread_mutex_lock(&m));
		while (pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &deadline[g]) != ETIMEDOUT)
			;
		OK(pthread_mutex_unlock(&m));
		break;
	}
	MUST(left_ms(g) <= 0.01);
	if (-left_ms(g) > late[g])
		late[g] = -left_ms(g);
	int o = __atomic_add_fetch(&order, 1, __ATOMIC_SEQ_CST), none = 0;
	__atomic_compare_exchange_n(&first[g], &none, o, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return NULL;
}

/* How long the machine has kept somebody waiting who only sleeps, ms. */
static _Atomic int *stood_still;

static void watch(pid_t parent)
{
	while (getppid() == parent) {
		double begin = ms_now();
		usleep(10000);
		int gap = (int)(ms_now() - begin);
		if (gap > *stood_still)
			*stood_still = gap;
	}
}

static bool in_order(void)
{
	static pthread_t t[N];
	bool right = true;

	order = 0;
	*stood_still = 0;
	memset(first, 0, sizeof first);
	memset(late, 0, sizeof late);
	OK(pthread_barrier_init(&go, NULL, N + 1));
	for (int i = 0; i < N; i++)
		t[i] = start_small(sleeper, (void *)(intptr_t)i);
	for (int g = 0; g < GROUPS; g++)
		deadline[g] = in_ms(CLOCK_MONOTONIC, 300 + g * GAP);
	pthread_barrier_wait(&go);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	OK(pthread_barrier_destroy(&go));
	for (int g = 0; g < GROUPS; g++)
		fprintf(stderr, "group %d: at most %.0f ms late\n", g, late[g]);
	for (int g = 0; g < GROUPS; g++)
		MUST(late[g] < 10000); /* slow is one thing, forgotten another */
	for (int g = 1; g < GROUPS; g++)
		right &= first[g - 1] < first[g];
	return right;
}

int main(void)
{
	stood_still = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(stood_still != MAP_FAILED);
	pid_t parent = getpid(), pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		watch(parent);
		_exit(0);
	}
	bool right = in_order();
	for (int i = 0; i < 10 && !right && *stood_still > GAP / 4; i++)
		right = in_order();
	MUST(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	say("each group began to wake before the next: %d", right);
	return 0;
}
