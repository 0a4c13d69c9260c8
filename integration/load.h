/* SPDX-License-Identifier: MIT */
/*
 * The load client's layers: load-client.c (options, report) over load-worker.c
 * (event loop, phases, counters) over load-conn.c (one connection: what it
 * sends, what it must get back).
 */
#ifndef LOAD_H
#define LOAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PATH_BYTES = 1024 }; /* of plan.path, its end included */

/* What was asked for; read-only once the workers run. */
struct plan {
	int port;
	int conns, active; /* held open; of them kept busy */
	int threads;
	int ramp; /* connections without a first reply, at most */
	double seconds;
	size_t bytes; /* of an echo message */
	bool churn, http;
	int per_conn;	  /* exchanges in the life of a churned connection */
	long conns_total; /* churned connections, 0: as many as time allows */
	const char *path; /* http: NULL asks for a target of each request's own */
};
extern struct plan plan;

enum error {
	ERR_CONNECT,  /* could not connect */
	ERR_CLOSED,   /* closed or reset by the server */
	ERR_MISMATCH, /* bytes that are not the expected ones */
	ERR_STATUS,   /* http: not a 200 with Content-Length */
	ERR_TIMEOUT,  /* no reply */
	ERR_COUNT,
};

enum state {
	CONN_CLOSED,
	CONN_CONNECTING,
	CONN_IDLE,    /* open, nothing outstanding */
	CONN_WAITING, /* an exchange is outstanding */
	CONN_ENDING,  /* our side is shut, the server's end is awaited */
};

/* Owned by one worker; the fields from `sent` on belong to load-conn.c. */
struct conn {
	int fd;
	enum state state;
	long done;	/* exchanges completed */
	uint64_t start; /* of the exchange, ns */
	uint64_t id;	/* never used twice: seeds the sequence, names the target */
	uint64_t sent;	/* echo: place in the sequence; http: in this request */
	uint64_t received;
	uint64_t goal; /* `received` at which the exchange is complete */
	bool stuck;    /* the socket did not take all: go on when it is writable */
	char *head;    /* http: the reply's beginning, up to HEAD_MAX bytes */
	size_t head_len;
};

/* What happened on a connection. */
enum event { EV_NOTHING, EV_OPENED, EV_REPLY, EV_ENDED, EV_FAILED };

/* Starts to connect; false (and *why) on failure. */
bool conn_open(struct conn *c, int epfd, int *why);
/* Sends the next request or message. */
enum event conn_exchange(struct conn *c, enum error *why);
/* Shuts our side; EV_ENDED comes when the server has closed its own. */
void conn_end(struct conn *c);
/* The socket is ready for something: makes at most one step.  As epoll is
 * edge-triggered, call until EV_NOTHING; but EV_REPLY leaves the socket empty,
 * so that is enough where the event does not tell of the server's close. */
enum event conn_ready(struct conn *c, enum error *why);
void conn_close(struct conn *c);

/* Latencies fall into cells of which SUB make a power of two: 3 % wide. */
enum { SUB = 32, CELLS = 60 * SUB };

enum phase { OPEN, MEASURE, CHECK };

struct worker {
	pthread_t thread;
	int epfd;
	enum phase phase;
	struct conn *conns;
	int nconns, nactive;		  /* the first nactive are active */
	int opened_slots;		  /* OPEN: connections begun so far */
	int busy;			  /* connections from which something is awaited */
	uint64_t deadline;		  /* MEASURE: begin nothing after it */
	uint64_t last;			  /* when anything last came */
	uint64_t first_reply, last_reply; /* of the measure phase */
	long connections, requests, errors[ERR_COUNT];
	uint64_t latency_max;
	uint32_t latency[CELLS];
};

extern pthread_barrier_t in_step; /* of all workers, between phases */

/* A worker's thread; arg is the struct worker, with epfd and conns set. */
void *work(void *arg);

#endif
