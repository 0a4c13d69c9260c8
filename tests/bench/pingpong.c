/* SPDX-License-Identifier: MIT */
/*
 * pingpong: two threads wake each other in turn; nanoseconds per round trip, that is two wake-ups.
 *
 * --two-cpus puts the two threads on two CPUs, so that every wake-up crosses CPUs. It is for the
 * bare side only: a thread which sets its affinity asks for a kernel thread of its own.
 */
#include "bench.h"
#include <sched.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>

static long two_cpus;
static cpu_set_t cpus[2];

static void choose_cpus(void)
{
	cpu_set_t all;
	int found = 0;

	sys(sched_getaffinity(0, sizeof all, &all), "sched_getaffinity");
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++) {
		if (CPU_ISSET(cpu, &all)) {
			CPU_ZERO(&cpus[found]);
			CPU_SET(cpu, &cpus[found]);
			found++;
		}
	}
	if (found < 2)
		die("--two-cpus: only one CPU may be used here");
}

static void pin(int side)
{
	if (two_cpus)
		sys(sched_setaffinity(0, sizeof cpus[side], &cpus[side]), "sched_setaffinity");
}

static uint64_t rounds;	       /* set before the partner is created */
static void (*play)(int side); /* likewise; rounds times: wait for the other, then wake it */

static void *partner(void *arg)
{
	pin(1);
	play(1);
	return arg;
}

/* Side 0 goes first. Starting the partner is in the time: less than a hundredth of a slice. */
static uint64_t run(uint64_t n, void (*fn)(int side))
{
	pthread_t th;

	play = fn;
	rounds = n;
	pin(0);
	uint64_t t = nanotime();
	must(pthread_create(&th, NULL, partner, NULL), "pthread_create");
	play(0);
	t = nanotime() - t;
	must(pthread_join(th, NULL), "pthread_join");
	return t;
}

/* condition variable */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond[2] = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER};
static int turn; /* lock; whose turn it is */

static void play_cond(int side)
{
	pthread_mutex_lock(&lock);
	for (uint64_t i = 0; i < rounds; i++) {
		while (turn != side)
			pthread_cond_wait(&cond[side], &lock);
		turn = !side;
		pthread_cond_signal(&cond[!side]);
	}
	/* Side 0 is done only when the last answer is there. */
	while (side == 0 && turn != 0)
		pthread_cond_wait(&cond[0], &lock);
	pthread_mutex_unlock(&lock);
}

/* semaphore */

static sem_t sem[2];

static void play_sem(int side)
{
	for (uint64_t i = 0; i < rounds; i++) {
		if (side == 0)
			sem_post(&sem[1]);
		while (sem_wait(&sem[side]) && errno == EINTR)
			;
		if (side == 1)
			sem_post(&sem[0]);
	}
}

/* descriptors: in[side] is read by side, out[side] is written by side */

static int in[2], out[2];

static void put(int fd)
{
	char c = 'x';

	if (sys(write(fd, &c, 1), "write") != 1)
		die("write: not one byte");
}

static void get(int fd)
{
	char c = 0;

	if (sys(read(fd, &c, 1), "read") != 1 || c != 'x')
		die("read: not the byte that was written");
}

static void play_fd(int side)
{
	for (uint64_t i = 0; i < rounds; i++) {
		if (side == 0)
			put(out[0]);
		get(in[side]);
		if (side == 1)
			put(out[1]);
	}
}

static uint64_t run_cond(uint64_t n)
{
	return run(n, play_cond);
}
static uint64_t run_sem(uint64_t n)
{
	return run(n, play_sem);
}
static uint64_t run_fd(uint64_t n)
{
	return run(n, play_fd);
}

int main(int argc, char **argv)
{
	const struct option own[] = {{"--two-cpus", &two_cpus, 0, 0}, {0}};
	int to[2], back[2];

	options(argc, argv, own);
	if (two_cpus)
		choose_cpus();

	report("pingpong.cond", nsperop(run_cond), "ns");

	sys(sem_init(&sem[0], 0, 0), "sem_init");
	sys(sem_init(&sem[1], 0, 0), "sem_init");
	report("pingpong.sem", nsperop(run_sem), "ns");

	sys(pipe(to), "pipe");
	sys(pipe(back), "pipe");
	out[0] = to[1], in[1] = to[0];
	out[1] = back[1], in[0] = back[0];
	report("pingpong.pipe", nsperop(run_fd), "ns");

	sys(socketpair(AF_UNIX, SOCK_STREAM, 0, to), "socketpair");
	in[0] = out[0] = to[0];
	in[1] = out[1] = to[1];
	report("pingpong.socketpair", nsperop(run_fd), "ns");
	return 0;
}
