/* SPDX-License-Identifier: MIT */
/* server PORT FOLDER: libmicrohttpd with a thread per connection; ends by SIGTERM. */
#include <fcntl.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum MHD_Result answer(void *folder, struct MHD_Connection *c, const char *url, const char *method, const char *version,
			      const char *data, size_t *size, void **state)
{
	static int first;
	(void)method, (void)version, (void)data, (void)size;
	if (*state == NULL) {
		*state = &first;
		return MHD_YES;
	}
	char path[4096];
	struct stat st;
	snprintf(path, sizeof path, "%s%s", (const char *)folder, url);
	int fd = open(path, O_RDONLY);
	int status = fd < 0 || fstat(fd, &st) != 0 ? MHD_HTTP_NOT_FOUND : MHD_HTTP_OK;
	struct MHD_Response *r = status == MHD_HTTP_OK ? MHD_create_response_from_fd((size_t)st.st_size, fd)
						       : MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
	enum MHD_Result ok = MHD_queue_response(c, (unsigned)status, r);
	MHD_destroy_response(r);
	return ok;
}

int main(int argc, char **argv)
{
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	if (argc != 3)
		return 2;
	struct MHD_Daemon *d = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL,
						(uint16_t)atoi(argv[1]), NULL, NULL, answer, argv[2],
						MHD_OPTION_CONNECTION_TIMEOUT, 60u, MHD_OPTION_CONNECTION_LIMIT, 4000u,
						MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024u, MHD_OPTION_END);
	if (d == NULL)
		return 1;
	int sig;
	sigwait(&term, &sig);
	MHD_stop_daemon(d);
	return 0;
}
