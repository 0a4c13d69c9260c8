/* SPDX-License-Identifier: MIT
 *
 * fds.c: what a descriptor of the process is: /proc/PID/fd says which socket, /proc/PID/net who its
 * ends are.
 *
 * The tables of sockets are read once, when the first socket is asked for: 10,000 threads mostly
 * wait on sockets.
 */
#define _GNU_SOURCE 1
#include "live.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sock {
	uint64_t inode;
	char *name;
};

static struct sock *socks;
static size_t nsocks, room;

static void addsock(uint64_t inode, const char *name)
{
	if (nsocks == room)
		socks = xrealloc(socks, (room = room ? room * 2 : 1024) * sizeof(*socks));
	socks[nsocks++] = (struct sock){inode, strdup(name)};
}

/* "0100007F:1F90" in the kernel's way: words of four bytes in host order. */
static void address(const char *hex, char *out, size_t n)
{
	uint32_t w[4] = {0};
	size_t len = strcspn(hex, ":"), words = len / 8;
	unsigned port = 0;
	char ip[INET6_ADDRSTRLEN] = "?";

	for (size_t i = 0; i < words && i < 4; i++)
		sscanf(hex + 8 * i, "%8x", &w[i]);
	sscanf(hex + len, ":%x", &port);
	inet_ntop(words == 1 ? AF_INET : AF_INET6, w, ip, sizeof(ip));
	snprintf(out, n, words == 1 ? "%s:%u" : "[%s]:%u", ip, port);
}

static void readinet(const struct target *t, const char *proto)
{
	char path[64], line[512];

	snprintf(path, sizeof(path), "/proc/%d/net/%s", t->pid, proto);
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		char local[64], remote[64], a[80], b[80], name[200];
		unsigned state;
		unsigned long inode;
		if (sscanf(line, " %*[^:]: %63s %63s %x %*s %*s %*s %*s %*s %lu", local, remote,
			   &state, &inode) != 4)
			continue;
		address(local, a, sizeof(a));
		address(remote, b, sizeof(b));
		if (strncmp(proto, "tcp", 3) == 0 && state == 0x0a)
			snprintf(name, sizeof(name), "%s %s listening", proto, a);
		else if (strstr(remote, ":0000") != NULL)
			snprintf(name, sizeof(name), "%s %s", proto, a);
		else
			snprintf(name, sizeof(name), "%s %s <-> %s", proto, a, b);
		addsock(inode, name);
	}
	fclose(f);
}

static void readunix(const struct target *t)
{
	char path[64], line[512];

	snprintf(path, sizeof(path), "/proc/%d/net/unix", t->pid);
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned long inode;
		unsigned flags, type, state;
		char at[256] = "", name[320];
		if (sscanf(line, "%*s %*s %*s %x %x %x %lu %255s", &flags, &type, &state, &inode,
			   at) < 4)
			continue;
		snprintf(name, sizeof(name), "unix %s%s%s%s",
			 type == 1   ? "stream"
			 : type == 2 ? "datagram"
				     : "seqpacket",
			 *at ? " " : "", at, flags & 0x10000 ? " listening" : "");
		addsock(inode, name);
	}
	fclose(f);
}

static int byinode(const void *a, const void *b)
{
	const struct sock *x = a, *y = b;

	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static const char *sockname(const struct target *t, uint64_t inode)
{
	static bool read;
	struct sock key = {inode, NULL};

	if (!read) {
		static const char *const protos[] = {"tcp", "tcp6", "udp", "udp6"};
		for (size_t i = 0; i < nelem(protos); i++)
			readinet(t, protos[i]);
		readunix(t);
		if (nsocks > 0)
			qsort(socks, nsocks, sizeof(*socks), byinode);
		read = true;
	}
	const struct sock *s =
	    nsocks > 0 ? bsearch(&key, socks, nsocks, sizeof(*socks), byinode) : NULL;
	return s != NULL ? s->name : NULL;
}

const char *fdname(const struct target *t, int fd)
{
	char path[64], to[4096];
	unsigned long inode;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", t->pid, fd);
	ssize_t n = readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		return "closed";
	to[n] = 0;
	for (char *s = to; *s; s++)
		if ((unsigned char)*s < ' ')
			*s = '?';
	if (sscanf(to, "socket:[%lu]", &inode) == 1) {
		const char *name = sockname(t, inode);
		if (name != NULL)
			return name;
	}
	if (strncmp(to, "anon_inode:", 11) == 0)
		return strdup(to + 11);
	return strdup(to);
}
