/* SPDX-License-Identifier: MIT */
/* A module to dlopen with a TLS variable in the static block (as jemalloc and libGL have), which
 * the loader must initialise in every living thread. */

static __thread int fast __attribute__((tls_model("initial-exec"))) = 55;

int bump_static(int by);
int bump_static(int by)
{
	fast += by;
	return fast;
}
