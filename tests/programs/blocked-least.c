/* SPDX-License-Identifier: MIT */
/* blocked-many, run with as few kernel threads as there may be: the FIFO's openers alone are more,
 * and the one that lets them go is a thread like them. */
#include "blocked-many.c"
