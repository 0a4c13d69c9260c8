/* SPDX-License-Identifier: MIT */
/*
 * beside.h: a ping-pong over a socketpair beside something else, of which each round trip's time is
 * kept; how many kernel threads there are meanwhile. For disk.c and hogs.c.
 */
#ifndef BESIDE_H
#define BESIDE_H

#include "bench.h"
#include <dirent.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 1 << 20 };

static atomic_bool over, begun; /* to end; to keep the times */
static int sv[2];
static double *trip;	    /* us, MOST of them */
static useconds_t pause_us; /* between two round trips */

static void *pong(void *arg)
{
	char c;

	while (read(sv[1], &c, 1) == 1)
		sys(write(sv[1], &c, 1), "write");
	return arg;
}

/* *arg: how many times were kept */
static void *ping(void *arg)
{
	long n = 0;
	char c = 'x';

	while (!over && n < MOST) {
		uint64_t t = nanotime();
		sys(write(sv[0], &c, 1), "write");
		if (sys(read(sv[0], &c, 1), "read") != 1)
			die("the partner has gone");
		if (begun)
			trip[n++] = (double)(nanotime() - t) / 1000;
		if (pause_us != 0)
			usleep(pause_us);
	}
	shutdown(sv[0], SHUT_WR);
	*(long *)arg = n;
	return NULL;
}

static long kernelthreads(void)
{
	DIR *d = opendir("/proc/self/task");
	long n = -2;

	while (d != NULL && readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

#endif
