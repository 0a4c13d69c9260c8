/* SPDX-License-Identifier: MIT */
/* signal(7) again, for calls that signal-table leaves out: system calls by number, timed locks and
 * joins, C11, stdio, vectors with flags, a FIFO's open for writing, signalfd, terminals,
 * asynchronous I/O, a child by its pidfd, connections that cannot be made yet. Plain handlers
 * first, then SA_RESTART. */
#include "net.h"
#include <aio.h>
#include <linux/futex.h>
#include <pty.h>
#include <signal.h>
#include <sys/msg.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <threads.h>

enum { RUNS = 8 };

static _Atomic int runs;
static _Atomic bool done;
static bool restart;
static char release; /* how the call is ended where the handler does not: 'p', 'f', 'o' */
static pthread_t self;
static int p[2], full[2];
static char big[1 << 16], fifo[] = "fifo";
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static mtx_t mtx;
static const struct timespec later = {30, 0};

static void on_usr1(int sig)
{
	(void)sig;
	runs++;
}

static void *signals(void *arg)
{
	int from;

	settle();
	for (from = runs; !done; usleep(3000)) {
		if (restart && release != '-' && runs - from >= RUNS) {
			if (release == 'p')
				MUST(write(p[1], "abcdefgh", 8) == 8);
			else if (release == 'f')
				MUST(read(full[0], big, sizeof big) > 0);
			else
				MUST(open(fifo, O_RDONLY) >= 0);
			break;
		}
		OK(pthread_kill(self, SIGUSR1));
	}
	return arg;
}

#define TRY(how, call)                                                                             \
	do {                                                                                       \
		release = how;                                                                     \
		done = false;                                                                      \
		pthread_t t_ = start(signals, NULL);                                               \
		errno = 0;                                                                         \
		long r_ = (long)(call);                                                            \
		int e_ = errno;                                                                    \
		done = true;                                                                       \
		finish(t_);                                                                        \
		say("  %s: %ld %s", #call, r_, r_ == -1 ? errname(e_) : "");                       \
	} while (0)
/* What goes on with SA_RESTART until another thread lets it, and for which nobody does. */
#define NEVER(call)                                                                                \
	do {                                                                                       \
		if (!restart)                                                                      \
			TRY('-', call);                                                            \
	} while (0)

static void fill_pipe(void)
{
	fcntl(full[1], F_SETFL, O_NONBLOCK);
	while (write(full[1], big, 1) == 1)
		;
	fcntl(full[1], F_SETFL, 0);
}

static void by_number(void)
{
	struct timespec rem = {0, 0}, end = in_ms(CLOCK_MONOTONIC, 30000);
	struct pollfd pf = {p[0], POLLIN, 0};
	int w = 0;
	char b[8];

	TRY('-', syscall(SYS_futex, &w, FUTEX_WAIT_PRIVATE, 0, &later));
	TRY('-', syscall(SYS_futex, &w, FUTEX_WAIT_BITSET_PRIVATE, 0, &end, 0, -1));
	TRY('-', syscall(SYS_nanosleep, &later, &rem));
	say("  some time remains: %d", rem.tv_sec > 0);
	TRY('-', syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &later, &rem));
	TRY('-', syscall(SYS_poll, &pf, 1, -1));
	TRY('-', syscall(SYS_pause));
	TRY('p', syscall(SYS_read, p[0], b, 8));
}

static void *sleeps(void *arg)
{
	usleep(100000);
	return arg;
}

/* None of them is ended by a handler, but for the sleep. */
static void timed(void)
{
	struct timespec ts;
	pthread_t t;

#define SOON(clock) (ts = in_ms(clock, 100), &ts)
	TRY('-', pthread_mutex_timedlock(&m, SOON(CLOCK_REALTIME)) == ETIMEDOUT);
	TRY('-', pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, SOON(CLOCK_MONOTONIC)) == ETIMEDOUT);
	TRY('-', pthread_rwlock_timedrdlock(&rw, SOON(CLOCK_REALTIME)) == ETIMEDOUT);
	TRY('-', pthread_rwlock_timedwrlock(&rw, SOON(CLOCK_REALTIME)) == ETIMEDOUT);
	TRY('-', mtx_timedlock(&mtx, SOON(CLOCK_REALTIME)) == thrd_timedout);
	t = start(sleeps, NULL);
	TRY('-', pthread_join(t, NULL));
	t = start(sleeps, NULL);
	ts = in_ms(CLOCK_REALTIME, 60000);
	TRY('-', pthread_timedjoin_np(t, NULL, &ts));
	TRY('-', thrd_sleep(&later, &ts) == -1);
}

static void files(void)
{
	char b[200];
	struct iovec v = {b, 10};
	sigset_t usr2;
	int fd, master, slave;

	fill_pipe();
	TRY('f', write(full[1], big, 1));
	TRY('p', readv(p[0], &v, 1));
	TRY('p', preadv2(p[0], &v, 1, -1, 0));
	fill_pipe();
	TRY('f', pwritev2(full[1], &v, 1, -1, 0));
	TRY('o', (fd = open(fifo, O_WRONLY)) >= 0 ? 0 : -1);

	FILE *f = fdopen(dup(p[0]), "r");
	MUST(f != NULL && setvbuf(f, NULL, _IONBF, 0) == 0);
	TRY('p', fgets(b, 3, f) ? 0 : -1);
	if (!restart) {
		say("  error %d, end %d", !!ferror(f), !!feof(f));
		clearerr(f);
	}
	NEVER(getc(f));
	fclose(f);

	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	fd = signalfd(-1, &usr2, 0);
	NEVER(read(fd, b, sizeof b));
	MUST(close(fd) == 0 && openpty(&master, &slave, NULL, NULL, NULL) == 0);
	NEVER(read(slave, b, 1));
	NEVER(read(master, b, 1));
	MUST(close(master) == 0 && close(slave) == 0);
}

static void others(void)
{
	struct {
		long type;
		char c[8192];
	} msg = {1, ""};
	char b;
	struct aiocb cb = {.aio_fildes = p[0], .aio_buf = &b, .aio_nbytes = 1};
	const struct aiocb *list[] = {&cb};
	int q = msgget(IPC_PRIVATE, 0600), quiet[2], go[2];
	siginfo_t si;

	while (msgsnd(q, &msg, sizeof msg.c, IPC_NOWAIT) == 0)
		;
	TRY('-', msgsnd(q, &msg, sizeof msg.c, 0));
	MUST(msgctl(q, IPC_RMID, NULL) == 0 && pipe(quiet) == 0 && pipe(go) == 0);
	cb.aio_fildes = quiet[0];
	MUST(aio_read(&cb) == 0);
	TRY('-', aio_suspend(list, 1, &later));
	MUST(write(quiet[1], "x", 1) == 1);
	while (aio_error(&cb) == EINPROGRESS)
		usleep(1000);
	MUST(aio_return(&cb) == 1);

	pid_t pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		MUST(read(go[0], &b, 1) == 1);
		_exit(0);
	}
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	NEVER(waitid(P_PIDFD, fd, &si, WEXITED));
	MUST(write(go[1], "x", 1) == 1);
	while (waitpid(pid, NULL, 0) == -1)
		MUST(errno == EINTR);
	close(fd);
	for (int i = 0; i < 2; i++)
		MUST(close(quiet[i]) == 0 && close(go[i]) == 0);
}

/* To listeners that have all the connections they may have. */
static void connections(void)
{
	struct sockaddr_un un = unix_name("listener");
	struct sockaddr_in in;
	struct timeval tv = {0, 50000};
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c[40], n = 0, s;

	MUST(bind(l, (struct sockaddr *)&un, sizeof un) == 0 && listen(l, 0) == 0);
	do
		c[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	while (connect(c[n++], (struct sockaddr *)&un, sizeof un) == 0 && n < NELEM(c));
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	NEVER(connect(s, (struct sockaddr *)&un, sizeof un));
	for (close(s), close(l); n > 0;)
		close(c[--n]);
	MUST(unlink("listener") == 0);

	l = tcp_listen(&in, 0);
	for (n = 0; n < 4; n++) {
		c[n] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		MUST(connect(c[n], (struct sockaddr *)&in, sizeof in) == -1 &&
		     errno == EINPROGRESS);
	}
	s = socket(AF_INET, SOCK_STREAM, 0);
	NEVER(connect(s, (struct sockaddr *)&in, sizeof in));
	if (!restart) { /* it goes on without us */
		MUST(fcntl(s, F_SETFL, O_NONBLOCK) == 0);
		SYS(connect(s, (struct sockaddr *)&in, sizeof in));
	}
	close(s);
	s = socket(AF_INET, SOCK_STREAM, 0);
	MUST(setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv) == 0);
	SYS(connect(s, (struct sockaddr *)&in, sizeof in));
	SYS(connect(s, (struct sockaddr *)&in, sizeof in));
	say("O_NONBLOCK: %d", !!(fcntl(s, F_GETFL) & O_NONBLOCK));
	for (close(s), close(l); n > 0;)
		close(c[--n]);
}

static void *all(void *arg)
{
	self = pthread_self();
	for (int i = 0; i < 2; i++) {
		struct sigaction sa = {.sa_handler = on_usr1, .sa_flags = i ? SA_RESTART : 0};
		restart = i;
		MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
		say("%s, %s", (char *)arg, i ? "SA_RESTART" : "plain");
		by_number();
		timed();
		files();
		others();
		connections();
	}
	return arg;
}

static void *holds(void *arg)
{
	OK(pthread_mutex_lock(&m));
	OK(pthread_rwlock_wrlock(&rw));
	MUST(mtx_lock(&mtx) == thrd_success && write(*(int *)arg, "x", 1) == 1);
	for (;;)
		pause();
}

int main(void)
{
	int held[2];
	char c;

	MUST(pipe(p) == 0 && pipe(full) == 0 && pipe(held) == 0 && mkfifo(fifo, 0600) == 0);
	MUST(mtx_init(&mtx, mtx_timed) == thrd_success);
	start(holds, &held[1]);
	MUST(read(held[0], &c, 1) == 1);
	all("main");
	finish(start(all, "thread"));
	return 0;
}
