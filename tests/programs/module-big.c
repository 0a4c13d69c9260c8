/* SPDX-License-Identifier: MIT */
/* A module whose static TLS does not fit in what ld.so keeps in reserve. */
static __thread char big[200000] __attribute__((tls_model("initial-exec"))) = {1};

char *get(void);
char *get(void)
{
	return big;
}
