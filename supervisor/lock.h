/* SPDX-License-Identifier: MIT */
/*
 * One hearthd per state_dir: a lock file that dies with the process.
 */
#ifndef HEARTH_LOCK_H
#define HEARTH_LOCK_H

#include "base/err.h"

/*
 * Makes state_dir where it is missing (mode 0711: the embedded cluster may run
 * as another user) and takes state_dir/hearthd.lock, which holds the pid. The
 * lock lasts as long as the process. -1 when it cannot be made, others may
 * write to it, or another hearthd has it for a second from now.
 */
int lock_state_dir(const char *state_dir, struct err *e);

#endif
