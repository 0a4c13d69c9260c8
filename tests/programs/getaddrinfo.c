/* SPDX-License-Identifier: MIT */
/* Resolver, user and time functions of libc in many threads: getaddrinfo of localhost and of
 * numbers, getnameinfo, getpwuid_r, localtime_r, strerror, iconv. getaddrinfo(3) */
#include "net.h"
#include <arpa/inet.h>
#include <iconv.h>
#include <netdb.h>
#include <pwd.h>

static int found;

static void *resolves(void *arg)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *ai;
	char host[100], port[20], want[20], buf[2000];

	for (int i = 0; i < scaled(20); i++) {
		snprintf(want, sizeof want, "%d", 1000 + i + (int)(intptr_t)arg);
		MUST(getaddrinfo("localhost", want, &hints, &ai) == 0);
		struct sockaddr_in *a = (struct sockaddr_in *)ai->ai_addr;
		MUST(a->sin_addr.s_addr == htonl(INADDR_LOOPBACK) &&
		     ntohs(a->sin_port) == atoi(want));
		MUST(getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof host, port, sizeof port,
				 NI_NUMERICHOST | NI_NUMERICSERV) == 0);
		MUST(!strcmp(host, "127.0.0.1") && !strcmp(port, want));
		freeaddrinfo(ai);
		MUST(getaddrinfo("10.1.2.3", NULL, &hints, &ai) == 0);
		freeaddrinfo(ai);

		struct passwd pw, *res;
		OK(getpwuid_r(0, &pw, buf, sizeof buf, &res));
		MUST(res && !strcmp(pw.pw_name, "root"));
		time_t when = 86400L * 365 * (i + 1);
		struct tm tm;
		MUST(gmtime_r(&when, &tm) && tm.tm_year >= 70);
		MUST(localtime_r(&when, &tm));
		MUST(strstr(strerror(5000 + i + (int)(intptr_t)arg), "error"));

		iconv_t cd = iconv_open("UTF-16LE", "ISO-8859-1");
		char *in = "abc", *out = buf;
		size_t inleft = 3, outleft = sizeof buf;
		MUST(cd != (iconv_t)-1 && iconv(cd, &in, &inleft, &out, &outleft) == 0);
		MUST(outleft == sizeof buf - 6 && iconv_close(cd) == 0);
		__atomic_add_fetch(&found, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[20];

	for (int i = 0; i < NELEM(t); i++)
		t[i] = start(resolves, (void *)(intptr_t)(i * 100));
	for (int i = 0; i < NELEM(t); i++)
		finish(t[i]);
	say("found each time: %d", found == NELEM(t) * scaled(20));
	return 0;
}
