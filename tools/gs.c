/* SPDX-License-Identifier: MIT
 *
 * gs.c: the process's Gs, Ms and Ps as they are while we read: each structure whole, though not all
 * at one moment.
 *
 * The lists only grow at their heads and their members are never unmapped, so a walk cannot go
 * astray. Memory is read in pieces of 64 KiB: Gs lie side by side.
 */
#include "live.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 64 << 10, NPIECES = 64 };

/* Pieces read during one walk. */
struct cache {
	struct {
		uint64_t at;
		size_t n;
		unsigned char *data;
	} piece[NPIECES];
};

static bool cached(const struct target *t, struct cache *c, uint64_t addr, void *out, size_t n)
{
	uint64_t at = addr & ~(uint64_t)(PIECE - 1);
	size_t slot = (at / PIECE) % NPIECES;

	if (addr + n > at + PIECE)
		return peek(t, addr, out, n);
	if (c->piece[slot].data == NULL)
		c->piece[slot].data = xcalloc(1, PIECE);
	if (c->piece[slot].at != at) {
		/* What is mapped from here on; the beginning of the piece may not be. */
		size_t skip = 0, got = 0;
		while (skip < PIECE && (got = peeksome(t, at + skip, c->piece[slot].data + skip,
						       PIECE - skip)) == 0)
			skip += 4096;
		c->piece[slot].at = at;
		c->piece[slot].n = skip + got;
	}
	if (addr - at + n > c->piece[slot].n)
		return peek(t, addr, out, n);
	memcpy(out, c->piece[slot].data + (addr - at), n);
	return true;
}

static void cachefree(struct cache *c)
{
	for (int i = 0; i < NPIECES; i++)
		free(c->piece[i].data);
	free(c);
}

static void decodeg(const struct target *t, uint64_t addr, const void *copy, struct ginfo *g)
{
	size_t n = t->at[L_g_name].size < 16 ? t->at[L_g_name].size : 16;

	memset(g, 0, sizeof(*g));
	g->addr = addr;
	g->goid = field(t, copy, L_g_goid);
	g->tid = (int)field(t, copy, L_g_tid);
	g->status = (uint32_t)field(t, copy, L_g_status);
	g->park = field(t, copy, L_g_park);
	g->m = field(t, copy, L_g_m);
	g->sp = field(t, copy, L_g_sp);
	g->reason = (uint32_t)field(t, copy, L_g_waitreason);
	g->waitobj = field(t, copy, L_g_waitobj);
	g->waitsince = field(t, copy, L_g_waitsince);
	g->syscallbp = field(t, copy, L_g_syscallbp);
	g->when = field(t, copy, L_g_when);
	g->lo = field(t, copy, L_g_lo);
	g->hi = field(t, copy, L_g_hi);
	g->ismain = field(t, copy, L_g_ismain) & 1;
	g->lockedm = field(t, copy, L_g_lockedm);
	g->fn = field(t, copy, L_g_fn);
	g->sigpending = field(t, copy, L_g_sigpending);
	memcpy(g->name, (const char *)copy + t->at[L_g_name].offset, n);
	for (char *s = g->name; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

bool readg(const struct target *t, uint64_t addr, struct ginfo *out)
{
	char copy[8192];
	size_t n = t->at[L_g].size;

	if (n > sizeof(copy) || !peek(t, addr, copy, n))
		return false;
	decodeg(t, addr, copy, out);
	return true;
}

static int bygoid(const void *a, const void *b)
{
	const struct ginfo *x = a, *y = b;

	return x->goid < y->goid ? -1 : x->goid > y->goid;
}

static void readgs(const struct target *t, struct snapshot *s)
{
	struct cache *c = xcalloc(1, sizeof(*c));
	size_t n = t->at[L_g].size, room = 0;
	char *copy = xcalloc(1, n);
	uint64_t addr = peekword(t, t->sched + t->at[L_s_allgs].offset);

	while (addr != 0 && cached(t, c, addr, copy, n)) {
		if (s->ng == room)
			s->g = xrealloc(s->g, (room = room ? room * 2 : 1024) * sizeof(*s->g));
		decodeg(t, addr, copy, &s->g[s->ng++]);
		addr = field(t, copy, L_g_alllink);
	}
	free(copy);
	cachefree(c);
	if (s->ng > 0)
		qsort(s->g, s->ng, sizeof(*s->g), bygoid);
}

static void readms(const struct target *t, struct snapshot *s)
{
	size_t n = t->at[L_m].size, room = 0;
	char *copy = xcalloc(1, n);
	uint64_t addr = peekword(t, t->sched + t->at[L_s_allms].offset);

	while (addr != 0 && peek(t, addr, copy, n)) {
		if (s->nm == room)
			s->m = xrealloc(s->m, (room = room ? room * 2 : 64) * sizeof(*s->m));
		struct minfo *m = &s->m[s->nm++];
		*m = (struct minfo){
		    .addr = addr,
		    .id = (int)field(t, copy, L_m_id),
		    .tid = (int)field(t, copy, L_m_procid),
		    .curg = field(t, copy, L_m_curg),
		    .spinning = field(t, copy, L_m_spinning) & 1,
		};
		m->alive = m->tid != 0 && (uint32_t)field(t, copy, L_m_exited) != 0;
		addr = field(t, copy, L_m_alllink);
	}
	free(copy);
}

static void readps(const struct target *t, struct snapshot *s)
{
	size_t n = t->at[L_p].size;
	char *copy = xcalloc(1, n);
	uint32_t ncount = t->at[L_p_count].size / 8;

	s->nlatency = t->at[L_p_latency].size / 8;
	if (s->nlatency > NLATENCYMAX)
		s->nlatency = NLATENCYMAX;
	if (ncount > t->counters.n)
		ncount = t->counters.n;
	s->p = xcalloc((size_t)t->gomaxprocs, sizeof(*s->p));
	for (int32_t i = 0; i < t->gomaxprocs; i++) {
		uint64_t addr = peekword(t, t->allp + 8ul * (uint64_t)i);
		if (addr == 0 || !peek(t, addr, copy, n))
			break;
		struct pinfo *p = &s->p[s->np++];
		uint64_t status = field(t, copy, L_p_status);
		p->id = (int)field(t, copy, L_p_id);
		p->state = status & 0xff;
		p->m = (int)(status >> 8);
		p->queue = (uint32_t)(field(t, copy, L_p_tail) - field(t, copy, L_p_head)) +
			   (field(t, copy, L_p_next) != 0);
		p->timers = (uint32_t)field(t, copy, L_p_ntimers);
		p->schedtick = (uint32_t)field(t, copy, L_p_schedtick);
		p->count = xcalloc(t->counters.n + 1, 8);
		p->latency = xcalloc(s->nlatency, 8);
		memcpy(p->count, copy + t->at[L_p_count].offset, ncount * 8ul);
		memcpy(p->latency, copy + t->at[L_p_latency].offset, s->nlatency * 8ul);
		for (uint32_t c = 0; c < ncount; c++)
			s->count[c] += p->count[c];
		for (uint32_t l = 0; l < s->nlatency; l++)
			s->latency[l] += p->latency[l];
	}
	free(copy);
}

struct snapshot *snapshot(const struct target *t, bool gs)
{
	struct snapshot *s = xcalloc(1, sizeof(*s));
	size_t n = t->at[L_s].size;
	char *copy = xcalloc(1, n);

	if (!peek(t, t->sched, copy, n))
		die(1, "process %d has ended", t->pid);
	if (!(field(t, copy, L_s_started) & 1))
		die(3, "process %d has no pool", t->pid);
	s->when = monotonic();
	s->startns = field(t, copy, L_s_startns);
	s->lastpoll = field(t, copy, L_s_lastpoll);
	s->runqsize = (int32_t)field(t, copy, L_s_runqsize);
	s->npidle = (int32_t)field(t, copy, L_s_npidle);
	s->nmidle = (int32_t)field(t, copy, L_s_nmidle);
	s->nmall = (int32_t)field(t, copy, L_s_nm);
	s->nmspinning = (int32_t)field(t, copy, L_s_nmspinning);
	s->nlockedm = (int32_t)field(t, copy, L_s_nlockedm);
	s->maxm = (int32_t)peekword(t, t->debug + t->at[L_maxm].offset);
	s->count = xcalloc(t->counters.n + 1, 8);
	uint32_t ncount = t->at[L_s_count].size / 8;
	memcpy(s->count, copy + t->at[L_s_count].offset,
	       (ncount < t->counters.n ? ncount : t->counters.n) * 8ul);
	free(copy);
	readps(t, s);
	readms(t, s);
	if (gs)
		readgs(t, s);
	return s;
}

void snapshotfree(struct snapshot *s)
{
	for (int32_t i = 0; i < s->np; i++) {
		free(s->p[i].count);
		free(s->p[i].latency);
	}
	free(s->p);
	free(s->m);
	free(s->g);
	free(s->count);
	free(s);
}
