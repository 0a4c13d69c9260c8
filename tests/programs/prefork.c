/* SPDX-License-Identifier: MIT */
/* A preforking server: children with threads in accept, or in poll and then accept, share the parent's listener; each connection
 * is served once, all children serve, one that is killed takes nobody along. accept(2), fork(2) */
#include "net.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define CHILDREN 4
#define THREADS 5

static int l;
static struct sockaddr_in addr;
static struct {
	int served, up;
} *shared;

static void serve(int s)
{
	char b[16];
	ssize_t n;

	while ((n = read(s, b, sizeof b)) > 0)
		write_all(s, b, n);
	MUST(close(s) == 0);
	__atomic_add_fetch(&shared->served, 1, __ATOMIC_RELAXED);
}

static void *accepts(void *arg)
{
	__atomic_add_fetch(&shared->up, 1, __ATOMIC_RELAXED);
	for (;;) {
		if (arg) {
			struct pollfd p = {l, POLLIN, 0};
			MUST(poll(&p, 1, -1) == 1);
		}
		int s = accept(l, NULL, NULL);
		if (s < 0 && arg && errno == EAGAIN)
			continue;
		MUST(s >= 0);
		serve(s);
	}
	return NULL;
}

static pid_t child(bool polls)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	for (int i = 1; i < THREADS; i++)
		start(accepts, (void *)polls);
	accepts((void *)polls);
	_exit(1);
}

static void *client(void *arg)
{
	int id = (int)(intptr_t)arg;
	char b[32], c[32];

	for (int i = 0; i < scaled(40); i++) {
		int s = tcp_connect(&addr), n = sprintf(b, "%d of %d", i, id);
		write_all(s, b, n);
		MUST(read_all(s, c, n) == (size_t)n && memcmp(b, c, n) == 0);
		MUST(close(s) == 0);
	}
	return NULL;
}

static void load(const char *what)
{
	pthread_t t[10];
	int before = __atomic_load_n(&shared->served, __ATOMIC_RELAXED);

	for (int i = 0; i < 10; i++)
		t[i] = start(client, (void *)(intptr_t)i);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	while (__atomic_load_n(&shared->served, __ATOMIC_RELAXED) < before + 10 * scaled(40))
		usleep(1000);
	say("%s: all served", what);
}

int main(void)
{
	pid_t pid[CHILDREN];
	int st;

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int polls = 0; polls < 2; polls++) {
		shared->up = 0;
		l = tcp_listen(&addr, 100);
		if (polls)
			MUST(fcntl(l, F_SETFL, O_NONBLOCK) == 0);
		for (int i = 0; i < CHILDREN; i++)
			pid[i] = child(polls);
		while (__atomic_load_n(&shared->up, __ATOMIC_RELAXED) < CHILDREN * THREADS)
			usleep(1000);
		load(polls ? "poll" : "accept");
		MUST(kill(pid[1], SIGKILL) == 0 && waitpid(pid[1], &st, 0) == pid[1]);
		load("one less");
		pid[1] = child(polls);
		load("one new");
		for (int i = 0; i < CHILDREN; i++)
			MUST(kill(pid[i], SIGTERM) == 0 && waitpid(pid[i], &st, 0) == pid[i] && WTERMSIG(st) == SIGTERM);
		MUST(close(l) == 0);
	}
	return 0;
}
