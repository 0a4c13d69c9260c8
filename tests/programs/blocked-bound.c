/* SPDX-License-Identifier: MIT */
/* blocked-many, run with a bound on kernel threads that is far below what waits: all but the FIFO,
 * for whose open nobody can be asked twice. */
#define KINDS 6
#include "blocked-many.c"
