/* SPDX-License-Identifier: MIT
 *
 * print.c: messages to stderr or a file, from any state of the runtime: no libc, no lock. What fits the buffer
 * is one write.
 *
 * stderr may be a pipe whose reader has gone, or does not read. So no message ends the process by SIGPIPE, and none waits for
 * longer than PATIENCE: it is dropped, and those after it until something has been read. A trace (out.hurry) does not wait
 * at all, for it is sysmon who writes it. Another writer may fill the pipe between the look and the write: then it waits.
 */
#include "runtime.h"
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>

enum { PATIENCE = 1000, SLICES = 10 }; /* ms; a signal may end a slice */

static bool writable(const struct out *o)
{
	static _Atomic bool unread;
	struct pollfd pfd = {.fd = o->fd, .events = POLLOUT};
	int slices = o->hurry || atomic_load_explicit(&unread, memory_order_relaxed) ? 0 : SLICES;
	long r = SC3(SYS_poll, &pfd, 1, 0);

	while (r <= 0 && slices-- > 0)
		r = SC3(SYS_poll, &pfd, 1, PATIENCE / SLICES);
	if (!o->hurry)
		atomic_store_explicit(&unread, r <= 0, memory_order_relaxed);
	return r > 0;
}

void outflush(struct out *o)
{
	const uint64_t set = SIGBIT(SIGPIPE) | SIGBIT(SIGXFSZ);
	uint64_t old, before = 0;
	struct timespec none = {0, 0};
	long r;

	if (o->n == 0)
		return;
	if (writable(o)) {
		SC4(SYS_rt_sigprocmask, SIG_BLOCK, &set, &old, 8);
		SC2(SYS_rt_sigpending, &before, 8);
		do
			r = SC3(SYS_write, o->fd, o->buf, o->n);
		while (r == -EINTR);
		if ((r == -EPIPE || r == -EFBIG) && !(before & set))
			SC4(SYS_rt_sigtimedwait, &set, NULL, &none, 8);
		SC4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
	}
	o->n = 0;
}

static void put(struct out *o, char c)
{
	if (o->n == sizeof(o->buf))
		outflush(o);
	o->buf[o->n++] = c;
}

static void putnum(struct out *o, uint64_t v, unsigned base, bool neg)
{
	char tmp[24];
	int i = 0;

	if (neg)
		put(o, '-');
	do
		tmp[i++] = "0123456789abcdef"[v % base];
	while ((v /= base) != 0);
	while (i > 0)
		put(o, tmp[--i]);
}

static void vout(struct out *o, const char *fmt, va_list ap)
{
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(o, *fmt);
			continue;
		}
		int l = 0;
		while (*++fmt == 'l')
			l++;
		switch (*fmt) {
		case 's':
			for (const char *s = va_arg(ap, const char *); s && *s; s++)
				put(o, *s);
			break;
		case 'c':
			put(o, (char)va_arg(ap, int));
			break;
		case 'd': {
			int64_t v = l ? va_arg(ap, long) : va_arg(ap, int);
			putnum(o, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, v < 0);
			break;
		}
		case 'u':
			putnum(o, l ? va_arg(ap, unsigned long) : va_arg(ap, unsigned), 10, false);
			break;
		case 'x':
			putnum(o, l ? va_arg(ap, unsigned long) : va_arg(ap, unsigned), 16, false);
			break;
		case 'p':
			put(o, '0');
			put(o, 'x');
			putnum(o, (uintptr_t)va_arg(ap, void *), 16, false);
			break;
		default:
			put(o, *fmt);
		}
	}
}

void outf(struct out *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vout(o, fmt, ap);
	va_end(ap);
}

void gprintf(const char *fmt, ...)
{
	struct out o = {.fd = 2};
	va_list ap;

	va_start(ap, fmt);
	vout(&o, fmt, ap);
	va_end(ap);
	outflush(&o);
}

static void printg(struct g *gp, void *arg)
{
	(void)arg;
	uint32_t st = atomic_load_explicit(&gp->status, memory_order_relaxed);
	if (st == Gdead || st == Gidle)
		return;
	gprintf("  g%lu tid %d %s%s%s obj %lx m%d park %lx %s\n", (unsigned long)gp->goid, gp->tid,
		st < nelem(gstatusnames) ? gstatusnames[st] : "?", st == Gwaiting ? " " : "",
		st == Gwaiting && gp->waitreason < NWAITREASON ? waitreasons[gp->waitreason] : "",
		(unsigned long)gp->waitobj, gp->m ? gp->m->id : -1, (unsigned long)gp->park, gp->name);
}

void printsched(void)
{
	gprintf("sched: procs %d idle %d ms %d idle %d spinning %d global queue %d lastpoll %lu threads %ld\n",
		gomaxprocs, sched.npidle, sched.nm, sched.nmidle, sched.nmspinning, sched.runqsize,
		(unsigned long)sched.lastpoll, (long)sched.ngs);
	for (int32_t i = 0; i < gomaxprocs && allp; i++) {
		struct p *pp = allp[i];
		uint64_t st = pp->status;
		gprintf("  p%d %s m%d tick %u runq %u next %p timers %u\n", pp->id,
			(st & 0xff) < nelem(pstatusnames) ? pstatusnames[st & 0xff] : "?", (int)(st >> 8),
			pp->schedtick, runqlen(pp), (void *)pp->runnext, pp->ntimers);
	}
	for (struct m *mp = sched.allms; mp; mp = mp->alllink)
		gprintf("  m%d tid %d curg %ld p%d spinning %d blocked %d\n", mp->id, mp->procid,
			mp->curg ? (long)mp->curg->goid : -1L, mp->p ? mp->p->id : -1, mp->spinning,
			mp->blocked);
	foreachg(printg, NULL);
}

noreturn void die(void)
{
	/* SIGABRT by hand: libc's abort would run the program's handler inside the runtime. */
	struct { void *h; unsigned long flags; void *restorer; unsigned long mask; } dfl = {0};
	SC4(SYS_rt_sigaction, SIGABRT, &dfl, NULL, 8);
	unsigned long abrt = 1UL << (SIGABRT - 1);
	SC4(SYS_rt_sigprocmask, SIG_UNBLOCK, &abrt, NULL, 8);
	SC3(SYS_tgkill, SC0(SYS_getpid), SC0(SYS_gettid), SIGABRT);
	for (;;)
		SC1(SYS_exit_group, 127);
}

void throw(const char *what)
{
	static _Atomic int once;
	struct uregs u = {.exact = false};
	uint64_t *fp = __builtin_frame_address(0); /* caller's frame pointer, return address */

	gprintf("libgmp: fatal: %s\n", what);
	if (!atomic_exchange(&once, 1))
		printsched();
	u.r[6] = fp[0];
	u.r[16] = fp[1];
	u.r[7] = (uint64_t)(fp + 2);
	traceback(&u); /* whoever is the second waits here until the first has shown everything */
	die();
}
