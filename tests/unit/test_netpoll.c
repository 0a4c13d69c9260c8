/* SPDX-License-Identifier: MIT
 *
 * test_netpoll.c: what a polldesc knows, over a real pool and real descriptors, without the shim:
 * kinds, flags, generations. Criterion forks for each test, so each has a netpoller of its own.
 */
#include "netgs.h"

#include <sys/eventfd.h>

static int r, w; /* a pipe's ends */
static struct polldesc *rpd, *wpd;

static void newpipe(void)
{
	int p[2];

	gopipe(p);
	r = p[0];
	w = p[1];
	rpd = fdlook(r);
	wpd = fdlook(w);
}

static enum fdkind kindof(int fd)
{
	return (enum fdkind)fdlook(fd)->kind;
}

Test(netpoll, kinds)
{
	int sv[2];
	struct sockaddr addr = {.sa_family = AF_INET};

	cr_assert_not(poolstarted());
	cr_assert_not(fdours(3));
	start(1);
	cr_assert_null(polldesc(-1));
	cr_assert_null(polldesc(1 << 20));
	cr_assert_eq(polldesc(7), polldesc(7));
	cr_assert_eq(polldesc(600)->fd, 600);
	cr_assert_eq(kindof(999), FD_UNKNOWN, "no such descriptor");
	cr_assert_eq(kindof(open("/dev/null", O_RDWR)), FD_FILE);
	cr_assert_eq(kindof(open(".", O_RDONLY)), FD_FILE);
	cr_assert_eq(kindof(eventfd(0, 0)), FD_EVENT);
	pipe(sv);
	cr_assert_eq(kindof(sv[0]), FD_PIPE);
	cr_assert_eq(polldesc(sv[0])->shared, 1, "who has it is not known");
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv);
	cr_assert_eq(kindof(sv[0]), FD_STREAM);
	cr_assert_eq(polldesc(sv[0])->nonblock, 1);
	fdnonblock(sv[0], false);
	cr_assert_eq(polldesc(sv[0])->nonblock, 0);
	socketpair(AF_UNIX, SOCK_DGRAM, 0, sv);
	cr_assert_eq(kindof(sv[0]), FD_DGRAM);
	cr_assert_eq(polldesc(sv[0])->nonblock, 0);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(kindof(s), FD_TCP);
	bind(s, &addr, sizeof addr);
	listen(s, 5);
	fdlisten(s);
	cr_assert_eq(kindof(s), FD_LISTEN);
	cr_assert_eq(polldesc(s)->conn, FD_TCP);
	s = socket(AF_INET, SOCK_STREAM, 0);
	bind(s, &addr, sizeof addr);
	listen(s, 5);
	cr_assert_eq(kindof(s), FD_LISTEN, "nobody told us");
	cr_assert_eq(polldesc(s)->conn, FD_TCP);
}

Test(netpoll, our_own_are_not_the_programs)
{
	start(1);
	int a = fdoursnext(0), b = fdoursnext(a + 1);
	cr_assert(a > 100 && b > a, "%d %d", a, b);
	cr_assert(fdours(a) && fdours(b));
	cr_assert_eq(fdoursnext(b + 1), -1);
	cr_assert_not(fdours(-1));
	newpipe();
	uint32_t gen = rpd->gen;
	fdclosingrange(3, UINT32_MAX);
	cr_assert_gt(rpd->gen, gen);
	cr_assert_eq(rpd->kind, FD_UNKNOWN);
	newpipe();
	cr_assert_eq(gread(r, &gen, 4, reldeadline(1000000), false), -ETIMEDOUT, "still polls");
}

Test(netpoll, flags)
{
	start(1);
	newpipe();
	uint32_t gen = rpd->gen;
	cr_assert(pdtry(rpd, PD_READ), "not known to be drained");
	cr_assert_not(pdtry(rpd, PD_READ), "somebody tries already");
	pdleft(rpd, PD_READ);
	cr_assert_eq(pdwait(rpd, gen, PD_READ, 0), 0, "the flag is set");
	cr_assert(pdtry(rpd, PD_READ));
	/* Registering a drained pipe gives no edge; data do, also if they were there before. */
	cr_assert_eq(pdwait(rpd, gen, PD_READ, reldeadline(1000000)), -ETIMEDOUT);
	cr_assert_eq(rpd->registered, 1);
	cr_assert_eq(rpd->nwait[PD_READ], 0);
	write(w, "x", 1);
	cr_assert_eq(pdwait(rpd, gen, PD_READ, 0), 0);
	cr_assert(pdtry(rpd, PD_READ));
	cr_assert_not(rpd->hup);
	/* The directions are apart. */
	cr_assert(pdtry(wpd, PD_WRITE));
	pdleft(wpd, PD_READ);
	cr_assert_not(pdtry(wpd, PD_WRITE));
	/* The other end goes: an edge, and hup stays. */
	goclose(w);
	cr_assert_eq(pdwait(rpd, gen, PD_READ, 0), 0);
	cr_assert(rpd->hup);
	cr_assert_eq(pdwait(rpd, gen + 1, PD_READ, 0), -EBADF, "another generation");
	struct polldesc *file = fdlook(open("/proc/self/exe", O_RDONLY));
	pdtry(file, PD_READ);
	cr_assert_eq(pdwait(file, file->gen, PD_READ, 0), -EPERM, "epoll cannot");
}

Test(netpoll, generations)
{
	start(1);
	newpipe();
	uint32_t gen = rpd->gen;
	fdclosing(r);
	cr_assert_eq(rpd->gen, gen + 1);
	cr_assert_eq(rpd->kind, FD_UNKNOWN);
	fdclosing(r);
	cr_assert_eq(rpd->gen, gen + 2, "somebody may be looking it up");
	fdopened(r, FD_PIPE, true, true);
	cr_assert_eq(rpd->gen, gen + 3);
	cr_assert(rpd->nonblock && rpd->shared);
	fdopened(r, FD_PIPE, false, false);
	cr_assert_eq(rpd->gen, gen + 4, "closed behind our back");
	cr_assert(!rpd->nonblock && !rpd->shared);
	fdshared(r);
	cr_assert(rpd->shared);
	cr_assert(pdtry(rpd, PD_READ) && !pdtry(rpd, PD_READ));
	fdopened(r, FD_PIPE, false, false);
	cr_assert(pdtry(rpd, PD_READ), "a new one may be ready");
}

/* An edge that comes between an attempt and its end is not wiped away. */
Test(netpoll, edges)
{
	start(1);
	newpipe();
	cr_assert_eq(pdwait(rpd, rpd->gen, PD_READ, 0), 0, "perhaps there is something");
	uint32_t edges = pdedges(rpd);
	cr_assert(pdmaybe(rpd, PD_READ) && pdmaybe(rpd, PD_READ), "nothing is taken");
	cr_assert(pdempty(rpd, PD_READ, edges), "there was nothing");
	cr_assert_not(pdmaybe(rpd, PD_READ));
	cr_assert_eq(pdwait(rpd, rpd->gen, PD_READ, reldeadline(1000000)), -ETIMEDOUT, "registered");
	edges = pdedges(rpd);
	write(w, "x", 1);
	while (pdedges(rpd) == edges)
		gosleep(reldeadline(100000));
	cr_assert(pdmaybe(rpd, PD_READ));
	cr_assert_not(pdempty(rpd, PD_READ, edges), "who saw nothing before that edge");
	cr_assert(pdmaybe(rpd, PD_READ), "must look again");
	cr_assert(pdempty(rpd, PD_READ, pdedges(rpd)));
	cr_assert_not(pdmaybe(rpd, PD_READ));
}

/* What open() knows spares a look at the flags; fstat() all of it. */
Test(netpoll, opened_by_path)
{
	start(1);
	int fd = open("/proc/self/exe", O_RDONLY);
	fdopenedpath(fd, O_RDONLY | O_DIRECT, TOLD_START);
	struct polldesc *pd = polldesc(fd);
	cr_assert_eq(pd->kind, FD_UNKNOWN);
	fdisfile(fd, pd->gen + 1);
	cr_assert_eq(pd->kind, FD_UNKNOWN, "of another generation");
	fdisfile(fd, pd->gen);
	cr_assert_eq(pd->kind, FD_FILE);
	cr_assert(pd->direct && pd->sync && !pd->nonblock && !pd->shared);
	fdsetfl(fd, O_NONBLOCK);
	cr_assert(!pd->direct && pd->nonblock);
	cr_assert_eq(fdlook(fd)->kind, FD_FILE);
	fdclosing(fd);
	fdisfile(fd, pd->gen);
	cr_assert_eq(pd->kind, FD_UNKNOWN, "not opened by its path");
	fdopenedpath(fd, O_RDONLY | O_SYNC, TOLD_FLAGS);
	cr_assert_eq(fdlook(fd)->kind, FD_FILE);
	cr_assert(!pd->direct && pd->sync);
}
