/* SPDX-License-Identifier: MIT */
/*
 * A load client that verifies every reply.  Each worker thread (one, unless -t
 * says otherwise) has an epoll loop of its own, so that a thread-per-connection
 * server meets thousands of connections and a client which is not the
 * bottleneck.
 *
 * Held connections go through three phases, with all workers in step:
 *   open      each connection is opened and makes one exchange, few at a time,
 *             so that it is known to be served and no backlog overflows;
 *   measure   the active ones exchange without pause for the given time;
 *   check     every idle one makes one more exchange.
 * With --churn there is only the measure phase, which opens and closes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "integration.h"
#include "load.h"

enum {
	PATIENCE = 15,          /* seconds without any progress that mean: no reply comes */
	ERRORS_MAX = 1000,      /* a dead server must not spin a churning client */
	SUB = 32,               /* histogram: cells per power of two, 3 % wide */
	CELLS = 60 * SUB,
};

enum phase { OPEN, MEASURE, CHECK };

struct worker {
	pthread_t thread;
	int epfd;
	enum phase phase;
	struct conn *conns;
	int nconns, nactive;    /* the first nactive are active */
	int opened_slots;       /* OPEN: connections begun so far */
	int busy;               /* connections from which something is awaited */
	uint64_t deadline;      /* MEASURE: begin nothing after it */
	uint64_t last;          /* when anything last came */
	uint64_t first_reply, last_reply;       /* of the measure phase */
	long connections, requests, errors[ERR_COUNT];
	uint64_t latency_max;
	uint32_t latency[CELLS];
};

struct plan plan = {
	.conns = 1, .active = -1, .threads = 1, .ramp = 64, .seconds = 5, .bytes = 64, .per_conn = 1,
};
static pthread_barrier_t in_step;
static _Atomic long begun;              /* churned connections, against conns_total */
static _Atomic long errors_seen;

static uint64_t now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static unsigned cell(uint64_t ns)
{
	if (ns < 2 * SUB)
		return (unsigned)ns;
	unsigned shift = 58 - (unsigned)__builtin_clzll(ns);    /* ns >> shift is in [SUB, 2 SUB) */
	return shift * SUB + (unsigned)(ns >> shift);
}

static double cell_us(unsigned i)       /* the middle of a cell */
{
	if (i < 2 * SUB)
		return i / 1e3;
	unsigned shift = i / SUB - 1;
	return ((double)(i - shift * SUB) + 0.5) * (double)(1ull << shift) / 1e3;
}

static void count_error(struct worker *w, enum error kind, int why)
{
	static const char *const said[] = {
		[ERR_CONNECT] = "could not connect",
		[ERR_CLOSED] = "connection closed by the server",
		[ERR_MISMATCH] = "WRONG BYTES in a reply",
		[ERR_STATUS] = "not a 200 reply with Content-Length",
		[ERR_TIMEOUT] = "no reply",
	};
	static _Atomic bool told[ERR_COUNT];
	w->errors[kind]++;
	errors_seen++;
	if (!atomic_exchange(&told[kind], true))        /* the first of each kind */
		fprintf(stderr, "load-client: %s%s%s\n", said[kind], why ? ": " : "",
			why ? strerror(why) : "");
}

/* Opens connections up to what the phase allows. */
static void open_more(struct worker *w)
{
	int why;
	while (w->phase == OPEN && w->opened_slots < w->nconns && w->busy < plan.ramp) {
		if (conn_open(&w->conns[w->opened_slots++], w->epfd, &why))
			w->busy++;
		else
			count_error(w, ERR_CONNECT, why);
	}
}

/* Puts a new connection in the place of a churned one. */
static void reopen(struct worker *w, struct conn *c)
{
	int why;
	while (now() < w->deadline && errors_seen < ERRORS_MAX) {
		if (plan.conns_total && atomic_fetch_add(&begun, 1) >= plan.conns_total)
			return;
		if (conn_open(c, w->epfd, &why)) {
			w->busy++;
			return;
		}
		count_error(w, ERR_CONNECT, why);
	}
}

static void lost(struct worker *w, struct conn *c, enum error why)
{
	count_error(w, why, 0);
	if (plan.churn)
		reopen(w, c);
}

static void begin_exchange(struct worker *w, struct conn *c)
{
	enum error why;
	c->start = now();
	if (conn_exchange(c, &why) == EV_FAILED)
		lost(w, c, why);
	else
		w->busy++;
}

static void reply(struct worker *w, struct conn *c)
{
	uint64_t t = now();
	if (w->phase == OPEN && c->done == 1)
		w->connections++;
	if (w->phase != MEASURE)
		return;
	uint64_t took = t - c->start;
	unsigned i = cell(took);
	w->latency[i < CELLS ? i : CELLS - 1]++;
	if (took > w->latency_max)
		w->latency_max = took;
	w->requests++;
	w->last_reply = t;
	if (plan.churn ? c->done < plan.per_conn : t < w->deadline) {
		begin_exchange(w, c);
	} else if (plan.churn) {
		conn_end(c);
		w->busy++;
	}
}

static void step(struct worker *w, struct conn *c, uint32_t events)
{
	enum event ev;
	enum error why;
	do {
		bool awaited = c->state != CONN_IDLE;   /* an idle one may be closed, too */
		ev = conn_ready(c, &why);
		if (ev != EV_NOTHING && awaited)
			w->busy--;
		if (ev == EV_OPENED) {
			begin_exchange(w, c);
		} else if (ev == EV_REPLY) {
			reply(w, c);
		} else if (ev == EV_ENDED) {
			w->connections++;
			reopen(w, c);
		} else if (ev == EV_FAILED) {
			lost(w, c, why);
		}
	} while ((ev == EV_OPENED || ev == EV_REPLY) &&
		 events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
}

/* Runs until nothing is awaited any more, or nothing comes any more. */
static void loop(struct worker *w)
{
	struct epoll_event events[256];
	w->last = now();
	open_more(w);
	while (w->busy > 0) {
		int n = epoll_wait(w->epfd, events, 256, 1000);
		if (n > 0)
			w->last = now();
		else if (now() > w->last + PATIENCE * 1000000000ull)
			break;
		for (int i = 0; i < n; i++)
			step(w, events[i].data.ptr, events[i].events);
		open_more(w);
	}
	for (int i = 0; i < w->nconns && w->busy > 0; i++) {
		struct conn *c = &w->conns[i];
		if (c->state == CONN_CLOSED || c->state == CONN_IDLE)
			continue;
		conn_close(c);
		w->busy--;
		count_error(w, ERR_TIMEOUT, 0);
	}
	for (; w->phase == OPEN && w->opened_slots < w->nconns; w->opened_slots++)
		count_error(w, ERR_TIMEOUT, 0);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	for (int i = 0; i < w->nconns; i++)
		w->conns[i].fd = -1;
	if (!plan.churn)
		loop(w);
	pthread_barrier_wait(&in_step);

	w->phase = MEASURE;
	w->first_reply = w->last_reply = now();
	w->deadline = plan.seconds > 0 ? w->first_reply + (uint64_t)(plan.seconds * 1e9) : UINT64_MAX;
	for (int i = 0; i < w->nactive; i++) {
		if (plan.churn)
			reopen(w, &w->conns[i]);
		else if (w->conns[i].state == CONN_IDLE)
			begin_exchange(w, &w->conns[i]);
	}
	if (!plan.churn && !w->busy)    /* no active one: hold them all the same */
		usleep((useconds_t)(plan.seconds * 1e6));
	loop(w);
	pthread_barrier_wait(&in_step);

	w->phase = CHECK;
	for (int i = w->nactive; i < w->nconns; i++)
		if (w->conns[i].state == CONN_IDLE)
			begin_exchange(w, &w->conns[i]);
	loop(w);
	for (int i = 0; i < w->nconns; i++) {
		conn_close(&w->conns[i]);
		free(w->conns[i].head);
	}
	return NULL;
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

	static const struct { const char *name; double share; } point[] = {
		{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999},
	};
	printf("latency us:");
	unsigned i = 0;
	for (size_t k = 0; k < sizeof point / sizeof *point; k++) {
		while (i < CELLS - 1 && (double)(counted + latency[i]) < point[k].share * (double)requests)
			counted += latency[i++];
		double us = cell_us(i) < (double)max / 1e3 ? cell_us(i) : (double)max / 1e3;
		printf(" %s %.1f", point[k].name, us);
	}
	printf(" max %.1f\n", (double)max / 1e3);
	return errors ? 1 : 0;
}

static void usage(FILE *to)
{
	fprintf(to,
		"usage: load-client -p PORT [-c CONNS] [-d SECONDS] [-m BYTES] [-t THREADS]\n"
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
		"Exit status: 0, or 1 if there was any error, or 2 for a wrong argument.\n");
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
		{"churn", no_argument, 0, CHURN}, {"per-conn", required_argument, 0, PER_CONN},
		{"conns-total", required_argument, 0, CONNS_TOTAL},
		{"active", required_argument, 0, ACTIVE}, {"http", no_argument, 0, HTTP},
		{"path", required_argument, 0, PATH}, {"ramp", required_argument, 0, RAMP},
		{"help", no_argument, 0, 'h'}, {0},
	};
	char *end;
	int opt;
	while ((opt = getopt_long(argc, argv, "p:c:d:m:t:h", longs, NULL)) != -1) {
		switch (opt) {
		case 'p': plan.port = (int)parse_number("the port (-p)", optarg, 1, 65535); break;
		case 'c': plan.conns = (int)parse_number("-c", optarg, 1, 1000000); break;
		case 'm': plan.bytes = (size_t)parse_number("-m", optarg, 1, 64 << 20); break;
		case 't': plan.threads = (int)parse_number("-t", optarg, 1, 64); break;
		case 'd':
			plan.seconds = strtod(optarg, &end);
			if (end == optarg || *end || !(plan.seconds >= 0 && plan.seconds <= 86400))
				bad("-d must be a number of seconds from 0 to 86400");
			break;
		case CHURN: plan.churn = true; break;
		case PER_CONN: plan.per_conn = (int)parse_number("--per-conn", optarg, 1, 1000000); break;
		case CONNS_TOTAL: plan.conns_total = parse_number("--conns-total", optarg, 1, 1L << 40); break;
		case ACTIVE: plan.active = (int)parse_number("--active", optarg, 0, 1000000); break;
		case HTTP: plan.http = true; break;
		case PATH: plan.path = optarg; break;
		case RAMP: plan.ramp = (int)parse_number("--ramp", optarg, 1, 1000000); break;
		case 'h': usage(stdout); exit(0);
		default: usage(stderr); exit(2);
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
	return fflush(stdout) ? 1 : status;
}
