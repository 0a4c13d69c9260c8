/* SPDX-License-Identifier: MIT
 *
 * netpoll.c: waiting for descriptors (Go's netpoll.go and netpoll_epoll.go).
 *
 * One epoll instance, edge-triggered; a descriptor is registered for reading and writing at once
 * when somebody first has to wait for it, and stays so for its life. struct polldesc (by number,
 * type-stable) remembers per direction whether trying makes sense:
 *
 *     ready = 1   perhaps: try the call
 *     ready = 0   drained: an edge will come, so wait without trying
 *
 * An attempt takes the flag first (exchange 0), then makes its system call. An edge sets the flag
 * and wakes. So data that come after the take, whether before or after the call, leave the flag at
 * 1, and pdwait() (which checks it under pd->lock, where the event side sets it) does not sleep: no
 * lost edge. The flag may also be given back by pdleft(), without the lock: it stores the flag,
 * then reads the count of waiters; pdwait() raises the count, then reads the flag (both seq_cst),
 * so one of the two sees the other.
 *
 * Taking costs two atomic exchanges per call. pdmaybe(), pdempty() spare them where calls mostly
 * succeed: the attempt leaves the flag alone and remembers `edges`, which each edge raises before
 * it sets flags. Only EAGAIN clears the flag, and then looks at `edges` again (each side stores,
 * fence, loads): if an edge's flag was wiped its count is seen, the flag is given back and the
 * attempt repeated. Data that come after an attempt raise an edge after it, so either that is seen
 * here or it finds us waiting. Both ways may be mixed on one descriptor.
 *
 * poll takes nothing: it remembers `edges`, asks the kernel, and parks only if no edge has come
 * since (pdarm, pdlooked, pdpoll). The flags spare it the question, and learn from the answer what
 * it says about reading and writing: it may have asked for something else.
 *
 * An event may be old: the kernel told it, whoever asked lost its CPU, somebody read what it was
 * about, found nothing more, and polls. Only then he is woken. So each look at the network has a
 * number (`rounds`), taken before it, and pdarm() and pdlooked() note the last one after they know
 * that nothing is ready. What a later one brings is the answer to the poll; with any other the
 * kernel is asked again. (Whoever reads or writes tries anyway.)
 *
 * Several Gs may wait on one descriptor. An edge wakes all pollers but one reader (one writer); who
 * then finds more than it takes calls pdleft(), which wakes the next: a baton, no herd. A woken
 * reader that gives up without trying must pass the baton on as well.
 *
 * Generations: gen is in the epoll data and grows when the number is opened or closed, so an event
 * of a previous descriptor under the same number is dropped. Where the old description may live on
 * (fork, dup, SCM_RIGHTS: `shared`), it is taken out of the epoll set before the close, because
 * epoll would keep it. A number that libc closed behind our back is found by the opener's
 * fdopened().
 *
 * Rejected: level-triggered (an epoll_ctl per wait), EPOLLONESHOT (the same), epoll per P (a G's
 * descriptor would wake the wrong P), always trying first (10 % of an echo server), a poll that
 * takes the flags and gives them back once something is ready: that woke all others who poll the
 * same descriptor, in vain (a daemon whose connections all have its termination pipe in their poll
 * turned round), and a poll for POLLPRI took what a reader waits for.
 */
#include "runtime.h"
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>

enum { CHUNK = FDCHUNK, MAXFD = FDMAX, EVENTS = 256, POLLERS = 2, NOLIST = 3 };
#define OURS UINT64_MAX

struct polldesc *_Atomic fdchunks[MAXFD / CHUNK];
static int epfd = -1, breakfd = -1, keptfd = -1;
static _Atomic uint32_t breaking;
static _Alignas(CACHELINE) _Atomic uint64_t rounds; /* looks at the network that have begun */
static _Atomic int64_t nwaiting;  /* waiters on descriptors, all kinds */
_Atomic uint32_t fdepoch;
static _Atomic uint32_t shares; /* how often descriptions were given to others, perhaps all of them */

static mutex *pdlock(struct polldesc *pd)
{
	return (mutex *)&pd->key;
}
_Static_assert(sizeof(mutex) == sizeof(_Atomic uint32_t), "pd->key is a mutex");

/* ---- start ------------------------------------------------------------------------------------ */

static int high(int fd)
{
	struct rlimit rl = {1024, 1024};
	long hi;

	/* Out of the way of programs that expect low numbers, but not so high that the kernel's table of
	 * descriptors (copied by each fork) grows. */
	SC4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &rl);
	hi = SC3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, rl.rlim_cur > 2048 ? 1024 /* beyond select() */ : rl.rlim_cur > 1024 ? 1000 : rl.rlim_cur > 64 ? (long)rl.rlim_cur - 16 : 3);
	if (hi < 0)
		return fd;
	SC1(SYS_close, fd);
	return (int)hi;
}

int netpollinit(void)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = OURS};
	long r = SC1(SYS_epoll_create1, EPOLL_CLOEXEC);

	if (r < 0)
		return (int)r;
	epfd = high((int)r);
	r = SC2(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r < 0)
		return (int)r;
	breakfd = high((int)r);
	r = SC4(SYS_epoll_ctl, epfd, EPOLL_CTL_ADD, breakfd, &ev);
	return (int)r;
}

bool netpollinited(void)
{
	return epfd >= 0;
}

bool netpollany(void)
{
	return atomic_load_explicit(&nwaiting, memory_order_relaxed) != 0;
}

int fdkeep(int fd)
{
	return keptfd = high(fd);
}

bool fdours(int fd)
{
	return fd >= 0 && (fd == epfd || fd == breakfd || unlikely(fd == keptfd));
}

int fdoursnext(int fd)
{
	const int ours[] = {epfd, breakfd, keptfd};
	int next = -1;

	for (size_t i = 0; i < nelem(ours); i++)
		if (ours[i] >= fd && (next < 0 || ours[i] < next))
			next = ours[i];
	return next;
}

/* accept() of what is no socket looks for a free number, and goes no further. */
bool fdnone(void)
{
	return SC4(SYS_accept4, breakfd, NULL, NULL, 0) == -EMFILE;
}

/* In the child of a fork: the epoll set is the parent's; all that is known of descriptors is void. */
void netpollfork(void)
{
	if (epfd >= 0) {
		SC1(SYS_close, epfd);
		SC1(SYS_close, breakfd);
	}
	epfd = breakfd = -1;
	atomic_store(&nwaiting, 0);
	atomic_store(&breaking, 0);
	for (size_t c = 0; c < nelem(fdchunks); c++) {
		struct polldesc *pd = atomic_load(&fdchunks[c]);
		for (int i = 0; pd != NULL && i < CHUNK; i++) {
			int fd = pd[i].fd;
			uint32_t gen = pd[i].gen;
			memset(&pd[i], 0, sizeof(pd[i]));
			pd[i].fd = fd;
			pd[i].gen = gen + 1;
			pd[i].rready = pd[i].wready = 1;
		}
	}
}

/* Makes an M that sleeps in netpoll() return. Any thread. */
void netpollbreak(void)
{
	uint64_t one = 1;

	if (breakfd >= 0 && atomic_exchange(&breaking, 1) == 0)
		SC3(SYS_write, breakfd, &one, sizeof(one));
}

/* ---- descriptors ------------------------------------------------------------------------------ */

/*
 * A section of the books' in which no handler may run, but nobody is readied: so the P need not be ours. Any thread.
 */
static struct g *quietbegin(void)
{
	struct g *gp = getg();

	if (gp != NULL)
		gp->inruntime++;
	atomic_signal_fence(memory_order_seq_cst);
	return gp;
}

static void quietend(struct g *gp)
{
	atomic_signal_fence(memory_order_seq_cst);
	if (gp != NULL && --gp->inruntime == 0 && unlikely(atomic_load(&gp->sigwake))) {
		exitforeign();
		enterforeign();
	}
}

static struct polldesc *newchunk(uint32_t c)
{
	size_t size = CHUNK * sizeof(struct polldesc);
	long mem = SC6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct polldesc *pd, *none = NULL;

	if (mem < 0 && mem > -4096)
		return NULL;
	pd = (struct polldesc *)mem;
	for (int i = 0; i < CHUNK; i++) {
		pd[i].fd = (int)(c * CHUNK) + i;
		pd[i].rready = pd[i].wready = 1;
	}
	if (!atomic_compare_exchange_strong(&fdchunks[c], &none, pd)) {
		SC2(SYS_munmap, mem, size);
		return none;
	}
	return pd;
}

struct polldesc *polldesc(int fd)
{
	if (unlikely((uint32_t)fd >= MAXFD))
		return NULL;
	struct polldesc *pd = atomic_load_explicit(&fdchunks[fd / CHUNK], memory_order_acquire);
	if (unlikely(pd == NULL) && (pd = newchunk((uint32_t)fd / CHUNK)) == NULL)
		return NULL;
	return &pd[fd % CHUNK];
}

static uint64_t gettimeo(int fd, int opt)
{
	struct timeval tv = {0, 0};
	uint32_t len = sizeof(tv);

	if (SC5(SYS_getsockopt, fd, SOL_SOCKET, opt, &tv, &len) < 0)
		return 0;
	return (uint64_t)tv.tv_sec * 1000000000u + (uint64_t)tv.tv_usec * 1000u;
}

static int sockint(int fd, int opt)
{
	int v = -1;
	uint32_t len = sizeof(v);

	return SC5(SYS_getsockopt, fd, SOL_SOCKET, opt, &v, &len) < 0 ? -1 : v;
}

static enum fdkind sockkind(int fd)
{
	int domain = sockint(fd, SO_DOMAIN);

	if (sockint(fd, SO_TYPE) != SOCK_STREAM)
		return FD_DGRAM;
	return domain == AF_INET || domain == AF_INET6 ? FD_TCP : FD_STREAM;
}

/* Less than SO_RCVLOWAT says is not waited for by MSG_DONTWAIT: the kernel's wait. */
static enum fdkind classify(int fd)
{
	struct stat st;

	if (SC2(SYS_fstat, fd, &st) < 0)
		return FD_UNKNOWN;
	if (S_ISFIFO(st.st_mode))
		return FD_PIPE;
	/* Terminals, tun, fuse...: what epoll refuses goes to the kernel. Major 1 is memory: null, zero, urandom. */
	if (S_ISCHR(st.st_mode) && major(st.st_rdev) != 1)
		return FD_TTY;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode))
		return FD_FILE;
	if (!S_ISSOCK(st.st_mode))
		return FD_EVENT; /* anonymous inodes */
	if (sockint(fd, SO_RCVLOWAT) > 1)
		return FD_MARKED;
	if (sockint(fd, SO_ACCEPTCONN) == 1)
		return FD_LISTEN;
	return sockkind(fd);
}

static bool issocket(enum fdkind k)
{
	return k == FD_TCP || k == FD_STREAM || k == FD_DGRAM || k == FD_LISTEN;
}

/* What O_* flags of a description mean to us. */
static void setflags(struct polldesc *pd, int fl)
{
	atomic_store_explicit(&pd->nonblock, (fl & O_NONBLOCK) != 0, memory_order_relaxed);
	atomic_store_explicit(&pd->direct, (fl & O_DIRECT) != 0, memory_order_relaxed);
	atomic_store_explicit(&pd->sync, (fl & (O_DSYNC | O_DIRECT)) != 0, memory_order_relaxed);
}

struct polldesc *fdlookslow(int fd)
{
	struct polldesc *pd = polldesc(fd);

	if (unlikely(pd == NULL))
		return NULL;
	enum fdkind kind = atomic_load_explicit(&pd->kind, memory_order_acquire);
	uint32_t epoch = atomic_load_explicit(&fdepoch, memory_order_acquire);
	if (likely(kind != FD_UNKNOWN &&
		   (pd->epoch == epoch || !atomic_load_explicit(&pd->shared, memory_order_relaxed)) &&
		   atomic_load_explicit(&pd->timeo, memory_order_relaxed)))
		return pd;
	bool unknown = kind == FD_UNKNOWN;
	uint32_t gen = atomic_load(&pd->gen);
	if (unknown && (kind = classify(fd)) == FD_UNKNOWN)
		return pd;
	bool told = unknown && atomic_load_explicit(&pd->told, memory_order_relaxed) && pd->epoch == epoch;
	long fl = told ? pd->oflags : SC3(SYS_fcntl, fd, F_GETFL, 0);
	uint64_t rcv = 0, snd = 0;
	if (issocket(kind)) {
		rcv = gettimeo(fd, SO_RCVTIMEO);
		snd = gettimeo(fd, SO_SNDTIMEO);
	}
	exitforeign();
	lock(pdlock(pd));
	if (atomic_load(&pd->gen) == gen) {
		pd->rcvtimeo = rcv;
		pd->sndtimeo = snd;
		pd->epoch = epoch;
		setflags(pd, fl < 0 ? 0 : (int)fl);
		if (unknown && !told) /* nobody told us of its opening: who else has it is unknown too */
			atomic_store(&pd->shared, 1);
		if (kind == FD_LISTEN && unknown)
			pd->conn = (uint8_t)sockkind(fd);
		atomic_store(&pd->timeo, 1);
		atomic_store_explicit(&pd->kind, kind, memory_order_release);
	}
	unlock(pdlock(pd));
	enterforeign();
	return pd;
}

void fdshareall(void)
{
	atomic_fetch_add(&shares, 1);
}

bool poolstarted(void)
{
	/* A vfork's child must not touch its parent's books. */
	return atomic_load_explicit(&sched.started, memory_order_acquire) && runtime_vforked == NULL;
}

/* What is known of fd, without making room for it; nil if nothing. */
static struct polldesc *pdknown(int fd)
{
	if ((uint32_t)fd >= MAXFD || !poolstarted())
		return NULL;
	struct polldesc *pd = atomic_load_explicit(&fdchunks[fd / CHUNK], memory_order_acquire);
	return pd ? &pd[fd % CHUNK] : NULL;
}

void fdlisten(int fd)
{
	struct polldesc *pd = pdknown(fd);
	uint8_t kind = pd ? atomic_load(&pd->kind) : FD_UNKNOWN;

	/* One word each, and the program has only now got a listening socket: no lock. */
	if (kind == FD_TCP || kind == FD_STREAM || kind == FD_DGRAM) {
		pd->conn = kind;
		atomic_store_explicit(&pd->kind, FD_LISTEN, memory_order_release);
	}
}

void fdmarked(int fd)
{
	struct polldesc *pd = polldesc(fd);

	if (pd != NULL) {
		atomic_store(&pd->timeo, 1);
		atomic_store(&pd->kind, FD_MARKED);
	}
}

void fdshared(int fd)
{
	struct polldesc *pd = pdknown(fd);

	if (pd != NULL)
		atomic_store(&pd->shared, 1);
}

void fdlinger(int fd, bool on)
{
	struct polldesc *pd = on ? polldesc(fd) : pdknown(fd);

	if (pd != NULL)
		atomic_store_explicit(&pd->linger, on, memory_order_relaxed);
}

bool fdalone(struct polldesc *pd)
{
	return atomic_load(&pd->kind) == FD_TCP && !atomic_load(&pd->shared) && atomic_load(&shares) == 0;
}

bool fdelsewhere(struct polldesc *pd)
{
	return atomic_load_explicit(&pd->shared, memory_order_relaxed) ||
	       atomic_load_explicit(&pd->shares, memory_order_relaxed) != atomic_load_explicit(&shares, memory_order_relaxed);
}

void fdnonblock(int fd, bool on)
{
	struct polldesc *pd = pdknown(fd);

	if (pd == NULL)
		return;
	atomic_store(&pd->told, 0);
	atomic_store(&pd->nonblock, on);
	if (atomic_load(&pd->shared)) /* other numbers look again */
		atomic_fetch_add(&fdepoch, 1);
}

void fdsetfl(int fd, int fl)
{
	struct polldesc *pd = pdknown(fd);

	if (pd == NULL)
		return;
	atomic_store(&pd->direct, (fl & O_DIRECT) != 0);
	fdnonblock(fd, fl & O_NONBLOCK);
}

/*
 * fstat() has said that fd is a regular file: what the first read would have asked for. gen: from before the call.
 */
void fdisfile(int fd, uint32_t gen)
{
	struct polldesc *pd = pdknown(fd);
	struct g *gp;

	if (pd == NULL || !atomic_load(&pd->told))
		return;
	gp = quietbegin();
	lock(pdlock(pd));
	if (atomic_load(&pd->gen) == gen && atomic_load(&pd->told) && pd->epoch == atomic_load(&fdepoch)) {
		setflags(pd, pd->oflags);
		atomic_store_explicit(&pd->timeo, 1, memory_order_relaxed);
		atomic_store_explicit(&pd->kind, FD_FILE, memory_order_release);
	}
	unlock(pdlock(pd));
	quietend(gp);
}

void fdchanged(int fd)
{
	struct polldesc *pd = pdknown(fd);

	if (pd == NULL)
		return;
	if (atomic_load(&pd->shared))
		atomic_fetch_add(&fdepoch, 1);
	atomic_store(&pd->timeo, 0);
}

/* ---- waiters; pd->lock held -------------------------------------------------------------------- */

static _Atomic uint32_t *counter(struct polldesc *pd, int list)
{
	return list == POLLERS ? &pd->npoll : &pd->nwait[list];
}

static void addwaiter(struct polldesc *pd, struct pollwaiter *w, int list)
{
	struct pollwaiter *head = pd->waiters[list];

	w->list = (uint8_t)list;
	if (head == NULL) {
		w->next = w->prev = w;
		pd->waiters[list] = w;
	} else {
		w->next = head;
		w->prev = head->prev;
		head->prev->next = w;
		head->prev = w;
	}
	atomic_fetch_add_explicit(counter(pd, list), 1, memory_order_seq_cst);
	atomic_fetch_add_explicit(&nwaiting, 1, memory_order_relaxed);
}

static void delwaiter(struct polldesc *pd, struct pollwaiter *w)
{
	int list = w->list;

	if (list == NOLIST)
		return;
	if (w->next == w)
		pd->waiters[list] = NULL;
	else {
		w->next->prev = w->prev;
		w->prev->next = w->next;
		if (pd->waiters[list] == w)
			pd->waiters[list] = w->next;
	}
	w->list = NOLIST;
	atomic_fetch_sub_explicit(counter(pd, list), 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&nwaiting, 1, memory_order_relaxed);
}

struct glist {
	struct g *head, **tail;
	int32_t n;
};

static void push(struct glist *l, struct g *gp)
{
	gp->schedlink = NULL;
	*l->tail = gp;
	l->tail = &gp->schedlink;
	l->n++;
}

/* Claims w's G for r and takes w off. True if this call won; a parked G goes on the list. */
static bool claim(struct polldesc *pd, struct pollwaiter *w, enum wakereason r, uint16_t revents,
		  struct glist *out)
{
	struct g *gp = w->gp;
	uint64_t ticket = w->ticket;
	bool parked = false;

	/* w is on gp's stack: touch it only before the claim, or while our lock keeps gp from leaving. */
	atomic_fetch_or_explicit(&w->revents, revents, memory_order_relaxed);
	delwaiter(pd, w);
	if (!parkclaim(gp, ticket, r, &parked))
		return false;
	if (parked)
		push(out, gp);
	return true;
}

/* Wakes one of the exclusive waiters of a direction. */
static void claimone(struct polldesc *pd, int mode, struct glist *out)
{
	while (pd->waiters[mode] != NULL)
		if (claim(pd, pd->waiters[mode], WakeReady, 0, out))
			return;
}

static bool writes(uint16_t ev)
{
	return ev & (POLLOUT | POLLWRNORM | POLLWRBAND);
}

static const uint32_t rmask = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI;
static const uint32_t wmask = EPOLLOUT | EPOLLHUP | EPOLLERR;

/* An edge for pd, brought by that round: flags first, then those it concerns. */
static void pdready(struct polldesc *pd, uint32_t ev, uint64_t round, struct glist *out)
{
	/* Before the flags: pdempty() relies on it. */
	atomic_store_explicit(&pd->edges, atomic_load_explicit(&pd->edges, memory_order_relaxed) + 1,
			      memory_order_seq_cst);
	if (ev & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
		atomic_store_explicit(&pd->hup, 1, memory_order_relaxed);
	if (ev & rmask) {
		atomic_store_explicit(&pd->rready, 1, memory_order_seq_cst);
		claimone(pd, PD_READ, out);
	}
	if (ev & wmask) {
		atomic_store_explicit(&pd->wready, 1, memory_order_seq_cst);
		claimone(pd, PD_WRITE, out);
	}
	struct pollwaiter *w = pd->waiters[POLLERS];
	for (uint32_t n = atomic_load(&pd->npoll); n > 0; n--) {
		struct pollwaiter *next = w->next;
		uint32_t want = w->events | POLLERR | POLLHUP;
		if (ev & (want | EPOLLRDHUP)) /* a hang-up of one side is a readable end of file */
			claim(pd, w, WakeReady, w->round < round ? (uint16_t)(ev & want) : 0, out);
		w = next;
	}
}

static void wakeout(struct glist *out)
{
	while (out->head != NULL) {
		struct g *gp = out->head;
		out->head = gp->schedlink;
		goready(gp);
	}
}

/* pdleft's slow half: the baton to the next waiter; pollers whom it concerns look again. */
void pdwakenext(struct polldesc *pd, int mode)
{
	struct glist out = {NULL, &out.head, 0};

	exitforeign();
	lock(pdlock(pd));
	claimone(pd, mode, &out);
	struct pollwaiter *w = pd->waiters[POLLERS];
	for (uint32_t n = atomic_load(&pd->npoll); n > 0; n--) {
		struct pollwaiter *next = w->next;
		/* Reading stands for hang-ups and errors too, which poll always reports. */
		if (mode == PD_READ || writes(w->events))
			claim(pd, w, WakeReady, 0, &out);
		w = next;
	}
	unlock(pdlock(pd));
	wakeout(&out);
	enterforeign();
}

/* ---- open and close ---------------------------------------------------------------------------- */

static bool anywaiter(struct polldesc *pd)
{
	return pd->waiters[PD_READ] != NULL || pd->waiters[PD_WRITE] != NULL || pd->waiters[POLLERS] != NULL;
}

/* What a number names from now on. */
struct life {
	enum fdkind kind;
	int oflags;
	bool known; /* of the kind and O_NONBLOCK: nobody need look */
	bool shared;
	uint8_t told;
};

/* One generation ends, the next begins. pd->lock held */
static void nextlife(struct polldesc *pd, const struct life *l, bool unregister)
{
	if (pd->registered && unregister)
		SC4(SYS_epoll_ctl, epfd, EPOLL_CTL_DEL, pd->fd, NULL);
	pd->registered = 0;
	atomic_fetch_add_explicit(&pd->gen, 1, memory_order_seq_cst);
	/* Nobody who knows the old generation believes these any more; the new one begins with the unlock. */
	atomic_store_explicit(&pd->rready, 1, memory_order_relaxed);
	atomic_store_explicit(&pd->wready, 1, memory_order_relaxed);
	atomic_store_explicit(&pd->hup, 0, memory_order_relaxed);
	atomic_store_explicit(&pd->nonowait, 0, memory_order_relaxed);
	atomic_store_explicit(&pd->cold, 0, memory_order_relaxed);
	atomic_store_explicit(&pd->linger, 0, memory_order_relaxed);
	atomic_store_explicit(&pd->shared, l->shared, memory_order_relaxed);
	atomic_store_explicit(&pd->told, l->told, memory_order_relaxed);
	pd->rcvtimeo = pd->sndtimeo = 0;
	pd->oflags = l->oflags;
	pd->epoch = atomic_load_explicit(&fdepoch, memory_order_relaxed);
	atomic_store_explicit(&pd->shares, atomic_load_explicit(&shares, memory_order_relaxed), memory_order_relaxed);
	setflags(pd, l->oflags);
	atomic_store_explicit(&pd->timeo, l->known, memory_order_relaxed);
	atomic_store_explicit(&pd->kind, l->kind, memory_order_release);
}

/* Any thread. */
static void relive(struct polldesc *pd, const struct life *l, bool unregister)
{
	struct glist out = {NULL, &out.head, 0};
	struct g *gp = quietbegin();

	lock(pdlock(pd));
	bool waiters = anywaiter(pd);
	if (likely(!waiters))
		nextlife(pd, l, unregister);
	unlock(pdlock(pd));
	quietend(gp);
	if (likely(!waiters))
		return;
	if (gp != NULL)
		exitforeign();
	lock(pdlock(pd));
	nextlife(pd, l, unregister);
	for (int list = 0; list < NOLIST; list++)
		while (pd->waiters[list] != NULL)
			claim(pd, pd->waiters[list], WakeClosed, 0, &out);
	unlock(pdlock(pd));
	wakeout(&out);
	if (gp != NULL)
		enterforeign();
}

/*
 * Also if nothing is known of it yet: somebody may be looking it up just now, and must not find his result
 * right for what the number names next.
 */
void fdclosing(int fd)
{
	static const struct life none = {.kind = FD_UNKNOWN};
	struct polldesc *pd = pdknown(fd);

	if (pd != NULL)
		relive(pd, &none, atomic_load(&pd->shared) || atomic_load(&shares) != 0);
}

void fdclosingrange(unsigned lo, unsigned hi)
{
	for (unsigned fd = lo; fd <= hi && fd < MAXFD; fd++) {
		if (atomic_load(&fdchunks[fd / CHUNK]) == NULL) {
			fd |= CHUNK - 1; /* nothing is known of this chunk */
			continue;
		}
		if (!fdours((int)fd))
			fdclosing((int)fd);
	}
}

/* What was known of the number is of a descriptor closed behind our back; epoll dropped it with its file. */
void fdopened(int fd, enum fdkind kind, bool nonblock, bool shared)
{
	struct polldesc *pd = fd < 0 ? NULL : kind == FD_UNKNOWN ? pdknown(fd) : polldesc(fd);
	struct life l = {kind, nonblock ? O_NONBLOCK : 0, kind != FD_UNKNOWN, shared, 0};

	if (pd != NULL)
		relive(pd, &l, false);
}

void fdopenedpath(int fd, int oflags, int told)
{
	struct polldesc *pd = fd >= 0 && poolstarted() ? polldesc(fd) : NULL;
	struct life l = {FD_UNKNOWN, oflags, false, false, (uint8_t)told};

	if (pd != NULL)
		relive(pd, &l, false);
}

/* ---- waiting ----------------------------------------------------------------------------------- */

/* Into the epoll set. pd->lock held. 0, or -errno (-EPERM: a file that never blocks). */
static int pdregister(struct polldesc *pd)
{
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
		.data.u64 = (uint64_t)atomic_load(&pd->gen) << 32 | (uint32_t)pd->fd,
	};
	long r;

	if (likely(pd->registered))
		return 0;
	do {
		r = SC4(SYS_epoll_ctl, epfd, EPOLL_CTL_ADD, pd->fd, &ev);
		if (r == -EEXIST) /* of a former life of this number, on the same description */
			r = SC4(SYS_epoll_ctl, epfd, EPOLL_CTL_MOD, pd->fd, &ev);
	} while (r == -ENOENT); /* which was closed, and the number opened anew, between the two */
	if (r == 0)
		pd->registered = 1;
	return (int)r;
}

/* Out of the epoll set, if nobody waits for pd. False: somebody does, or it is closed. On a G */
bool pdunregister(struct polldesc *pd, uint32_t gen)
{
	exitforeign();
	lock(pdlock(pd));
	bool alone = atomic_load(&pd->gen) == gen && !anywaiter(pd);
	if (alone && pd->registered) {
		SC4(SYS_epoll_ctl, epfd, EPOLL_CTL_DEL, pd->fd, NULL);
		pd->registered = 0;
	}
	unlock(pdlock(pd));
	enterforeign();
	return alone;
}

/* No handler ran: then the wait was not interrupted as far as the program can tell. */
static int sigresult(enum wakereason r, int ran)
{
	return r == WakeCancel ? -EINTR : -ran;
}

int pdwait(struct polldesc *pd, uint32_t gen, int mode, uint64_t deadline)
{
	enum waitreason why = mode == PD_CONNECT ? WaitConnect : mode == PD_WRITE ? WaitWrite : WaitRead;
	_Atomic uint8_t *ready = mode == PD_READ ? &pd->rready : &pd->wready;
	struct pollwaiter w = {.pd = pd, .list = NOLIST};
	int err = 0;

	exitforeign();
	struct g *gp = w.gp = getg();
	w.ticket = parkbegin(gp);
	lock(pdlock(pd));
	if (atomic_load(&pd->gen) != gen)
		err = -EBADF;
	else
		err = pdregister(pd);
	if (err != 0) {
		unlock(pdlock(pd));
		parkabort(gp);
		enterforeign();
		return err;
	}
	/* Count first, then look (StoreLoad): pdleft() sets the flag, then looks at the count, without the lock. */
	addwaiter(pd, &w, mode & 1);
	if (atomic_load_explicit(ready, memory_order_seq_cst) != 0) {
		delwaiter(pd, &w);
		unlock(pdlock(pd));
		parkabort(gp);
		enterforeign();
		return 0;
	}
	unlock(pdlock(pd));
	if (atomic_load_explicit(&pd->kind, memory_order_relaxed) == FD_LISTEN)
		why = WaitAccept;
	enum wakereason r = gopark(gp, why, (uintptr_t)pd->fd, deadline);
	if (r != WakeReady && r != WakeClosed) {
		lock(pdlock(pd));
		delwaiter(pd, &w);
		unlock(pdlock(pd));
	}
	int left = enterforeign();
	switch (r) {
	case WakeTimeout:
		return -ETIMEDOUT;
	case WakeClosed:
		return -EBADF;
	case WakeSignal:
	case WakeCancel:
		return sigresult(r, left);
	default:
		return 0;
	}
}

/* POLL*NORM and POLL*BAND by the names that epoll's events have. */
static uint16_t asepoll(uint16_t ev)
{
	if (unlikely(ev & (POLLRDNORM | POLLRDBAND)))
		ev |= POLLIN | POLLPRI;
	if (unlikely(ev & (POLLWRNORM | POLLWRBAND)))
		ev |= POLLOUT;
	return ev;
}

bool pdarm(struct pollwaiter *w, struct polldesc *pd, uint16_t asked)
{
	w->pd = pd;
	w->gen = atomic_load(&pd->gen);
	w->edges = pdedges(pd); /* before the flags, and before the look */
	w->events = asepoll(asked);
	w->looked = false;
	/* The flags know nothing of errors, urgent data and half a hang-up beside a drained
	 * descriptor. */
	bool clear = !pdmaybe(pd, PD_READ) && !atomic_load_explicit(&pd->hup, memory_order_relaxed) &&
		     !(writes(w->events) && pdmaybe(pd, PD_WRITE));
	w->round = atomic_load_explicit(&rounds, memory_order_seq_cst); /* after the flags */
	return clear;
}

void pdlooked(struct pollwaiter *w, uint16_t asked, uint16_t revents)
{
	struct polldesc *pd = w->pd;

	if (pd == NULL)
		return;
	w->looked = true;
	w->round = atomic_load_explicit(&rounds, memory_order_seq_cst);
	if (revents == 0) {
		/* As good as EAGAIN, for what it was asked. */
		if ((asked & (POLLIN | POLLRDNORM)) && pdmaybe(pd, PD_READ))
			pdempty(pd, PD_READ, w->edges);
		if ((asked & (POLLOUT | POLLWRNORM)) && pdmaybe(pd, PD_WRITE))
			pdempty(pd, PD_WRITE, w->edges);
		return;
	}
	/* Its event is on its way still: who goes by what poll said need not wait for it. */
	if ((revents & ~(POLLOUT | POLLWRNORM | POLLWRBAND)) && !pdmaybe(pd, PD_READ))
		pdleft(pd, PD_READ);
	if ((revents & ~(POLLIN | POLLRDNORM | POLLRDBAND | POLLPRI | POLLRDHUP)) &&
	    !pdmaybe(pd, PD_WRITE))
		pdleft(pd, PD_WRITE);
}

/* May w's descriptor have become ready since pdarm()? pd->lock held, under which edges are counted;
 * w is counted. */
static bool changed(const struct pollwaiter *w)
{
	if (atomic_load_explicit(&w->pd->edges, memory_order_seq_cst) != w->edges)
		return true;
	/* Nobody asked the kernel: a flag that is given back counts. As in pdwait(): be counted,
	 * then look. */
	return !w->looked && (atomic_load_explicit(&w->pd->rready, memory_order_seq_cst) != 0 ||
			      (writes(w->events) &&
			       atomic_load_explicit(&w->pd->wready, memory_order_seq_cst) != 0));
}

int pdpoll(struct pollwaiter *w, int n, uint64_t deadline)
{
	int err = 0, i, queued = 0;
	bool ready = false;

	exitforeign();
	struct g *gp = getg();
	uint64_t ticket = parkbegin(gp);
	for (i = 0; i < n && err == 0 && !ready; i++) {
		struct polldesc *pd = w[i].pd;
		w[i].list = NOLIST;
		w[i].gp = gp;
		w[i].ticket = ticket;
		atomic_store_explicit(&w[i].revents, 0, memory_order_relaxed);
		if (pd == NULL)
			continue;
		lock(pdlock(pd));
		if (atomic_load(&pd->gen) != w[i].gen)
			ready = true; /* closed meanwhile: the caller looks again */
		else
			err = pdregister(pd);
		if (err == 0 && !ready) {
			addwaiter(pd, &w[i], POLLERS);
			queued = i + 1;
		}
		if (changed(&w[i]))
			ready = true;
		unlock(pdlock(pd));
	}
	enum wakereason r = WakeReady;
	if (err != 0 || ready) {
		/* A waker may have claimed us meanwhile: then it is as good as a wake-up. */
		bool parked;
		parkclaim(gp, ticket, WakeReady, &parked);
	} else {
		r = gopark(gp, WaitPoll, n > 0 && w[0].pd ? (uintptr_t)w[0].pd->fd : 0, deadline);
	}
	for (i = 0; i < queued; i++) {
		struct polldesc *pd = w[i].pd;
		if (pd == NULL)
			continue;
		/* Under the lock even if it is off the list: the claimer may still be at w[i]. */
		lock(pdlock(pd));
		delwaiter(pd, &w[i]);
		unlock(pdlock(pd));
	}
	int left = enterforeign();
	if (err != 0)
		return err;
	switch (r) {
	case WakeTimeout:
		return -ETIMEDOUT;
	case WakeSignal:
	case WakeCancel:
		return sigresult(r, left);
	default:
		return 0;
	}
}

/* ---- the poll itself --------------------------------------------------------------------------- */

static long epollwait(struct epoll_event *ev, int64_t delay)
{
	static _Atomic bool nowait2;
	/* An M that sleeps takes no signals (sigmask.c). */
	static const uint64_t all = ALLSIGS;
	const uint64_t *mask = delay != 0 ? &all : NULL;

	if (delay > 0 && !atomic_load_explicit(&nowait2, memory_order_relaxed)) {
		struct timespec ts = {delay / 1000000000, delay % 1000000000};
		long r = SC6(SYS_epoll_pwait2, epfd, ev, EVENTS, &ts, mask, 8);
		if (r != -ENOSYS)
			return r;
		atomic_store_explicit(&nowait2, true, memory_order_relaxed);
	}
	int64_t ms = delay <= 0 ? delay : (delay + 999999) / 1000000;
	return SC6(SYS_epoll_pwait, epfd, ev, EVENTS, ms > 1000000000 ? 1000000000 : ms, mask, 8);
}

/*
 * Polls for at most delay ns (0: not waiting, < 0: for ever). Returns the Gs that became ready, claimed and
 * linked by schedlink, to be handed to injectglist(). Only an M on g0 and sysmon call it.
 */
struct g *netpoll(int64_t delay, int32_t *n)
{
	struct epoll_event ev[EVENTS];
	struct glist out = {NULL, &out.head, 0};

	*n = 0;
	if (epfd < 0)
		return NULL;
	struct m *mp = getg()->m;
	if (delay != 0) {
		/* With the mask of the G it has left it would take them for a moment when it wakes: sigawaitclosed(). */
		if (unlikely(atomic_load(&sigs.closed) & ~mp->sigmask))
			setsigmask(mp, mp->sigmask | atomic_load(&sigs.closed));
		atomic_store(&mp->polls, true);
	}
	uint64_t round = atomic_fetch_add_explicit(&rounds, 1, memory_order_seq_cst) + 1;
	long r = epollwait(ev, delay);
	if (delay != 0)
		atomic_store_explicit(&mp->polls, false, memory_order_relaxed);
	if (r < 0 && r != -EINTR)
		throw("netpoll: epoll_wait failed: the runtime's descriptor was closed");
	for (long i = 0; i < r; i++) {
		if (ev[i].data.u64 == OURS) {
			uint64_t v;
			/* Only a blocking poller swallows it: it is meant for the one that sleeps. */
			if (delay != 0) {
				/* In this order: a break in between is not written, but we are awake. The other way round
				 * its write would be read away and `breaking` stay 1 for ever. */
				SC3(SYS_read, breakfd, &v, sizeof(v));
				atomic_store(&breaking, 0);
			}
			continue;
		}
		struct polldesc *pd = polldesc((int)(uint32_t)ev[i].data.u64);
		lock(pdlock(pd));
		if (atomic_load(&pd->gen) == (uint32_t)(ev[i].data.u64 >> 32))
			pdready(pd, ev[i].events, round, &out);
		unlock(pdlock(pd));
	}
	*n = out.n;
	return out.head;
}
