/* SPDX-License-Identifier: MIT
 *
 * linger.c: close() of a TCP socket with SO_LINGER, which waits until the peer has acknowledged all
 * that was sent.
 *
 * A delayed acknowledgement takes 40 ms, a peer that reads slowly up to l_linger; each such close
 * would hold a kernel thread. So if nobody else has the connection the number is given back at
 * once, as the kernel does, the connection is shut down in both directions (on the wire the same as
 * close), and the G sleeps, longer each time, until the kernel would have returned: it tells nobody
 * when the state changes, once both directions are shut. The socket has a number of ours meanwhile,
 * beside the runtime's own.
 *
 * As in the kernel a signal ends the wait, and close() answers 0 whether the peer has got
 * everything or not. Left to the kernel, marked: a descriptor that may have a duplicate or be in a
 * child (shutdown would cut those off, and their close does not linger), and a process with no
 * number to spare. Unread input means a reset, without waiting.
 *
 * Rejected: waiting in the netpoller (both directions shut is EPOLLHUP for good: every wait ends at
 * once).
 */
#include "io.h"
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/syscall.h>
#include "arch.h"

enum { FIRSTNAP = 100000, LONGESTNAP = 5000000 }; /* ns */

/* The FIN or what was sent before it is not acknowledged. */
static bool closing(int fd)
{
	uint8_t state = 0; /* tcpi_state, the first byte */
	socklen_t len = sizeof(state);

	return SC5(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &state, &len) == 0 &&
	       (state == TCP_FIN_WAIT1 || state == TCP_CLOSING || state == TCP_LAST_ACK);
}

static int closemarked(int fd)
{
	fdclosing(fd);
	return (int)ret_errno(RAW(SC1(SYS_close, fd)));
}

int closelinger(int fd, struct polldesc *pd)
{
	struct linger l = {0, 0}, off = {0, 0};
	socklen_t len = sizeof(l);
	int unread = 0;
	long own = -1;

	if (!fdalone(pd) || SC5(SYS_getsockopt, fd, SOL_SOCKET, SO_LINGER, &l, &len) != 0 ||
	    l.l_onoff == 0 || l.l_linger <= 0 || SC3(SYS_ioctl, fd, SIOCINQ, &unread) != 0 ||
	    unread != 0 || (own = SC3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, fdoursnext(0))) < 0)
		return closemarked(fd);
	uint64_t until = reldeadline((uint64_t)l.l_linger * 1000000000u);
	fdshared(fd); /* its description goes on: out of the epoll set with it */
	fdclosing(fd);
	SC1(SYS_close, fd);
	if (SC2(SYS_shutdown, (int)own, SHUT_RDWR) == 0)
		for (uint64_t nap = FIRSTNAP; closing((int)own);
		     nap = nap * 2 < LONGESTNAP ? nap * 2 : LONGESTNAP) {
			uint64_t wake = reldeadline(nap);
			if (nanotime() >= until || gosleep(wake < until ? wake : until) != 0)
				break;
		}
	SC5(SYS_setsockopt, (int)own, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	SC1(SYS_close, (int)own);
	return 0;
}
