/* SPDX-License-Identifier: MIT
 *
 * poll.c: poll, ppoll, select, pselect, epoll_wait on a G.
 *
 * The common case, a daemon's thread that polls its client, costs no system call: the netpoller
 * knows that the descriptor was drained, the G parks at once, and the edge that wakes it says what
 * poll is to answer. Else a real poll(2) without waiting looks, and only if nothing is ready the G
 * parks on all its descriptors, unless one had an event since; it looks again when woken. As in the
 * kernel, what poll says may be outdated when it returns.
 *
 * A signal mask (ppoll, pselect, epoll_pwait) is the G's for the length of the call. Only if it has
 * to wait, the kernel hears of it. A call that does not wait at all is the kernel's, unless
 * something for this G is pending here.
 */
#include "io.h"
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "arch.h"

enum { INLINE = 4 }; /* waiters on the stack, which may be small */

/* What an edge can answer by itself; for other bits the kernel is asked again. */
#define EDGEBITS (POLLIN | POLLOUT | POLLPRI | POLLRDHUP)

static int pollonce(struct pollfd *p, nfds_t n)
{
	int r;

	/* Handlers wait until we are done, so it was a signal of the runtime's own. */
	while ((r = (int)SC3(SYS_poll, p, n, 0)) == -EINTR)
		;
	return r;
}

/*
 * Fills w for p. True: all are known not to be ready. *cannot: some descriptor is no business of
 * the netpoller's (then poll(2) answers at once, or the call is left to the kernel). A file is
 * ready at once or never.
 */
static bool arm(struct pollfd *p, struct pollwaiter *w, nfds_t n, bool *cannot)
{
	bool clear = true;

	for (nfds_t i = 0; i < n; i++) {
		w[i].pd = NULL;
		if (p[i].fd < 0)
			continue;
		struct polldesc *pd = fdlook(p[i].fd);
		if (pd == NULL || kindof(pd) == FD_UNKNOWN || kindof(pd) == FD_FILE) {
			*cannot |= pd == NULL || kindof(pd) == FD_UNKNOWN;
			clear = false;
			continue;
		}
		if (!pdarm(&w[i], pd, (uint16_t)p[i].events))
			clear = false;
	}
	return clear;
}

/*
 * A handler that has run since the call began ends it, as in the kernel: what it changed may be what the caller waits
 * for, and under a mask of the call's own it could not have run before. Handlers run where the runtime is left, not in our text,
 * so none comes between this look and the wait.
 */
static bool interrupted(uint32_t handled)
{
	return unlikely(gohandled(true) != handled);
}

static void looked(const struct pollfd *p, struct pollwaiter *w, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++)
		pdlooked(&w[i], (uint16_t)p[i].events, (uint16_t)p[i].revents);
}

/* deadline 0: for ever. Returns poll's result or -errno. */
static int waitpoll(struct pollfd *p, struct pollwaiter *w, nfds_t n, uint64_t deadline)
{
	uint32_t handled = gohandled(true);

	for (;;) {
		bool cannot = false;
		bool clear = arm(p, w, n, &cannot);
		if (!clear) {
			int r = pollonce(p, n);
			if (r >= 0)
				looked(p, w, n);
			if (r != 0 || cannot)
				return r;
		}
		if (interrupted(handled))
			return -EINTR;
		int err = pdpoll(w, (int)n, deadline);
		/* Timers are looked at more often than the network: something may be ready for long. */
		if (err == -ETIMEDOUT)
			return pollonce(p, n);
		if (err == -EPERM) /* epoll cannot wait for one of them: it is always ready */
			return pollonce(p, n);
		if (err != 0)
			return -EINTR;
		if (n == 1 && (p->events & ~EDGEBITS) == 0) {
			uint16_t ev = atomic_load_explicit(&w->revents, memory_order_relaxed) &
				      ((uint16_t)p->events | POLLERR | POLLHUP);
			if (ev != 0) {
				p->revents = (short)ev;
				return 1;
			}
		}
	}
}

/* Calls waitpoll with room for n waiters. */
static int gpoll(struct pollfd *p, nfds_t n, uint64_t deadline)
{
	struct pollwaiter few[INLINE], *w = few;
	size_t size = n * sizeof(*w);

	if (n > INLINE) {
		long mem = SC6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (mem < 0 && mem > -4096)
			return -ENOMEM;
		w = (struct pollwaiter *)mem;
	}
	int r = waitpoll(p, w, n, deadline);
	if (w != few)
		SC2(SYS_munmap, w, size);
	return r;
}

/* The kernel's to answer: EINVAL if there are more than may be open (only then of interest if none is), EFAULT. */
static bool badlist(struct pollfd *p, nfds_t n)
{
	struct rlimit rl;

	if (n > INLINE && (n > (1u << 20) || (SC4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &rl) == 0 && n > rl.rlim_cur)))
		return true;
	return !goodwrite(p, n * sizeof(*p));
}

static bool badmask(const sigset_t *mask)
{
	return mask != NULL && !goodread(mask, 8);
}

EXPORT int poll(struct pollfd *p, nfds_t n, int timeout)
{
	testcancel();
	if (getg() == NULL || timeout == 0 || badlist(p, n))
		return UNMARKED(REAL(poll)(p, n, timeout));
	uint64_t deadline = timeout < 0 ? 0 : reldeadline((uint64_t)timeout * 1000000u);
	return ret_look(gpoll(p, n, deadline));
}

EXPORT int __poll_chk(struct pollfd *p, nfds_t n, int timeout, size_t size)
{
	return size / sizeof(*p) < n ? REAL(__poll_chk)(p, n, timeout, size) : poll(p, n, timeout);
}

static bool zero(const struct timespec *ts)
{
	return ts != NULL && goodread(ts, sizeof(*ts)) && ts->tv_sec == 0 && ts->tv_nsec == 0;
}

static uint64_t bits(const sigset_t *set)
{
	uint64_t b;

	memcpy(&b, set, sizeof(b));
	return b;
}

/* Under `mask`; expr gives its result as -errno, which ret() makes the call's. */
#define UNDERMASK(mask, expr, ret)                            \
	({                                                    \
		uint64_t old_;                                \
		int r_;                                       \
		if ((mask) != NULL)                           \
			gosigswap(bits(mask), &old_);         \
		r_ = (expr);                                  \
		if ((mask) != NULL)                           \
			gosigmask(SIG_SETMASK, &old_, NULL);  \
		(int)ret(r_);                                 \
	})

/* A call that does not wait: would a pending signal end it? (The kernel sees those it has itself.) */
static bool pendingunder(const sigset_t *mask)
{
	return mask != NULL && getg() != NULL && !badmask(mask) && (gosigpending() & ~bits(mask));
}

EXPORT int ppoll(struct pollfd *p, nfds_t n, const struct timespec *ts, const sigset_t *mask)
{
	testcancel();
	if (unlikely(pendingunder(mask) && zero(ts)))
		return UNDERMASK(mask, gosigrun(), ret_errno);
	if (getg() == NULL || zero(ts) || badtime(ts) || badmask(mask) || badlist(p, n))
		return UNMARKED(REAL(ppoll)(p, n, ts, mask));
	return UNDERMASK(mask, gpoll(p, n, todeadline(ts)), ret_look);
}

EXPORT int __ppoll_chk(struct pollfd *p, nfds_t n, const struct timespec *ts, const sigset_t *mask, size_t size)
{
	return size / sizeof(*p) < n ? REAL(__ppoll_chk)(p, n, ts, mask, size) : ppoll(p, n, ts, mask);
}

/* ---- select: the same with sets. The kernel does the looking, so its rules for sets hold --------- */

static int selectonce(int n, fd_set *r, fd_set *w, fd_set *e)
{
	struct timespec none = {0, 0};
	int res;

	while ((res = (int)SC6(SYS_pselect6, n, r, w, e, &none, NULL)) == -EINTR)
		;
	return res;
}

static bool in(const fd_set *set, int fd)
{
	return set != NULL && (set->fds_bits[fd / NFDBITS] & (1L << (fd % NFDBITS)));
}

static size_t setbytes(int n)
{
	return (size_t)((n + NFDBITS - 1) / NFDBITS) * sizeof(long);
}

/* The kernel's to answer. */
static bool badsets(int n, fd_set *r, fd_set *w, fd_set *e)
{
	if (n < 0 || n > FD_SETSIZE)
		return true;
	return (r != NULL && !goodwrite(r, setbytes(n))) || (w != NULL && !goodwrite(w, setbytes(n))) ||
	       (e != NULL && !goodwrite(e, setbytes(n)));
}

/* One set is looked at in place, so copies are needed: three of 128 bytes at most (n <= FD_SETSIZE). */
static int gselect(int n, fd_set *r, fd_set *w, fd_set *e, uint64_t deadline)
{
	fd_set in0[3];
	fd_set *set[3] = {r, w, e};
	struct pollfd *p = NULL;
	struct pollwaiter *wt = NULL;
	struct pollfd fewp[INLINE];
	struct pollwaiter fewt[INLINE];
	uint32_t handled = gohandled(true);
	nfds_t cnt = 0;
	int res;

	for (int i = 0; i < 3; i++)
		if (set[i] != NULL)
			memcpy(&in0[i], set[i], setbytes(n));
	for (int fd = 0; fd < n; fd++)
		cnt += in(r, fd) || in(w, fd) || in(e, fd);
	size_t size = cnt * (sizeof(*p) + sizeof(*wt));
	p = fewp;
	wt = fewt;
	if (cnt > INLINE) {
		long mem = SC6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (mem < 0 && mem > -4096)
			return -ENOMEM;
		wt = (struct pollwaiter *)mem;
		p = (struct pollfd *)(wt + cnt);
	}
	cnt = 0;
	for (int fd = 0; fd < n; fd++) {
		short ev = (short)((in(r, fd) ? POLLIN : 0) | (in(w, fd) ? POLLOUT : 0) | (in(e, fd) ? POLLPRI : 0));
		if (ev != 0)
			p[cnt++] = (struct pollfd){fd, ev, 0};
	}
	for (;;) {
		bool cannot = false;
		bool clear = arm(p, wt, cnt, &cannot);
		if (!clear) {
			res = selectonce(n, r, w, e);
			for (nfds_t i = 0; i < cnt; i++)
				p[i].revents =
				    (short)(res <= 0 ? 0
						     : (in(r, p[i].fd) ? POLLIN : 0) |
							   (in(w, p[i].fd) ? POLLOUT : 0) |
							   (in(e, p[i].fd) ? POLLPRI : 0));
			if (res >= 0)
				looked(p, wt, cnt);
			if (res != 0 || cannot)
				break;
		}
		if (interrupted(handled)) {
			res = -EINTR;
			break;
		}
		int err = pdpoll(wt, (int)cnt, deadline);
		for (int i = 0; i < 3; i++)
			if (set[i] != NULL)
				memcpy(set[i], &in0[i], setbytes(n));
		if (err == -ETIMEDOUT || err == -EPERM) {
			res = selectonce(n, r, w, e);
			break;
		}
		if (err != 0) {
			res = -EINTR;
			break;
		}
	}
	if (p != fewp)
		SC2(SYS_munmap, wt, size);
	return res;
}

EXPORT int pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *ts, const sigset_t *mask)
{
	testcancel();
	if (unlikely(pendingunder(mask) && zero(ts)))
		return UNDERMASK(mask, gosigrun(), ret_errno);
	if (getg() == NULL || zero(ts) || badtime(ts) || badmask(mask) || badsets(n, r, w, e))
		return UNMARKED(REAL(pselect)(n, r, w, e, ts, mask));
	return UNDERMASK(mask, gselect(n, r, w, e, todeadline(ts)), ret_look);
}

EXPORT int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *tv)
{
	testcancel();
	if (getg() == NULL || badsets(n, r, w, e) ||
	    (tv != NULL && ((tv->tv_sec == 0 && tv->tv_usec == 0) || tv->tv_sec < 0 || tv->tv_usec < 0)))
		return MARKED(REAL(select)(n, r, w, e, tv));
	struct timespec ts = {0, 0};
	if (tv != NULL) {
		ts.tv_sec = tv->tv_sec + tv->tv_usec / 1000000; /* Linux takes more than a million */
		ts.tv_nsec = tv->tv_usec % 1000000 * 1000;
	}
	uint64_t deadline = todeadline(tv ? &ts : NULL);
	int res = gselect(n, r, w, e, deadline);
	if (tv != NULL) { /* Linux tells what was left */
		uint64_t now = nanotime(), left = now < deadline ? deadline - now : 0;
		tv->tv_sec = (time_t)(left / 1000000000u);
		tv->tv_usec = (suseconds_t)(left % 1000000000u / 1000u);
	}
	return ret_look(res);
}

/* ---- the program's own epoll sets, which are pollable themselves ---------------------------------- */

/* As epoll_wait, or -errno. pd: of the set; deadline 0: none; masked: under another signal mask, which the kernel does not know. */
static int gepoll(struct polldesc *pd, struct epoll_event *ev, int n, uint64_t deadline, bool masked)
{
	uint32_t gen = atomic_load(&pd->gen), handled = gohandled(true);

	for (;;) {
		int r = masked ? 0 : loopwait(pd, gen, ev, n, deadline);
		if (r == 0 && pdtry(pd, PD_READ))
			r = (int)SC4(SYS_epoll_wait, pd->fd, ev, n, 0);
		if (r != 0) {
			pdleft(pd, PD_READ);
			return r;
		}
		if (interrupted(handled))
			return -EINTR;
		int64_t begin = cputicks();
		int err = pdwait(pd, gen, PD_READ, deadline);
		loopwaited(pd, cputicks() - begin);
		if (err == -ETIMEDOUT) /* as poll: ready for long, perhaps */
			return (int)SC4(SYS_epoll_wait, pd->fd, ev, n, 0);
		if (err != 0)
			return err == -ERESTART ? -EINTR : err;
	}
}

/* The set's polldesc if we wait for it ourselves. */
static struct polldesc *epollable(int ep, int n)
{
	testcancel();
	struct polldesc *pd = getg() ? fdlook(ep) : NULL;

	return pd != NULL && kindof(pd) == FD_EVENT && n > 0 && n <= INT_MAX / (int)sizeof(struct epoll_event) ? pd : NULL;
}

EXPORT int epoll_pwait(int ep, struct epoll_event *ev, int n, int timeout, const sigset_t *mask)
{
	struct polldesc *pd = timeout != 0 && getg() != NULL && !badmask(mask) ? epollable(ep, n) : NULL;

	if (unlikely(timeout == 0 && pendingunder(mask)))
		return UNDERMASK(mask, gosigrun(), ret_errno);
	if (pd == NULL)
		return MARKED(REAL(epoll_pwait)(ep, ev, n, timeout, mask));
	uint64_t deadline = timeout > 0 ? reldeadline((uint64_t)timeout * 1000000u) : 0;
	return UNDERMASK(mask, gepoll(pd, ev, n, deadline, mask != NULL), ret_point);
}

EXPORT int epoll_wait(int ep, struct epoll_event *ev, int n, int timeout)
{
	struct polldesc *pd = timeout != 0 ? epollable(ep, n) : NULL;

	if (pd == NULL)
		return MARKED(REAL(epoll_wait)(ep, ev, n, timeout));
	uint64_t deadline = timeout > 0 ? reldeadline((uint64_t)timeout * 1000000u) : 0;
	return (int)ret_point(gepoll(pd, ev, n, deadline, false));
}

EXPORT int epoll_pwait2(int ep, struct epoll_event *ev, int n, const struct timespec *ts, const sigset_t *mask)
{
	struct polldesc *pd = getg() == NULL || zero(ts) || badtime(ts) || badmask(mask) ? NULL : epollable(ep, n);

	if (unlikely(pendingunder(mask) && zero(ts)))
		return UNDERMASK(mask, gosigrun(), ret_errno);
	if (pd == NULL)
		return MARKED(REAL(epoll_pwait2)(ep, ev, n, ts, mask));
	return UNDERMASK(mask, gepoll(pd, ev, n, todeadline(ts), mask != NULL), ret_point);
}
