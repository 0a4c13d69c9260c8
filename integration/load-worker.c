/* SPDX-License-Identifier: MIT */
/*
 * A worker of the load client: one thread, one epoll loop, its share of the
 * connections, its own counters.
 *
 * Held connections go through three phases, with all workers in step:
 *   open      each connection is opened and makes one exchange, few at a time,
 *             so that it is known to be served and no backlog overflows;
 *   measure   the active ones exchange without pause for the given time;
 *   check     every idle one makes one more exchange.
 * With --churn there is only the measure phase, which opens and closes.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

enum {
	PATIENCE = 15,	   /* seconds without any progress that mean: no reply comes */
	ERRORS_MAX = 1000, /* a dead server must not spin a churning client */
};

pthread_barrier_t in_step;
static _Atomic long begun; /* churned connections, against conns_total */
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
	unsigned shift = 58 - (unsigned)__builtin_clzll(ns); /* ns >> shift is in [SUB, 2 SUB) */
	return shift * SUB + (unsigned)(ns >> shift);
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
	if (!atomic_exchange(&told[kind], true)) /* the first of each kind */
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
		bool awaited = c->state != CONN_IDLE; /* an idle one may be closed, too */
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

void *work(void *arg)
{
	struct worker *w = arg;
	for (int i = 0; i < w->nconns; i++)
		w->conns[i].fd = -1;
	if (!plan.churn)
		loop(w);
	pthread_barrier_wait(&in_step);

	w->phase = MEASURE;
	w->first_reply = w->last_reply = now();
	w->deadline =
	    plan.seconds > 0 ? w->first_reply + (uint64_t)(plan.seconds * 1e9) : UINT64_MAX;
	for (int i = 0; i < w->nactive; i++) {
		if (plan.churn)
			reopen(w, &w->conns[i]);
		else if (w->conns[i].state == CONN_IDLE)
			begin_exchange(w, &w->conns[i]);
	}
	if (!plan.churn && !w->busy) /* no active one: hold them all the same */
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
