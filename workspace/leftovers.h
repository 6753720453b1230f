/* SPDX-License-Identifier: MIT */
/*
 * What a git that was killed may have left in a project's repository, where
 * later ones stumble over it: worktrees registered by half, locks. Only what
 * this hearthd's own git made is touched.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_LEFTOVERS_H
#define HEARTH_LEFTOVERS_H

#include "workspace/place.h"
#include "workspace/project.h"

/* The caller holds the lock on the project's list of worktrees. */
void leftovers_of_list(const struct place *place, const struct project *p);
/* Of a branch that place's session was making. */
void leftovers_of_branch(const struct place *place, const struct project *p);

#endif
