/* SPDX-License-Identifier: MIT */
/* event-loops, each with a kernel thread of its own: timer_create(2) on its CPU clock */
#define BOUND
#include "event-loops.c"
