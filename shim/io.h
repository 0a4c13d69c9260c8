/* SPDX-License-Identifier: MIT
 *
 * io.h: what io.c, socket.c and poll.c share: one blocking call as attempts and waits.
 */
#ifndef IO_H
#define IO_H

#include "shim.h"

static inline enum fdkind kindof(struct polldesc *pd)
{
	return (enum fdkind)atomic_load_explicit(&pd->kind, memory_order_relaxed);
}

/* The descriptor if its blocking calls are ours to wait for; nil: let the real call do it. No cancellation point. */
static inline struct polldesc *waitablequiet(int fd)
{
	struct polldesc *pd = getg() ? fdlook(fd) : NULL;

	if (unlikely(pd == NULL))
		return NULL;
	enum fdkind kind = kindof(pd);
	/* O_NONBLOCK means nothing to a file: it may keep us waiting all the same. */
	if (kind == FD_UNKNOWN ||
	    (atomic_load_explicit(&pd->nonblock, memory_order_relaxed) && kind != FD_FILE))
		return NULL;
	return pd;
}

static inline struct polldesc *waitable(int fd)
{
	testcancel();
	return waitablequiet(fd);
}

/* A descriptor opened by its path that nobody has looked at yet; else nil. */
static inline struct polldesc *unseen(int fd)
{
	struct polldesc *pd = getg() ? fdknown(fd) : NULL;

	return pd != NULL && atomic_load_explicit(&pd->told, memory_order_relaxed) && kindof(pd) == FD_UNKNOWN ? pd
													     : NULL;
}

/* One blocking operation. */
struct waitop {
	struct polldesc *pd;
	uint32_t gen;
	int mode;
	bool part;	   /* some of it has been transferred: any handler ends the call, with that */
	uint64_t deadline; /* set at the first wait from the socket's time-out */
	bool waited;	   /* once, at least */
	bool late;	   /* that is over, and this is the last attempt */
};

static inline struct waitop waitop(struct polldesc *pd, int mode)
{
	return (struct waitop){.pd = pd, .gen = atomic_load_explicit(&pd->gen, memory_order_acquire), .mode = mode};
}

/*
 * Waits until op may go on. 0: try again; else the call's result: -EAGAIN (the socket's time-out, O_NONBLOCK),
 * -EINTR (by signal(7), SA_RESTART holds neither where a time-out is set nor for the rest of a transfer), -EBADF, -EPERM
 * (cannot be waited for).
 */
ssize_t opwait(struct waitop *op);
/* close() of a socket with SO_LINGER; parks until the kernel would have returned. */
int closelinger(int fd, struct polldesc *pd);

/*
 * Around the result of each write: SIGPIPE, if the G blocks it, is pending on its M and must be taken along before
 * the G may move to another.
 */
static inline ssize_t epipe(ssize_t r)
{
	if (unlikely(r == -EPIPE))
		gosigpipe();
	return r;
}
static inline void epipeerrno(bool failed)
{
	if (unlikely(failed) && errno == EPIPE)
		gosigpipe();
}

/* Inside a marked call: a system call of our own that is a cancellation point. */
#define POINT(expr)                            \
	({                                     \
		gopoint(true);                 \
		ssize_t r_ = (expr);           \
		gopoint(false);                \
		r_;                            \
	})

/* Marked system call around a raw one, which gives -errno. RAWBLOCK: known to block. */
#define RAW(call)                         \
	({                                \
		entersyscall();           \
		ssize_t r_ = epipe(call); \
		exitsyscall();            \
		r_;                       \
	})
#define RAWBLOCK(call)                    \
	({                                \
		entersyscallblock();      \
		ssize_t r_ = epipe(call); \
		exitsyscall();            \
		r_;                       \
	})

/*
 * Marked system call around an expression, which is libc's and sets errno. MARKEDWRITE: that may raise SIGPIPE.
 * MARKEDBLOCK: known to block, the P is handed over at once. A handler may run before the end, hence errno is kept.
 */
/* A call that is not restarted gave EINTR, but the signal was the runtime's: once more. */
#define INTERRUPTED(r) ((long)(r) == -1 && errno == EINTR && gospurious())
#define UNMARKED(expr)                      \
	({                                  \
		__typeof__(expr) r_;        \
		do                          \
			r_ = (expr);        \
		while (unlikely(INTERRUPTED(r_))); \
		r_;                         \
	})
#define LEAVECALL()                               \
	({                                        \
		if (unlikely(!exitsyscallfast())) { \
			int e_ = errno;           \
			exitsyscall();            \
			errno = e_;               \
		}                                 \
	})
#define MARKED(expr)                                \
	({                                          \
		__typeof__(expr) r_;                \
		do {                                \
			entersyscall();             \
			r_ = (expr);                \
			LEAVECALL();                \
		} while (unlikely(INTERRUPTED(r_))); \
		r_;                                 \
	})
#define MARKEDWRITE(expr)                     \
	({                                    \
		entersyscall();               \
		__typeof__(expr) r_ = (expr); \
		epipeerrno((long)r_ == -1);   \
		LEAVECALL();                  \
		r_;                           \
	})
#define MARKEDBLOCK(expr)                           \
	({                                          \
		__typeof__(expr) r_;                \
		do {                                \
			entersyscallblock();        \
			r_ = (expr);                \
			LEAVECALL();                \
		} while (unlikely(INTERRUPTED(r_))); \
		r_;                                 \
	})

/* What the kernel has EINVAL or EFAULT for. nil: no time-out */
static inline bool badtime(const struct timespec *ts)
{
	return ts != NULL && (!goodread(ts, sizeof(*ts)) || ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec > 999999999);
}

/* A valid time-out from now, as the runtime has deadlines; nil: 0, none. */
static inline uint64_t todeadline(const struct timespec *ts)
{
	if (ts == NULL)
		return 0;
	if ((uint64_t)ts->tv_sec > UINT64_MAX / 2000000000u)
		return UINT64_MAX;
	return reldeadline((uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec);
}

/*
 * Between two attempts of a call that cannot be waited for in the kernel (gomayblock()): parks for a while, longer each
 * time. False: errno is EINTR, the call's result: a handler has run since the first nap, in it or between two. ipc.c
 */
struct nap {
	uint64_t ns; /* 0: none yet */
	uint32_t handled;
};
enum {
	IS_POINT = 1, /* the call is a cancellation point */
	IS_SYSV = 2,  /* any handler ends it; its object may be removed, which only who sleeps is told of as such */
};
bool nap(struct nap *n, uint64_t deadline, unsigned kind);

/* The same, for what makes a child process. */
#define SPAWNS(expr)                          \
	({                                    \
		entersyscallblock();          \
		gospawns();                   \
		__typeof__(expr) r_ = (expr); \
		LEAVECALL();                  \
		r_;                           \
	})

/* fcntl(F_SETLKW), fcntl(F_OFD_SETLKW). ipc.c */
int waitsetlk(int (*real)(int, int, ...), int fd, int cmd, void *arg);

/* file.c: nr is SYS_read with (buffer, bytes) or SYS_readv with (vector, pieces); SYS_write, SYS_writev. -errno */
ssize_t fileread(struct polldesc *pd, long nr, const void *to, size_t n);
ssize_t filewrite(struct polldesc *pd, long nr, const void *from, size_t n);
/* The first read of an unseen() descriptor. -EAGAIN: it must be looked at first. */
ssize_t fileread1st(struct polldesc *pd, void *buf, size_t n);

ssize_t sockrecv(struct polldesc *pd, void *buf, size_t n, int flags, struct sockaddr *a, socklen_t *alen);
ssize_t socksend(struct polldesc *pd, const void *buf, size_t n, int flags, const struct sockaddr *a,
		 socklen_t alen);
ssize_t sockrecvmsg(struct polldesc *pd, struct msghdr *m, int flags);
ssize_t socksendmsg(struct polldesc *pd, const struct msghdr *m, int flags);
/* Is there anything to read (write) now? By poll(2) without waiting. */
bool readynow(int fd, short events);

static inline bool issock(enum fdkind k)
{
	return k == FD_TCP || k == FD_STREAM || k == FD_DGRAM;
}

#endif
