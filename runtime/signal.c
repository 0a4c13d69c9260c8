/* SPDX-License-Identifier: MIT
 *
 * signal.c: signals and Gs.
 */
#include "runtime.h"

void siginit(void)
{
}

int runsigs(struct g *gp)
{
	atomic_store(&gp->sigwake, 0);
	return 0;
}

void sysmonsigs(void)
{
}
