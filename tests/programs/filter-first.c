/* SPDX-License-Identifier: MIT */
/* A daemon allows itself the calls that it makes, and none that libc's threads do not make, before its first thread: threads,
 * locks, sleeping and pipes work under that filter, in a child of fork too. seccomp(2) */
#include "t.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { TURNS = 50 };

static const int allowed[] = {
    SYS_read, SYS_write, SYS_close, SYS_futex, SYS_exit, SYS_exit_group, SYS_clone, SYS_clone3, SYS_set_robust_list, SYS_rseq,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_mmap, SYS_munmap, SYS_mprotect, SYS_madvise, SYS_brk, SYS_mremap,
    SYS_clock_nanosleep, SYS_clock_gettime, SYS_recvfrom, SYS_sendto, SYS_poll, SYS_wait4, SYS_prctl, SYS_seccomp, SYS_getrandom,
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn, p[2], sv[2];

static void denied(int sig, siginfo_t *info, void *ctx)
{
	(void)sig, (void)ctx;
	say("a call that the program does not make: %d", info->si_syscall);
	_exit(3);
}

static void install(bool bycall)
{
	struct sock_filter f[2 * NELEM(allowed) + 2];
	unsigned short n = 0;

	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (int i = 0; i < NELEM(allowed); i++) {
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], 0, 1);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
	struct sock_fprog prog = {n, f};
	if (bycall)
		SYS(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog));
	else
		SYS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
}

static void takes_turns(int mine)
{
	for (int i = 0; i < TURNS; i++) {
		OK(pthread_mutex_lock(&lock));
		while (turn % 2 != mine)
			OK(pthread_cond_wait(&cond, &lock));
		turn++;
		OK(pthread_cond_signal(&cond));
		OK(pthread_mutex_unlock(&lock));
	}
}

static void *other(void *arg)
{
	char c;

	takes_turns(1);
	settle();
	MUST(write(p[1], "x", 1) == 1 && recv(sv[1], &c, 1, 0) == 1);
	settle();
	MUST(send(sv[1], &c, 1, 0) == 1);
	return arg;
}

static void works(void)
{
	struct pollfd pfd = {.fd = sv[0], .events = POLLIN};
	char c;
	pthread_t t = start(other, NULL);

	takes_turns(0);
	MUST(read(p[0], &c, 1) == 1 && send(sv[0], "y", 1, 0) == 1);
	MUST(poll(&pfd, 1, -1) == 1 && recv(sv[0], &c, 1, 0) == 1);
	finish(t);
	say("%d turns, %c", turn, c);
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = denied, .sa_flags = SA_SIGINFO};
	int status;

	MUST(sigaction(SIGSYS, &sa, NULL) == 0 && pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	SYS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	install(false);
	works();
	install(true);
	for (int i = 0; i < 3; i++)
		works();
	pid_t pid = fork();
	if (pid == 0) {
		works();
		_exit(7);
	}
	MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
	say("child: status %d", WEXITSTATUS(status));
	works();
	return 0;
}
