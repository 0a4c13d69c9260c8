/* SPDX-License-Identifier: MIT
 *
 * stat.c: `gmp stat`: the scheduler's counters of a running process, once or at an interval.
 */
#define _GNU_SOURCE 1
#include "live.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NSTATE = 6, NREASON = 64 };

struct census {
	uint32_t state[NSTATE], reason[NREASON], bound, unjoined;
	uint64_t longest[NREASON]; /* ns */
};

static void count(const struct snapshot *s, struct census *c)
{
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < s->ng; i++) {
		const struct ginfo *g = &s->g[i];
		if (g->status >= NSTATE)
			continue;
		c->state[g->status]++;
		if (g->status == STATE_IDLE || g->status == STATE_DEAD)
			continue;
		c->bound += g->lockedm != 0;
		if (g->status == STATE_WAITING && g->reason < NREASON) {
			uint64_t ns = g->waitsince != 0 && s->when > g->waitsince
					  ? s->when - g->waitsince
					  : 0;
			c->reason[g->reason]++;
			if (ns > c->longest[g->reason])
				c->longest[g->reason] = ns;
		}
	}
}

static uint32_t alive(const struct census *c)
{
	return c->state[STATE_RUNNABLE] + c->state[STATE_RUNNING] + c->state[STATE_SYSCALL] +
	       c->state[STATE_WAITING];
}

static const char *reasonname(const struct target *t, uint32_t i)
{
	return i == 0 ? "starting" : word(&t->reasons, i);
}

/* ---- for people ------------------------------------------------------------------------------ */

static const char *duration(uint64_t ns)
{
	static char buf[8][32];
	static int at;
	char *b = buf[at++ % 8];

	if (ns < 1000000000)
		snprintf(b, sizeof(buf[0]), "%" PRIu64 " ms", ns / 1000000);
	else if (ns < 600000000000)
		snprintf(b, sizeof(buf[0]), "%.1f s", (double)ns / 1e9);
	else if (ns < 7200000000000)
		snprintf(b, sizeof(buf[0]), "%" PRIu64 " min", ns / 60000000000);
	else
		snprintf(b, sizeof(buf[0]), "%.1f h", (double)ns / 3.6e12);
	return b;
}

static void comm(int pid, char name[32])
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	FILE *f = fopen(path, "re");
	if (f == NULL || fgets(name, 32, f) == NULL)
		strcpy(name, "?");
	if (f != NULL)
		fclose(f);
	name[strcspn(name, "\n")] = 0;
}

static uint32_t busyps(const struct snapshot *s)
{
	uint32_t n = 0;

	for (int32_t i = 0; i < s->np; i++)
		n += s->p[i].state != 0;
	return n;
}

static void latencies(const struct snapshot *s, const struct snapshot *before)
{
	bool any = false;

	for (uint32_t i = 0; i < s->nlatency; i++) {
		uint64_t n = s->latency[i] - (before ? before->latency[i] : 0);
		if (n == 0)
			continue;
		if (!any)
			printf("  preemption, from wish to switch:");
		any = true;
		uint64_t us = (uint64_t)1 << i;
		if (i + 1 == s->nlatency)
			printf("  longer %" PRIu64, n);
		else if (us < 1000)
			printf("  <%" PRIu64 "us %" PRIu64, us, n);
		else
			printf("  <%" PRIu64 "ms %" PRIu64, (us + 999) / 1000, n);
	}
	if (any)
		printf("\n");
}

static void people(const struct target *t, const struct snapshot *s, const struct snapshot *before)
{
	struct census c;
	char name[32];
	const char *sep = ": ";
	uint32_t malive = 0;

	count(s, &c);
	comm(t->pid, name);
	for (size_t i = 0; i < s->nm; i++)
		malive += s->m[i].alive;
	printf("%s (%d), pool started %s ago\n", name, t->pid, duration(s->when - s->startns));
	printf("  P  %d: %u busy, %d idle; queued: global %d, local", t->gomaxprocs, busyps(s),
	       s->npidle, s->runqsize);
	for (int32_t i = 0; i < s->np; i++)
		printf(" %u", s->p[i].queue);
	printf("\n  M  %u kernel threads (at most %d): %d idle, %d looking for work, %d bound to a "
	       "thread of the program%s\n",
	       malive, s->maxm, s->nmidle, s->nmspinning, s->nlockedm,
	       s->lastpoll == 0 ? ", one asleep in the netpoller" : "");
	printf("  G  %u threads: %u running, %u runnable, %u in a system call, %u waiting",
	       alive(&c), c.state[STATE_RUNNING], c.state[STATE_RUNNABLE], c.state[STATE_SYSCALL],
	       c.state[STATE_WAITING]);
	for (uint32_t i = 0; i < NREASON; i++) {
		if (c.reason[i] == 0)
			continue;
		printf("%s%u %s (longest %s)", sep, c.reason[i], reasonname(t, i),
		       duration(c.longest[i]));
		sep = ", ";
	}
	printf("\n");
	double secs = before ? (double)(s->when - before->when) / 1e9 : 0;
	uint32_t col = 0;
	for (uint32_t i = 0; i < t->counters.n; i++) {
		uint64_t n = s->count[i] - (before ? before->count[i] : 0);
		if (n == 0)
			continue;
		if (before)
			printf("%s%-16s %10.1f/s", col % 3 ? "   " : "  ", word(&t->counters, i),
			       (double)n / secs);
		else
			printf("%s%-16s %12" PRIu64, col % 3 ? "   " : "  ", word(&t->counters, i),
			       n);
		if (++col % 3 == 0)
			printf("\n");
	}
	if (col % 3 != 0)
		printf("\n");
	latencies(s, before);
}

/* ---- for programs: one object a line --------------------------------------------------------- */

static void json(const struct target *t, const struct snapshot *s)
{
	struct census c;
	const char *sep = "";
	char name[32];
	uint32_t malive = 0;

	count(s, &c);
	comm(t->pid, name);
	for (size_t i = 0; i < s->nm; i++)
		malive += s->m[i].alive;
	printf("{\"pid\":%d,\"name\":", t->pid);
	jstring(stdout, name);
	printf(",\"uptime_ns\":%" PRIu64 ",\"procs\":%d,\"idle_procs\":%d,\"global_queue\":%d,"
	       "\"kernel_threads\":%u,\"max_kernel_threads\":%d,\"idle_kernel_threads\":%d,"
	       "\"spinning\":%d,"
	       "\"bound_kernel_threads\":%d,\"netpoller_asleep\":%s",
	       s->when - s->startns, t->gomaxprocs, s->npidle, s->runqsize, malive, s->maxm,
	       s->nmidle, s->nmspinning, s->nlockedm, s->lastpoll == 0 ? "true" : "false");
	printf(",\"threads\":%u,\"states\":{", alive(&c));
	for (uint32_t i = STATE_RUNNABLE; i <= STATE_WAITING; i++) {
		printf("%s", sep);
		jstring(stdout, word(&t->gstatus, i));
		printf(":%u", c.state[i]);
		sep = ",";
	}
	printf("},\"waiting\":{");
	sep = "";
	for (uint32_t i = 0; i < NREASON && i < t->reasons.n; i++) {
		if (c.reason[i] == 0)
			continue;
		printf("%s", sep);
		jstring(stdout, reasonname(t, i));
		printf(":{\"threads\":%u,\"longest_ns\":%" PRIu64 "}", c.reason[i], c.longest[i]);
		sep = ",";
	}
	printf("},\"bound\":%u,\"counters\":{", c.bound);
	for (uint32_t i = 0; i < t->counters.n; i++) {
		printf("%s", i ? "," : "");
		jstring(stdout, word(&t->counters, i));
		printf(":%" PRIu64, s->count[i]);
	}
	printf("},\"preempt_latency\":[");
	for (uint32_t i = 0; i < s->nlatency; i++) {
		if (i + 1 < s->nlatency)
			printf("%s{\"below_us\":%" PRIu64 ",\"count\":%" PRIu64 "}", i ? "," : "",
			       (uint64_t)1 << i, s->latency[i]);
		else
			printf(",{\"below_us\":null,\"count\":%" PRIu64 "}", s->latency[i]);
	}
	printf("],\"ps\":[");
	for (int32_t i = 0; i < s->np; i++) {
		const struct pinfo *p = &s->p[i];
		printf("%s{\"id\":%d,\"status\":", i ? "," : "", p->id);
		jstring(stdout, word(&t->pstatus, p->state));
		printf(",\"queue\":%u,\"timers\":%u,\"switches\":%u}", p->queue, p->timers,
		       p->schedtick);
	}
	printf("]}\n");
}

/* ---- the command ----------------------------------------------------------------------------- */

static void pause_(double seconds)
{
	struct timespec ts = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		;
}

int cmdstat(int argc, char **argv)
{
	static const struct option options[] = {
	    {"json", no_argument, NULL, 'j'},
	    {"interval", required_argument, NULL, 'i'},
	    {"count", required_argument, NULL, 'n'},
	    {NULL, 0, NULL, 0},
	};
	bool asjson = false;
	double interval = 0;
	uint64_t times = 0;
	int o;

	opterr = 0;
	while ((o = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (o == 'j')
			asjson = true;
		else if (o == 'i')
			interval = number("--interval", optarg, 0.001, 86400, false);
		else if (o == 'n')
			times = (uint64_t)number("--count", optarg, 1, 1e9, true);
		else if (o == ':')
			die(2,
			    "stat: %s needs a value; allowed: --interval SECONDS, --count N, "
			    "--json",
			    argv[optind - 1]);
		else
			die(2,
			    "stat: unknown option \"%s\"; allowed: --interval SECONDS, --count N, "
			    "--json, --help",
			    argv[optind - 1]);
	}
	if (optind == argc)
		die(2,
		    "stat: PID is missing: gmp stat [--interval SECONDS] [--count N] [--json] PID");
	if (optind + 1 < argc)
		die(2, "stat: one PID only, \"%s\" is too much", argv[optind + 1]);
	if (times > 1 && interval == 0)
		die(2, "stat: --count %" PRIu64 " needs --interval SECONDS", times);
	int pid = (int)number("stat: PID", argv[optind], 1, 4194304, true);
	struct target *t = attach(pid);
	struct snapshot *before = NULL;
	for (uint64_t i = 0;; i++) {
		struct snapshot *s = snapshot(t, true);
		if (asjson)
			json(t, s);
		else
			people(t, s, before);
		fflush(stdout);
		if (ferror(stdout))
			return 1;
		if (before != NULL)
			snapshotfree(before);
		before = s;
		if (interval == 0 || i + 1 == times)
			return 0;
		pause_(interval);
		if (!asjson)
			printf("\n");
	}
}
