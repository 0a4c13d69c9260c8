/* SPDX-License-Identifier: MIT */
/* yield: sched_yield among 1,000 threads; nanoseconds of wall time per yield, all CPUs together. */
#include "bench.h"
#include <sched.h>

static void yield(void)
{
	sched_yield();
}

int main(int argc, char **argv)
{
	long threads = 1000;
	const struct option own[] = {{"--threads", &threads, 1, 30000}, {0}};

	options(argc, argv, own);
	report("yield", 1e9 / opspersec(threads, yield, NULL), "ns");
	return 0;
}
