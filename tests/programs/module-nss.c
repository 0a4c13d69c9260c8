/* SPDX-License-Identifier: MIT */
/* A name service, libnss_live.so.2, which libc loads by itself: as module-live.c, with one user in
 * it. */
#include <nss.h>
#include <pwd.h>
#include <string.h>

#define STATIC_TLS
#include "module-live.c"

enum nss_status _nss_live_getpwnam_r(const char *name, struct passwd *pw, char *buf, size_t len,
				     int *err);
enum nss_status _nss_live_getpwnam_r(const char *name, struct passwd *pw, char *buf, size_t len,
				     int *err)
{
	(void)err;
	if (strcmp(name, "live-user") != 0 || len < 10)
		return NSS_STATUS_NOTFOUND;
	memset(pw, 0, sizeof *pw);
	strcpy(buf, "live-user");
	pw->pw_name = pw->pw_gecos = pw->pw_dir = pw->pw_shell = pw->pw_passwd = buf;
	pw->pw_uid = pw->pw_gid = (uid_t)swap(77); /* 77 if this thread has it right */
	return NSS_STATUS_SUCCESS;
}
