/* SPDX-License-Identifier: MIT */
/*
 * A load client that verifies every reply.  Each worker thread (one, unless -t
 * says otherwise) has an epoll loop of its own, so that a thread-per-connection
 * server meets thousands of connections and a client which is not the
 * bottleneck.  Here: options and report.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "integration.h"
#include "load.h"

struct plan plan = {
    .conns = 1,
    .active = -1,
    .threads = 1,
    .ramp = 64,
    .seconds = 5,
    .bytes = 64,
    .per_conn = 1,
};

static double cell_us(unsigned i) /* the middle of a cell */
{
	if (i < 2 * SUB)
		return i / 1e3;
	unsigned shift = i / SUB - 1;
	return ((double)(i - shift * SUB) + 0.5) * (double)(1ull << shift) / 1e3;
}

/* Sums the workers up, prints, and answers the exit status. */
static int report(const struct worker *ws)
{
	static uint64_t latency[CELLS];
	uint64_t first = UINT64_MAX, last = 0, max = 0, counted = 0;
	long connections = 0, requests = 0, errors = 0;
	for (const struct worker *w = ws; w < ws + plan.threads; w++) {
		connections += w->connections;
		requests += w->requests;
		for (int k = 0; k < ERR_COUNT; k++)
			errors += w->errors[k];
		for (int i = 0; i < CELLS; i++)
			latency[i] += w->latency[i];
		if (w->latency_max > max)
			max = w->latency_max;
		if (w->first_reply < first)
			first = w->first_reply;
		if (w->last_reply > last)
			last = w->last_reply;
	}
	double seconds = last > first ? (double)(last - first) / 1e9 : 0;
	printf("connections: %ld\nrequests: %ld\nerrors: %ld\n", connections, requests, errors);
	if (plan.churn)
		printf("connections/sec: %.1f\n", seconds > 0 ? (double)connections / seconds : 0);
	printf("requests/sec: %.1f\n", seconds > 0 ? (double)requests / seconds : 0);

	static const struct {
		const char *name;
		double share;
	} point[] = {
	    {"p50", 0.5},
	    {"p90", 0.9},
	    {"p99", 0.99},
	    {"p99.9", 0.999},
	};
	printf("latency us:");
	unsigned i = 0;
	for (size_t k = 0; k < sizeof point / sizeof *point; k++) {
		while (i < CELLS - 1 &&
		       (double)(counted + latency[i]) < point[k].share * (double)requests)
			counted += latency[i++];
		double us = cell_us(i) < (double)max / 1e3 ? cell_us(i) : (double)max / 1e3;
		printf(" %s %.1f", point[k].name, us);
	}
	printf(" max %.1f\n", (double)max / 1e3);
	return errors ? 1 : 0;
}

static void usage(FILE *to)
{
	fputs("usage: load-client -p PORT [-c CONNS] [-d SECONDS] [-m BYTES] [-t THREADS]\n"
	      "                   [--active N | --churn [--per-conn K] [--conns-total N]]\n"
	      "                   [--http [--path PATH]] [--ramp N]\n"
	      "Loads an echo or HTTP server on 127.0.0.1 and checks every reply.\n"
	      "  -p PORT          where the server listens\n"
	      "  -c CONNS         connections held at once; default 1\n"
	      "  -d SECONDS       how long to load; default 5; 0 with --conns-total: no limit\n"
	      "  -m BYTES         size of an echo message; default 64\n"
	      "  -t THREADS       of the client; default 1\n"
	      "  --active N       only N connections are kept busy, the others are idle\n"
	      "                   and checked at the end\n"
	      "  --churn          connect, exchange, close, again and again, CONNS at once\n"
	      "  --per-conn K     exchanges in the life of a churned connection; default 1\n"
	      "  --conns-total N  end after N churned connections\n"
	      "  --http           GET on keep-alive connections instead of echo; each asks for a\n"
	      "                   target of its own which http-server repeats as its body\n"
	      "  --path PATH      ask for PATH, check the status and the body's length only\n"
	      "  --ramp N         held connections without a first reply, at most; default 64\n"
	      "Exit status: 0, or 1 if there was any error, or 2 for a wrong argument.\n",
	      to);
}

static void bad(const char *what)
{
	fprintf(stderr, "load-client: %s; --help says more\n", what);
	exit(2);
}

static void parse(int argc, char **argv)
{
	enum { CHURN = 256, PER_CONN, CONNS_TOTAL, ACTIVE, HTTP, PATH, RAMP };
	static const struct option longs[] = {
	    {"churn", no_argument, 0, CHURN},
	    {"per-conn", required_argument, 0, PER_CONN},
	    {"conns-total", required_argument, 0, CONNS_TOTAL},
	    {"active", required_argument, 0, ACTIVE},
	    {"http", no_argument, 0, HTTP},
	    {"path", required_argument, 0, PATH},
	    {"ramp", required_argument, 0, RAMP},
	    {"help", no_argument, 0, 'h'},
	    {0},
	};
	char *end;
	int opt;
	while ((opt = getopt_long(argc, argv, "p:c:d:m:t:h", longs, NULL)) != -1) {
		switch (opt) {
		case 'p':
			plan.port = (int)parse_number("the port (-p)", optarg, 1, 65535);
			break;
		case 'c':
			plan.conns = (int)parse_number("-c", optarg, 1, 1000000);
			break;
		case 'm':
			plan.bytes = (size_t)parse_number("-m", optarg, 1, 64 << 20);
			break;
		case 't':
			plan.threads = (int)parse_number("-t", optarg, 1, 64);
			break;
		case 'd':
			plan.seconds = strtod(optarg, &end);
			if (end == optarg || *end || !(plan.seconds >= 0 && plan.seconds <= 86400))
				bad("-d must be a number of seconds from 0 to 86400");
			break;
		case CHURN:
			plan.churn = true;
			break;
		case PER_CONN:
			plan.per_conn = (int)parse_number("--per-conn", optarg, 1, 1000000);
			break;
		case CONNS_TOTAL:
			plan.conns_total = parse_number("--conns-total", optarg, 1, 1L << 40);
			break;
		case ACTIVE:
			plan.active = (int)parse_number("--active", optarg, 0, 1000000);
			break;
		case HTTP:
			plan.http = true;
			break;
		case PATH:
			plan.path = optarg;
			break;
		case RAMP:
			plan.ramp = (int)parse_number("--ramp", optarg, 1, 1000000);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind != argc)
		bad("an argument is not an option");
	if (!plan.port)
		bad("-p PORT is missing");
	if (plan.churn && plan.active >= 0)
		bad("--active and --churn exclude each other");
	if (!plan.churn && plan.conns_total)
		bad("--conns-total needs --churn");
	if (plan.seconds == 0 && !plan.conns_total)
		bad("-d 0 needs --churn --conns-total N");
	if (plan.path && (!plan.http || plan.path[0] != '/' || strlen(plan.path) >= PATH_BYTES))
		bad("--path needs --http and a short PATH that begins with /");
	if (plan.active < 0)
		plan.active = plan.conns;
	if (plan.active > plan.conns)
		bad("--active must not exceed -c");
	if (plan.threads > plan.conns)
		plan.threads = plan.conns;
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	raise_fd_limit();
	struct worker *ws = calloc((size_t)plan.threads, sizeof *ws);
	struct conn *conns = calloc((size_t)plan.conns, sizeof *conns);
	if (!ws || !conns)
		bad("out of memory");
	pthread_barrier_init(&in_step, NULL, (unsigned)plan.threads);
	for (int i = 0; i < plan.threads; i++) {
		struct worker *w = &ws[i];
		w->conns = conns;
		w->nconns = plan.conns / plan.threads + (i < plan.conns % plan.threads);
		w->nactive = plan.active / plan.threads + (i < plan.active % plan.threads);
		conns += w->nconns;
		w->epfd = epoll_create1(EPOLL_CLOEXEC);
		if (w->epfd < 0 || pthread_create(&w->thread, NULL, work, w))
			bad("no epoll instance or no thread to be had");
	}
	for (int i = 0; i < plan.threads; i++)
		pthread_join(ws[i].thread, NULL);
	int status = report(ws);
	free(ws[0].conns);
	free(ws);
	return fflush(stdout) ? 1 : status;
}
