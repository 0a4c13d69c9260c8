/* SPDX-License-Identifier: MIT */
/* 200 threads look up names at once, at a server on loopback that takes its time for each answer,
 * and for the first ones until all have asked. Some answers come over TCP, because they are told to
 * be too long for UDP. getaddrinfo(3) */
#include "few.h"
#include "net.h"
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { LOOKUPS = 200, DELAY = 300, HEAD = 12 };

static struct sockaddr_in server;

/* ---- the server: a process of its own, one thread -------------------------------------------- */

struct answer {
	double when;
	struct sockaddr_in to;
	int fd; /* TCP: where it goes; else the UDP socket */
	bool tcp;
	int len;
	unsigned char msg[600];
};

static struct answer queue[8 * LOOKUPS];
static int nqueue;
static struct {
	_Atomic int asked, go;
} * shared;

/* "nameN.test" is 10.0.N/256.N%256; every seventh name is too long for UDP. Returns the message's
 * length, 0: no query. */
static int answer(unsigned char *m, int n, bool tcp)
{
	int at = HEAD, id = 0;

	if (n < HEAD + 5 || (m[2] & 0x80))
		return 0;
	if (m[HEAD] > 4 && !memcmp(m + HEAD + 1, "name", 4))
		id = atoi((char *)m + HEAD + 5);
	while (at < n && m[at])
		at += m[at] + 1;
	at += 5; /* the root, type, class */
	if (at > n)
		return 0;
	int type = m[at - 4] << 8 | m[at - 3];
	m[2] = 0x81;
	m[3] = 0x80;
	m[6] = m[7] = m[8] = m[9] = m[10] = m[11] = 0;
	if (!tcp && id % 7 == 0) {
		m[2] |= 2; /* truncated: ask again over TCP */
		return at;
	}
	if (type != ns_t_a)
		return at; /* there is none */
	const unsigned char rr[] = {0xc0, HEAD, 0, 1, 0,  1, 0,	      0,
				    0,	  60,	0, 4, 10, 0, id >> 8, id & 255};
	memcpy(m + at, rr, sizeof rr);
	m[7] = 1;
	return at + sizeof rr;
}

static void later(struct answer *a)
{
	MUST(nqueue < NELEM(queue));
	a->when = ms_now() + DELAY;
	queue[nqueue++] = *a;
	shared->asked++;
}

static void sendone(struct answer *a)
{
	unsigned char len[2] = {a->len >> 8, a->len & 255};

	if (!a->tcp) {
		sendto(a->fd, a->msg, a->len, 0, (struct sockaddr *)&a->to, sizeof a->to);
	} else if (send(a->fd, len, 2, MSG_NOSIGNAL) == 2) {
		send(a->fd, a->msg, a->len, MSG_NOSIGNAL);
	}
}

static void be_server(int udp, int tcp)
{
	struct pollfd p[2 + LOOKUPS] = {{udp, POLLIN, 0}, {tcp, POLLIN, 0}};
	int n = 2;

	for (;;) {
		MUST(poll(p, n, 10) >= 0);
		while (nqueue && shared->go && queue[0].when <= ms_now()) {
			sendone(&queue[0]);
			memmove(queue, queue + 1, --nqueue * sizeof queue[0]);
		}
		struct answer a = {.fd = udp};
		socklen_t len = sizeof a.to;
		if (p[0].revents &&
		    (a.len = recvfrom(udp, a.msg, 500, MSG_DONTWAIT, (struct sockaddr *)&a.to,
				      &len)) > 0 &&
		    (a.len = answer(a.msg, a.len, false)) > 0)
			later(&a);
		if (p[1].revents && n < NELEM(p))
			p[n++] = (struct pollfd){accept(tcp, NULL, NULL), POLLIN, 0};
		for (int i = 2; i < n; i++) {
			unsigned char l[2];
			if (p[i].fd < 0 || !p[i].revents)
				continue;
			a = (struct answer){.fd = p[i].fd, .tcp = true};
			if (recv(p[i].fd, l, 2, MSG_WAITALL) != 2) {
				close(p[i].fd);
				p[i] = p[--n];
				continue;
			}
			a.len = recv(p[i].fd, a.msg, l[0] << 8 | l[1], MSG_WAITALL);
			if ((a.len = answer(a.msg, a.len, true)) > 0)
				later(&a);
		}
	}
}

/* ---- the clients ----------------------------------------------------------------------------- */

static int found, missing;

/* The resolver is each thread's own: a thread that changes where it asks keeps that. */
static void ask_us(void)
{
	MUST(res_init() == 0);
	_res.nscount = 1;
	_res.nsaddr_list[0] = server;
	_res.retrans = 30;
	_res.retry = 2;
	_res.options &= ~(RES_DEFNAMES | RES_DNSRCH);
}

static void *looks(void *arg)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *ai;
	int id = (int)(intptr_t)arg;
	char name[40];

	ask_us();
	snprintf(name, sizeof name, "name%d.test.", id);
	int err = getaddrinfo(name, "80", &hints, &ai);
	if (err != 0)
		say("%s: %s", name, gai_strerror(err));
	MUST(err == 0);
	struct sockaddr_in *a = (struct sockaddr_in *)ai->ai_addr;
	MUST(ntohl(a->sin_addr.s_addr) == (10u << 24 | (unsigned)id) && ntohs(a->sin_port) == 80);
	MUST(!ai->ai_next);
	freeaddrinfo(ai);
	__atomic_add_fetch(&found, 1, __ATOMIC_RELAXED);
	return arg;
}

static void *looks_in_vain(void *arg)
{
	struct addrinfo hints = {.ai_family = AF_INET6}, *ai;

	ask_us();
	int err = getaddrinfo("nobody.test.", NULL, &hints, &ai);
	MUST(err == EAI_NONAME || err == EAI_NODATA);
	__atomic_add_fetch(&missing, 1, __ATOMIC_RELAXED);
	return arg;
}

int main(void)
{
	pthread_t t[LOOKUPS + 20];
	int udp, tcp = socket(AF_INET, SOCK_STREAM, 0), big = 1 << 20, on = 1;
	pid_t child;

	MUST(tcp >= 0 && setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
	/* The same port of both. */
	while (bind(tcp, (struct sockaddr *)&server,
		    ((udp = bound(SOCK_DGRAM, &server)), sizeof server)) != 0)
		MUST(errno == EADDRINUSE && close(udp) == 0);
	MUST(listen(tcp, LOOKUPS) == 0 &&
	     setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &big, sizeof big) == 0);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(shared != MAP_FAILED && (child = fork()) >= 0);
	if (child == 0) {
		be_server(udp, tcp);
		_exit(0);
	}
	MUST(close(udp) == 0 && close(tcp) == 0);
	for (int i = 0; i < LOOKUPS; i++)
		t[i] = start(looks, (void *)(intptr_t)(i + 1));
	for (int i = LOOKUPS; i < NELEM(t); i++)
		t[i] = start(looks_in_vain, NULL);
	while (shared->asked < NELEM(t))
		usleep(1000);
	few_look(); /* all of them wait */
	shared->go = 1;
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	few_look();
	say("found %d, not there %d", found, missing);
	few_say();
	MUST(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	return 0;
}
