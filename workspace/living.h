/* SPDX-License-Identifier: MIT */
/*
 * Processes that may go on writing into a copy when its tree has been taken.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_LIVING_H
#define HEARTH_LIVING_H

#include <stdbool.h>

/*
 * "PID:MS:OWN": whether below that process there is one but OWN that has begun
 * at MS or later, in milliseconds of CLOCK_BOOTTIME, and has not ended. *root
 * is PID; false, too, for what is no such text.
 */
bool living_has(const char *text, long *root);

#endif
