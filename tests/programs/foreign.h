/* SPDX-License-Identifier: MIT */
/* Functions run in threads which libc makes for itself: notification by SIGEV_THREAD of a timer, of
 * asynchronous input, of a name look-up, of a message queue. timer_create(2), aio(7),
 * getaddrinfo_a(3), mq_notify(3) */
#ifndef FOREIGN_H
#define FOREIGN_H

#include "t.h"
#include <aio.h>
#include <mqueue.h>
#include <netdb.h>
#include <semaphore.h>
#include <signal.h>

enum kind { TIMER, AIO, LOOKUP, QUEUE, KINDS };

static const char *const kindname[KINDS] = {"timer", "aio", "getaddrinfo_a", "mq_notify"};

struct foreign {
	void (*fn)(void *);
	void *arg;
	sem_t done;
	timer_t timer;
	struct aiocb cb;
	char buf[8];
	struct gaicb gai, *list;
	mqd_t q;
	char qname[64];
};

T_INLINE void foreign_runs(union sigval v)
{
	struct foreign *f = v.sival_ptr;

	f->fn(f->arg);
	sem_post(&f->done);
}

/* Starts fn(arg) in a thread of libc's. */
T_INLINE void foreign(struct foreign *f, enum kind kind, void (*fn)(void *), void *arg)
{
	struct sigevent sev = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = foreign_runs};
	struct itimerspec soon = {.it_value = {0, 1000000}};
	static int queues;
	struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 1};

	memset(f, 0, sizeof *f);
	f->fn = fn;
	f->arg = arg;
	MUST(sem_init(&f->done, 0, 0) == 0);
	sev.sigev_value.sival_ptr = f;
	switch (kind) {
	case TIMER:
		MUST(timer_create(CLOCK_MONOTONIC, &sev, &f->timer) == 0);
		MUST(timer_settime(f->timer, 0, &soon, NULL) == 0);
		break;
	case AIO:
		f->cb = (struct aiocb){
		    .aio_fildes = open("/dev/zero", O_RDONLY), .aio_buf = f->buf, .aio_nbytes = 4};
		f->cb.aio_sigevent = sev;
		MUST(f->cb.aio_fildes >= 0 && aio_read(&f->cb) == 0);
		break;
	case LOOKUP:
		f->gai.ar_name = "127.0.0.1";
		f->list = &f->gai;
		MUST(getaddrinfo_a(GAI_NOWAIT, &f->list, 1, &sev) == 0);
		break;
	default:
		snprintf(f->qname, sizeof f->qname, "/t-%d-%d", (int)getpid(),
			 __atomic_fetch_add(&queues, 1, __ATOMIC_SEQ_CST));
		f->q = mq_open(f->qname, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
		MUST(f->q != (mqd_t)-1 && mq_unlink(f->qname) == 0);
		MUST(mq_notify(f->q, &sev) == 0 && mq_send(f->q, "x", 1, 0) == 0);
	}
}

T_INLINE void foreign_ends(struct foreign *f, enum kind kind)
{
	while (sem_wait(&f->done) != 0)
		MUST(errno == EINTR);
	switch (kind) {
	case TIMER:
		MUST(timer_delete(f->timer) == 0);
		break;
	case AIO:
		MUST(close(f->cb.aio_fildes) == 0);
		break;
	case LOOKUP:
		freeaddrinfo(f->gai.ar_result);
		break;
	default:
		MUST(mq_close(f->q) == 0);
	}
	sem_destroy(&f->done);
}

T_INLINE void in_foreign(enum kind kind, void (*fn)(void *), void *arg)
{
	struct foreign f;

	foreign(&f, kind, fn, arg);
	foreign_ends(&f, kind);
}

#endif
