/* SPDX-License-Identifier: MIT
 *
 * os_linux.c: how many CPUs we may use: the affinity mask, bounded by the cgroup v2 CPU quota (rounded
 * up; the smallest on the way to the root counts). Read once, when the pool starts.
 */
#include "runtime.h"
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

long readfile(const char *path, char *buf, size_t size)
{
	long fd = SC4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return fd;
	long n = SC3(SYS_read, fd, buf, size - 1);
	SC1(SYS_close, fd);
	buf[n > 0 ? n : 0] = 0;
	return n;
}

static const char *digits(const char *s, uint64_t *v)
{
	for (*v = 0; *s >= '0' && *s <= '9'; s++)
		*v = *v * 10 + (uint64_t)(*s - '0');
	return s;
}

/* CPUs that "QUOTA PERIOD" of a cpu.max allows; 0: no limit ("max"), or not readable. */
static int quota(const char *text)
{
	uint64_t q, period;
	const char *s = digits(text, &q);

	if (s == text || *s != ' ')
		return 0;
	digits(s + 1, &period);
	return period ? (int)((q + period - 1) / period) : 0;
}

static int cgroupcpus(void)
{
	char cg[4096], path[4400];
	int least = 0;

	if (readfile("/proc/self/cgroup", cg, sizeof(cg)) <= 0)
		return 0;
	char *s = strncmp(cg, "0::", 3) == 0 ? cg : strstr(cg, "\n0::");
	if (s == NULL)
		return 0;
	s = strchr(s, '/');
	if (s == NULL)
		return 0;
	char *nl = strchr(s, '\n');
	if (nl != NULL)
		*nl = 0;
	for (;;) {
		char buf[64];
		size_t n = strlen(s);
		static const char root[] = "/sys/fs/cgroup";
		memcpy(path, root, sizeof(root) - 1);
		memcpy(path + sizeof(root) - 1, s, n);
		memcpy(path + sizeof(root) - 1 + n, "/cpu.max", 9);
		if (readfile(path, buf, sizeof(buf)) > 0) {
			int q = quota(buf);
			if (q > 0 && (least == 0 || q < least))
				least = q;
		}
		char *slash = strrchr(s, '/');
		if (slash == NULL || slash == s)
			break;
		*slash = 0;
	}
	return least;
}

int getproccount(void)
{
	unsigned long mask[1024 / 64];
	long r = SC3(SYS_sched_getaffinity, 0, sizeof(mask), mask);
	int n = 0, q = cgroupcpus();

	for (long i = 0; i < r / (long)sizeof(long); i++)
		n += __builtin_popcountl(mask[i]);
	if (q > 0 && q < n)
		n = q;
	return n < 1 ? 1 : n > 1024 ? 1024 : n;
}
